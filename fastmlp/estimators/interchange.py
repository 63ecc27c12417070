"""Results as arrays of the library that X came from.

Source: https://data-apis.org/array-api/latest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from sklearn import get_config

from fastmlp.forks import no_fork

__all__ = ["like_input"]


def like_input(method: Callable) -> Callable:
    """Decorate a method of X: with array API dispatch its result is an array of X's library, on X's device."""

    @wraps(method)
    def converted(self: Any, X: Any, *arguments: Any, **keywords: Any) -> Any:
        return _like(X, method(self, X, *arguments, **keywords))

    return converted


def _like(X: Any, answer: np.ndarray) -> Any:
    if isinstance(X, np.ndarray) or not hasattr(X, "__dlpack__") or not get_config().get("array_api_dispatch"):
        return answer
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "biuf":
        return answer  # sparse labels; and only NumPy has arrays of strings and objects
    with no_fork():
        from sklearn.utils._array_api import get_namespace_and_device

    xp, _, device = get_namespace_and_device(X)
    return xp.asarray(answer, device=device)
