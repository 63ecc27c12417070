"""Every benchmark that takes a backend runs on all that are there; the others are skipped with their reason."""

import pytest

from fastmlp import BackendUnavailableError, get_backend


@pytest.fixture(params=["numpy", "numba", "cuda"])
def backend(request):
    try:
        return get_backend(request.param).name
    except BackendUnavailableError as error:
        pytest.skip(str(error))
