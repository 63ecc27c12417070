"""Pairs of estimators of scikit-learn and ours with the same parameters, and their differences."""

import itertools
import warnings
from copy import deepcopy

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.utils.fixes import parse_version

import fastmlp as ours

N, FEATURES = 230, 12  # batches of 32 leave a ragged one of 6
EPOCHS = 60

# Relative to the largest number of an array. NumPy makes the same products of matrices as scikit-learn, so that only
# sums differ, in the last digit; compiled code adds up in another order, and 500 updates amplify that.
TOLERANCE = {"numpy": 1e-10, "numba": 1e-6, "cuda": 1e-6}


def draw():
    random = np.random.RandomState(0)
    x = random.standard_normal((N, FEATURES))
    x *= random.uniform(size=x.shape) < 0.7  # some zeros for the sparse formats
    noise = random.standard_normal((N, 3))
    labels = (x[:, 0] + 0.5 * noise[:, 0] > 0).astype(int) + (x[:, 1] > 0.3)
    return x, {
        "binary": (x[:, 0] + noise[:, 0] > 0).astype(int),
        "multiclass": labels,
        "strings": np.array(["pear", "apple", "quince"])[labels],
        "multilabel": (x[:, :3] + noise > 0).astype(int),
        "one output": 2 * x[:, 0] + noise[:, 0],
        "outputs": x[:, :3] + 0.1 * noise,
        "counts": random.poisson(np.exp(0.5 * x[:, 0])),
        "column": (2 * x[:, 0] + noise[:, 0])[:, None],
        "column of labels": labels[:, None],
    }


X, TARGETS = draw()
LABELS, VALUES, OUTPUTS, INDICATORS = (TARGETS[name] for name in ("multiclass", "one output", "outputs", "multilabel"))
WEIGHTS = np.random.RandomState(1).uniform(0, 2, N)
CLASSIFIED = ("binary", "multiclass", "strings", "multilabel", "column of labels")
VERSION = parse_version(sklearn.__version__)
SINCE = {  # versions of scikit-learn
    "sample weights": "1.7",
    "Poisson": "1.7",
    "refusal of a single validation sample": "1.7",
    "sums divided at the end": "1.7",  # means before, whose last digit a line search amplifies
    "early stopping on strings": "1.9",  # a TypeError before, of np.isnan
    "refusal of zero weights": "1.9",
}


def has(feature):
    return parse_version(SINCE[feature]) <= VERSION


def need(feature, wanted=True):
    if wanted and not has(feature):
        pytest.skip(f"{feature}: since scikit-learn {SINCE[feature]}")


def make(module, target, **parameters):
    """An estimator of one of the two modules, each with its own generator."""
    if target == "counts":
        parameters["loss"] = "poisson"
    name = "MLPClassifier" if target in CLASSIFIED else "MLPRegressor"
    return getattr(module, name)(**deepcopy(parameters))


def both(target, backend, **parameters):
    """scikit-learn's estimator and ours."""
    return make(theirs, target, **parameters), make(ours, target, backend=backend, n_threads=1, **parameters)


def outcome(call, *args, **given):
    """The warnings and the exception of a call, as texts."""
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(*args, **given)
        except Exception as raised:
            error = type(raised).__name__, str(raised)
    # older versions of scikit-learn give options to SciPy that are deprecated by now
    told = [warning for warning in caught if warning.category is not DeprecationWarning]
    return [(warning.category.__name__, str(warning.message)) for warning in told], error


def distance(found, expected):
    """Largest difference, relative to the largest number expected; infinite if more than numbers differs."""
    if isinstance(expected, list) and expected and isinstance(expected[0], np.ndarray):
        return max(map(distance, found, expected)) if len(found) == len(expected) else np.inf
    if sparse.issparse(expected):
        found, expected = found.toarray(), expected.toarray()
    arrays = isinstance(expected, np.ndarray)
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape or (arrays and found.dtype != expected.dtype):
        return np.inf
    if expected.dtype.kind != "f" or not np.isfinite(expected).all():
        return 0 if np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f") else np.inf
    largest = np.abs(expected).max(initial=0)
    return np.abs(found - expected).max(initial=0) / (largest or 1)


ATTRIBUTES = (
    *("coefs_", "intercepts_", "loss_curve_", "n_iter_", "best_loss_", "validation_scores_", "best_validation_score_"),
    *("t_", "loss_", "n_layers_", "n_outputs_", "out_activation_", "classes_", "n_features_in_"),
)
PREDICTIONS = ("predict", "predict_proba")


def distances(found, expected, x=X):
    """Of every fitted attribute and of the predictions for x."""
    result = {}
    for name in ATTRIBUTES:
        assert hasattr(found, name) == hasattr(expected, name), name
        if hasattr(expected, name):
            result[name] = distance(getattr(found, name), getattr(expected, name))
    for name in PREDICTIONS:
        if hasattr(expected, name):
            result[name] = distance(getattr(found, name)(x), getattr(expected, name)(x))
    return result


def assert_equal(found, expected, tolerance, x=X):
    far = {name: f"{value:.1e}" for name, value in distances(found, expected, x).items() if not value <= tolerance}
    assert not far, f"further than {tolerance:g} from scikit-learn: {far}"


SGD = {"solver": "sgd", "learning_rate_init": 0.05}
FACTORS = {
    "optimizer": {
        "sgd": SGD | {"momentum": 0},
        "sgd, invscaling": SGD | {"momentum": 0, "learning_rate": "invscaling", "power_t": 0.1},
        "sgd, adaptive": SGD | {"momentum": 0, "learning_rate": "adaptive"},
        "momentum": SGD | {"nesterovs_momentum": False, "momentum": 0.8},
        "momentum, invscaling": SGD | {"nesterovs_momentum": False, "learning_rate": "invscaling", "power_t": 0.1},
        "momentum, adaptive": SGD | {"nesterovs_momentum": False, "learning_rate": "adaptive"},
        "nesterov": SGD,
        "nesterov, invscaling": SGD | {"learning_rate": "invscaling", "power_t": 0.2},
        "nesterov, adaptive": SGD | {"learning_rate": "adaptive"},
        "adam": {"solver": "adam", "learning_rate_init": 0.005},
        "adam of other constants": {"solver": "adam", "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3},
    },
    "activation": {name: {"activation": name} for name in ("identity", "logistic", "tanh", "relu")},
    "stopping": {"none": {}, "early": {"early_stopping": True, "validation_fraction": 0.2}},
    "batch": {"ragged": {"batch_size": 32}, "over n": {"batch_size": 500}, "full": {"batch_size": N}, "auto": {}},
    "alpha": {str(alpha): {"alpha": alpha} for alpha in (0, 1e-4, 1)},
    "hidden": {str(sizes): {"hidden_layer_sizes": sizes} for sizes in (15, (), (17, 9), [6, 5, 4])},
    "seed": {"integer": {"random_state": 7}, "generator": {"random_state": np.random.RandomState(7)}},
    "shuffle": {"shuffled": {}, "in order": {"shuffle": False}},
    "target": dict.fromkeys(("binary", "multiclass", "strings", "multilabel", "one output", "outputs", "counts")),
    "weights": {"equal": None, "weighted": WEIGHTS},
    "format": {
        "array": X,
        "by columns": np.asfortranarray(X),
        "csr_matrix": sparse.csr_matrix(X),
        "csc_array": sparse.csc_array(X),
    },
}


def covering(factors, at_once):
    """Combinations of one level of each factor in which all levels of any `at_once` factors meet. Greedy, of draws."""
    random = np.random.RandomState(0)
    levels = [list(levels) for levels in factors.values()]
    groups = list(itertools.combinations(range(len(levels)), at_once))
    missing = {(g, chosen) for g in groups for chosen in itertools.product(*(levels[f] for f in g))}
    while missing:
        fixed, chosen = max(missing)  # one of those that are missing, whatever is drawn
        draws = []
        for _ in range(30):
            case = [each[random.randint(len(each))] for each in levels]
            for factor, level in zip(fixed, chosen, strict=True):
                case[factor] = level
            draws.append((len({(g, tuple(case[f] for f in g)) for g in groups} & missing), case))
        case = max(draws)[1]
        missing -= {(g, tuple(case[f] for f in g)) for g in groups}
        yield tuple(case)


def assert_same_draws(found, expected):
    """Assert that both generators are in the same state."""
    for one, other in zip(found.random_state.get_state(), expected.random_state.get_state(), strict=True):
        np.testing.assert_array_equal(one, other)


FAST = SGD | {"random_state": 3, "hidden_layer_sizes": (9,), "batch_size": 32}
