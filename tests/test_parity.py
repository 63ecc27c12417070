"""MLPClassifier and MLPRegressor against scikit-learn's of the same name: the same numbers, messages and draws."""

import functools
import itertools
import os
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
    """An estimator of one of the two modules; each has a generator of its own."""
    if target == "counts":
        parameters["loss"] = "poisson"
    name = "MLPClassifier" if target in CLASSIFIED else "MLPRegressor"
    return getattr(module, name)(**deepcopy(parameters))


def both(target, backend, **parameters):
    """scikit-learn's estimator and ours."""
    return make(theirs, target, **parameters), make(ours, target, backend=backend, n_threads=1, **parameters)


def outcome(call, *args, **given):
    """What a call warns of and how it ends, as texts."""
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


# ------------------------------------------------------------------------------------------------ whole trajectories

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


# Pairs take seconds; of all triples, FASTMLP_PARITY=3, there are minutes.
CASES = list(covering(FACTORS, at_once=int(os.environ.get("FASTMLP_PARITY", 2))))


def options(case):
    """Parameters, target, X and arguments of fit that a combination stands for."""
    level = dict(zip(FACTORS, case, strict=True))
    parameters = {"max_iter": EPOCHS, "tol": 0, "n_iter_no_change": EPOCHS}
    for factor in list(FACTORS)[:8]:
        parameters |= FACTORS[factor][level[factor]]
    if "adaptive" in level["optimizer"]:  # to fall off several times on the way
        parameters |= {"tol": 1e-2, "n_iter_no_change": 7}
    weights = FACTORS["weights"][level["weights"]]
    given = {} if weights is None else {"sample_weight": weights}
    return parameters, level["target"], FACTORS["format"][level["format"]], given


@functools.cache
def their_fit(case):
    parameters, target, x, given = options(case)
    model = make(theirs, target, **parameters)
    return model, outcome(model.fit, x, TARGETS[target], **given)


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_trajectory(backend, case):
    parameters, target, x, given = options(case)
    need("sample weights", given)
    need("Poisson", target == "counts")
    need("early stopping on strings", target == "strings" and "early" in case)
    expected, their_outcome = their_fit(case)
    found = make(ours, target, backend=backend, n_threads=1, **parameters)
    assert outcome(found.fit, x, TARGETS[target], **given) == their_outcome
    assert expected.n_iter_ >= 50
    assert_equal(found, expected, TOLERANCE[backend], x)
    if case[list(FACTORS).index("seed")] == "generator":
        assert_same_draws(found, expected)


def assert_same_draws(found, expected):
    """Both generators are where the other is."""
    for one, other in zip(found.random_state.get_state(), expected.random_state.get_state(), strict=True):
        np.testing.assert_array_equal(one, other)


LBFGS_FACTORS = {name: FACTORS[name] for name in ("activation", "alpha", "hidden", "seed", "target", "weights")}
# A line search amplifies the last digit: after 60 iterations scikit-learn may be 1e-2 from itself if each entry of X
# moves by an ulp, or if its rows come in another order. Of 288 runs those of Numba were closer than the furthest of
# five such runs in all but 7, and at most 7 times as far; those of NumPy were the same to the last bit.
NEIGHBOURS = 4
AS_FAR = 30


def change(x, y, given, random):
    """The same problem, its rows in another order and each entry of X an ulp away, or not."""
    order = random.permutation(N)
    ulps = random.choice([-1, 0, 1], x.shape) * np.finfo(float).eps
    return (x * (1 + ulps))[order], y[order], {name: value[order] for name, value in given.items()}


@functools.cache
def their_lbfgs(case):
    level = dict(zip(LBFGS_FACTORS, case, strict=True))
    # most of the parameters are none of its business
    parameters = {"solver": "lbfgs", "max_iter": EPOCHS, "tol": 0, "early_stopping": True, "batch_size": 10}
    for factor in ("activation", "alpha", "hidden", "seed"):
        parameters |= FACTORS[factor][level[factor]]
    target, weights = level["target"], FACTORS["weights"][level["weights"]]
    given = {} if weights is None else {"sample_weight": weights}
    model = make(theirs, target, **parameters)
    ended = outcome(model.fit, X, TARGETS[target], **given)
    random = np.random.RandomState(0)
    spread = {}
    for _ in range(NEIGHBOURS):
        x, y, changed = change(X, TARGETS[target], given, random)
        neighbour = make(theirs, target, **parameters)
        outcome(neighbour.fit, x, y, **changed)
        for name, value in distances(neighbour, model).items():
            spread[name] = max(value, spread.get(name, 0))
    return parameters, target, given, model, ended, spread


@pytest.mark.parametrize("case", list(covering(LBFGS_FACTORS, at_once=2)), ids=", ".join)
def test_lbfgs(backend, case):
    need("sample weights", "weighted" in case)
    need("Poisson", "counts" in case)
    parameters, target, given, expected, their_outcome, spread = their_lbfgs(case)
    found = make(ours, target, backend=backend, n_threads=1, **parameters)
    ended = outcome(found.fit, X, TARGETS[target], **given)
    if backend == "numpy" and has("sums divided at the end"):
        assert ended == their_outcome
        assert_equal(found, expected, TOLERANCE[backend])
    far = distances(found, expected)
    allowed = {name: max(AS_FAR * value, 1e-10) for name, value in spread.items()}
    assert not {name: (value, allowed[name]) for name, value in far.items() if not value <= allowed[name]}
    if "generator" in case:
        assert_same_draws(found, expected)


# -------------------------------------------------------------------------------------------------- stops and resumes

FAST = SGD | {"random_state": 3, "hidden_layer_sizes": (9,), "batch_size": 32}


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


@pytest.mark.parametrize("target", ["binary", "strings", "multilabel", "outputs", "counts"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(backend, name, target):
    parameters, calls = SEQUENCES[name]
    need("Poisson", target == "counts")
    need("sample weights", any(weighted for _, _, weighted in calls))
    need("early stopping on strings", target == "strings" and "early" in name)
    seed = np.random.RandomState(3) if "partial" in name else 3
    expected, found = both(target, backend, **FAST | {"max_iter": 20, "random_state": seed} | parameters)
    y = TARGETS[target]
    tolerance = TOLERANCE[backend if "lbfgs" not in name or has("sums divided at the end") else "numba"]
    for number, (method, rows, weighted) in enumerate(calls):
        given = {"sample_weight": WEIGHTS[rows]} if weighted else {}
        if target in CLASSIFIED and method == "partial_fit" and not number:
            given["classes"] = np.arange(3) if target == "multilabel" else np.unique(y)
        ends = [outcome(getattr(model, method), X[rows], y[rows], **given) for model in (expected, found)]
        assert ends[0] == ends[1]
        if ends[0][1] is None:
            assert_equal(found, expected, tolerance)
    if isinstance(seed, np.random.RandomState):
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


# ------------------------------------------------------------------------------------------------------------ float32

SINGLE = X.astype(np.float32)
# After 20 updates of weights around 1: both lose some of the last digits, in other places. After hundreds the kinks of
# ReLU have taken them apart, as float32 and float64 are in scikit-learn, so that what is left to compare is the score.
SINGLE_TOLERANCE = 1e-5


@pytest.mark.parametrize("weights", ["equal", "weighted"])
@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "one output", "outputs", "counts"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam"])
def test_float32(backend, optimizer, target, weights):
    need("sample weights", weights == "weighted")
    need("Poisson", target == "counts")
    given = {} if weights == "equal" else {"sample_weight": WEIGHTS}
    parameters = {"hidden_layer_sizes": (17, 9), "random_state": 7, "batch_size": 23, "n_iter_no_change": EPOCHS}
    parameters |= FACTORS["optimizer"][optimizer] | {"learning_rate_init": 0.01}
    for epochs, activation in ((2, "relu"), (EPOCHS, "tanh")):  # of 10 updates
        expected, found = both(target, backend, **parameters, max_iter=epochs, activation=activation, tol=0)
        ends = [outcome(model.fit, SINGLE, TARGETS[target], **given) for model in (expected, found)]
        assert ends[0] == ends[1]
        assert all(array.dtype == np.float32 for array in found.coefs_ + found.intercepts_)
        if epochs == 2:
            assert distance(found.coefs_, expected.coefs_) <= SINGLE_TOLERANCE
            assert distance(found.intercepts_, expected.intercepts_) <= SINGLE_TOLERANCE
        for name, x in itertools.product(PREDICTIONS, (SINGLE, X)):
            if hasattr(expected, name):
                assert getattr(found, name)(x).dtype == getattr(expected, name)(x).dtype
        scores = [model.score(SINGLE, TARGETS[target], **given) for model in (expected, found)]
        assert scores[1] == pytest.approx(scores[0], abs=2 / N if target in CLASSIFIED else 1e-4)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("first, then", [(SINGLE, X), (X, SINGLE)])
def test_the_dtype_of_the_first_call_stays(backend, method, first, then):
    expected, found = both("outputs", backend, **FAST | {"warm_start": True, "max_iter": 2})
    for x in (first, then):
        ends = [outcome(getattr(model, method), x, TARGETS["outputs"]) for model in (expected, found)]
        assert ends[0] == ends[1]
    # scikit-learn's activations are float64 then, and weights are rounded after each update
    assert_equal(found, expected, SINGLE_TOLERANCE)


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_lbfgs_of_float32(backend, target):
    """Weights of float64, as in scikit-learn, which computes in float32 all the same."""
    expected, found = both(target, backend, solver="lbfgs", max_iter=20, random_state=7, alpha=1)
    ends = [outcome(model.fit, SINGLE, TARGETS[target]) for model in (expected, found)]
    assert ends[0] == ends[1]
    assert found.coefs_[0].dtype == expected.coefs_[0].dtype == np.float64
    assert found.loss_ == pytest.approx(expected.loss_, rel=2e-3)


# ----------------------------------------------------------------------------------------------------- what is refused

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


LABELS, VALUES, OUTPUTS, INDICATORS = (TARGETS[name] for name in ("multiclass", "one output", "outputs", "multilabel"))


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


# ------------------------------------------------------------------------------------- where we differ, and want to


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
def test_lbfgs_has_no_partial_fit(target):
    """scikit-learn's regressor has one, that runs all of L-BFGS."""
    model = make(ours, target, solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        model.partial_fit(X, TARGETS[target])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_number_of_outputs(method):
    """scikit-learn broadcasts the difference."""
    model = make(ours, "outputs", warm_start=True, max_iter=20, tol=10)
    getattr(model, method)(X, OUTPUTS)
    with pytest.raises(ValueError, match="y has 1 outputs, but MLPRegressor was fitted to 3"):
        getattr(model, method)(X, VALUES)
    assert model.n_outputs_ == 3


def test_negative_counts():
    """scikit-learn's loss is infinite there."""
    with pytest.raises(ValueError, match="y >= 0, but y has the value"):
        make(ours, "counts").fit(X, VALUES)


@pytest.mark.parametrize("rate", [1e9, 1e300])
def test_infinite_weights(backend, rate):
    """The same error as soon as it happens, after an explanation; scikit-learn goes on to the last epoch."""
    models = both("one output", backend, solver="sgd", learning_rate_init=rate, random_state=0)
    (_, expected), (warned, found) = (outcome(model.fit, X, VALUES) for model in models)
    assert (expected[0], found[0]) == ("ValueError", "ValueError")
    assert found[1].startswith(expected[1]) and "Training diverged in epoch" in found[1]
    assert not warned


def test_infinite_weights_with_early_stopping(backend):
    """The best weights come back."""
    expected, found = both(
        "one output", backend, solver="sgd", learning_rate_init=1e9, random_state=0, early_stopping=True
    )
    outcome(expected.fit, X, VALUES)
    warned, error = outcome(found.fit, X, VALUES)
    assert error is None
    assert [(kind, text[:17]) for kind, text in warned] == [("ConvergenceWarning", "Training diverged")]
    assert found.best_validation_score_ == pytest.approx(expected.best_validation_score_)
    assert distance(found.coefs_, expected.coefs_) <= TOLERANCE[backend]
