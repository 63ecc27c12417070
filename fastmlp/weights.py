"""Sample weights: the numbers that can be used, and the sums that a mean can be divided by.

A mean over a batch is Σ s ℓ / Σ s. Weights may be negative for the estimators, as they may for scikit-learn's, so Σ s
may be negative, which changes nothing, or zero. A batch without any weight is no samples at all and moves nothing; one
whose weights cancel has no mean.
"""

from __future__ import annotations

import numpy as np

from fastmlp.errors import InputError

__all__ = ["check_any", "check_sums", "check_total", "usable_weights"]


def usable_weights(weights: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Finite weights (N,) in `dtype`; those that vanish beside the largest become 0, on every backend.

    Raises
    ------
    InputError
        All are 0, or so small or large that the sum of many, its inverse or a product with a gradient would leave the
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
    # a denormal number would be 0 to compiled code and not to NumPy
    return np.ascontiguousarray(np.where(size < tiny, 0, weights).astype(dtype, copy=False))


def check_any(weights: np.ndarray, name: str) -> None:
    """InputError if there are weights, and all are 0."""
    if weights.size and not weights.any():
        raise InputError(f"{name} is 0 for all of the {len(weights)} samples. Give some of them a weight.")


def check_total(weights: np.ndarray, name: str) -> None:
    """InputError unless all of these weights (n,), or none (0,), have a mean."""
    check_any(weights, name)
    check_sums(weights, np.arange(len(weights)), len(weights), name)


def check_sums(weights: np.ndarray, order: np.ndarray, batch_size: int, name: str) -> None:
    """InputError unless every batch of the samples `order` (n,) has a mean, or no weight at all; weights may be (0,).

    A sum counts as zero if it is no larger than the rounding errors of its terms, each of them by the precision of its
    dtype, and of the sum, which is taken in float64.
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
