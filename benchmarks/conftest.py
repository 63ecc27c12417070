"""The fixture `backend`, which runs a benchmark on all available backends and skips the others with the reason."""

import pytest

from fastmlp import BackendUnavailableError, get_backend


@pytest.fixture(params=["numpy", "numba", "cuda"])
def backend(request):
    try:
        return get_backend(request.param).name
    except BackendUnavailableError as error:
        pytest.skip(str(error))
