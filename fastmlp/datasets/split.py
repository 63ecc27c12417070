"""Which rows to train on and which to test with."""

import math

import numpy as np

from fastmlp.errors import InputError

__all__ = ["check_seed", "split_rows"]


def split_rows(n: int, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Permute the rows 0 .. n-1 and cut them in two; the same arguments always give the same rows.

    Parameters
    ----------
    n : number of rows N.
    test_fraction : share of the test rows, from 0 to below 1; unless it is 0 there is at least one.
    seed : from 0 to 2**32 - 1.

    Returns
    -------
    train, test : int64 row numbers, N in all.

    Raises
    ------
    InputError : a fraction or seed outside its range, or no row left to train on.
    """
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
    rows = np.random.RandomState(check_seed(seed)).permutation(n).astype(np.int64, copy=False)
    return rows[n_test:], rows[:n_test]


def check_seed(seed: int) -> int:
    """Give the seed.

    Raises
    ------
    InputError : not a whole number from 0 to 2**32 - 1.
    """
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r} is no seed. Give a whole number from 0 to 2**32 - 1.")
    return seed
