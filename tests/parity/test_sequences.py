"""Early stopping, partial fits, warm starts and interrupts, and the output of verbose fits."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from sklearn import neural_network as theirs

import fastmlp.estimators as ours
from parity.cases import (
    CLASSIFIED,
    FAST,
    TARGETS,
    TOLERANCE,
    WEIGHTS,
    N,
    X,
    assert_equal,
    assert_same_draws,
    both,
    has,
    make,
    need,
    outcome,
)


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("patience", [1, 4, np.inf])
def test_where_it_stops(backend, target, early, patience):
    parameters = FAST | {"early_stopping": early, "n_iter_no_change": patience, "tol": 1e-2, "max_iter": 150}
    expected, found = both(target, backend, **parameters)
    ends = [outcome(model.fit, X, TARGETS[target]) for model in (expected, found)]
    assert ends[0] == ends[1]
    assert (expected.n_iter_ < 150) == (patience < np.inf)
    assert_equal(found, expected, TOLERANCE[backend])


ALL, MOST, REST, FEW = slice(None), slice(0, 150), slice(150, N), slice(40, 60)  # 20 rows are less than a batch
SEQUENCES = {
    "partial fits": ({}, [("partial_fit", rows, False) for rows in (MOST, REST, FEW, ALL)] * 13),
    "weighted partial fits": ({}, [("partial_fit", rows, True) for rows in (MOST, FEW, ALL)] * 17),
    "partial fits after a fit": ({}, [("fit", MOST, False), *[("partial_fit", REST, False)] * 3]),
    "a fit after partial fits": ({}, [*[("partial_fit", MOST, False)] * 3, ("fit", ALL, False)]),
    "adaptive partial fits": (
        {"learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.05},
        [("partial_fit", ALL, False)] * 40,
    ),
    "partial fits, invscaling": ({"learning_rate": "invscaling", "power_t": 0.2}, [("partial_fit", ALL, False)] * 10),
    "fits": ({}, [("fit", MOST, False), ("fit", ALL, True)]),
    "warm starts": ({"warm_start": True}, [("fit", MOST, False), ("fit", REST, True), ("fit", ALL, False)]),
    "warm starts and a partial fit": (
        {"warm_start": True},
        [("fit", MOST, False), ("partial_fit", REST, False), ("fit", ALL, False)],
    ),
    # scikit-learn trains its best weights in place, so that they are lost if they remain the best
    "warm starts, early stopping": (
        {"warm_start": True, "early_stopping": True, "n_iter_no_change": 3},
        [("fit", rows, False) for rows in (ALL, ALL, MOST, REST, ALL)],
    ),
    "warm starts of adam": (
        {"warm_start": True, "solver": "adam"},
        [("fit", MOST, False), ("fit", MOST, False), ("partial_fit", FEW, False)],
    ),
    "partial fits of adam": ({"solver": "adam"}, [("partial_fit", rows, False) for rows in (MOST, FEW, ALL)] * 17),
    "warm starts of lbfgs": ({"warm_start": True, "solver": "lbfgs"}, [("fit", ALL, False)] * 3),
}


def states(estimator, name, target):
    """How each call of a sequence ends, and the estimator after it."""
    y = TARGETS[target]
    for number, (method, rows, weighted) in enumerate(SEQUENCES[name][1]):
        given = {"sample_weight": WEIGHTS[rows]} if weighted else {}
        if target in CLASSIFIED and method == "partial_fit" and not number:
            given["classes"] = np.arange(3) if target == "multilabel" else np.unique(y)
        yield outcome(getattr(estimator, method), X[rows], y[rows], **given), estimator


def parameters_of(name):
    seed = np.random.RandomState(3) if "partial" in name else 3
    return FAST | {"max_iter": 20, "random_state": seed} | SEQUENCES[name][0]


@cache
def states_of_scikit_learns(name, target):
    estimator = make(theirs, target, **parameters_of(name))
    return [(end, deepcopy(after)) for end, after in states(estimator, name, target)]


@pytest.mark.parametrize("target", ["binary", "strings", "multilabel", "outputs", "counts"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(backend, name, target):
    need("Poisson", target == "counts")
    need("sample weights", any(weighted for _, _, weighted in SEQUENCES[name][1]))
    need("early stopping on strings", target == "strings" and "early" in name)
    found = make(ours, target, backend=backend, n_threads=1, **parameters_of(name))
    tolerance = TOLERANCE[backend if "lbfgs" not in name or has("sums divided at the end") else "numba"]
    for (end, _), (wanted, expected) in zip(
        states(found, name, target), states_of_scikit_learns(name, target), strict=True
    ):
        assert end == wanted
        if wanted[1] is None:
            assert_equal(found, expected, tolerance)
    if isinstance(found.random_state, np.random.RandomState):
        assert_same_draws(found, expected)


@pytest.mark.parametrize("early", [False, True])
def test_an_interrupt_keeps_the_weights(backend, early, monkeypatch):
    """Ctrl-C while the third epoch is reported: a warning, the weights of this epoch or the best."""

    def interrupt(text):
        if text.startswith("Iteration 3,"):
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", interrupt)
    expected, found = both("multiclass", backend, **FAST | {"early_stopping": early, "verbose": True})
    ends = [outcome(model.fit, X, TARGETS["multiclass"]) for model in (expected, found)]
    assert ends[0] == ends[1] == ([("UserWarning", "Training interrupted by user.")], None)
    assert found.n_iter_ == 3
    assert_equal(found, expected, TOLERANCE[backend])


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_iter": 4},
        {"n_iter_no_change": 2, "tol": 0.05},
        {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 50},
        {"learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1},
        {"learning_rate": "adaptive", "n_iter_no_change": 1, "early_stopping": True, "tol": 0.1},
        {"solver": "adam", "max_iter": 6, "early_stopping": True},
        {"solver": "adam", "n_iter_no_change": 2, "tol": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_what_it_says(backend, capsys, parameters, target):
    said = []
    for model in both(target, backend, **FAST | {"verbose": True} | parameters):
        outcome(model.fit, X, TARGETS[target])
        said.append(capsys.readouterr().out)
    assert said[0].count("Iteration") >= 4
    assert said[1] == said[0]
