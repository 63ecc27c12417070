"""Arguments that both refuse with the same message, and those that both accept with the same warnings."""

import numpy as np
import pytest
from scipy import sparse

from parity.cases import (
    INDICATORS,
    LABELS,
    TARGETS,
    TOLERANCE,
    VALUES,
    WEIGHTS,
    N,
    X,
    assert_equal,
    both,
    need,
    outcome,
)

ILLEGAL = {
    "hidden_layer_sizes": (0, -1, "ten", None, 2.5, (5, 0), [5, -2]),
    "alpha": (-1, "a", None, np.nan),
    "batch_size": (0, -1, "full", 2.5, None),
    "learning_rate_init": (0, -1, "a", None),
    "power_t": (-1, "a", None),
    "max_iter": (0, -1, 2.5, None),
    "shuffle": ("yes", None, 3),
    "random_state": (-1, "seed", 2.5),
    "tol": (-1, "a", None),
    "verbose": (-1, "a", None),
    "warm_start": ("yes", None, 3),
    "momentum": (-0.1, 1.1, None),
    "nesterovs_momentum": ("yes", None),
    "early_stopping": ("yes", None, 3),
    "validation_fraction": (-0.1, 1, None),
    "beta_1": (-0.1, 1, None),
    "beta_2": (-0.1, 1, None),
    "epsilon": (0, -1, None),
    "n_iter_no_change": (0, -1, 2.5, None, -np.inf, np.nan),
    "max_fun": (0, -1, 2.5, None),
    # of these we take more
    "activation": ("tanh2", None, 3),
    "solver": ("newton", None, 3),
    "learning_rate": ("fast", None, 0.1),
    "loss": ("log", None, 3),
}


@pytest.mark.parametrize(
    "target, name, value",
    [
        (target, name, value)
        for name, values in ILLEGAL.items()
        for value in values
        for target in (["outputs"] if name == "loss" else ["multiclass", "outputs"])
    ],
)
def test_illegal_parameters(target, name, value):
    need("Poisson", name == "loss")
    (_, expected), (_, found) = (
        outcome(model.fit, X, TARGETS[target]) for model in both(target, "numpy", **{"max_iter": 2, name: value})
    )
    if name in ("activation", "solver", "learning_rate", "loss"):
        shared = f"The {name!r} parameter of MLP"
        assert expected[0] == found[0]
        assert expected[1].startswith(shared) and found[1].startswith(shared)
        assert found[1].endswith(expected[1][expected[1].index(" Got ") :])
    else:
        assert found == expected and expected is not None


def spoil(array, value, at=3):
    """A copy with one entry of another value."""
    array = np.array(array, float)
    array.flat[at] = value
    return array


def twice(first, then):
    return lambda model: (first(model), then(model))


def fit(x=X, y=LABELS, **given):
    return lambda model: model.fit(x, y, **given)


def part(x=X, y=LABELS, **given):
    return lambda model: model.partial_fit(x, y, **given)


first_part = part(classes=[0, 1, 2])
small_set = {"early_stopping": True, "validation_fraction": 0.004}

# What both refuse, in the same words: target, parameters, calls
REFUSED = {
    "NaN in X": ("multiclass", {}, fit(spoil(X, np.nan))),
    "NaN in X of a regressor": ("one output", {}, fit(spoil(X, np.nan), VALUES)),
    "infinity in X": ("multiclass", {}, fit(spoil(X, np.inf))),
    "NaN in sparse X": ("multiclass", {}, fit(sparse.csr_matrix(spoil(X, np.nan)))),
    "complex X": ("multiclass", {}, fit(X + 1j)),
    "X of strings": ("multiclass", {}, fit(np.full(X.shape, "a", object))),
    "X of one dimension": ("multiclass", {}, fit(X[:, 0])),
    "no rows": ("multiclass", {}, fit(X[:0], LABELS[:0])),
    "no columns": ("multiclass", {}, fit(X[:, :0])),
    "no y": ("multiclass", {}, fit(X, None)),
    "no y of a regressor": ("one output", {}, fit(X, None)),
    "NaN in y": ("one output", {}, fit(X, spoil(VALUES, np.nan))),
    "infinity in y": ("one output", {}, fit(X, spoil(VALUES, np.inf))),
    "NaN in labels": ("multiclass", {}, fit(X, spoil(LABELS, np.nan))),
    "real numbers as labels": ("multiclass", {}, fit(X, VALUES)),
    "several columns of labels": ("multilabel", {}, fit(X, np.column_stack([LABELS, LABELS]))),
    "one column of sparse values": ("column", {}, fit(X, sparse.csr_array(TARGETS["column"]))),
    "y of three dimensions": ("outputs", {}, fit(X, np.zeros((N, 2, 2)))),
    "a short y": ("multiclass", {}, fit(X, LABELS[1:])),
    "NaN in weights": ("multiclass", {}, fit(sample_weight=spoil(WEIGHTS, np.nan))),
    "short weights": ("multiclass", {}, fit(sample_weight=WEIGHTS[1:])),
    "weights of two dimensions": ("multiclass", {}, fit(sample_weight=np.c_[WEIGHTS, WEIGHTS])),
    "a string as weights": ("multiclass", {}, fit(sample_weight="balanced")),
    "all weights are zero": ("multiclass", {}, fit(sample_weight=0 * WEIGHTS)),
    "all weights of a part are zero": ("multiclass", {}, part(classes=[0, 1, 2], sample_weight=0 * WEIGHTS)),
    "one validation sample": ("one output", small_set, fit(X, VALUES)),
    "one validation sample of three classes": ("multiclass", small_set, fit()),
    "no validation sample": ("multiclass", small_set | {"validation_fraction": 0.0}, fit()),
    "a class of one in a stratified split": ("binary", {"early_stopping": True}, fit(X[:6], [0, 0, 0, 0, 0, 1])),
    "a warm start of other classes": ("multiclass", {"warm_start": True}, twice(fit(), fit(X, LABELS % 2))),
    "a warm start of other features": ("multiclass", {"warm_start": True}, twice(fit(), fit(X[:, 1:]))),
    "a first part without classes": ("multiclass", {}, part()),
    "a first part of unknown classes": ("multiclass", {}, part(classes=[0, 1])),
    "a part of unknown classes": ("multiclass", {}, twice(first_part, part(X, LABELS + 1))),
    "a part of a class less, with warm start": (
        "multiclass",
        {"warm_start": True},
        twice(first_part, part(X[LABELS > 0], LABELS[LABELS > 0])),
    ),
    "other classes later": ("multiclass", {}, twice(first_part, part(classes=[0, 1, 3]))),
    "a part of other features": ("multiclass", {}, twice(first_part, part(X[:, 1:]))),
    "a part of fewer labels": (
        "multilabel",
        {},
        twice(part(X, INDICATORS, classes=[0, 1, 2]), part(X, INDICATORS[:, 1:])),
    ),
    "a part with early stopping": ("multiclass", {"early_stopping": True}, first_part),
    "a part with early stopping, regression": ("one output", {"early_stopping": True}, part(X, VALUES)),
    "a part by lbfgs": ("multiclass", {"solver": "lbfgs"}, first_part),
    "predictions before a fit": ("multiclass", {}, lambda model: model.predict(X)),
    "probabilities before a fit": ("multiclass", {}, lambda model: model.predict_proba(X)),
    "a score before a fit": ("one output", {}, lambda model: model.score(X, VALUES)),
    "predictions of other features": ("multiclass", {}, twice(fit(), lambda model: model.predict(X[:, 1:]))),
    "probabilities of NaN": ("multiclass", {}, twice(fit(), lambda model: model.predict_proba(spoil(X, np.nan)))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    target, parameters, call = REFUSED[name]
    need("sample weights", "weights" in name)
    need("refusal of zero weights", "are zero" in name)
    need("refusal of a single validation sample", name.startswith("one validation sample"))
    models = both(target, "numpy", **{"max_iter": 2, "random_state": 0, "hidden_layer_sizes": (5,)} | parameters)
    expected, found = (outcome(call, model) for model in models)
    assert expected[1] is not None
    assert found == expected


# What goes through, with warnings: the numbers are the same
ACCEPTED = {
    "a batch larger than X": ("multiclass", {"batch_size": N + 1}, fit()),
    "a column": ("column", {}, fit(X, TARGETS["column"])),
    "a column of labels": ("column of labels", {}, fit(X, TARGETS["column of labels"])),
    "lists": ("multiclass", {}, fit(X.tolist(), LABELS.tolist())),
    "integers": ("multiclass", {}, fit((5 * X).astype(int))),
    "COO": ("multiclass", {}, fit(sparse.coo_matrix(X))),
    "sparse values": ("outputs", {}, fit(X, sparse.csr_array(TARGETS["outputs"]))),
    "parts of sparse values": ("outputs", {}, part(X, sparse.csr_array(TARGETS["outputs"]))),
    "truth values": ("binary", {}, fit(X, LABELS > 0)),
    "one class": ("multiclass", {}, fit(X, 0 * LABELS)),
    "indicators of 1 and 2": ("multilabel", {}, fit(X, INDICATORS + 1)),
    "sparse indicators": ("multilabel", {}, fit(X, sparse.csr_matrix(INDICATORS))),
    "one weight for all": ("multiclass", {}, fit(sample_weight=2.0)),
    "negative weights": ("one output", {}, fit(X, VALUES, sample_weight=WEIGHTS - 0.5)),
    "a part of fewer classes": ("multiclass", {}, twice(first_part, part(X[LABELS > 0], LABELS[LABELS > 0]))),
    "max_fun": ("multiclass", {"solver": "lbfgs", "max_fun": 5}, fit()),
    "another momentum": (
        "multiclass",
        {"solver": "sgd"},
        lambda model: first_part(model).set_params(momentum=0.1, learning_rate_init=1).partial_fit(X, LABELS),
    ),
    "another solver for parts": (
        "multiclass",
        {"solver": "sgd"},
        lambda model: first_part(model).set_params(solver="adam").partial_fit(X, LABELS),
    ),
    "another solver": (
        "multiclass",
        {"warm_start": True},
        lambda model: fit()(model).set_params(solver="lbfgs").fit(X, LABELS),
    ),
    "other layers, which a warm start does not look at": (
        "multiclass",
        {"warm_start": True},
        lambda model: fit()(model).set_params(hidden_layer_sizes=(3,)).fit(X, LABELS),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_acceptance(backend, name):
    target, parameters, call = ACCEPTED[name]
    need("sample weights", "weight" in name)
    models = both(target, backend, **{"max_iter": 12, "random_state": 0, "hidden_layer_sizes": (5,)} | parameters)
    expected, found = (outcome(call, model) for model in models)
    assert expected[1] is None
    assert found == expected
    assert_equal(models[1], models[0], TOLERANCE[backend])
