"""Files of named arrays and a JSON header in the safetensors format, with a digest of both.

Reading a file executes nothing. The description is JSON in the file's metadata, under a single key, since safetensors
writes several in varying order:

    {"version": 1, "digest": "<SHA-256>", "header": {...}}

safetensors itself detects a damaged layout, but not damaged numbers. The digest covers the header and the name, dtype,
shape and bytes of every array, so a file that loads is what was saved.

Source: https://github.com/huggingface/safetensors, "Format".
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fastmlp.errors import InputError, ModelFileError
from fastmlp.files import atomic_write
from fastmlp.forks import no_fork

__all__ = ["ALL_DTYPES", "Kind", "digest_of", "read_tensors", "write_tensors"]

_VERSION = 1
_KEYS = {"version", "header", "digest"}
_log = logging.getLogger("fastmlp")

# Types of arrays by their names in the format
ALL_DTYPES: Mapping[str, type] = {
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
}


class Kind(NamedTuple):
    """A kind of file, distinguished by its metadata key."""

    name: str  # in messages: "model file"
    key: str  # of its metadata
    remedy: str  # for a damaged file, in messages
    dtypes: Mapping[str, type] = ALL_DTYPES  # allowed dtypes of arrays
    always_digest: bool = True  # False: files of early versions without a digest are read, with a note


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    header: Mapping[str, Any],
    kind: Kind,
    *,
    new: bool = False,
) -> None:
    """Write a file atomically. Equal contents give equal bytes.

    Parameters
    ----------
    path : file to write; an existing one is replaced, or with `new` an error.
    tensors : arrays of any shape and memory layout, of the dtypes of `kind`.
    header : JSON values. As in JSON, tuples come back as lists, and keys as strings.

    Raises
    ------
    InputError : an array of another dtype, a header that JSON cannot hold, or a path that cannot be written.
    """
    # the file holds the bytes of an array in C order
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    for name, array in arrays.items():
        if name == "__metadata__":
            raise InputError("An array cannot be named '__metadata__', a reserved word of safetensors. Rename it.")
        if array.dtype not in kind.dtypes.values():
            allowed = " or ".join(np.dtype(dtype).name for dtype in kind.dtypes.values())
            raise InputError(f"The array {name!r} is {array.dtype}. Convert it to {allowed}.")
    try:
        text = json.dumps(dict(header))
        _parse(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"The header cannot be written as JSON: {error}. Use dicts, lists, strings, numbers and None."
        ) from error
    # put together as text, to serialise the header once: for a table of 20,000 columns it has 5 MB, which take 0.05 s
    description = f'{{"version": {_VERSION}, "digest": "{digest_of(arrays, text)}", "header": {text}}}'
    with atomic_write(path, new=new) as file:
        _write(file, arrays, {kind.key: description})


def _write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write the format: the length of a JSON table, the table, and the arrays, those of the widest numbers first.

    safetensors 0.8.0 is not used: its `save` holds the GIL while it copies everything (a second for 300 MB), which
    stops the training that writes a checkpoint; its `save_file` makes a temporary file of its own, which is neither
    locked nor removed if the process is killed. A test compares the bytes with those of `save`.
    """
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    table: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        begin, end = end, end + arrays[name].nbytes
        dtype = next(key for key, dtype in ALL_DTYPES.items() if dtype == arrays[name].dtype)
        table[name] = {"dtype": dtype, "shape": arrays[name].shape, "data_offsets": [begin, end]}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(_bytes(arrays[name]))


def read_tensors(path: str | os.PathLike[str], kind: Kind) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `write_tensors` wrote.

    Parameters
    ----------
    path : file to read; it is not trusted.

    Returns
    -------
    tensors : writable arrays by name.
    header : as it was saved.

    Raises
    ------
    ModelFileError : the file does not exist, is truncated, damaged, of another kind, or of a newer fastmlp.
    """
    with no_fork():
        from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        found = "it is a folder or a device" if os.path.exists(path) else "no such file"
        raise ModelFileError(f"Cannot read the {kind.name} {path}: {found}. Name a file that fastmlp has saved.")
    try:
        with safe_open(path, framework="numpy") as file:
            digest, header = _read_description(path, file.metadata(), kind)
            tensors = {name: _read_tensor(path, file, name, kind) for name in file.keys()}  # noqa: SIM118
    except ModelFileError:
        raise
    # Besides the error of safetensors: NumPy refuses shapes that pass its check (a size of 0 hides any other).
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"The {kind.name} {path} cannot be read: {error}. It is truncated, damaged or not a {kind.name}: "
            f"copy it again, or {kind.remedy}."
        ) from error
    if digest is None:
        _log.warning(
            "The %s %s was saved by a fastmlp that wrote no digest: damage to its numbers would go unnoticed. Save it "
            "anew to add one.",
            kind.name,
            path,
        )
    elif digest != digest_of(tensors, json.dumps(header)):
        raise ModelFileError(
            f"The {kind.name} {path} is damaged: its contents do not have the digest that was saved with them. Copy "
            f"it again, or {kind.remedy}."
        )
    return tensors, header


def digest_of(arrays: Mapping[str, np.ndarray], header: str = "{}") -> str:
    """Return the SHA-256 of the header as `json.dumps` writes it, and of the arrays, C-ordered and sorted by name."""
    names = sorted(arrays)
    table = [[name, arrays[name].dtype.name, arrays[name].shape] for name in names]
    digest = hashlib.sha256(f"[{header}, {json.dumps(table)}]".encode())
    for name in names:
        digest.update(_bytes(arrays[name]))
    return digest.hexdigest()


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _parse(text: str) -> Any:
    """Parse JSON; ValueError for a repeated key, of which Python would keep the last."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(result := dict(pairs)) < len(pairs):
            raise ValueError(f"a key occurs twice among {[key for key, _ in pairs]}")
        return result

    return json.loads(text, object_pairs_hook=unique)


def _read_description(
    path: str | os.PathLike[str], metadata: dict[str, str] | None, kind: Kind
) -> tuple[str | None, dict[str, Any]]:
    """Parse digest (None if there is none) and header from the metadata of a safetensors file."""
    if not metadata or kind.key not in metadata:
        raise ModelFileError(
            f"The file {path} is a safetensors file, but not a {kind.name} of fastmlp: its metadata have no key "
            f"{kind.key!r}. Name a file that fastmlp has saved."
        )
    damaged = f"The header of the {kind.name} {path} is damaged"
    remedy = kind.remedy[0].upper() + kind.remedy[1:]
    try:
        description = _parse(metadata[kind.key])
        version, header, digest = description["version"], description["header"], description.get("digest")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{damaged}: {error!r}. {remedy}.") from error
    if type(version) is int and version > _VERSION:
        raise ModelFileError(
            f"The {kind.name} {path} has the format version {version}; this fastmlp reads up to {_VERSION}. "
            "Update it: pip install --upgrade fastmlp"
        )
    if type(version) is not int or version < 1 or not isinstance(header, dict):
        raise ModelFileError(
            f"{damaged}: version {version!r} with a header of type {type(header).__name__}, where a whole number from "
            f"1 to {_VERSION} and a dict belong. {remedy}."
        )
    # Exactly these keys: a damaged key "digest" must not count as no digest.
    if description.keys() != _KEYS and (kind.always_digest or description.keys() != _KEYS - {"digest"}):
        raise ModelFileError(f"{damaged}: it has the keys {sorted(description)}, not {sorted(_KEYS)}. {remedy}.")
    if "digest" in description and not isinstance(digest, str):
        raise ModelFileError(f"{damaged}: the digest is {digest!r}, not a text. {remedy}.")
    return digest, header


def _read_tensor(path: str | os.PathLike[str], file: Any, name: str, kind: Kind) -> np.ndarray:
    """Read one array, after a check of its dtype: safetensors has other errors for dtypes that NumPy lacks."""
    dtype = file.get_slice(name).get_dtype()
    if dtype not in kind.dtypes:
        raise ModelFileError(
            f"The array {name!r} of the {kind.name} {path} is {dtype}. Only {', '.join(kind.dtypes)} belong there: "
            f"{kind.remedy}."
        )
    return file.get_tensor(name)
