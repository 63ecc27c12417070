"""Model files: named arrays and a description of the model, in the safetensors format.

Reading one executes nothing. The description is JSON in the file's metadata, under the key "fastmlp":
`{"version": 1, "header": {...}}`.

Source: https://github.com/huggingface/safetensors, "Format".
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp.errors import InputError, ModelFileError
from fastmlp.files import atomic_write
from fastmlp.forks import no_fork

__all__ = ["load_model", "save_model"]

_KEY = "fastmlp"
_VERSION = 1
_DTYPES = {"F32": np.float32, "F64": np.float64}


def save_model(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Write a model file, whole or not at all.

    Parameters
    ----------
    path : file to write; one already there is replaced.
    tensors : arrays of any shape, float32 or float64, finite.
    header : what JSON can hold. As in JSON, tuples come back as lists, and keys as strings.

    Raises
    ------
    InputError : an array of another dtype, a value that is not finite, a header that JSON cannot hold, or a
        path that cannot be written.
    """
    with no_fork():
        from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    for name, array in arrays.items():
        if name == "__metadata__":
            raise InputError("An array cannot be named '__metadata__', a reserved word of safetensors. Rename it.")
        if array.dtype not in _DTYPES.values():
            raise InputError(f"The array {name!r} is {array.dtype}. Convert it to float32 or float64.")
        if not np.isfinite(array).all():
            raise InputError(
                f"The array {name!r} holds values that are not finite, which no model can use. Lower the "
                "learning rate, or scale the inputs, and train again."
            )
    try:
        description = json.dumps({"version": _VERSION, "header": dict(header)})
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"The header cannot be written as JSON: {error}. Use dicts, lists, strings, numbers and None."
        ) from error
    with atomic_write(path) as file:
        file.write(save(arrays, {_KEY: description}))


def load_model(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save_model` wrote.

    Parameters
    ----------
    path : file to read; it may come from anyone.

    Returns
    -------
    tensors : float32 or float64 arrays by name, finite and writable.
    header : as it was saved.

    Raises
    ------
    ModelFileError : no such file, a truncated or damaged one, one of another program or of a newer fastmlp.
    """
    with no_fork():
        from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        found = "it is a folder or a device" if os.path.exists(path) else "no such file"
        raise ModelFileError(f"Cannot read the model file {path}: {found}. Name a file that fastmlp has saved.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = _read_header(path, file.metadata())
            tensors = {name: _read_tensor(path, file, name) for name in file.keys()}  # noqa: SIM118
    except ModelFileError:
        raise
    # Beside the format's own error, NumPy refuses shapes that pass its check (a size of 0 hides any other).
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error}. It is truncated, damaged or not a model file: "
            "copy it again, or save the model anew."
        ) from error
    return tensors, header


def _read_header(path: str | os.PathLike[str], metadata: dict[str, str] | None) -> dict[str, Any]:
    """Check the metadata of a safetensors file, and give the header that it carries."""
    if not metadata or _KEY not in metadata:
        raise ModelFileError(
            f"The file {path} is a safetensors file, but not a model of fastmlp: its metadata have no key "
            f"{_KEY!r}. Name a file that fastmlp has saved."
        )
    try:
        description = json.loads(metadata[_KEY])
        version, header = description["version"], description["header"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"The header of the model file {path} is damaged: {error!r}. Save the model anew."
        ) from error
    if type(version) is int and version > _VERSION:
        raise ModelFileError(
            f"The model file {path} has the format version {version}; this fastmlp reads up to {_VERSION}. "
            "Update it: pip install --upgrade fastmlp"
        )
    if type(version) is not int or version < 1 or not isinstance(header, dict):
        raise ModelFileError(
            f"The header of the model file {path} is damaged: version {version!r} with a header of type "
            f"{type(header).__name__}, where a whole number from 1 to {_VERSION} and a dict belong. Save the "
            "model anew."
        )
    return header


def _read_tensor(path: str | os.PathLike[str], file: Any, name: str) -> np.ndarray:
    """Read one array, after a look at its type: the reader fails in other ways on types that NumPy lacks."""
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _DTYPES:
        raise ModelFileError(
            f"The array {name!r} of the model file {path} is {dtype}. Only F32 and F64 belong there; save "
            "the model with fastmlp."
        )
    array = file.get_tensor(name)
    if not np.isfinite(array).all():
        raise ModelFileError(
            f"The array {name!r} of the model file {path} holds values that are not finite: the file is "
            "damaged, or was not saved by fastmlp. Save the model anew."
        )
    return array
