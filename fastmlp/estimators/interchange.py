"""Arrays of other libraries (PyTorch, CuPy, …): in through DLPack, and answers back in the kind that was given.

Sources: https://dmlc.github.io/dlpack/latest and https://data-apis.org/array-api/latest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from sklearn import get_config

__all__ = ["as_numpy", "in_kind"]

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


def in_kind(method: Callable) -> Callable:
    """Decorate a method of X so that its answer is an array like X, where X is, if array API dispatch is on."""

    @wraps(method)
    def answer(self: Any, X: Any, *arguments: Any, **keywords: Any) -> Any:
        return _like(X, method(self, X, *arguments, **keywords))

    return answer


def _like(X: Any, answer: np.ndarray) -> Any:
    if isinstance(X, np.ndarray) or not hasattr(X, "__dlpack__") or not get_config().get("array_api_dispatch"):
        return answer
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "biuf":
        return answer  # sparse labels; and only NumPy has arrays of strings and objects
    from sklearn.utils._array_api import get_namespace_and_device

    xp, _, device = get_namespace_and_device(X)
    return xp.asarray(answer, device=device)
