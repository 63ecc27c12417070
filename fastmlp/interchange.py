"""Arrays of other libraries (PyTorch, CuPy, …) as NumPy arrays, through DLPack.

Source: https://dmlc.github.io/dlpack/latest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_numpy"]

# DLPack's device types whose memory the host can read: CPU, CUDA pinned, ROCm pinned, CUDA managed
_HOST = (1, 3, 11, 13)


def as_numpy(array: Any) -> Any:
    """An array of another library as a NumPy array, without a copy if the host can read its memory.

    Lists, data frames and sparse matrices are left to scikit-learn, which knows them.
    """
    if isinstance(array, np.ndarray) or not (hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")):
        return array
    if array.__dlpack_device__()[0] in _HOST:
        try:
            return np.from_dlpack(array)
        except (BufferError, RuntimeError) as error:  # a tensor with a gradient, or of bfloat16
            raise TypeError(f"This {type(array).__name__} cannot become a NumPy array: {error}") from error
    for to_host in ("get", "cpu"):  # CuPy's and PyTorch's; older versions of both cannot export to another device
        if hasattr(array, to_host):
            return as_numpy(getattr(array, to_host)())
    return np.from_dlpack(array, device="cpu")
