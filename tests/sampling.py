"""What the tests of the operations share: which samples a batch picks, and the same arrays in float64."""

import numpy as np

SAMPLES = 50  # of which a batch picks some, those of more rows repeatedly


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


def picks(n, rows):
    """Numbers of `rows` of n samples, some more than once."""
    return np.random.RandomState(2).randint(0, n, rows)
