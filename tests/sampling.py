"""Helpers for the tests of operations: the samples of a batch, and arrays in float64."""

import numpy as np

SAMPLES = 50  # of which a batch picks some, those of more rows repeatedly


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


def picks(n, rows):
    """Indices (rows,) among n samples, some repeated."""
    return np.random.RandomState(2).randint(0, n, rows)
