"""Every test here runs on the NumPy backend, whose products are those of scikit-learn."""

import pytest


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
