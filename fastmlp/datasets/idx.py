"""IDX files, the format of MNIST and its relatives.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, "The IDX file format".
"""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from fastmlp.datasets.dataset import Dataset
from fastmlp.datasets.images import image_dataset
from fastmlp.errors import InputError

__all__ = ["load_idx_folder", "read_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 32  # the limit of NumPy 1
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_FILES = (("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1))


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the array in an IDX file.

    Parameters
    ----------
    path : path
        The file to read; gzip compression is recognised by the first bytes, not by the name.

    Returns
    -------
    array
        With the shape and dtype stated in the file, in native byte order.

    Raises
    ------
    InputError
        If the file does not exist, is not an IDX file, is damaged or truncated, or has extra bytes.
    """
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == _GZIP
            raw.seek(0)
            return _read_array(path, gzip.open(raw) if compressed else raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"The compressed file {path} is damaged: {error}. Copy or download it again.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}. Name an IDX file.") from error


def load_idx_folder(folder: str | os.PathLike[str], name: str | None = None) -> Dataset:
    """Read the four files of MNIST, or of a set in the same format.

    They are train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k for train. The name may have a dot
    before idx, and end in .gz if the file is compressed.

    Parameters
    ----------
    folder : path
        Folder of the files.
    name : str, optional
        Name of the data set; by default that of the folder. "fashion-mnist" has named classes.

    Returns
    -------
    Dataset
        With x (N, I) float32, the pixels divided by 255, and y (N,) int64.

    Raises
    ------
    InputError
        If a file is missing or cannot be read, or the files do not fit together.
    """
    root = Path(folder)
    paths = [_find(root, stem, dimensions) for stem, dimensions in _FILES]
    train_images, train_labels, test_images, test_labels = map(read_idx, paths)
    return image_dataset(name or root.resolve().name, (train_images, train_labels), (test_images, test_labels))


def _read_array(path: str | os.PathLike[str], file: io.BufferedIOBase) -> np.ndarray:
    """Read the header, then at most the bytes it announces, and check that no byte follows."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise InputError(
            f"The file {path} is not an IDX file: it starts with the bytes {magic.hex(' ') or '(none)'}. Two "
            f"zeros, a type ({', '.join(f'{code:02x}' for code in _DTYPES)}) and a number of dimensions "
            "belong there."
        )
    dimensions = magic[3]
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise InputError(f"The IDX file {path} states {dimensions} dimensions. 1 to {_MOST_DIMENSIONS} can be read.")
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise InputError(f"The IDX file {path} ends within its header. Copy or download it again.")
    shape = struct.unpack(f">{dimensions}I", sizes)
    dtype = np.dtype(_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    if expected == 0:
        raise InputError(f"The IDX file {path} has the shape {shape}: it holds nothing.")
    payload = _read_at_most(file, expected + 1)
    if len(payload) != expected:
        held = f"only {len(payload)}" if len(payload) < expected else "more"
        raise InputError(
            f"The IDX file {path} of shape {shape} and type {dtype.name} needs {expected} bytes after its "
            f"header, but holds {held}. Copy or download it again."
        )
    return np.frombuffer(payload, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_at_most(file: io.BufferedIOBase, limit: int) -> bytearray:
    """Read in pieces, so that memory use depends on the size of the file, not on what its header claims."""
    payload = bytearray()
    while len(payload) < limit and (piece := file.read(min(_CHUNK, limit - len(payload)))):
        payload += piece
    return payload


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    """Find one of the four files by any of its possible names."""
    names = [f"{stem}{mark}idx{dimensions}-ubyte{suffix}" for mark in "-." for suffix in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"The folder {folder} lacks the {stem} of an image set. Looked for {', '.join(names)}. Name the "
        "folder that holds the four IDX files."
    )
