"""Losses of the regressor, by name and as objects, compared with their definitions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import mean_pinball_loss, r2_score

from estimator_features.cases import OUTPUTS, VALUES, N, X, assert_same, make
from fastmlp import MLPRegressor
from fastmlp.estimators.parameters import REGRESSION_LOSSES
from fastmlp.losses import custom_loss, huber, quantile

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")


def by_hand(name, y, p):
    r = p - y
    return {
        "squared_error": lambda: 0.5 * r**2,
        "half_squared_error": lambda: 0.5 * r**2,
        "mean_squared_error": lambda: r**2,
        "absolute_error": lambda: np.abs(r),
        "huber": lambda: np.where(np.abs(r) <= 1, 0.5 * r**2, np.abs(r) - 0.5),
        "quantile": lambda: 0.5 * np.abs(r),
        "poisson": lambda: p - y + y * np.log(y / p),
    }[name]().mean()


@pytest.mark.parametrize("name", sorted(REGRESSION_LOSSES))
def test_each_loss(backend, name):
    y = np.abs(VALUES)
    found = make(y, backend=backend, loss=name, max_iter=60, learning_rate_init=0.01)
    found.fit(X, y, X_val=X, y_val=y)
    assert found.validation_loss_curve_[-1] == pytest.approx(by_hand(name, y, found.predict(X)), rel=1e-10)
    assert found.loss_curve_[-1] < 0.5 * found.loss_curve_[0]
    assert (found.out_activation_ == "exp") == (name == "poisson")


def test_several_quantiles(backend):
    levels = [0.1, 0.5, 0.9]
    model = MLPRegressor(
        "quantile", (16,), quantile=levels, backend=backend, max_iter=400, tol=0, n_iter_no_change=400,
        learning_rate_init=0.01, random_state=0,
    ).fit(X[:, :1], VALUES)  # fmt: skip
    found = model.predict(X[:, :1])
    assert found.shape == (N, 3)
    assert_allclose((found > VALUES[:, None]).mean(axis=0), levels, atol=0.06)
    constant = [mean_pinball_loss(VALUES, np.full(N, np.quantile(VALUES, q)), alpha=q) for q in levels]
    assert all(mean_pinball_loss(VALUES, found[:, i], alpha=q) < constant[i] for i, q in enumerate(levels))
    one = make(VALUES, loss="quantile", quantile=0.9, backend=backend).fit(X, VALUES)
    assert one.predict(X).shape == (N,)
    assert_same(one, make(VALUES, loss="quantile", quantile=[0.9], backend=backend).fit(X, VALUES), 0)
    by_column = make(OUTPUTS, loss="quantile", quantile=levels, backend=backend).fit(X, OUTPUTS)
    assert by_column.predict(X).shape == (N, 3)
    with pytest.raises(ValueError, match="3 quantiles are wanted of y with 2 columns"):
        make(OUTPUTS, loss="quantile", quantile=levels).fit(X, OUTPUTS[:, :2])


def assert_same_loss(backend, name, loss, **parameters):
    one = make(VALUES, backend=backend, loss=name, **parameters).fit(X, VALUES)
    assert_same(one, make(VALUES, backend=backend, loss=loss).fit(X, VALUES), 1e-12)


def test_loss_objects(backend):
    assert_same_loss(backend, "huber", huber(0.3), huber_delta=0.3)
    assert_same_loss(backend, "quantile", quantile(0.8), quantile=0.8)


def test_a_custom_loss_object(cpu_backend):
    assert_same_loss(cpu_backend, "squared_error", custom_loss(lambda z, y: 0.5 * (z - y) ** 2, lambda z, y: z - y))


def test_huber_delta_goes_from_absolute_to_squared():
    small = make(VALUES, loss="huber", huber_delta=1e-6).fit(X, VALUES)
    large = make(VALUES, loss="huber", huber_delta=1e6).fit(X, VALUES)
    assert_same(large, make(VALUES, loss="squared_error").fit(X, VALUES), 1e-12)
    absolute = make(VALUES, loss="absolute_error", alpha=0).fit(X, VALUES)
    assert small.loss_ == pytest.approx(0, abs=1e-4)
    assert absolute.loss_ > 0.1


def test_several_quantiles_have_a_score():
    y = X[:, 0]
    model = MLPRegressor("quantile", (8,), quantile=[0.1, 0.5, 0.9], random_state=0, max_iter=20).fit(X, y)
    assert model.predict(X).shape == (len(X), 3)
    assert model.score(X, y) == pytest.approx(r2_score(np.column_stack([y] * 3), model.predict(X)))
