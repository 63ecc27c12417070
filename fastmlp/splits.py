"""Splits of rows into training and test rows."""

import math

import numpy as np

from fastmlp.errors import InputError

__all__ = ["check_seed", "split_ordered", "split_rows"]


def split_rows(
    n: int, test_fraction: float, seed: int, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows 0 .. n-1 at random in two; the same arguments always give the same rows.

    Parameters
    ----------
    n : number of rows N.
    test_fraction : share of the test rows, from 0 to below 1; unless it is 0 there is at least one.
    seed : from 0 to 2**32 - 1.
    classes (N,) int64 from 0 on: each has its share of the test rows, and at least one training row; None for rows
        that are all alike.

    Returns
    -------
    train, test : int64 row numbers, N in all.

    Raises
    ------
    InputError : a fraction or seed outside its range, or no row left to train on.
    """
    n_test = _test_rows(n, test_fraction)
    rows = np.random.RandomState(check_seed(seed)).permutation(n).astype(np.int64, copy=False)
    if classes is None or not n_test:
        return rows[n_test:], rows[:n_test]
    # Sorted by their rank within the class relative to its size, the first rows contain the same share of each class.
    sizes = np.bincount(classes)
    order = np.argsort(classes[rows], kind="stable")
    rank = np.empty(n)
    rank[order] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_last = rank == sizes[classes[rows]] - 1
    share = np.where(is_last, np.inf, (rank + 0.5) / sizes[classes[rows]])
    picked = np.zeros(n, bool)
    picked[np.argsort(share, kind="stable")[: min(n_test, int((~is_last).sum()))]] = True
    return rows[~picked], rows[picked]


def split_ordered(n: int, test_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows 0 .. n-1 in two, the last ones for testing; arguments and errors as in `split_rows`."""
    n_test = _test_rows(n, test_fraction)
    return np.arange(n - n_test), np.arange(n - n_test, n)


def _test_rows(n: int, test_fraction: float) -> int:
    if not 0 <= test_fraction < 1:
        raise InputError(
            f"test_fraction={test_fraction!r} is not a share of the rows. Give a number from 0 to below 1; "
            "0 keeps no test rows."
        )
    n_test = math.ceil(n * test_fraction)
    if n_test >= n:
        raise InputError(
            f"{n} rows with test_fraction={test_fraction!r} leave none to train on. Give more rows, or test_fraction=0."
        )
    return n_test


def check_seed(seed: int) -> int:
    """Return the seed; InputError unless it is a whole number from 0 to 2**32 - 1."""
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r} is no seed. Give a whole number from 0 to 2**32 - 1.")
    return seed
