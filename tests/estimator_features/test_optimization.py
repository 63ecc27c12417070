"""Optimizers and schedules by name and as instances, the L1 penalty and the bound on the gradient's norm."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from estimator_features.cases import LABELS, SETTINGS, TRAIN, VALUES, N, X, assert_same, make
from fastmlp import SGD, Adam, AdamW, MLPRegressor, RMSprop
from fastmlp.schedules import SCHEDULES, Cosine, OneCycle, ReduceOnPlateau, Step, WarmUp

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")


@pytest.mark.parametrize(
    ("name", "instance", "parameters"),
    [
        ("adam", Adam(1e-2, 0.8, 0.9, 1e-6, epsilon_hat=True), {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-6}),
        ("adamw", AdamW(1e-2, epsilon_hat=True), {}),
        ("rmsprop", RMSprop(1e-2), {}),
        ("sgd", SGD(1e-2, momentum=0.7), {"momentum": 0.7, "nesterovs_momentum": False}),
        ("sgd", SGD(1e-2, momentum=0.9, nesterov=True), {}),
    ],
    ids=str,
)
def test_an_optimizer_by_name_and_by_instance(backend, name, instance, parameters):
    named = make(LABELS, backend=backend, solver=name, learning_rate_init=1e-2, **parameters)
    given = make(LABELS, backend=backend, solver=instance)
    assert_same(named.fit(X, LABELS), given.fit(X, LABELS), 0)
    for model in (named, given):
        model.partial_fit(X[TRAIN], LABELS[TRAIN])
    assert_same(named, given, 0)


def test_adamw_decays_weights(backend):
    kept = make(LABELS, backend=backend, solver=AdamW(1e-2, decay=0), alpha=0).fit(X, LABELS)
    decayed = make(LABELS, backend=backend, solver=AdamW(1e-2, decay=5), alpha=0).fit(X, LABELS)
    assert sum((w**2).sum() for w in decayed.coefs_) < 0.5 * sum((w**2).sum() for w in kept.coefs_)
    assert_same(kept, make(LABELS, backend=backend, solver=Adam(1e-2), alpha=0).fit(X, LABELS), 1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_by_name_and_by_instance(backend, name):
    named, given = (
        make(LABELS, backend=backend, solver="sgd", learning_rate=s, learning_rate_init=0.1).fit(X, LABELS)
        for s in (name, SCHEDULES[name]())
    )
    assert_same(named, given, 0)


@pytest.mark.parametrize("schedule", [Step(2, 0.1), Cosine(0.1), OneCycle(), WarmUp(2, Cosine())], ids=str)
def test_the_rates_of_a_schedule(backend, schedule):
    """Plain SGD on one batch with a constant gradient, that of absolute errors, moves the bias by the rates."""
    y = np.full(N, 1e6)
    moved = [0.0]
    model = MLPRegressor(
        "absolute_error", (), solver="sgd", momentum=0, alpha=0, batch_size=N, learning_rate=schedule, max_iter=6,
        learning_rate_init=0.1, backend=backend, intercepts_init=[np.zeros(1)], random_state=0,
        callbacks=[lambda epoch: moved.append(epoch.model.intercepts_[0].item())],
    )  # fmt: skip
    model.fit(X, y)
    rates = [schedule.rates(0.1, epoch, 6, 1, [])[0] for epoch in range(6)]
    assert_allclose(np.diff(moved), rates, rtol=1e-9, atol=1e-12)


def test_a_schedule_goes_on_in_partial_fit(backend):
    options = {"backend": backend, "solver": "sgd", "learning_rate": Step(3, 0.1), "shuffle": False}
    at_once = make(LABELS, **options).fit(X, LABELS)
    bit_by_bit = make(LABELS, **options)
    for _ in range(SETTINGS["max_iter"]):
        bit_by_bit.partial_fit(X, LABELS, classes=[0, 1, 2])
    assert_same(at_once, bit_by_bit, 1e-12)


def test_a_schedule_hears_of_the_losses_of_partial_fits(backend):
    model = make(LABELS, backend=backend, solver="sgd", learning_rate=ReduceOnPlateau(0.1, 1, 0.99))
    rates = []
    for _ in range(3):
        model.partial_fit(X, LABELS, classes=[0, 1, 2])
        rates.append(model.learning_rate.rates(1.0, 0, 1, 1, model.loss_curve_)[0])
    assert_allclose(rates, [1, 0.1, 0.01])
    at_once = make(LABELS, backend=backend, solver="sgd", shuffle=False, learning_rate=model.learning_rate)
    bit_by_bit = make(LABELS, backend=backend, solver="sgd", shuffle=False, learning_rate=model.learning_rate)
    for _ in range(SETTINGS["max_iter"]):
        bit_by_bit.partial_fit(X, LABELS, classes=[0, 1, 2])
    assert_same(at_once.fit(X, LABELS), bit_by_bit, 1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_l1_shrinks_what_is_of_no_use(backend, solver):
    options = {"solver": solver, "learning_rate_init": 0.02, "max_iter": 150, "backend": backend, "alpha": 0}
    options |= {"hidden_layer_sizes": (), "tol": 0, "n_iter_no_change": 150, "loss": "squared_error"}
    y = 2 * X[:, 0]
    plain = make(y, **options).fit(X, y).coefs_[0].ravel()
    sparse_ones = make(y, **options, l1=3.0).fit(X, y).coefs_[0].ravel()
    assert abs(sparse_ones[0]) > 1
    assert np.abs(sparse_ones[1:]).max() < 0.03
    assert abs(sparse_ones[0]) < abs(plain[0])


def test_l1_is_part_of_the_loss(backend):
    def loss(l1):
        return make(VALUES, backend=backend, solver=SGD(1e-300), alpha=0, l1=l1, batch_size=N).fit(X, VALUES)

    penalised, plain = loss(0.7), loss(0)
    absolute = sum(np.abs(w).sum() for w in plain.coefs_)
    assert penalised.loss_ - plain.loss_ == pytest.approx(0.7 * absolute / N, rel=1e-10)


def test_max_norm_bounds_a_step(backend):
    def step(**parameters):
        options = {"backend": backend, "solver": SGD(1.0), "max_iter": 1, "batch_size": N} | parameters
        before = make(VALUES, **options | {"solver": SGD(1e-300)}).fit(X, VALUES)
        after = make(VALUES, **options).fit(X, VALUES)
        pairs = zip(before.coefs_ + before.intercepts_, after.coefs_ + after.intercepts_, strict=True)
        return np.concatenate([(a - b).ravel() for b, a in pairs])

    free, bound = step(), step(max_norm=0.01)
    assert np.linalg.norm(bound) == pytest.approx(0.01, rel=1e-6)
    assert_allclose(bound / np.linalg.norm(bound), free / np.linalg.norm(free), rtol=0, atol=1e-6)
    assert_allclose(step(max_norm=1e6), free, rtol=1e-12)
