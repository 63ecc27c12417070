"""scikit-learn's own checks of estimators, on every backend and in both precisions."""

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor

ESTIMATORS = [kind(dtype=dtype, n_threads=1) for kind in (MLPClassifier, MLPRegressor) for dtype in ("auto", "float32")]
ROUNDED = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "asks for 1e-7 relative between two sums of float32",
)


def expected_failures(estimator):
    return ROUNDED if estimator.dtype == "float32" else {}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning")  # 200 epochs or five
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_checks(estimator, check, backend):
    check(clone(estimator).set_params(backend=backend))
