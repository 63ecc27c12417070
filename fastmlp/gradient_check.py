"""Gradients by central differences: slow, independent of backpropagation, accurate to some nine digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.errors import InputError

__all__ = ["numerical_gradient"]


def numerical_gradient(f: Callable[[np.ndarray], float], x: Any, step: float = 6e-6) -> np.ndarray:
    """Gradient of f at x by (f(x + h e) - f(x - h e)) / 2h in every direction e.

    Parameters
    ----------
    f : callable
        Takes a float64 array of the shape of x, returns a number.
    x : array
        The point, of any shape. It is not modified.
    step : float
        h relative to ``max(1, |x|)``. The default, the cube root of float64's epsilon, balances truncation (h²) against
        rounding (epsilon / h).

    Examples
    --------
    >>> numerical_gradient(lambda v: (v[0] + v[1]) * v[2], [-2.0, 5.0, -4.0]).round(6)
    array([-4., -4.,  3.])
    """
    point = np.array(x, dtype=np.float64)
    if not np.isfinite(point).all():
        raise InputError("x contains NaN or infinity: there is no gradient there.")
    gradient = np.empty_like(point)
    flat, result = point.reshape(-1), gradient.reshape(-1)
    for i, centre in enumerate(flat):
        h = step * max(1.0, abs(centre))
        flat[i] = centre + h
        above, high = float(f(point)), flat[i]
        flat[i] = centre - h
        below, low = float(f(point)), flat[i]
        flat[i] = centre
        result[i] = (above - below) / (high - low)
    return gradient
