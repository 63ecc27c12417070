"""Conversion of samples from other libraries: arrays of PyTorch, CuPy and others, masked arrays, sparse matrices.

Source: https://dmlc.github.io/dlpack/latest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastmlp.errors import FastmlpError, InputError

__all__ = ["as_numpy", "compressed_rows", "enough_memory"]

# device types of DLPack whose memory the host can read: CPU, CUDA pinned, ROCm pinned, CUDA managed
_HOST = (1, 3, 11, 13)


def as_numpy(array: Any) -> Any:
    """Convert an array of another library to NumPy, without a copy if the host can read its memory.

    Lists, data frames and sparse matrices are returned unchanged: scikit-learn handles them.

    Raises
    ------
    TypeError
        The other library does not export its array.
    InputError
        A masked array with masked entries, or a list of such: NumPy would use the numbers under the mask.
    """
    if isinstance(array, np.ndarray):
        return _without_mask(array)
    if isinstance(array, (list, tuple)):
        for row in array if "numpy.ma" in sys.modules else ():
            if isinstance(row, np.ndarray):
                _without_mask(row)
        return array
    if not (hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")):
        return array
    try:
        return _exported(array)
    except MemoryError:
        raise
    except Exception as error:  # libraries raise BufferError, RuntimeError or exceptions of their own
        raise TypeError(
            f"This {type(array).__name__} cannot become a NumPy array: {error}. Convert it yourself, for example a "
            "tensor of PyTorch by tensor.detach().float().cpu().numpy()."
        ) from error


def _without_mask(array: np.ndarray) -> np.ndarray:
    # NumPy imports numpy.ma on demand; before that there are no masked arrays
    if "numpy.ma" not in sys.modules or not isinstance(array, np.ma.MaskedArray):
        return array
    if hidden := int(np.ma.count_masked(array)):
        raise InputError(
            f"This masked array hides {hidden} of its {array.size} entries, and there is no computing with those. Give "
            "array.filled(value), or leave such samples out."
        )
    return array.data


def _exported(array: Any) -> Any:
    if array.__dlpack_device__()[0] in _HOST:
        return np.from_dlpack(array)
    for to_host in ("get", "cpu"):  # of CuPy and PyTorch, older versions of which cannot export to another device
        if hasattr(array, to_host):
            return as_numpy(getattr(array, to_host)())
    return np.from_dlpack(array, device="cpu")


def compressed_rows(x: Any, name: str) -> Any:
    """Convert a sparse matrix (N, I) of any format to CSR, after a check that all its indices are in range.

    SciPy does not check indices: its conversion would read and write outside of its arrays.
    """
    try:
        if x.format in ("csr", "csc", "bsr"):
            x = type(x)((x.data, x.indices, x.indptr), shape=x.shape)  # so that the caller's matrix is not modified
            x.check_format()
        else:
            x = x.tocoo()
            x = type(x)((x.data, (x.row, x.col)), shape=x.shape)  # checks all indices
        return x.tocsr()
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"{name} is no valid sparse matrix: {error}. Build it anew from its entries.") from None


@contextmanager
def enough_memory() -> Iterator[None]:
    """Turn a MemoryError on the host into an InputError that says what to do; also usable as a decorator."""
    try:
        yield
    except MemoryError as error:
        if isinstance(error, FastmlpError):
            raise
        raise InputError(
            f"There is not enough memory: {error}. Give fewer samples at a time, a memory-mapped array, or arrays in C "
            "order and of the network's dtype, which are not copied."
        ) from None
