"""What the estimators do beyond scikit-learn's: each parameter against the same thing done by hand."""

import copy
import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import f1_score, log_loss, make_scorer, mean_pinball_loss, r2_score
from sklearn.utils import compute_sample_weight

from fastmlp import SGD, Adam, AdamW, InputError, MLPClassifier, MLPRegressor, RMSprop
from fastmlp.activations import ACTIVATIONS
from fastmlp.estimators.parameters import REGRESSION_LOSSES
from fastmlp.losses import custom_loss, huber, quantile
from fastmlp.schedules import SCHEDULES, Cosine, OneCycle, ReduceOnPlateau, Step, WarmUp

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

N = 90
_random = np.random.RandomState(0)
X = _random.standard_normal((N, 6))
LABELS = (X[:, 0] + 0.5 * X[:, 1] > 0.4).astype(int) + (X[:, 2] > 0.9)
BINARY = (LABELS > 0).astype(int)
MANY = (X[:, :3] + 0.3 * X[:, 3:] > 0.4).astype(int)
VALUES = X[:, 0] - X[:, 1] + 0.1 * _random.standard_normal(N)
OUTPUTS = X[:, :3] + 0.1 * _random.standard_normal((N, 3))
WEIGHTS = _random.uniform(0.2, 2, N)
TRAIN, HELD = slice(0, 60), slice(60, N)
TARGETS = {"binary": BINARY, "multiclass": LABELS, "multilabel": MANY, "one output": VALUES, "outputs": OUTPUTS}
SETTINGS = {"hidden_layer_sizes": (8, 7), "max_iter": 6, "random_state": 3, "batch_size": 16, "n_threads": 1}


def make(y, **parameters):
    kind = MLPClassifier if y.dtype.kind == "i" else MLPRegressor
    return kind(**SETTINGS | parameters)


def assert_same(one, other, tolerance=1e-6):
    """The same weights and loss curves."""
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert_allclose(a, b, rtol=0, atol=tolerance)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=tolerance, atol=tolerance)


def differs(one, other):
    return any(not np.allclose(a, b, rtol=0, atol=1e-8) for a, b in zip(one.coefs_, other.coefs_, strict=True))


ALIKE = {
    "balanced": (LABELS, {"class_weight": "balanced"}),
    "dropout": (LABELS, {"dropout": 0.3}),
    "dropout by layer": (VALUES, {"dropout": [0, 0.5]}),
    "l1": (VALUES, {"l1": 0.05}),
    "max_norm": (LABELS, {"max_norm": 0.1}),
    "layers": (LABELS, {"activation": ["gelu", "tanh"]}),
    "adamw": (LABELS, {"solver": "adamw"}),
    "rmsprop": (OUTPUTS, {"solver": "rmsprop"}),
    "optimizer": (LABELS, {"solver": SGD(0.05, momentum=0.9), "learning_rate": WarmUp(2, Cosine())}),
    "early stopping": (MANY, {"early_stopping": True, "early_stopping_metric": "loss", "max_iter": 20}),
    "quantiles": (VALUES, {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}),
    **{f"activation {name}": (LABELS, {"activation": name}) for name in ACTIVATIONS},
    **{f"loss {name}": (np.abs(VALUES), {"loss": name}) for name in sorted(REGRESSION_LOSSES)},
    **{f"schedule {name}": (LABELS, {"learning_rate": name, "learning_rate_init": 0.01}) for name in SCHEDULES},
}


def assert_backends_agree(backend, y, **parameters):
    reference = make(y, backend="numpy", **parameters).fit(X, y, sample_weight=WEIGHTS)
    found = make(y, backend=backend, **parameters).fit(X, y, sample_weight=WEIGHTS)
    assert_same(found, reference)
    assert_allclose(found.predict(X), reference.predict(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ALIKE)
def test_backends_agree(backend, name):
    y, parameters = ALIKE[name]
    assert_backends_agree(backend, y, **parameters)


def test_backends_agree_about_a_custom_loss(cpu_backend):
    loss = custom_loss(lambda z, y: np.log(np.cosh(z - y)), lambda z, y: np.tanh(z - y), name="log-cosh")
    assert_backends_agree(cpu_backend, VALUES, loss=loss)


# ----------------------------------------------------------------------------------------------------- class weights

DICT = {0: 0.5, 1: 2.0, 2: 3.5}


@pytest.mark.parametrize("own", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(("target", "given"), [("multiclass", DICT), *((t, "balanced") for t in list(TARGETS)[:3])])
def test_class_weight_is_a_sample_weight(backend, target, given, own):
    y = TARGETS[target]
    by_hand = compute_sample_weight(given, y) * (1 if own is None else own)
    expected = make(y, backend=backend).fit(X, y, sample_weight=by_hand)
    found = make(y, backend=backend, class_weight=given).fit(X, y, sample_weight=own)
    assert_same(found, expected, 0)
    assert differs(found, make(y, backend=backend).fit(X, y))


@pytest.mark.parametrize("early", [False, True])
def test_class_weights_in_lbfgs_and_in_part_of_the_samples(backend, early):
    parameters = {"backend": backend} | ({"early_stopping": True} if early else {"solver": "lbfgs", "alpha": 1})
    found = make(LABELS, class_weight=DICT, **parameters)
    expected = make(LABELS, **parameters)
    weights = compute_sample_weight(DICT, LABELS)
    if early:  # the score of the part held out is weighted by sample weights only
        found.fit(X, LABELS)
        expected.fit(X, LABELS, sample_weight=weights)
        assert found.loss_curve_ == expected.loss_curve_
        return
    with pytest.warns(match="lbfgs failed to converge"):
        found.fit(X, LABELS)
    with pytest.warns(match="lbfgs failed to converge"):
        expected.fit(X, LABELS, sample_weight=weights)
    assert_allclose(found.coefs_[0], expected.coefs_[0], rtol=1e-10)


def test_class_weight_of_partial_fit():
    classes = [0, 1, 2]
    found, expected = make(LABELS, class_weight=DICT), make(LABELS)
    for rows in (TRAIN, HELD):
        found.partial_fit(X[rows], LABELS[rows], classes=classes)
        expected.partial_fit(X[rows], LABELS[rows], compute_sample_weight(DICT, LABELS[rows]), classes=classes)
    assert_same(found, expected, 0)
    with pytest.raises(ValueError, match=r"class_weight='balanced' is not supported by partial_fit.*as a dict"):
        make(LABELS, class_weight="balanced").partial_fit(X, LABELS, classes=classes)


def test_class_weights_of_several_labels():
    given = [{0: 1, 1: 2}, {0: 3, 1: 0.5}, {0: 1, 1: 1}]
    by_hand = np.prod([np.where(MANY[:, i], w[1], w[0]) for i, w in enumerate(given)], axis=0)
    found = make(MANY, class_weight=given).fit(X, MANY)
    assert_same(found, make(MANY).fit(X, MANY, sample_weight=by_hand), 0)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_validation_samples_are_balanced_as_those_trained_on(backend, target):
    y = TARGETS[target]
    few = np.sort(np.argsort(y.reshape(N, -1)[:, 0])[20:])  # other frequencies than in all
    by_hand = make(y, backend=backend).fit(
        X, y, compute_sample_weight("balanced", y), X_val=X[few], y_val=y[few],
        sample_weight_val=compute_sample_weight("balanced", y)[few],
    )  # fmt: skip
    found = make(y, backend=backend, class_weight="balanced").fit(X, y, X_val=X[few], y_val=y[few])
    assert_same(found, by_hand, 0)
    assert_allclose(found.validation_loss_curve_, by_hand.validation_loss_curve_, rtol=1e-12)
    assert not np.allclose(compute_sample_weight("balanced", y)[few], compute_sample_weight("balanced", y[few]))


# -------------------------------------------------------------------------------------------------------- validation


def data_loss(model, x, y, weights=None):
    """By hand, without penalties."""
    if isinstance(model, MLPRegressor):
        return 0.5 * np.average(np.mean((model.predict(x) - y).reshape(len(y), -1) ** 2, axis=1), weights=weights)
    p = model.predict_proba(x)
    if y.ndim == 1:
        return log_loss(y, p, labels=model.classes_, sample_weight=weights)
    return np.average(-np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1), weights=weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_validation_data_of_ones_own(backend, target, weighted):
    y, weights = TARGETS[target], WEIGHTS[HELD] if weighted else None
    seen = []

    def note(epoch):
        model = epoch.model
        score = model.score(X[HELD], y[HELD], sample_weight=weights)
        seen.append((data_loss(model, X[HELD], y[HELD], weights), score))

    found = make(y, backend=backend, callbacks=[note])
    found.fit(X[TRAIN], y[TRAIN], X_val=X[HELD], y_val=y[HELD], sample_weight_val=weights)
    losses, scores = np.transpose(seen)
    assert_allclose(found.validation_loss_curve_, losses, rtol=1e-12)
    assert_allclose(found.validation_scores_, scores, rtol=1e-10)
    assert found.best_validation_score_ == max(found.validation_scores_)
    assert found.validation_scores_[found.best_epoch_ - 1] == found.best_validation_score_
    # looking on changes nothing
    assert_same(found, make(y, backend=backend).fit(X[TRAIN], y[TRAIN]), 0)


@pytest.mark.parametrize("target", TARGETS)
def test_early_stopping_on_validation_data_of_ones_own(backend, target):
    y, weights = TARGETS[target], []
    found = make(
        y, backend=backend, early_stopping=True, n_iter_no_change=3, max_iter=300, learning_rate_init=0.02,
        callbacks=[lambda epoch: weights.append([w.copy() for w in epoch.model.coefs_])],
    ).fit(X[TRAIN], y[TRAIN], X_val=X[HELD], y_val=y[HELD])  # fmt: skip
    assert found.best_epoch_ == 1 + np.argmax(found.validation_scores_)
    assert found.n_iter_ == len(found.validation_scores_) == len(found.validation_loss_curve_) < 300
    for w, best in zip(found.coefs_, weights[found.best_epoch_ - 1], strict=True):
        assert_array_equal(w, best)
    assert found.score(X[HELD], y[HELD]) == pytest.approx(found.best_validation_score_)
    assert found.t_ == 60 * found.n_iter_  # all of X is trained on


METRICS = {
    "score": lambda model, x, y: model.score(x, y),
    "loss": lambda model, x, y: -data_loss(model, x, y),
    "f1_macro": lambda model, x, y: f1_score(y, model.predict(x), average="macro"),
    "neg_log_loss": lambda model, x, y: -log_loss(y, model.predict_proba(x), labels=model.classes_),
    "callable": lambda model, x, y: model.predict_proba(x)[:, 1].mean(),
}


@pytest.mark.parametrize("name", METRICS)
def test_early_stopping_metric(backend, name):
    by_hand, metric = [], METRICS[name]
    found = make(
        LABELS, backend=backend, early_stopping=True, n_iter_no_change=4, max_iter=40,
        early_stopping_metric=metric if name == "callable" else name,
        callbacks=[lambda epoch: by_hand.append(metric(epoch.model, X[HELD], LABELS[HELD]))],
    ).fit(X[TRAIN], LABELS[TRAIN], X_val=X[HELD], y_val=LABELS[HELD])  # fmt: skip
    assert_allclose(found.validation_scores_, by_hand, rtol=1e-10)
    assert metric(found, X[HELD], LABELS[HELD]) == pytest.approx(max(by_hand), rel=1e-10)


def test_a_metric_of_held_out_samples_and_sparse_rows(backend):
    scores = [
        make(LABELS, backend=backend, early_stopping=True, early_stopping_metric="f1_macro")
        .fit(x, LABELS)
        .validation_scores_
        for x in (X, sparse.csr_array(X))
    ]
    assert_allclose(scores[0], scores[1], rtol=1e-10)


def test_a_scorer_for_the_regressor():
    found = make(
        VALUES, early_stopping=True, early_stopping_metric="neg_mean_absolute_error", max_iter=10
    ).fit(X[TRAIN], VALUES[TRAIN], X_val=X[HELD], y_val=VALUES[HELD])  # fmt: skip
    expected = -np.abs(found.predict(X[HELD]) - VALUES[HELD]).mean()
    assert found.best_validation_score_ == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "then"),
    [({}, {"early_stopping": True}), ({"early_stopping": True}, {}), ({"solver": "lbfgs", "tol": 1.0}, {})],
    ids=str,
)
def test_a_warm_start_of_another_kind(first, then):
    """Curves go on, or begin where there are none."""
    model = make(LABELS, warm_start=True, **first).fit(X, LABELS)
    epochs = len(getattr(model, "loss_curve_", []))
    model.set_params(solver="adam", early_stopping=False, n_iter_no_change=4, tol=0).set_params(**then)
    model.fit(X[TRAIN], LABELS[TRAIN], X_val=X[HELD], y_val=LABELS[HELD])
    assert model.n_iter_ == 6
    assert len(model.loss_curve_) == epochs + 6
    assert (
        len(model.validation_scores_)
        == len(model.validation_loss_curve_)
        == 6 + (6 if first.get("early_stopping") else 0)
    )
    assert (model.best_loss_ is None) == model.early_stopping


def test_a_new_fit_forgets_the_best_epoch():
    model = make(LABELS, early_stopping=True).fit(X, LABELS).set_params(early_stopping=False).fit(X, LABELS)
    assert model.validation_scores_ is model.validation_loss_curve_ is None
    assert not hasattr(model, "best_epoch_")


# ---------------------------------------------------------------------------------------------- architecture and loss


def test_dropout(backend):
    plain = make(LABELS, backend=backend).fit(X, LABELS)
    dropped = make(LABELS, backend=backend, dropout=0.5).fit(X, LABELS)
    assert differs(dropped, plain)
    assert_same(dropped, make(LABELS, backend=backend, dropout=[0.5, 0.5]).fit(X, LABELS), 0)
    assert_same(plain, make(LABELS, backend=backend, dropout=[0, 0]).fit(X, LABELS), 0)
    assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))  # none in prediction
    first = make(LABELS, backend=backend, dropout=[0.5, 0]).fit(X, LABELS)
    assert differs(first, make(LABELS, backend=backend, dropout=[0, 0.5]).fit(X, LABELS))


def test_a_list_of_activations(backend):
    one = make(LABELS, backend=backend, activation="tanh").fit(X, LABELS)
    assert_same(make(LABELS, backend=backend, activation=["tanh", "tanh"]).fit(X, LABELS), one, 0)
    assert_same(make(LABELS, backend=backend, activation=("tanh", "tanh")).fit(X, LABELS), one, 0)
    mixed = make(LABELS, backend=backend, activation=["tanh", "relu"]).fit(X, LABELS)
    h = np.tanh(X @ mixed.coefs_[0] + mixed.intercepts_[0])
    assert_allclose(mixed.hidden_activations(X, 0), h, rtol=1e-10, atol=1e-12)
    last = np.maximum(h @ mixed.coefs_[1] + mixed.intercepts_[1], 0)
    assert_allclose(mixed.hidden_activations(X), last, rtol=1e-10, atol=1e-12)
    assert_array_equal(mixed.hidden_activations(X, 1), mixed.hidden_activations(X, -1))


# the threshold trains by the perceptron rule, which is no derivative
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "threshold"])
@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_the_gradient_of_each_activation(name, target):
    """One step of plain SGD on all samples against central differences of the loss."""
    y, rate, h = TARGETS[target], 1e-3, 1e-5

    def step(**parameters):
        options = {"solver": SGD(rate), "activation": name, "alpha": 0.1, "l1": 0.01, "max_iter": 1, "batch_size": N}
        return make(y, backend="numpy", **options | parameters).fit(X, y)

    before = step(solver=SGD(1e-300)).coefs_
    gradient = (before[0] - step().coefs_[0]) / rate

    def loss(w):
        return step(coefs_init=[w, *before[1:]]).loss_  # of the one batch, so of the weights before the update

    for at in [(0, 0), (3, 5)]:
        w = np.zeros_like(before[0])
        w[at] = h
        expected = (loss(before[0] + w) - loss(before[0] - w)) / (2 * h)
        # squared error: its value is a mean over the outputs, its gradient a sum
        data = y.shape[1] if y.ndim == 2 else 1
        penalty = (0.1 * before[0][at] + 0.01 * np.sign(before[0][at])) / N
        assert gradient[at] - penalty == pytest.approx(data * (expected - penalty), rel=1e-5, abs=1e-8)


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


# ------------------------------------------------------------------------------------------------ solvers, schedules


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


# ------------------------------------------------------------------------------------------- penalties, beginnings


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


def test_initial_weights(backend):
    shapes = [(6, 8), (8, 7), (7, 3)]
    random = np.random.RandomState(5)
    coefs = [random.standard_normal(shape) for shape in shapes]
    intercepts = [random.standard_normal(shape[1]) for shape in shapes]
    copies = [w.copy() for w in coefs]
    still = make(OUTPUTS, backend=backend, solver=SGD(1e-300), coefs_init=coefs, intercepts_init=intercepts)
    still.fit(X, OUTPUTS)
    for found, given in zip(still.coefs_ + still.intercepts_, coefs + intercepts, strict=True):
        assert_array_equal(found, given)
    moving = make(OUTPUTS, backend=backend, coefs_init=coefs).fit(X, OUTPUTS)
    for given, kept in zip(coefs, copies, strict=True):
        assert_array_equal(given, kept)
    # the draws are made all the same, so that the batches are those of the seed
    drawn = make(OUTPUTS, backend=backend, solver=SGD(1e-300)).fit(X, OUTPUTS)
    again = make(OUTPUTS, backend=backend, coefs_init=drawn.coefs_, intercepts_init=drawn.intercepts_)
    assert_same(again.fit(X, OUTPUTS), make(OUTPUTS, backend=backend).fit(X, OUTPUTS), 1e-12)
    assert differs(moving, again)


# --------------------------------------------------------------------------------------- callbacks, dtype, threads


def test_callbacks(backend):
    told = []

    def note(epoch):
        told.append((epoch.number, epoch.history["loss"][-1], epoch.model.loss_, epoch.model.n_iter_))

    def stop(epoch):
        return epoch.number == 4

    model = make(LABELS, backend=backend, callbacks=[stop, note]).fit(X, LABELS)
    assert [row[0] for row in told] == [1, 2, 3, 4]
    assert all(loss == of_model and number == iterations for number, loss, of_model, iterations in told)
    assert model.n_iter_ == 4
    assert_same(model, make(LABELS, backend=backend, max_iter=4).fit(X, LABELS), 0)


def test_dtype(backend):
    single = make(LABELS, backend=backend, dtype="float32").fit(X, LABELS)
    assert {w.dtype for w in single.coefs_ + single.intercepts_} == {np.dtype("float32")}
    assert single.predict_proba(X.astype("float32")).dtype == np.float32
    assert_same(single, make(LABELS, backend=backend).fit(X.astype("float32"), LABELS), 1e-6)
    double = make(LABELS, backend=backend, dtype="float64").fit(X.astype("float32"), LABELS)
    assert {w.dtype for w in double.coefs_} == {np.dtype("float64")}
    assert_same(single, double, 1e-4)


@pytest.mark.parametrize(
    "parameters", [{}, {"dropout": 0.3, "solver": "sgd"}, {"solver": "lbfgs", "tol": 1.0}], ids=str
)
def test_threads(backend, parameters):
    one, two, again = (make(OUTPUTS, backend=backend, **parameters).set_params(n_threads=n) for n in (1, 2, 2))
    for model in (one, two, again):
        model.fit(X, OUTPUTS)
    for a, b, c in zip(one.coefs_, two.coefs_, again.coefs_, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-9)
        assert_array_equal(b, c)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("parameters", [{"dropout": 0.3}, {"l1": 0.1, "solver": "adamw"}], ids=str)
def test_sparse_samples(backend, kind, parameters):
    x = np.where(np.abs(X) > 0.8, X, 0)
    dense = make(LABELS, backend=backend, **parameters).fit(x, LABELS, X_val=x, y_val=LABELS)
    found = make(LABELS, backend=backend, **parameters).fit(kind(x), LABELS, X_val=kind(x), y_val=LABELS)
    assert_same(found, dense, 1e-9)
    assert_allclose(found.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-9)
    assert_allclose(found.hidden_activations(kind(x)), dense.hidden_activations(x), rtol=1e-7, atol=1e-9)


# ----------------------------------------------------------------------------------------------------- wrong values

WRONG = [
    ({"activation": "swish"}, LABELS, "'activation' parameter of MLPClassifier must be .*silu"),
    ({"activation": ["relu"]}, LABELS, "a list with one name for each of the 2 hidden layers"),
    ({"activation": ["relu", "swish"]}, LABELS, "a list with one name for each of the 2 hidden layers, among"),
    ({"backend": "gpu"}, LABELS, "'backend' parameter of MLPClassifier must be .*numba"),
    ({"class_weight": "even"}, LABELS, "'class_weight' parameter of MLPClassifier must be .*'balanced'"),
    ({"activation": [["relu"], "tanh"]}, LABELS, "a list with one name for each of the 2 hidden layers"),
    ({"dropout": ["half", 0]}, LABELS, "a list with one for each of the 2 hidden layers"),
    ({"learning_rate": Cosine}, LABELS, r"or an instance such as Cosine\(\)"),
    ({"callbacks": [3]}, LABELS, r"callbacks=\[3\] must be a list of functions"),
    ({"class_weight": {0: -1}}, LABELS, r"class_weight=\{0: -1\} must be finite, none negative"),
    ({"class_weight": {7: 1}}, LABELS, r"not in class_weight"),
    ({"coefs_init": [np.ones((6, 8))]}, LABELS, r"coefs_init has arrays of shapes \[\(6, 8\)\], but the network takes"),
    ({"coefs_init": "zeros"}, LABELS, "'coefs_init' parameter of MLPClassifier must be"),
    ({"intercepts_init": [np.full(n, np.nan) for n in (8, 7, 3)]}, LABELS, "intercepts_init contains NaN or infinity"),
    ({"dropout": 1.0}, LABELS, "'dropout' parameter of MLPClassifier must be"),
    ({"dropout": [0.1]}, LABELS, "a list with one for each of the 2 hidden layers"),
    ({"dropout": [0.1, 1]}, LABELS, "a list with one for each of the 2 hidden layers"),
    ({"dtype": "float16"}, LABELS, "'dtype' parameter of MLPClassifier must be"),
    ({"early_stopping": True, "early_stopping_metric": "fame"}, LABELS, "'fame' is not a valid scoring value"),
    ({"huber_delta": 0}, VALUES, "'huber_delta' parameter of MLPRegressor must be"),
    ({"l1": -1}, LABELS, "'l1' parameter of MLPClassifier must be"),
    ({"learning_rate": "fast"}, LABELS, "'learning_rate' parameter of MLPClassifier must be .*one_cycle"),
    ({"loss": "softmax_cross_entropy"}, VALUES, "'loss' parameter of MLPRegressor must be .*absolute_error"),
    ({"loss": "poisson"}, VALUES, "loss='poisson' takes counts, y >= 0, but y has the value -"),
    ({"max_norm": 0}, LABELS, "'max_norm' parameter of MLPClassifier must be"),
    ({"precision": "fp16"}, LABELS, "'precision' parameter of MLPClassifier must be .*'bf16'"),
    ({"precision": "bf16", "backend": "numpy"}, LABELS, "precision='bf16' is not offered by backend='numpy'"),
    ({"n_threads": 0}, LABELS, "'n_threads' parameter of MLPClassifier must be"),
    ({"loss": "quantile", "quantile": 1.5}, VALUES, "'quantile' parameter of MLPRegressor must be"),
    ({"loss": "quantile", "quantile": [0.5, 1.5]}, VALUES, "between 0 and 1"),
    ({"solver": "newton"}, LABELS, "'solver' parameter of MLPClassifier must be .*adamw"),
    ({"solver": Adam}, LABELS, "'solver' parameter of MLPClassifier must be .*Optimizer"),
    ({"callbacks": print}, LABELS, "'callbacks' parameter of MLPClassifier must be"),
]


@pytest.mark.parametrize(("parameters", "y", "message"), WRONG, ids=[str(row[0]) for row in WRONG])
def test_wrong_parameters(parameters, y, message):
    with pytest.raises((ValueError, InputError), match=f"(?s){message}"):
        make(y, **parameters).fit(X, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y_val": LABELS}, "y_val is given without X_val"),
        ({"sample_weight_val": WEIGHTS}, "sample_weight_val is given without X_val"),
        ({"X_val": X}, "X_val is given without y_val"),
        ({"X_val": X[:, :3], "y_val": LABELS}, "X has 3 features, but MLPClassifier is expecting 6"),
        ({"X_val": X[:5], "y_val": LABELS}, "inconsistent numbers of samples"),
        ({"X_val": X, "y_val": LABELS + 1}, r"y_val has classes \[3\] that are not among those of y"),
        ({"X_val": X, "y_val": LABELS, "sample_weight_val": np.ones(3)}, "sample_weight.shape"),
        ({"X_val": np.where(X > 2, np.nan, X), "y_val": LABELS}, "Input X contains NaN"),
    ],
)
def test_wrong_validation_data(given, message):
    with pytest.raises(ValueError, match=message):
        make(LABELS).fit(X, LABELS, **given)


def test_validation_targets_of_another_width():
    with pytest.raises(ValueError, match="y_val has 2 columns, but y has 3"):
        make(OUTPUTS).fit(X, OUTPUTS, X_val=X, y_val=OUTPUTS[:, :2])


@pytest.mark.parametrize("layer", [2, -3, 0.5, "last"])
def test_wrong_layers(layer):
    with pytest.raises(ValueError, match=f"layer={layer!r} is none of the 2 hidden layers, 0 to 1 or -1"):
        make(LABELS).fit(X, LABELS).hidden_activations(X, layer)


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
    assert all(getattr(model, name) is value for name, value in fitted.items())
    assert_array_equal(model.predict(X), twin.predict(X))
    assert_same(model.partial_fit(X, y), twin.partial_fit(X, y), 0)
    if "warm_start" not in wrong:
        unfitted = make(y)
        with pytest.raises((ValueError, RuntimeError)):
            unfitted.set_params(**wrong).fit(x, other, **given)
        assert vars(unfitted).keys() == unfitted.get_params().keys()


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


def test_class_weights_of_a_batch_that_lacks_a_class():
    model = MLPClassifier((8,), class_weight={0: 1.0, 2: 5.0}, random_state=0)
    model.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(X[LABELS < 2], LABELS[LABELS < 2])


def test_several_quantiles_have_a_score():
    y = X[:, 0]
    model = MLPRegressor("quantile", (8,), quantile=[0.1, 0.5, 0.9], random_state=0, max_iter=20).fit(X, y)
    assert model.predict(X).shape == (len(X), 3)
    assert model.score(X, y) == pytest.approx(r2_score(np.column_stack([y] * 3), model.predict(X)))


@pytest.mark.parametrize(
    "metric", ["r2", "neg_mean_absolute_error", make_scorer(r2_score), lambda *_: 1 / 0], ids=lambda m: type(m).__name__
)
def test_a_metric_that_cannot_take_several_quantiles_is_refused_before_training(metric):
    told = []
    options = {"early_stopping_metric": metric, "callbacks": [told.append]}
    model = make(VALUES, loss="quantile", quantile=[0.1, 0.9], **options)
    message = r"(?s)early_stopping_metric=.* cannot score 2 quantiles of one y: .*Choose 'loss', 'score'"
    for y in (VALUES, VALUES.reshape(-1, 1)):
        with pytest.raises(ValueError, match=message), warnings.catch_warnings():
            warnings.simplefilter("ignore", DataConversionWarning)
            model.set_params(early_stopping=True).fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.set_params(early_stopping=False).fit(X, VALUES, X_val=X, y_val=VALUES)
    assert not told
    model.fit(X, VALUES)  # there it is not looked at
    both = np.column_stack([VALUES, VALUES])
    if isinstance(metric, str):
        assert len(model.set_params(early_stopping=True).fit(X, both).validation_scores_) == 6


def test_a_metric_of_ones_own_takes_several_quantiles():
    def covered(model, x, y):
        low, high = model.predict(x).T
        return np.mean((low < y) & (y < high))

    model = make(VALUES, loss="quantile", quantile=[0.1, 0.9], early_stopping=True, early_stopping_metric=covered)
    assert len(model.fit(X, VALUES).validation_scores_) == 6


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
