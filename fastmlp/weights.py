"""Checks of sample weights and of their sums.

The loss of a batch is Σ s ℓ / Σ s. The estimators allow negative weights, as scikit-learn does, so Σ s may be negative,
which needs no special treatment, or zero. A batch whose weights are all 0 counts as no samples and changes nothing; one
whose weights cancel has no mean.
"""

from __future__ import annotations

import numpy as np

from fastmlp.errors import InputError

__all__ = ["check_any", "check_sums", "check_total", "usable_weights"]


def usable_weights(weights: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Return finite weights (N,) in `dtype`, with those that would be denormal set to 0 on every backend.

    Raises
    ------
    InputError
        All weights are 0, or so small or large that their sum, its inverse or a product with a gradient could leave the
        range of `dtype`: the largest must be within the square root of that range.
    """
    size = np.abs(weights)
    largest, tiny = float(size.max(initial=0)), float(np.finfo(dtype).tiny)
    low, high = tiny**0.5, tiny**-0.5
    check_any(weights, name)
    if not low <= largest <= high:
        raise InputError(
            f"{name} has sizes up to {largest:g}, but {dtype} computes with largest sizes from {low:.0e} to "
            f"{high:.0e}. Multiply all weights by one number: only their ratios matter to a mean."
        )
    # compiled code treats denormal numbers as 0, NumPy does not
    return np.ascontiguousarray(np.where(size < tiny, 0, weights).astype(dtype, copy=False))


def check_any(weights: np.ndarray, name: str) -> None:
    """Raise InputError if there are weights, and all are 0."""
    if weights.size and not weights.any():
        raise InputError(f"{name} is 0 for all of the {len(weights)} samples. Give some of them a weight.")


def check_total(weights: np.ndarray, name: str) -> None:
    """Raise InputError if these weights, (n,) or (0,) for none, cancel."""
    check_any(weights, name)
    check_sums(weights, np.arange(len(weights)), len(weights), name)


def check_sums(weights: np.ndarray, order: np.ndarray, batch_size: int, name: str) -> None:
    """Raise InputError if weights (N,), or (0,) for none, cancel in a batch of the samples `order` (n,).

    A sum counts as zero if it is no larger than the rounding errors of its terms, in their dtype, and of the float64
    sum.
    """
    if not weights.size or weights.min() >= 0:
        return
    s = weights[order].astype(np.float64)
    starts = np.arange(0, len(order), batch_size)
    total, size = np.add.reduceat(s, starts), np.add.reduceat(np.abs(s), starts)
    precision = float(np.finfo(weights.dtype).eps) + min(batch_size, len(order)) * 2.0**-53
    wrong = np.flatnonzero((np.abs(total) <= precision * size) & (size > 0))
    if wrong.size:
        rows = min(batch_size, len(order) - int(starts[wrong[0]]))
        raise InputError(
            f"{name} cancels: the weights of {rows} samples sum to {total[wrong[0]]:.3g}, by which no "
            "loss can be divided. Give weights that are not negative, or whose sum is not 0."
        )
