"""Fixtures for the tests of meta-estimators."""

from functools import wraps

import pytest
import sklearn
from estimator_cases import RELEASE

from fastmlp.estimators.base import BaseMLP

if RELEASE < (1, 9):
    collect_ignore_glob = ["test_*.py"]  # the page is about scikit-learn 1.9


@pytest.fixture
def fits(monkeypatch):
    """The arguments of every fit, in the order of calls: rows of X, sample weights, rows of X_val."""
    seen, fit = [], BaseMLP.fit

    @wraps(fit)
    def noting(self, X, y, sample_weight=None, **more):
        seen.append((len(X), sample_weight, len(more["X_val"]) if "X_val" in more else None))
        return fit(self, X, y, sample_weight, **more)

    monkeypatch.setattr(BaseMLP, "fit", noting)
    return seen


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield
