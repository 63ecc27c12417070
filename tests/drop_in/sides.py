"""Running a user's program with scikit-learn's classes and with fastmlp's, and comparing its results."""

import inspect
import re
from functools import wraps

import numpy as np
import pytest
from estimator_cases import RELEASE
from parity.cases import ATTRIBUTES, CLASSIFIED, PREDICTIONS, TARGETS, X, distance
from sklearn import neural_network as theirs

import fastmlp as ours

if RELEASE < (1, 7):
    pytest.skip("private methods of scikit-learn take sample weights since 1.7", allow_module_level=True)

TOLERANCE = 1e-10  # in float64, relative to the largest entry of an array
SMALL = {
    "hidden_layer_sizes": (6, 5),
    "max_iter": 3,
    "batch_size": 64,
    "learning_rate_init": 0.02,
    "random_state": 0,
}
QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # three epochs do not converge


def make(nn, target, **parameters):
    """A small estimator of one of the two modules for a target of `parity.cases.TARGETS`."""
    if target == "counts":
        parameters["loss"] = "poisson"
    return base(nn, target)(**SMALL | parameters)


def base(nn, target):
    return nn.MLPClassifier if target in CLASSIFIED else nn.MLPRegressor


def begin(model, target, rows=slice(None)):
    """The first call of partial_fit, with all classes for the classifier."""
    y = TARGETS[target]
    classes = {"classes": np.arange(3) if target == "multilabel" else np.unique(y)} if target in CLASSIFIED else {}
    return model.partial_fit(X[rows], y[rows], **classes)


def fitted(model):
    """All public fitted attributes, and predictions for X."""
    state = {name: getattr(model, name) for name in ATTRIBUTES if hasattr(model, name)}
    return state | {name: getattr(model, name)(X) for name in PREDICTIONS if hasattr(model, name)}


def copied(results):
    """Copy results: arrays are copied, models are replaced by the values to compare."""
    if hasattr(results, "get_params"):
        return copied(fitted(results))
    if isinstance(results, dict):
        return {name: copied(value) for name, value in results.items()}
    if isinstance(results, (list, tuple)):
        return type(results)(map(copied, results))
    return results.copy() if isinstance(results, np.ndarray) else results


def on_both_sides(test=None, *, tolerance=TOLERANCE):
    """Turn a function of `nn`, the module of the two classes, into a test that compares what it returns or yields.

    Results are compared by value at the time of the `return` or `yield`; models by `fitted`.
    """
    if test is None:
        return lambda function: on_both_sides(function, tolerance=tolerance)

    def run(nn, given):
        results = test(nn=nn, **given)
        return [copied(result) for result in results] if inspect.isgenerator(results) else copied(results)

    @wraps(test)
    def compare(*arguments, **named):
        given = compare.__signature__.bind(*arguments, **named).arguments
        expected = run(theirs, given)
        assert expected is not None and len(expected), "the program has no results"
        assert_same(run(ours, given), expected, tolerance)

    signature = inspect.signature(test)
    others = [parameter for name, parameter in signature.parameters.items() if name != "nn"]
    compare.__signature__ = signature.replace(parameters=others)  # for pytest
    return compare


def same_or_refused(program, match):
    """Compare as `on_both_sides`, unless fastmlp raises a TypeError or ValueError that matches and tells the reason."""
    expected = copied(program(theirs))
    try:
        found = copied(program(ours))
    except (TypeError, ValueError) as error:
        assert re.search(match, str(error)), error
    else:
        assert_same(found, expected)


def assert_same(found, expected, tolerance=TOLERANCE, where="result"):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name in expected:
            assert_same(found[name], expected[name], tolerance, f"{where}[{name!r}]")
    elif isinstance(expected, (list, tuple)):
        assert isinstance(found, type(expected)) and len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, tolerance, f"{where}[{i}]")
    elif isinstance(expected, (np.ndarray, float)):
        apart = distance(found, expected)
        assert apart <= tolerance, f"{where} is {apart:.1e} from scikit-learn's"
    else:
        assert found == expected, where
