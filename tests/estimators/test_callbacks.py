"""Callbacks of the estimators: plain functions, and scikit-learn's protocol (SLEP023)."""

import importlib.util
import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp.estimators import MLPClassifier, MLPRegressor, callbacks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
has_protocol = hasattr(MLPClassifier, "set_callbacks")
needs_protocol = pytest.mark.skipif(not has_protocol, reason="scikit-learn's callbacks came with 1.9")

X = np.random.RandomState(0).randn(60, 3)
y = X.argmax(axis=1)
SOLVERS = ("adam", "sgd", "rmsprop", "lbfgs")


def mlp(**params):
    return MLPClassifier(**{"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0} | params)


# ----------------------------------------------------------------- plain functions


@pytest.mark.parametrize("solver", SOLVERS)
def test_functions_are_told_of_every_epoch(solver):
    seen = []

    def note(epoch):
        assert epoch.model is e
        seen.append((epoch.number, len(epoch.history), epoch.history["loss"][-1], e.predict_proba(X[:1])[0, 0]))

    e = mlp(solver=solver, callbacks=[note])
    e.fit(X, y)
    numbers, rows, curve, answers = zip(*seen, strict=True)
    assert list(numbers) == list(rows) == [1, 2, 3, 4, 5]
    assert curve[-1] == pytest.approx(e.loss_)
    assert len(set(answers)) == 5 and answers[-1] == e.predict_proba(X[:1])[0, 0]
    plain = mlp(solver=solver).fit(X, y)
    np.testing.assert_array_equal(plain.coefs_[0], e.coefs_[0])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("answer", [True, np.True_])
def test_a_function_may_stop_the_training(solver, answer):
    told = []
    stop = mlp(solver=solver, callbacks=[lambda epoch: answer if epoch.number == 2 else None, told.append]).fit(X, y)
    assert stop.n_iter_ == len(told) == 2
    want = mlp(solver=solver, max_iter=2).fit(X, y)
    np.testing.assert_allclose(stop.coefs_[0], want.coefs_[0], rtol=1e-12)


@pytest.mark.parametrize("answer", [None, 1, "stop", False, np.array([1.0])])
def test_only_true_stops(answer):
    assert mlp(callbacks=[lambda epoch: answer]).fit(X, y).n_iter_ == 5


def test_functions_and_partial_fit_and_clone():
    told = []
    e = mlp(callbacks=[told.append]).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert [epoch.number for epoch in told] == [1, 1]
    assert clone(e).callbacks[0] == e.callbacks[0] or len(clone(e).callbacks) == 1


def test_errors_of_functions_come_through():
    def wrong(epoch):
        raise RuntimeError("mine")

    for solver in SOLVERS:
        with pytest.raises(RuntimeError, match="mine"):
            mlp(solver=solver, callbacks=[wrong]).fit(X, y)
    with pytest.raises(ValueError, match="'callbacks' parameter of MLPClassifier must be"):
        mlp(callbacks=wrong).fit(X, y)


# ----------------------------------------------------------------- scikit-learn's protocol


class Recorder:
    """Records the hooks that are called, and their tasks."""

    max_propagation_depth = None

    def __init__(self, stop_after=None, fail_at=None):
        self.stop_after, self.fail_at, self.calls = stop_after, fail_at, []

    def _note(self, hook, context):
        self.calls.append((hook, context.task_name, context.task_id))
        if self.fail_at == self.calls[-1]:
            raise RuntimeError("a callback fails")

    def setup(self, estimator, context):
        self._note("setup", context)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self._note("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._note("end", context)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


class Listener(Recorder):
    """Requests all available values."""

    def __init__(self):
        super().__init__()
        self.given = []

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.given.append((X, y, metadata, fitted_estimator))


def epochs(n):
    return [(hook, "epoch", i) for i in range(n) for hook in ("begin", "end")]


def whole_fit(n):
    return [("setup", "fit", 0), ("begin", "fit", 0), *epochs(n), ("end", "fit", 0), ("teardown", "fit", 0)]


@needs_protocol
@pytest.mark.parametrize("solver", SOLVERS)
def test_hooks_come_in_order(solver):
    recorder = Recorder()
    e = mlp(solver=solver).set_callbacks(recorder).fit(X, y)
    assert recorder.calls == whole_fit(5)
    np.testing.assert_array_equal(e.coefs_[0], mlp(solver=solver).fit(X, y).coefs_[0])
    assert not hasattr(e, "_callback_fit_ctx")


@needs_protocol
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_hook_may_stop_the_training(solver):
    recorder = Recorder(stop_after=2)
    e = mlp(solver=solver).set_callbacks(recorder).fit(X, y)
    assert e.n_iter_ == 2 and recorder.calls == whole_fit(2)


@needs_protocol
@pytest.mark.parametrize("solver", SOLVERS)
def test_no_epoch_begins_after_a_function_stops(solver):
    recorder = Recorder()
    mlp(solver=solver, callbacks=[lambda epoch: epoch.number == 3]).set_callbacks(recorder).fit(X, y)
    assert recorder.calls == whole_fit(3)


@needs_protocol
def test_convergence_ends_what_has_begun():
    recorder = Recorder()
    e = mlp(tol=10.0, n_iter_no_change=1, max_iter=50).set_callbacks(recorder).fit(X, y)
    assert e.n_iter_ == 3 and recorder.calls == whole_fit(3)
    recorder, listener = Recorder(), Listener()
    e = mlp(solver="lbfgs", tol=1e-2, max_iter=500).set_callbacks(recorder, listener).fit(X, y)
    assert recorder.calls == whole_fit(e.n_iter_ + 1)  # the last one came to nothing, and ends without an estimator
    assert [given[3] is None for given in listener.given] == [*[False] * e.n_iter_, True, False]


@needs_protocol
def test_an_interrupt_ends_what_has_begun():
    def interrupt(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.warns(UserWarning, match="interrupted by user"):
        mlp(callbacks=[interrupt]).set_callbacks(recorder).fit(X, y)
    assert recorder.calls == whole_fit(2)


@needs_protocol
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("at", [("setup", "fit", 0), ("begin", "fit", 0), ("begin", "epoch", 1), ("end", "epoch", 1)])
def test_errors_tear_down(solver, at):
    recorder, other = Recorder(fail_at=at), Recorder()
    e = mlp(solver=solver).set_callbacks(other, recorder)
    with pytest.raises(RuntimeError, match="a callback fails"):
        e.fit(X, y)
    assert recorder.calls[-1] == other.calls[-1] == ("teardown", "fit", 0)
    assert not hasattr(e, "_callback_fit_ctx")
    recorder.fail_at = None
    recorder.calls.clear()
    e.fit(X, y)
    assert recorder.calls == whole_fit(5)


@needs_protocol
def test_errors_of_the_data_tear_down():
    recorder = Recorder()
    e = MLPRegressor(solver="sgd", learning_rate_init=1e9, max_iter=50).set_callbacks(recorder)
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        e.fit(1e9 * X, 1e9 * X[:, 0])
    assert recorder.calls[0] == ("setup", "fit", 0) and recorder.calls[-1] == ("teardown", "fit", 0)


@needs_protocol
@pytest.mark.parametrize("early_stopping", [False, True])
def test_hooks_get_what_they_ask_for(early_stopping):
    listener, weights = Listener(), np.ones(60)
    e = mlp(early_stopping=early_stopping).set_callbacks(listener).fit(X, y, weights, X_val=X, y_val=y)
    assert len(listener.given) == 6
    answers = []
    for x, labels, metadata, fitted in listener.given:
        assert x is X and labels is y and metadata["sample_weight"] is weights
        assert not np.shares_memory(fitted.coefs_[0], e.coefs_[0])
        answers.append(fitted.predict_proba(X))
    assert not np.array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[-1], e.predict_proba(X))
    assert [len(given[3].loss_curve_) for given in listener.given] == [1, 2, 3, 4, 5, 5]
    first = mlp(max_iter=1).fit(X, y, weights)
    np.testing.assert_array_equal(answers[0], first.predict_proba(X))


@needs_protocol
def test_who_asks_for_nothing_pays_nothing(monkeypatch):
    def refuse(*_):
        raise AssertionError("weights are copied, or a context is made, for nobody")

    monkeypatch.setattr(callbacks.FitTask, "_attributes", refuse)
    mlp().set_callbacks(Recorder()).fit(X, y)
    monkeypatch.setattr(MLPClassifier, "_init_callback_context", refuse)
    mlp().fit(X, y)
    mlp().set_callbacks(Recorder()).set_callbacks().fit(X, y)
    GridSearchCV(mlp(), {"alpha": [0.1]}, cv=2).fit(X, y)


@needs_protocol
def test_meta_estimators_pass_callbacks_on():
    recorder = Recorder()
    make_pipeline(StandardScaler(), mlp()).set_callbacks(recorder).fit(X, y)
    assert [call for call in recorder.calls if call[1] == "epoch"] == epochs(5)
    assert sum(call[0] == "teardown" for call in recorder.calls) == 1
    recorder = Recorder()
    grid = GridSearchCV(mlp(), {"alpha": [0.1, 1.0]}, cv=2).set_callbacks(recorder).fit(X, y)
    assert [call for call in recorder.calls if call[1] == "epoch"] == 5 * epochs(5)
    assert not hasattr(grid.best_estimator_, "_skl_callbacks")


@needs_protocol
@pytest.mark.parametrize("solver", SOLVERS)
def test_scoring_monitor(solver):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    e = mlp(solver=solver).set_callbacks(monitor).fit(X, y, np.ones(60))
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows] == ["fit", *["epoch"] * 5]
    assert rows[0]["accuracy"] == rows[-1]["accuracy"] == e.score(X, y)


@needs_protocol
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_in_a_grid_search_of_pipelines(n_jobs):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    model = make_pipeline(StandardScaler(), mlp(max_iter=3).set_callbacks(monitor))
    grid = GridSearchCV(model, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs)
    grid.fit(X, y)
    assert sum(row["task_name"] == "epoch" for row in monitor.get_logs().data) == 3 * 5  # four folds and the refit


@needs_protocol
def test_progress_bar(capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    for solver in SOLVERS:
        mlp(solver=solver).set_callbacks(ProgressBar()).fit(X, y)
    GridSearchCV(mlp(), {"alpha": [0.1]}, cv=2).set_callbacks(ProgressBar()).fit(X, y)
    assert "MLPClassifier - fit" in capsys.readouterr().out


@needs_protocol
def test_protocol_with_partial_fit_and_clone():
    recorder = Recorder()
    e = mlp().set_callbacks(recorder)
    e.partial_fit(X, y, classes=[0, 1, 2])
    assert not recorder.calls  # as scikit-learn's own: the protocol is one of fit
    clone(e).fit(X, y)
    assert recorder.calls == whole_fit(5)


def test_without_the_protocol_there_is_no_set_callbacks(monkeypatch):
    if has_protocol:
        import sklearn.callback

        monkeypatch.delattr(sklearn.callback, "with_callbacks")
    spec = importlib.util.spec_from_file_location("callbacks_before", inspect.getsourcefile(callbacks))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not hasattr(module.CallbackSupportMixin, "set_callbacks")
    assert module.with_callbacks(mlp) is mlp
    task = module.FitTask(mlp(), 3, X, y)
    assert task.epoch(last=True) is False and task.end() is None
