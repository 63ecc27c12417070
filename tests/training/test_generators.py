"""`seeded`: the generator that `numpy.random.RandomState` makes of a seed."""

import pickle

import numpy as np
import pytest

from fastmlp.generators import seeded


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1])
def test_it_is_that_of_numpy(seed):
    one, other = seeded(seed), np.random.RandomState(seed)
    for copy in (one, pickle.loads(pickle.dumps(one))):
        for a, b in zip(copy.get_state(), other.get_state(), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.randn(7), other.randn(7))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_other_seeds_are_refused_as_by_numpy(seed):
    with pytest.raises(ValueError, match="Seed must be between"):
        seeded(seed)
