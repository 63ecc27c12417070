"""Sample weights that are negative, cancel or vanish: the same numbers, or a refusal where scikit-learn fails."""

import numpy as np
import pytest

from parity.cases import (
    FAST,
    LABELS,
    SGD,
    TARGETS,
    TOLERANCE,
    VALUES,
    WEIGHTS,
    N,
    X,
    assert_equal,
    both,
    distance,
    need,
    outcome,
)

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

SIGNED = {
    "all negative": -0.1 - WEIGHTS,
    "more negative than not": 0.3 - WEIGHTS,
    "more positive than not": WEIGHTS - 0.3,
    "one negative number for all": -2.0,
}
SOLVERS = {
    "sgd": SGD | {"momentum": 0},
    "nesterov": SGD,
    "adam": {"solver": "adam"},
    "lbfgs": {"solver": "lbfgs"},
    # each sample has the weight 1 in the mean, and a penalty by its own weight
    "batches of one": SGD | {"momentum": 0, "batch_size": 1, "max_iter": 2, "learning_rate_init": 0.01},
}
PARAMETERS = {"random_state": 0, "hidden_layer_sizes": (9, 5), "batch_size": 32, "max_iter": 12, "alpha": 0.01}
CANCELLING = np.where(np.arange(N) % 2, 0.7, -0.7)


@pytest.mark.parametrize("weights", SIGNED)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_weights_may_be_negative(backend, target, solver, weights):
    need("sample weights")
    models = both(target, backend, **PARAMETERS | {"activation": "tanh"} | SOLVERS[solver])
    ends = [outcome(model.fit, X, TARGETS[target], sample_weight=SIGNED[weights]) for model in models]
    assert ends[0] == ends[1]
    assert_equal(models[1], models[0], TOLERANCE[backend])


@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
def test_weights_may_be_negative_in_float32(backend, solver):
    need("sample weights")
    models = both("multiclass", backend, **PARAMETERS | SOLVERS[solver] | {"max_iter": 2, "activation": "tanh"})
    for model in models:
        outcome(model.fit, X.astype(np.float32), LABELS, sample_weight=SIGNED["all negative"])
    assert models[1].coefs_[0].dtype == np.float32
    assert distance(models[1].coefs_, models[0].coefs_) < 1e-5
    assert distance(models[1].loss_curve_, models[0].loss_curve_) < 1e-5


@pytest.mark.parametrize("penalty", ["alpha", "l1"])
def test_penalties_are_divided_by_a_negative_sum(backend, penalty):
    """All backends agree, on the penalty that scikit-learn does not have as well."""
    penalised, reference, free = (
        both("outputs", name, **PARAMETERS | SGD | {"alpha": 0})[1]
        .set_params(**{penalty: strength})
        .fit(X, TARGETS["outputs"], -WEIGHTS - 1)
        for name, strength in ((backend, 0.5), ("numpy", 0.5), (backend, 0))
    )
    assert_equal(penalised, reference, TOLERANCE[backend])
    assert np.abs(free.coefs_[0]).sum() < np.abs(penalised.coefs_[0]).sum()  # a negative penalty lets weights grow


def test_parts_and_validation_samples_of_negative_weight(backend):
    need("sample weights")
    models = both("multiclass", backend, **FAST)
    for model in models:
        for rows in (slice(0, 150), slice(150, N)):
            model.partial_fit(X[rows], LABELS[rows], -WEIGHTS[rows], classes=[0, 1, 2])
    assert_equal(models[1], models[0], TOLERANCE[backend])
    models = both("one output", backend, **FAST | {"early_stopping": True, "max_iter": 12})
    ends = [outcome(model.fit, X, VALUES, sample_weight=SIGNED["more positive than not"]) for model in models]
    assert ends[0] == ends[1]
    assert_equal(models[1], models[0], TOLERANCE[backend])


@pytest.mark.parametrize("weights", [CANCELLING, CANCELLING * np.pi / 3], ids=["exactly", "but for rounding errors"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_weights_that_cancel_are_refused(backend, solver, kind, weights):
    """scikit-learn raises a ZeroDivisionError, or divides by the rounding errors."""
    model = both("multiclass", backend, **PARAMETERS | SOLVERS[solver] | {"batch_size": N})[1]
    weights = weights.copy()
    weights[0] *= 1 + np.finfo(kind if solver != "lbfgs" else float).eps
    with pytest.raises(ValueError, match=r"sample_weight.* cancels: the weights of 230 samples sum to .* negative"):
        model.fit(X.astype(kind), LABELS, sample_weight=weights)
    assert all(np.isfinite(w).all() for w in model.coefs_)


def test_a_batch_that_cancels_in_a_later_epoch_is_refused_with_the_weights_of_the_epoch_before(backend):
    """Which samples share a batch is known only after the shuffle."""
    weights = np.where(np.arange(8) < 4, 1.0, -1.0) * np.array([1, 2, 4, 8, 16, 32, 64, 1])
    model = both("one output", backend, random_state=0, hidden_layer_sizes=(3,), batch_size=2, max_iter=500, tol=0)[1]
    seen = []
    model.set_params(callbacks=[lambda epoch: seen.append(epoch.model.coefs_[0].copy()) or len(seen) == 200])
    with pytest.raises(ValueError, match=r"of a batch in epoch (\d+) cancels: the weights of 2 samples") as caught:
        model.fit(X[:8], VALUES[:8], sample_weight=weights)
    assert f"epoch {len(seen) + 1} " in str(caught.value) and seen
    np.testing.assert_array_equal(model.coefs_[0], seen[-1])


def test_a_batch_without_any_weight_moves_nothing(backend):
    """Where scikit-learn raises a ZeroDivisionError: weights of 0 mask samples."""
    weights = (np.arange(N) % 40 < 20).astype(float)
    given = PARAMETERS | SOLVERS["sgd"] | {"shuffle": False, "batch_size": 20, "alpha": 0, "max_iter": 3}
    masked = both("one output", backend, **given)[1].fit(X, VALUES, sample_weight=weights)
    kept = both("one output", backend, **given)[1].fit(X[weights > 0], VALUES[weights > 0])
    assert distance(masked.coefs_, kept.coefs_) <= TOLERANCE[backend]


def held_out(target):
    """Which samples an estimator of the seed 0 holds out: the scorer sees them."""
    seen = []

    def score(_model, x, _y):
        seen.append((X[:, None] == x).all(axis=2).any(axis=1))
        return 0.0

    probe = {"early_stopping": True, "random_state": 0, "max_iter": 1}
    both(target, "numpy", **probe)[1].set_params(early_stopping_metric=score).fit(X, TARGETS[target])
    return seen[-1]


@pytest.mark.parametrize(
    ("weigh", "message"),
    [
        (lambda held: ~held, "sample_weight of the validation samples is 0 for all of the 23 samples"),
        (lambda held: held, "sample_weight of the samples left to train on is 0 for all of the 207 samples"),
        (
            lambda held: np.where(held, np.arange(N) % 2 - held[1::2].sum() / held.sum(), 1),
            "sample_weight of the validation samples cancels",
        ),
    ],
    ids=["held out", "left", "held out, cancelling"],
)
@pytest.mark.parametrize("target", ["multiclass", "one output"])
def test_samples_without_any_weight_are_refused_before_training(target, weigh, message):
    """scikit-learn raises a ZeroDivisionError, after an epoch."""
    model = both(target, "numpy", early_stopping=True, random_state=0)[1]
    with pytest.raises(ValueError, match=message):
        model.fit(X, TARGETS[target], sample_weight=weigh(held_out(target)))
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("size", [1e-200, 1e-310, 1e200, 1e306])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_weights_beyond_the_range_of_the_arithmetic_are_refused(solver, size):
    """scikit-learn's weights do not move, become NaN, or are right: it hangs on solver, alpha and size."""
    for target in ("multiclass", "one output"):
        model = both(target, "numpy", **SOLVERS[solver])[1]
        with pytest.raises(ValueError, match=r"has sizes up to .* from 1e-154 to 7e\+153. Multiply all weights"):
            model.fit(X, TARGETS[target], sample_weight=np.full(N, size))
    model = both("multiclass", "numpy", **SOLVERS[solver])[1].set_params(class_weight=dict.fromkeys(range(3), 1e-120))
    with pytest.raises(ValueError, match="class_weight times sample_weight has sizes up to 1e-240"):
        model.fit(X, LABELS, sample_weight=np.full(N, 1e-120))


@pytest.mark.parametrize("factor", [1e-150, 1e150])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_a_factor_of_all_weights_changes_nothing_without_penalties(backend, solver, factor):
    given = PARAMETERS | SOLVERS[solver] | {"alpha": 0}
    models = [both("multiclass", backend, **given)[1] for _ in range(2)]
    for model, scale in zip(models, (1, factor), strict=True):
        outcome(model.fit, X, LABELS, sample_weight=WEIGHTS * scale)
    assert distance(models[1].coefs_, models[0].coefs_) <= 1e-6
