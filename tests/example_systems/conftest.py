"""The network that the tests of the example systems build."""

import pytest

from fastmlp import MLP


@pytest.fixture
def network(backend):
    """network(sizes, activations, …): a model in float64 on the NumPy and the Numba backend."""

    def build(*arguments, dtype="float64", seed=0, **options):
        return MLP(*arguments, dtype=dtype, seed=seed, backend=backend, **options)

    return build
