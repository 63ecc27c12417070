"""scikit-learn's own checks of estimators, on every backend and in both precisions."""

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor

ESTIMATORS = [kind(dtype=dtype, n_threads=1) for kind in (MLPClassifier, MLPRegressor) for dtype in ("auto", "float32")]

# A sample of weight 2 against the same sample twice, 1e-7 relative: a single rounding of float32, and the sums are of
# other lengths. Given X of float32, scikit-learn's own classifier is as far apart (1.5e-7 after five epochs) as ours.
ROUNDED = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "asks for 1e-7 relative between two sums of float32",
)


# The interpreted backend takes six times as long; scikit-learn checks its own classes with as many epochs.
SHORTER = {"numpy": {"max_iter": 100}}


def expected_failures(estimator):
    return ROUNDED if estimator.dtype == "float32" else {}


CHECKS = parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures).mark
NAMES, CASES = CHECKS.args


# A list, since in scikit-learn before 1.9 the cases are a generator, which pytest warns of. Most fits end too early.
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(NAMES, list(CASES), **CHECKS.kwargs)
def test_checks(estimator, check, backend):
    check(clone(estimator).set_params(backend=backend, **SHORTER.get(backend, {})))
