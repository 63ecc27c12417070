"""`fit_many`: the numbers of separate fits; models that fail, share or are interrupted."""

import signal
import threading
import time

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from training_runs import CASES, X, Y, outcome, train

from fastmlp import MLP, MLPClassifier, MLPRegressor, fit_many
from fastmlp.errors import DivergenceError, InputError


def networks(*widths, **settings):
    return [MLP([7, width, 3], seed=width, **settings) for width in widths]


def assert_same(one, other):
    assert outcome(one, one.history) == outcome(other, other.history)


def test_the_numbers_of_separate_fits(backend):
    settings, options = zip(*CASES.values(), strict=True)
    models = [MLP([7, 9, 3], backend=backend, seed=0, **setting) for setting in settings]
    outcomes = fit_many(models, X, Y, epochs=6, each=options, workers=3)
    assert [outcome.model for outcome in outcomes] == models
    assert all(outcome.error is None and outcome.seconds > 0 for outcome in outcomes)
    for case, model in zip(CASES, models, strict=True):
        assert_same(model, train(case, backend)[0])


def test_estimators_of_different_kinds():
    def make():
        return [
            MLPClassifier((5,), max_iter=7, tol=0.1, n_iter_no_change=2, random_state=1),
            MLPClassifier((6, 4), solver="lbfgs", max_iter=300, random_state=2),
            make_pipeline(
                StandardScaler(), MLPRegressor(hidden_layer_sizes=(4,), early_stopping=True, tol=1.0, random_state=3)
            ),
        ]

    models, alone = make(), [model.fit(X, Y) for model in make()]
    fit_many(models, X, Y, workers=2)
    for model, other in zip(models, alone, strict=True):
        one, two = (getattr(m, "steps", [("", m)])[-1][1] for m in (model, other))
        for a, b in zip(one.coefs_ + one.intercepts_, two.coefs_ + two.intercepts_, strict=True):
            np.testing.assert_array_equal(a, b)
        assert getattr(one, "loss_curve_", None) == getattr(two, "loss_curve_", None)


def test_arguments_of_one_model_alone():
    models, alone = networks(4, 5), networks(4, 5)
    fit_many(models, X, Y, epochs=3, each=[{"x": X[:50], "y": Y[:50]}, {"epochs": 4}])
    alone[0].fit(X[:50], Y[:50], epochs=3)
    alone[1].fit(X, Y, epochs=4)
    for one, other in zip(models, alone, strict=True):
        assert_same(one, other)


def test_one_that_diverges_ends_alone():
    models, alone = networks(4, 5, 6), networks(4, 5, 6)
    with pytest.warns(RuntimeWarning, match=r"1 of 3 models failed: 1, .* The first: DivergenceError: "):
        outcomes = fit_many(models, X, Y, each=[{}, {"optimizer": "sgd", "lr": 1e30}, {}])
    assert isinstance(outcomes[1].error, DivergenceError)
    assert np.isfinite(models[1].weights[0]).all()
    for k in (0, 2):
        alone[k].fit(X, Y)
        assert outcomes[k].error is None
        assert_same(models[k], alone[k])


def test_an_error_of_all_is_raised():
    with pytest.raises(InputError, match="x has 7 features"):
        fit_many([MLP([8, 3]), MLP([9, 3])], X, Y)


def test_samples_are_converted_once_for_all():
    class Samples:
        conversions = 0

        def __array__(self, dtype=None, copy=None):
            Samples.conversions += 1
            return np.array(X, np.float64)

    samples = Samples()
    fit_many(networks(4, 5, 6), samples, Y, epochs=1)
    assert Samples.conversions == 1


def test_callbacks_see_their_own_network():
    models, seen = networks(4, 5, 6), []

    def stop_the_second(epoch):
        seen.append((epoch.model, epoch.number))
        return epoch.model is models[1] and epoch.number == 2

    fit_many(models, X, Y, epochs=4, callbacks=[stop_the_second], workers=2)
    assert [sum(model is seen_model for seen_model, _ in seen) for model in models] == [4, 2, 4]
    assert [model.history.stopped for model in models] == ["epochs", "callback", "epochs"]


def test_models_that_share_are_refused():
    random, model = np.random.RandomState(0), MLP([7, 3], seed=0)
    with pytest.raises(InputError, match="Models share a RandomState"):
        fit_many([MLP([7, 3], seed=random), MLPClassifier(random_state=random)], X, Y)
    with pytest.raises(InputError, match="the same model twice"):
        fit_many([model, model], X, Y)
    with pytest.raises(InputError, match="each has 1 dictionaries, but there are 2 models"):
        fit_many(networks(4, 5), X, Y, each=[{}])


def test_a_bar_counts_the_models(capsys):
    fit_many(networks(4, 5), X, Y, epochs=1, progress=True)
    assert "/2 [" in capsys.readouterr().err
    fit_many(networks(4, 5), X, Y, epochs=1)
    assert capsys.readouterr().err == ""


def test_ctrl_c_ends_those_in_training_and_begins_no_others():
    begun = []

    def interrupt(epoch):
        if epoch.number == 1:
            begun.append(epoch.model)
            if len(begun) == 2:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    models = networks(4, 5, 6)
    with pytest.warns(RuntimeWarning, match="1 of 3 models failed: 2, .* The first: KeyboardInterrupt"):
        outcomes = fit_many(models, X, Y, epochs=10**7, callbacks=[interrupt], workers=2)
    assert [model.history and model.history.stopped for model in models] == ["interrupt", "interrupt", None]
    assert isinstance(outcomes[2].error, KeyboardInterrupt)
    assert models[0].history.updates > 0


def test_ctrl_c_waits_for_a_thread_that_the_pool_is_just_starting(monkeypatch):
    begun, start, models = [], threading.Thread.start, networks(4, 5)

    def wait_for(count):
        while len(begun) < count:
            time.sleep(1e-3)

    def started(thread):
        start(thread)
        if thread.name.endswith("_1"):
            wait_for(2)

    def interrupt(epoch):
        if epoch.number == 1:
            last = epoch.model is models[1]
            wait_for(1 if last else 0)
            begun.append(epoch.model)
            if last:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                time.sleep(0.3)  # the other network has ended long before

    monkeypatch.setattr(threading.Thread, "start", started)
    fit_many(models, X, Y, epochs=10**7, callbacks=[interrupt], workers=2)
    assert [model.history.stopped for model in models] == ["interrupt", "interrupt"]
