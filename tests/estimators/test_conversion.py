"""Conversion of our estimators to scikit-learn's, and back."""

import numpy as np
import pytest
import sklearn
from estimator_cases import KINDS, LABELS, RELEASE, X, Y, assert_same_answers, assert_same_state, fitted, ours, theirs
from sklearn.preprocessing import StandardScaler

from fastmlp import losses, schedules
from fastmlp.estimators import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize.*iprint:DeprecationWarning"),  # older scikit-learn, newer SciPy
]

SOLVERS = {
    "adam": {},
    "lbfgs": {"solver": "lbfgs"},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "nesterov off": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "adaptive"},
    "no momentum": {"solver": "sgd", "momentum": 0.0},
    "early stopping": {"early_stopping": True, "max_iter": 9, "n_iter_no_change": 2},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_to_sklearn_and_back(kind, solver):
    mine = ours(kind, **SOLVERS[solver]).fit(X, Y[kind])
    exported = mine.to_sklearn()
    assert type(exported) is type(theirs(kind))
    assert_same_answers(mine, exported)
    back = type(mine).from_sklearn(exported)
    state = {name: value.__getstate__() for name, value in {"mine": mine, "back": back}.items()}
    assert_same_state(state["back"] | {"_optimizer": 0}, state["mine"] | {"_optimizer": 0})
    if hasattr(mine, "_optimizer"):
        ours_alone = dict.fromkeys(("epochs", "params", "unread"))
        assert_same_state(vars(back._optimizer) | ours_alone, vars(mine._optimizer) | ours_alone)
    for one, other in zip(mine.coefs_, exported.coefs_, strict=True):
        assert not np.shares_memory(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_from_sklearn_and_back(kind, solver):
    original = theirs(kind, **SOLVERS[solver]).fit(X, Y[kind])
    mine = type(ours(kind)).from_sklearn(original)
    assert_same_answers(mine, original)
    back, unread = mine.to_sklearn(), {"_best_coefs": 0, "_best_intercepts": 0}
    if SOLVERS[solver].get("momentum") == 0:
        unread["_optimizer"] = 0  # velocities that nobody reads
    assert_same_state(vars(back) | unread, vars(original) | unread)
    if solver == "early stopping":
        assert_same_state(back._best_coefs, original._best_coefs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name not in ("lbfgs", "early stopping")])
@pytest.mark.parametrize("direction", ["to", "from"])
def test_partial_fit_goes_on_on_the_other_side(kind, solver, direction):
    first = {"classes": np.unique(Y[kind])} if kind in ("multiclass", "binary") else {}
    first = {"classes": [0, 1]} if kind == "multilabel" else first
    start = (ours if direction == "to" else theirs)(kind, **SOLVERS[solver])
    for call in range(3):
        start.partial_fit(X[:50], Y[kind][:50], **(first if call == 0 else {}))
    other = start.to_sklearn() if direction == "to" else type(ours(kind)).from_sklearn(start)
    for estimator in (start, other):
        for _ in range(3):
            estimator.partial_fit(X[40:], Y[kind][40:])
    assert_same_answers(start, other, 1e-10)
    np.testing.assert_allclose(start.loss_curve_, other.loss_curve_, rtol=1e-10)
    assert (start.t_, start._no_improvement_count) == (other.t_, other._no_improvement_count)
    mine, its = (start, other) if direction == "to" else (other, start)
    assert mine._optimizer.learning_rate == pytest.approx(its._optimizer.learning_rate)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("direction", ["to", "from"])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_warm_start_goes_on_on_the_other_side(kind, solver, direction):
    params = SOLVERS[solver] | {"warm_start": True, "random_state": np.random.RandomState(3)}
    start, its = ours(kind, **params), theirs(kind, **params)
    start = (start if direction == "to" else its).fit(X, Y[kind])
    other = start.to_sklearn() if direction == "to" else type(ours(kind)).from_sklearn(start)
    assert other.random_state is not start.random_state
    for estimator in (start, other):
        estimator.fit(X, Y[kind])
    # a line search doubles a difference of rounding with every iteration
    assert_same_answers(start, other, 1e-6 if solver == "lbfgs" else 1e-10)
    assert start.loss_ == pytest.approx(other.loss_, rel=1e-10)


def test_float32_and_names_are_converted():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.astype(np.float32), columns=list("abcd"))
    mine = ours("multiclass").fit(frame, LABELS)
    exported = mine.to_sklearn()
    assert exported.coefs_[0].dtype == np.float32
    assert list(exported.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(exported.predict(frame), mine.predict(frame))
    np.testing.assert_allclose(exported.predict_proba(frame), mine.predict_proba(frame), rtol=1e-5)
    assert list(MLPClassifier.from_sklearn(exported).feature_names_in_) == list("abcd")


def test_unfitted_estimators_are_converted_with_their_requests():
    mine = ours("regression", activation="tanh", backend="numpy", alpha=0.1)
    exported = mine.to_sklearn()
    assert not hasattr(exported, "coefs_")
    assert exported.get_params().items() <= mine.get_params().items()
    back = MLPRegressor.from_sklearn(exported, backend="numpy")
    assert back.get_params() == mine.get_params()
    if RELEASE < (1, 7):
        return  # there fit has no sample_weight
    with sklearn.config_context(enable_metadata_routing=True):
        mine.set_fit_request(sample_weight="w", X_val=True)
        requests = mine.to_sklearn().get_metadata_routing().fit.requests
        assert requests == {"sample_weight": "w"}
        assert MLPRegressor.from_sklearn(mine.to_sklearn()).get_metadata_routing().fit.requests["sample_weight"] == "w"


def test_from_sklearn_takes_parameters_of_ours_and_refuses_other_estimators():
    mine = MLPClassifier.from_sklearn(theirs("multiclass").fit(X, LABELS), dropout=0.5, max_iter=2)
    assert (mine.dropout, mine.max_iter) == (0.5, 2)
    for wrong in (theirs("regression"), StandardScaler(), ours("regression")):
        with pytest.raises(TypeError, match="takes a sklearn MLPClassifier"):
            MLPClassifier.from_sklearn(wrong)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"activation": "gelu"}, "activation='gelu'"),
        ({"activation": ["relu", "tanh"]}, r"activation=\['relu', 'tanh'\]"),
    ],
)
def test_what_scikit_learn_cannot_predict_is_refused(params, name):
    for predict_only in (False, True):
        with pytest.raises(ValueError, match=f"MLPClassifier has no {name}"):
            fitted(**params).to_sklearn(predict_only=predict_only)


@pytest.mark.parametrize(
    ("kind", "params", "name"),
    [
        ("multiclass", {"solver": "rmsprop"}, "solver='rmsprop'"),
        ("multiclass", {"learning_rate": schedules.Step()}, r"learning_rate=Step\("),
        ("multiclass", {"dropout": 0.2}, "dropout=0.2"),
        ("multiclass", {"dropout": [0.0, 0.1]}, r"dropout=\[0.0, 0.1\]"),
        ("multiclass", {"class_weight": "balanced"}, "class_weight='balanced'"),
        ("multiclass", {"l1": 0.1, "max_norm": 1.0}, "l1=0.1, max_norm=1.0"),
        ("multiclass", {"dtype": "float32"}, "dtype='float32'"),
        ("multiclass", {"callbacks": [print]}, "callbacks="),
        ("multioutput", {"loss": "huber"}, "loss='huber'"),
        ("regression", {"loss": "quantile", "quantile": [0.1, 0.9]}, "loss='quantile'"),
        ("regression", {"loss": losses.huber(0.5)}, "loss=Loss"),
    ],
)
def test_what_matters_in_training_only_can_be_left_out(kind, params, name, capsys):
    mine = ours(kind, **params).fit(X, Y[kind])
    with pytest.raises(ValueError, match=rf"has no {name}.*predict_only=True"):
        mine.to_sklearn()
    exported = mine.to_sklearn(predict_only=True)
    if params.get("dtype"):
        np.testing.assert_allclose(exported.predict_proba(X), mine.predict_proba(X), rtol=1e-6)
    else:
        assert_same_answers(mine, exported)
    exported.fit(X, Y[kind])


def test_equal_things_of_other_names_are_converted():
    mine = ours("multiclass", activation=["sigmoid", "logistic"], dropout=[0, 0], callbacks=[]).fit(X, LABELS)
    assert mine.to_sklearn().activation == "logistic"
    assert_same_answers(mine, mine.to_sklearn())
    if RELEASE >= (1, 7):
        assert ours("regression", loss="poisson").to_sklearn().loss == "poisson"
