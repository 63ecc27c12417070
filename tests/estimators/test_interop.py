"""The estimators with other libraries: working memory, pickles and copies, meta-estimators, processes, threads."""

import copy
import multiprocessing
import pickle
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from estimator_cases import (
    KINDS,
    LABELS,
    RELEASE,
    WEIGHTS,
    X,
    Y,
    assert_same_answers,
    assert_same_state,
    fitted,
    ours,
    theirs,
)
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import schedules

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
                while len(peaks) < 3 and not any(peak < budget * 2**20 for peak in peaks):
                    tracemalloc.start()  # again, since threads that other tests have left may allocate meanwhile
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


# ----------------------------------------------------------------- hidden layers


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
