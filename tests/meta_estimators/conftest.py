"""What the tests of meta-estimators share."""

import pytest
import sklearn
from estimator_cases import RELEASE

from fastmlp.estimators import base

if RELEASE < (1, 9):
    collect_ignore_glob = ["test_*.py"]  # the page is about scikit-learn 1.9


@pytest.fixture
def fits(monkeypatch):
    """What every fit was given, in the order of the calls: rows of X, sample weights, rows of X_val."""
    seen, fit = [], base.fit

    def noting(estimator, X, y, sample_weight, validation, saver):
        seen.append((len(X), sample_weight, None if validation[0] is None else len(validation[0])))
        return fit(estimator, X, y, sample_weight, validation, saver)

    monkeypatch.setattr(base, "fit", noting)
    return seen


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield
