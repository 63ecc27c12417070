"""Helpers for the tests of data sets: small arrays, and image files and folders written directly."""

import gzip
import struct
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings

REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file."""
    header = struct.pack(f">2xBB{array.ndim}I", CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def image_files(folder: Path, mark: str = "-", suffix: str = "", **changes: np.ndarray) -> Path:
    """A folder of 5 training and 3 test images of 2 x 3 pixels."""
    arrays = {
        "train_images": np.arange(30, dtype=np.uint8).reshape(5, 2, 3) * 8,
        "train_labels": np.array([0, 2, 1, 0, 2], np.uint8),
        "t10k_images": np.full((3, 2, 3), 255, np.uint8),
        "t10k_labels": np.array([1, 0, 2], np.uint8),
    } | changes
    for name, array in arrays.items():
        content = idx(array)
        path = folder / f"{name.replace('_', '-')}{mark}idx{3 if 'images' in name else 1}-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
    return folder


X = np.arange(6, dtype=np.float32).reshape(3, 2)
Y = np.array([7, 3, 7])
