"""Arrays and frames of other libraries, and data of many types, given to the estimators."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from estimator_cases import LABELS, RELEASE, WEIGHTS, X, Y, assert_same_state, fitted, ours, theirs
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp import MLP, InputError
from fastmlp.interchange import as_numpy
from fastmlp.metrics import accuracy_score, r2_score

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Foreign:
    """An array with only the DLPack interface; optionally on a device whose memory the host cannot read."""

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


class Tensor(Foreign):
    """A tensor that fails like those of libraries: with a gradient, on a lost device, without memory there."""

    def __init__(self, error, on_host):
        self.error = error
        self.device = 1 if on_host else 2
        if not on_host:
            self.cpu = self.__dlpack__

    def __dlpack__(self, **_):
        raise self.error


@pytest.mark.parametrize("error", [BufferError, RuntimeError, AssertionError, NotImplementedError, ValueError])
@pytest.mark.parametrize("on_host", [True, False])
def test_whatever_the_other_library_raises_comes_with_a_remedy(error, on_host):
    given = Tensor(error("so it is"), on_host)
    for call in (fitted().predict, lambda x: ours("multiclass").fit(x, LABELS), lambda y: fitted().score(X, y)):
        with pytest.raises(TypeError, match=r"Tensor cannot become a NumPy array: so it is\. .* tensor\.detach\(\)"):
            call(given)
    net = MLP([4, 3])
    for call in (net.predict, lambda x: net.fit(x, np.zeros(90, int)), lambda y: net.fit(X, y)):
        with pytest.raises(InputError, match=r"[xy] cannot be read as an array of numbers: .* tensor\.detach\(\)"):
            call(given)
    with pytest.raises(TypeError, match="so it is"):
        accuracy_score(given, LABELS)


def masked(array, hidden):
    mask = np.zeros(np.shape(array), bool)
    mask[-1] = hidden
    return np.ma.array(array, mask=mask)


def estimator_doors(x, y, values, weights):
    """Calls by which samples come to the estimators and the metrics; of each argument, plain or not."""
    plain = X, LABELS, Y["regression"], WEIGHTS
    yield from (lambda: ours("multiclass").fit(x, plain[1]), lambda: ours("multiclass").fit(X, y))
    yield lambda: ours("regression").fit(X, values)
    yield from (lambda: ours("multiclass").fit(X, LABELS, weights), lambda: ours("regression").fit(x, plain[2]))
    yield lambda: ours("multiclass").partial_fit(x, LABELS, classes=np.unique(LABELS))
    yield lambda: ours("multiclass").partial_fit(X, y, classes=np.unique(LABELS))
    yield lambda: ours("regression").partial_fit(X, values, weights)
    yield from (lambda: ours("multiclass").fit(X, LABELS, X_val=x, y_val=LABELS),)
    yield lambda: ours("multiclass").fit(X, LABELS, X_val=X, y_val=y)
    yield lambda: ours("multiclass").fit(X, LABELS, X_val=X, y_val=LABELS, sample_weight_val=weights)
    for method in ("predict", "predict_proba", "predict_log_proba", "hidden_activations"):
        yield lambda method=method: getattr(fitted(), method)(x)
    yield from (lambda: fitted().score(x, LABELS), lambda: fitted().score(X, LABELS, weights))
    yield from (lambda: fitted().score(X, y), lambda: ours("regression").fit(X, plain[2]).score(X, values))
    yield lambda: accuracy_score(y, LABELS)
    yield from (lambda: r2_score(plain[2], values), lambda: accuracy_score(LABELS, LABELS, weights))


def network_doors(x, values, weights):
    target, net = Y["regression"], MLP([4, 3, 1], loss="mean_squared_error", seed=0)
    yield from (
        lambda: net.fit(x, target),
        lambda: net.fit(X, values),
        lambda: net.fit(X, target, sample_weight=weights),
    )
    yield from (lambda: net.predict(x), lambda: net.predict_proba(x), lambda: net.hidden_activations(x))
    yield from (lambda: net.evaluate(x, target), lambda: net.evaluate(X, values), lambda: net.gradients(X, values))
    for held in ((x, target), (X, values), (X, target, weights)):
        yield lambda held=held: net.fit(X, target, validation_data=held)
    yield lambda: MLP([4, 1]).fit(X, values)  # of which the loss is to follow


def test_hidden_entries_are_refused_at_every_door(monkeypatch):
    """Conversion to an array would give the numbers under the mask."""
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    hidden = [masked(array, True) for array in (X, LABELS, Y["regression"], WEIGHTS)]
    for call in (*estimator_doors(*hidden), *network_doors(hidden[0], *hidden[2:])):
        with pytest.raises(
            InputError, match=r"masked array hides (1|4) of its (90|360) entries.*array\.filled\(value\)"
        ):
            call()
    with pytest.raises(InputError, match="hides 4 of its 4 entries"):
        fitted().predict(list(hidden[0]))
    coefs = [masked(w, True) for w in fitted().coefs_]
    with pytest.raises(InputError, match="hides"):
        ours("multiclass", coefs_init=coefs).fit(X, LABELS)
    with pytest.raises(InputError, match="hides"):
        MLP([4, 3]).set_parameters([masked(np.ones((4, 3)), True)], [np.ones(3)])


def test_masks_that_hide_nothing_change_nothing(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    shown = [masked(array, False) for array in (X, LABELS, Y["regression"], WEIGHTS)]
    for call in (*estimator_doors(*shown), *network_doors(shown[0], *shown[2:])):
        call()
    e = ours("multiclass").fit(shown[0], shown[1], shown[3])
    assert_same_state(e.coefs_, ours("multiclass").fit(X, LABELS, WEIGHTS).coefs_)
    assert type(e.predict(shown[0])) is np.ndarray


def test_a_lack_of_memory_is_told_with_a_remedy(monkeypatch):
    """256 TiB, which no machine has; the bytes themselves are one."""
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    x = np.broadcast_to(np.int8(0), (1 << 44, 4))
    net = MLP([4, 3])
    for call in (net.predict, fitted().predict, lambda x: net.fit(x, [0]), lambda x: ours("multiclass").fit(x, [0])):
        with pytest.raises(InputError, match=r"not enough memory: Unable to allocate .* Give fewer samples"):
            call(x)


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
