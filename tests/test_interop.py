"""The estimators among others: scikit-learn's own, its meta-estimators, pickles, threads, arrays of other libraries."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp import losses, schedules
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.interchange import as_numpy

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize.*iprint:DeprecationWarning"),  # older scikit-learn, newer SciPy
]
RELEASE = tuple(map(int, sklearn.__version__.split(".")[:2]))

random = np.random.RandomState(0)
X = random.randn(90, 4)
LABELS = np.array(["ant", "bee", "cat"])[np.argmax(X @ random.randn(4, 3), axis=1)]
Y = {
    "multiclass": LABELS,
    "binary": LABELS == "bee",
    "multilabel": (X[:, :2] > 0).astype(int),
    "regression": X @ random.randn(4) + 0.1,
    "multioutput": np.tanh(X @ random.randn(4, 2)),
}
KINDS = tuple(Y)
WEIGHTS = random.rand(90) + 0.1
SMALL = {"hidden_layer_sizes": (6, 5), "max_iter": 4, "random_state": 0}


def ours(kind, **params):
    return (MLPRegressor if kind in ("regression", "multioutput") else MLPClassifier)(**SMALL | params)


def theirs(kind, **params):
    if params.get("early_stopping") and kind == "multiclass" and RELEASE < (1, 9):
        pytest.skip("early stopping of this scikit-learn cannot score text labels")
    return getattr(neural_network, type(ours(kind)).__name__)(**SMALL | params)


def fitted(**params):
    return ours("multiclass", **params).fit(X, LABELS)


def assert_same_state(a, b, tolerance=0.0):
    """Two values, whatever they are made of, are equal."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        if tolerance:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(a, b)
    elif isinstance(a, np.random.RandomState):
        assert_same_state(a.get_state(), b.get_state())
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same_state(one, other, tolerance)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same_state(a[name], b[name], tolerance)
    elif isinstance(a, float) and tolerance:
        assert a == pytest.approx(b, rel=tolerance, abs=tolerance)
    elif hasattr(a, "__dict__") and not callable(a):
        assert type(a) is type(b)
        assert_same_state(vars(a), vars(b), tolerance)
    else:
        assert a == b or (a != a and b != b)


def assert_same_answers(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], rtol=tolerance, atol=tolerance)
    if hasattr(a, "classes_"):
        np.testing.assert_array_equal(a.predict(X), b.predict(X))
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=tolerance, atol=tolerance)


# ----------------------------------------------------------------- scikit-learn's own, there and back


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
    assert_same_state(vars(back) | {"_optimizer": 0}, vars(mine) | {"_optimizer": 0})
    if hasattr(mine, "_optimizer"):
        assert_same_state(back._optimizer.moments, mine._optimizer.moments)
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
    assert mine._optimizer.learning_rate == pytest.approx(
        its._optimizer.learning_rate_init if solver == "adam" else its._optimizer.learning_rate
    )


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
    for wrong in (theirs("regression"), StandardScaler(), fitted()):
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


# ----------------------------------------------------------------- arrays of other libraries


class Foreign:
    """An array of which nothing is known but DLPack; on a device whose memory the host cannot read, if asked."""

    def __init__(self, array, device=1, copies=()):
        self.array, self.device, self.exports = np.asarray(array), device, 0
        for name in copies:
            setattr(self, name, lambda: self.array)

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, *, dl_device=None, **keywords):
        if self.device != 1 and dl_device != (1, 0):
            raise BufferError("not in the host's memory")
        self.exports += 1
        return self.array.__dlpack__(**keywords)


@pytest.mark.parametrize(
    "device", [{}, {"device": 2}, {"device": 2, "copies": ["get"]}, {"device": 2, "copies": ["cpu"]}]
)
def test_dlpack_arrays_are_taken(device):
    if device == {"device": 2} and np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("this NumPy cannot ask for a copy on the host")

    def foreign(array):
        return Foreign(array, **device)

    labels = np.argmax(X, axis=1)
    want = ours("multiclass").fit(X, labels, WEIGHTS, X_val=X, y_val=labels)
    got = ours("multiclass").fit(foreign(X), foreign(labels), foreign(WEIGHTS), X_val=foreign(X), y_val=foreign(labels))
    assert_same_state(got.coefs_, want.coefs_)
    for method in ("predict", "predict_proba", "predict_log_proba", "hidden_activations"):
        answer = getattr(got, method)(foreign(X))
        assert type(answer) is np.ndarray
        np.testing.assert_array_equal(answer, getattr(want, method)(X))
    weighted = got.score(foreign(X), foreign(labels), foreign(WEIGHTS))
    assert weighted == want.score(X, labels, WEIGHTS)
    some = ours("multiclass").partial_fit(foreign(X), foreign(labels), classes=foreign(np.arange(4)))
    assert type(some.classes_) is np.ndarray
    values = ours("multioutput").fit(foreign(X), foreign(Y["multioutput"]))
    assert values.score(foreign(X), foreign(Y["multioutput"])) == values.score(X, Y["multioutput"])


def test_dlpack_arrays_are_not_copied():
    assert np.shares_memory(as_numpy(Foreign(X)), X)
    for other in (None, [[1.0]], X, sp.csr_array(X)):
        assert as_numpy(other) is other


def test_unreadable_arrays_are_refused():
    class Unreadable(Foreign):
        def __dlpack__(self, **_):
            raise BufferError("requires a gradient")

    with pytest.raises(TypeError, match="Unreadable cannot become a NumPy array: requires a gradient"):
        fitted().predict(Unreadable(X))


ARRAY_API = textwrap.dedent("""
    import sys, warnings
    import numpy as np, sklearn
    warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    library = sys.argv[1]
    if library == "torch":
        import torch as library
        convert, kind = library.from_numpy, library.Tensor
    elif library == "array_api_strict":
        import array_api_strict as library
        convert, kind = library.asarray, type(library.asarray([1.0]))
    else:
        convert, kind = np.asarray, np.ndarray
    X = np.random.RandomState(0).randn(60, 3)
    y = X.argmax(axis=1)
    plain = MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
    for dispatch in (True, False):
        with sklearn.config_context(array_api_dispatch=dispatch):
            e = MLPClassifier((4,), max_iter=2, random_state=0).fit(convert(X), convert(y), convert(np.ones(60)))
            assert all(type(w) is np.ndarray for w in (*e.coefs_, *e.intercepts_, e.classes_))
            for method in ("predict", "predict_proba", "predict_log_proba", "hidden_activations"):
                answer = getattr(e, method)(convert(X))
                assert isinstance(answer, kind if dispatch else np.ndarray), (method, type(answer))
                assert (np.asarray(answer) == getattr(plain, method)(X)).all()
                assert type(getattr(e, method)(X)) is np.ndarray
                if not dispatch:  # scikit-learn before 1.9 takes arrays only
                    assert type(getattr(e, method)(X.tolist())) is np.ndarray
            assert e.score(convert(X), convert(y)) == plain.score(X, y)
            named = MLPClassifier((4,), max_iter=2).fit(convert(X), y.astype(str))
            assert named.predict(convert(X)).dtype.kind == "U"
            r = MLPRegressor(max_iter=5, early_stopping=True).fit(convert(X), convert(X[:, :2].copy()))
            assert isinstance(r.predict(convert(X)), kind if dispatch else np.ndarray)
            assert isinstance(r.score(convert(X), convert(X[:, :2].copy())), float)
""")


@pytest.mark.parametrize("library", ["numpy", "array_api_strict", "torch"])
def test_answers_come_back_in_the_callers_kind(library):
    pytest.importorskip(library)
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API, library], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ----------------------------------------------------------------- memory


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("classes", [2, 20])
def test_predictions_stay_within_working_memory(backend, classes):
    n, budget = 20_000, 2
    many = np.random.RandomState(0).randn(n, 30)
    e = ours("multiclass", hidden_layer_sizes=(20,), max_iter=1, backend=backend).fit(
        many[:200], np.arange(200) % classes
    )
    whole = {name: getattr(e, name)(many) for name in ("predict", "predict_proba", "hidden_activations")}
    kinds = {
        "C": many,
        "Fortran": np.asfortranarray(many),
        "float32": many.astype(np.float32),
        "Fortran float32": np.asfortranarray(many, dtype=np.float32),
        "every other": np.repeat(many, 2, axis=0)[::2],
        "integers": (100 * many).astype(np.int64),
        "foreign bytes": many.astype(">f8"),
        "CSR": sp.csr_array(many),
    }
    with sklearn.config_context(working_memory=budget):
        for kind, given in kinds.items():
            for name, want in whole.items():
                getattr(e, name)(given[:10])
                peaks = []
                for _ in range(3):  # threads that other tests have left may allocate meanwhile
                    tracemalloc.start()
                    got = getattr(e, name)(given)
                    peaks.append(tracemalloc.get_traced_memory()[1] - got.nbytes)
                    tracemalloc.stop()
                assert min(peaks) < budget * 2**20, (kind, name, peaks)
                if kind != "integers" and want.dtype.kind == "f":
                    np.testing.assert_allclose(got, want, rtol=1e-3 if "32" in kind else 1e-10, atol=1e-6)


def test_sparse_labels_come_in_one_matrix():
    indicators = sp.csr_matrix(Y["multilabel"])
    e = ours("multilabel").fit(X, indicators)
    whole = e.predict(X)
    with sklearn.config_context(working_memory=0.05):
        some = e.predict(X)
    assert type(some) is type(whole) and some.dtype == whole.dtype
    assert (some != whole).nnz == 0


# ----------------------------------------------------------------- copies


def through_joblib(e, tmp_path, **options):
    joblib.dump(e, tmp_path / "model.joblib")
    return joblib.load(tmp_path / "model.joblib", **options)


COPIES = {
    "pickle": lambda e, _: pickle.loads(pickle.dumps(e)),
    "joblib": through_joblib,
    "joblib, mapped": lambda e, path: through_joblib(e, path, mmap_mode="r"),
    "cloudpickle": lambda e, _: pickle.loads(pytest.importorskip("cloudpickle").dumps(e)),
    "deepcopy": lambda e, _: copy.deepcopy(e),
    "copy": lambda e, _: copy.copy(e),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", COPIES)
def test_copies_predict_and_go_on_alike_and_share_nothing(kind, way, tmp_path):
    e = ours(kind).fit(X, Y[kind])
    for _ in range(2):
        e.partial_fit(X, Y[kind])
    other = COPIES[way](e, tmp_path)
    assert_same_answers(e, other, 0)
    before = other.predict(X)
    e.partial_fit(X, Y[kind])
    np.testing.assert_array_equal(other.predict(X), before)
    if way != "copy":  # a shallow one shares curve and optimizer, as anywhere
        other.partial_fit(X, Y[kind])
        assert_same_answers(e, other, 0)
        assert e.loss_curve_ == other.loss_curve_


def test_a_pickle_holds_no_more_than_the_weights_and_moments():
    e = ours("regression", hidden_layer_sizes=(300,)).fit(X, Y["regression"])
    weights = sum(w.nbytes for w in (*e.coefs_, *e.intercepts_))
    e.predict(X)
    assert len(pickle.dumps(e)) < 3.3 * weights + 10_000


def test_weights_replaced_or_edited_by_the_user_are_used():
    e, other = fitted(), fitted()
    old = e.coefs_[0]
    kept = old.copy()
    e.coefs_[0] = 2 * old
    other.coefs_[0][...] *= 2
    np.testing.assert_array_equal(e.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(old, kept)
    e.coefs_[0][...] = kept
    np.testing.assert_array_equal(e.predict_proba(X), fitted().predict_proba(X))
    square = e.coefs_[1] = np.arange(36.0).reshape(6, 6) / 36
    e.coefs_[2], e.intercepts_[1] = np.arange(18.0).reshape(6, 3) ** 2 / 99, np.zeros(6)
    straight = e.predict_proba(X)
    e.coefs_[1] = np.ascontiguousarray(square.T)
    turned = e.predict_proba(X)
    assert not np.allclose(straight, turned)
    e.coefs_[1] = square.T
    np.testing.assert_array_equal(e.predict_proba(X), turned)
    e.coefs_[1] = square[:1]
    with pytest.raises(ValueError, match="do not fit together"):
        e.predict(X)
    e = fitted()
    e.coefs_[0] = np.asfortranarray(e.coefs_[0])
    e.partial_fit(X, LABELS)
    np.testing.assert_array_equal(e.coefs_[0], fitted().partial_fit(X, LABELS).coefs_[0])


def test_a_transposed_view_of_the_same_memory_is_seen():
    e = ours("multiclass", hidden_layer_sizes=(6, 6)).fit(X, LABELS)
    want = clone(e).fit(X, LABELS)
    want.coefs_[1] = want.coefs_[1].T.copy()
    e.coefs_[1] = e.coefs_[1].T
    np.testing.assert_array_equal(e.predict_proba(X), want.predict_proba(X))


def test_a_new_fit_leaves_the_arrays_of_the_last_one_alone():
    e = fitted()
    old, kept = e.coefs_, [w.copy() for w in e.coefs_]
    e.fit(-X, LABELS)
    assert_same_state(old, kept)
    assert not np.shares_memory(old[0], e.coefs_[0])


def test_clone_and_parameters():
    e = fitted(dropout=[0.1, 0.2], learning_rate=schedules.Step(), callbacks=[print], coefs_init=None)
    new = clone(e)
    assert not hasattr(new, "coefs_")
    assert repr(new.get_params()) == repr(e.get_params())
    assert new.set_params(alpha=3.0, backend="numpy") is new
    assert (new.alpha, new.backend) == (3.0, "numpy")
    with pytest.raises(ValueError, match="Invalid parameter 'beta'"):
        new.set_params(beta=1)


# ----------------------------------------------------------------- data of many kinds


FRAMES = ["pandas", pytest.param("polars", marks=pytest.mark.skipif(RELEASE < (1, 9), reason="not this polars"))]


@pytest.mark.parametrize("library", FRAMES)
def test_frames_of_data(library):
    names, module = ["a", "b", "c", "d"], pytest.importorskip(library)
    frame = module.DataFrame(dict(zip(names, X.T, strict=True)))
    y = module.Series(LABELS.tolist())
    e = ours("multiclass").fit(frame, y, X_val=frame, y_val=y)
    assert list(e.feature_names_in_) == names
    np.testing.assert_array_equal(e.predict_proba(frame), fitted().predict_proba(X))
    e.partial_fit(frame, y)
    e.fit(frame, y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        e.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        e.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.parametrize("metric", ["score", "accuracy"])
@pytest.mark.parametrize("library", FRAMES)
def test_column_transformer_in_a_pipeline(library, metric):
    module = pytest.importorskip(library)
    frame = module.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": LABELS.tolist()})
    for output in ("default", library):
        columns = ColumnTransformer(
            [("numbers", StandardScaler(), ["a", "b"]), ("words", OneHotEncoder(sparse_output=False), ["c"])]
        )
        model = make_pipeline(columns, ours("multiclass", early_stopping=True, early_stopping_metric=metric))
        model.set_output(transform=output)
        model.fit(frame, LABELS)
        assert type(model.predict(frame)) is np.ndarray
        assert hasattr(model[-1], "feature_names_in_") == (output != "default")


def test_set_output_changes_nothing():
    pytest.importorskip("pandas")
    with sklearn.config_context(transform_output="pandas"):
        e = fitted()
        assert type(e.predict_proba(X)) is type(e.hidden_activations(X)) is np.ndarray
    assert not hasattr(e, "set_output")


def test_lists_maps_and_objects(tmp_path):
    want = fitted()
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    read_only = X.copy()
    read_only.flags.writeable = False
    y = LABELS.astype(object)
    for given in (X.tolist(), mapped, read_only, np.asfortranarray(X)):
        e = ours("multiclass").fit(given, y.tolist(), X_val=given, y_val=y)
        assert_same_state(e.coefs_, want.coefs_)
        np.testing.assert_array_equal(e.predict_proba(given), want.predict_proba(X))
    assert e.fit(X, y).predict(X).dtype == theirs("multiclass").fit(X, y).predict(X).dtype
    assert e.predict(X).tolist() == want.predict(X).tolist()


def test_integers_predict_as_scikit_learn_does():
    whole = (10 * X).astype(np.int64)
    e = ours("multiclass").fit(X.astype(np.float32), LABELS)
    for given in (whole, whole.astype(np.int16), X.astype(np.float16), whole > 0):
        want = e.to_sklearn().predict_proba(given)
        assert e.predict_proba(given).dtype == (np.float64 if given is whole else np.float32)
        np.testing.assert_allclose(e.predict_proba(given), want, atol=1e-3 if given.dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_hidden_activations_are_those_of_numpy(kind):
    e = ours(kind, activation=["tanh", "relu"]).fit(X, Y[kind])
    first = np.tanh(X @ e.coefs_[0] + e.intercepts_[0])
    second = np.maximum(first @ e.coefs_[1] + e.intercepts_[1], 0)
    for layer, want in ((0, first), (-2, first), (1, second), (-1, second), (np.int64(1), second)):
        np.testing.assert_allclose(e.hidden_activations(X, layer), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(e.hidden_activations(sp.csr_array(X)), second, rtol=1e-12, atol=1e-14)
    for wrong in (2, -3, 0.0, "last"):
        with pytest.raises(ValueError, match="none of the 2 hidden layers"):
            e.hidden_activations(X, wrong)


# ----------------------------------------------------------------- meta-estimators, processes and threads


def search(**options):
    return GridSearchCV(ours("multiclass"), {"alpha": [1e-4, 1.0]}, cv=2, **options).fit(X, LABELS)


@pytest.mark.parametrize("parallel", ["loky", "threading", "multiprocessing"])
@pytest.mark.parametrize("n_threads", [None, 2])
def test_grid_search_in_parallel(parallel, n_threads):
    fitted(n_threads=n_threads)  # threads run in the parent before it is forked
    want = search()
    with joblib.parallel_backend(parallel):
        got = search(n_jobs=2)
    np.testing.assert_array_equal(got.cv_results_["mean_test_score"], want.cv_results_["mean_test_score"])
    assert_same_state(got.best_estimator_.coefs_, want.best_estimator_.coefs_)


def _fit_and_predict(given, results):
    e, x, y = given
    try:
        fresh = clone(e).fit(x, y)
        results.put((e.predict_proba(x), fresh.coefs_[0]))
    except BaseException as error:
        results.put(error)


@pytest.mark.parametrize("method", [m for m in ("fork", "forkserver") if m in multiprocessing.get_all_start_methods()])
def test_other_processes(method):
    e = fitted()
    e.predict(X)
    context = multiprocessing.get_context(method)
    results = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of forks amid threads
        process = context.Process(target=_fit_and_predict, args=((e, X, LABELS), results))
        process.start()
    probabilities, weights = results.get(timeout=60)
    process.join()
    np.testing.assert_array_equal(probabilities, e.predict_proba(X))
    np.testing.assert_array_equal(weights, e.coefs_[0])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("way", ["fitted", "unpickled", "edited"])
def test_threads_predict_on_one_estimator(backend, way):
    e = fitted(backend=backend, hidden_layer_sizes=(40, 30))
    if way == "unpickled":
        e = pickle.loads(pickle.dumps(e))
    if way == "edited":
        e.coefs_[0] = 1.5 * e.coefs_[0]
    batches = [np.random.RandomState(i).randn(200 + 7 * i, 4) for i in range(8)]
    want = [clone(e).fit(X, LABELS).predict_proba(batch) for batch in batches] if way != "edited" else None
    want = want or [pickle.loads(pickle.dumps(e)).predict_proba(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, right in zip(pool.map(e.predict_proba, batches), want, strict=True):
                np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-12)


def test_meta_estimators():
    calibrated = CalibratedClassifierCV(ours("multiclass"), cv=2).fit(X, LABELS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    bagged = BaggingClassifier(ours("multiclass"), n_estimators=2, random_state=0).fit(X, LABELS, sample_weight=WEIGHTS)
    assert bagged.predict(X).shape == (90,)
    voting = VotingClassifier([("a", ours("multiclass")), ("b", ours("multiclass", alpha=1.0))], voting="soft")
    assert set(voting.fit(X, LABELS, sample_weight=WEIGHTS).predict(X)) <= set(LABELS)
    many = MultiOutputRegressor(ours("regression")).fit(X, Y["multioutput"], WEIGHTS)
    assert many.predict(X).shape == (90, 2)
    transformed = TransformedTargetRegressor(ours("regression"), transformer=StandardScaler())
    assert transformed.fit(X, Y["regression"]).predict(X).shape == (90,)
    importance = permutation_importance(fitted(), X, LABELS, n_repeats=2, random_state=0)
    assert importance.importances_mean.shape == (4,)


def test_meta_estimators_give_what_they_give_with_scikit_learns():
    for wrap in (
        lambda e: BaggingClassifier(e, n_estimators=2, random_state=0),
        lambda e: CalibratedClassifierCV(e, cv=2),
        lambda e: make_pipeline(StandardScaler(), e),
    ):
        mine, its = (wrap(e).fit(X, LABELS).predict_proba(X) for e in (ours("multiclass"), theirs("multiclass")))
        np.testing.assert_allclose(mine, its, rtol=1e-8, atol=1e-10)


def test_metadata_without_routing():
    model = Pipeline([("scale", StandardScaler()), ("mlp", ours("multiclass"))])
    model.fit(X, LABELS, mlp__sample_weight=WEIGHTS, mlp__X_val=X, mlp__y_val=LABELS)
    scaled = StandardScaler().fit_transform(X)
    want = ours("multiclass").fit(scaled, LABELS, WEIGHTS, X_val=X, y_val=LABELS)
    assert_same_state(model[-1].coefs_, want.coefs_)
    assert model[-1].validation_scores_ == want.validation_scores_
    grid = GridSearchCV(ours("multiclass"), {"alpha": [0.1]}, cv=2)
    grid.fit(X, LABELS, sample_weight=WEIGHTS, X_val=X[:20], y_val=LABELS[:20])
    assert len(grid.best_estimator_.validation_scores_) == 4


@pytest.mark.skipif(RELEASE < (1, 8), reason="Pipeline.score has a request of its own")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_metadata_with_routing(n_jobs):
    with sklearn.config_context(enable_metadata_routing=True):
        e = ours("multiclass").set_fit_request(sample_weight=True, X_val=True, y_val=True)
        e.set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), e)
        grid = GridSearchCV(model, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs)
        grid.fit(X, LABELS, sample_weight=WEIGHTS, X_val=X[:20], y_val=LABELS[:20])
        scaled = StandardScaler().fit_transform(X)
        want = clone(e).set_params(alpha=grid.best_params_["mlpclassifier__alpha"])
        want.fit(scaled, LABELS, WEIGHTS, X_val=X[:20], y_val=LABELS[:20])
        assert_same_state(grid.best_estimator_[-1].coefs_, want.coefs_)
        assert grid.best_estimator_[-1].validation_scores_ == want.validation_scores_
        # as with scikit-learn's own: what is not asked for is refused
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            make_pipeline(ours("multiclass")).fit(X, LABELS, sample_weight=WEIGHTS)


def test_html_and_text():
    for e in (ours("multiclass"), fitted(), make_pipeline(StandardScaler(), ours("regression"))):
        assert "MLP" in e._repr_html_() and "MLP" in repr(e)


def test_not_converged_is_said():
    with pytest.warns(ConvergenceWarning):
        fitted()
