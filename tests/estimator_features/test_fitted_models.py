"""Fitted models: their state after a refused fit, their copies, their memory."""

import copy
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from estimator_features.cases import LABELS, OUTPUTS, TARGETS, WEIGHTS, X, assert_same, make
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.fitted_weights import shows_buffer
from fastmlp.schedules import Cosine

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

# parameters of the estimator and arguments of fit; most are seen to be wrong only when others have been taken
REFUSED = [
    ({}, {"X_val": X}),
    ({}, {"sample_weight": np.where(WEIGHTS > 1, np.nan, WEIGHTS)}),
    ({"backend": "cuda"}, {}),
    ({"callbacks": [3]}, {}),
    ({"activation": ["relu"]}, {}),
    ({"dropout": [0.1]}, {}),
    ({"learning_rate": Cosine}, {}),
    ({"coefs_init": [np.ones((6, 8))]}, {}),
    ({"intercepts_init": [np.full(n, np.nan) for n in (8, 7, 3)]}, {}),
    ({"early_stopping": True, "validation_fraction": 0.01}, {}),
    ({"warm_start": True}, {}),
]


@pytest.mark.parametrize(("wrong", "given"), REFUSED, ids=[", ".join(p | g) for p, g in REFUSED])
@pytest.mark.parametrize("target", ["multiclass", "one output"])
def test_a_refused_fit_leaves_the_model_as_it_was(target, wrong, given):
    y, x, other = TARGETS[target], X[:, :4], {"multiclass": LABELS + 5, "one output": OUTPUTS}[target]
    given = given | ({"y_val": other} if "X_val" in given else {})
    model, twin = make(y).fit(X, y), make(y).fit(X, y)
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_") or name.startswith("_")}
    with pytest.raises((ValueError, RuntimeError)):
        model.set_params(**wrong).fit(x, other, **given)
    model.set_params(**{name: getattr(twin, name) for name in wrong})
    assert vars(model).keys() == vars(twin).keys()
    assert shows_buffer(model)  # so that predictions copy nothing
    assert all(getattr(model, name) is value for name, value in fitted.items())
    assert_array_equal(model.predict(X), twin.predict(X))
    assert_same(model.partial_fit(X, y), twin.partial_fit(X, y), 0)
    if "warm_start" not in wrong:
        unfitted = make(y)
        with pytest.raises((ValueError, RuntimeError)):
            unfitted.set_params(**wrong).fit(x, other, **given)
        assert vars(unfitted).keys() - {"loss"} == unfitted.get_params().keys() - {"loss"}


def test_parameters_set_after_a_fit_do_not_change_what_was_fitted():
    model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X, X[:, 0])
    before = model.predict(X)
    np.testing.assert_array_equal(model.set_params(loss="poisson").predict(X), before)


def test_a_copy_goes_its_own_way():
    model = MLPClassifier((8,), random_state=0).partial_fit(X, LABELS, classes=[0, 1, 2])
    twin, reference = copy.copy(model), copy.deepcopy(model)
    model.partial_fit(X, LABELS).partial_fit(X, LABELS)
    for other in (twin, reference):
        other.partial_fit(X, LABELS)
    assert len(twin.loss_curve_) == 2
    np.testing.assert_array_equal(twin.coefs_[0], reference.coefs_[0])


def test_many_fitted_models_hold_little_memory():
    wide = np.random.RandomState(0).standard_normal((4000, 50))
    models = [MLPRegressor(hidden_layer_sizes=(200,), max_iter=1, random_state=i, backend="numpy") for i in range(6)]
    tracemalloc.start()
    for model in models:
        model.fit(wide, wide[:, 0]).predict(wide)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parameters = 6 * 8 * (51 * 200 + 201)
    assert held < 8 * parameters + 6 * 2**20  # weights, gradients, moments; not the workspaces of 4000 rows
