"""`fit`: history, stopping, interruption, sample weights, and a model that stays valid after every failure."""

import contextlib
import gc
import signal
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

from fastmlp import MLP, SGD, Adam, AdamW, DivergenceError, InputError, RMSprop
from fastmlp.backends import get_backend
from fastmlp.backends.numpy_backend import NumpyBackend
from fastmlp.stopping import Stopping


def samples(n=100, seed=0):
    random = np.random.RandomState(seed)
    x = random.standard_normal((n, 4))
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.3)


def network(backend="numpy", loss="softmax_cross_entropy", dtype="float64", **options):
    return MLP([4, 8, 3], "tanh", loss=loss, dtype=dtype, seed=0, backend=backend, **options)


def flat(model):
    return np.concatenate([array.ravel() for array in (*model.weights, *model.biases)])


def assert_same_training(one, other, atol=1e-12):
    np.testing.assert_allclose(flat(one), flat(other), rtol=0, atol=atol)


def test_100_samples_in_batches_of_20_are_5_updates_an_epoch(backend):
    model = network(backend)
    history = model.fit(*samples(), epochs=3, batch_size=20)
    assert history is model.history
    assert (history.updates, history.epochs, history.stopped) == (15, [1, 2, 3], "epochs")
    assert history.columns == ("loss", "learning_rate", "seconds", "samples_per_second")
    assert min(history["seconds"]) > 0


@pytest.mark.parametrize(("size", "updates"), [(1, 100), (30, 4), (99, 2), (10**12, 1), ("full", 1)])
def test_batches_are_ragged_at_the_end(backend, size, updates):
    assert network(backend).fit(*samples(), epochs=1, batch_size=size).updates == updates


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches_as_they_were_met():
    x, y = samples()
    model, twin = network(l1=0.01, l2=0.1), network(l1=0.01, l2=0.1)
    history = model.fit(x, y, epochs=1, batch_size=40, optimizer=SGD(0.3), shuffle=False)
    total = 0.0
    for first in range(0, 100, 40):
        batch = slice(first, first + 40)
        found = twin.gradients(x[batch], y[batch])
        total += found.loss * len(x[batch])
        for parts, gradients in ((twin.weights, found.weights), (twin.biases, found.biases)):
            for part, gradient in zip(parts, gradients, strict=True):
                part -= 0.3 * gradient
    assert history["loss"] == pytest.approx([total / 100], rel=1e-12)
    assert_same_training(model, twin)


def test_validation_metrics_and_gradient_norms_are_those_of_the_weights_after_the_epoch(backend):
    (x, y), held_out = samples(), samples(40, seed=1)
    model, seen = network(backend), []

    def look(epoch):
        found = epoch.model.evaluate(*held_out)
        norms = tuple(float(np.linalg.norm(g)) for g in epoch.model.gradients(x, y).weights)
        seen.append((found["loss"], found["accuracy"], epoch.model.evaluate(x, y)["accuracy"], norms))

    history = model.fit(
        x, y, epochs=3, validation_data=held_out, metrics=["accuracy"], gradient_norms=True, callbacks=[look]
    )
    names = ("val_loss", "val_accuracy", "accuracy", "gradient_norms")
    assert list(zip(*(history[name] for name in names), strict=True)) == seen


def test_validation_alone_brings_the_natural_metric():
    x, y = samples()
    history = network().fit(x, y, epochs=1, validation_data=(x, y, np.ones(100)))
    assert history.columns[4:] == ("val_loss", "val_accuracy")
    regression = MLP([4, 1], "identity", backend="numpy")
    assert regression.fit(x, x[:, 0], epochs=1, validation_data=(x, x[:, 0])).columns[4:] == ("val_loss", "val_r2")


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_memory_mapped_samples_train_as_their_values_do(backend, dtype, tmp_path):
    x, y = samples()
    (8 * abs(x)).astype(dtype).tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype, "r", shape=x.shape)
    models = [network(backend, dtype="float32") for _ in range(2)]
    for model, given in zip(models, (mapped, np.array(mapped)), strict=True):
        model.fit(given, y, epochs=2)
    np.testing.assert_array_equal(flat(models[0]), flat(models[1]))


def test_validation_that_overflows_is_not_bad_input():
    x, _ = samples()
    model = MLP([4, 1], "identity", loss="mean_squared_error", backend="numpy")
    model.weights[0][:, 0] = 10, 10, -10, -10
    # inf - inf in the prediction; the fit has begun, so it may say that it diverges but not refuse
    with contextlib.suppress(DivergenceError):
        model.fit(x, x[:, 0], epochs=1, validation_data=(np.full((9, 4), 3e38), np.arange(9.0)))


# Stopping


@pytest.mark.parametrize(
    ("losses", "options", "stop"),
    [
        ([3, 2, 1], {}, None),
        ([3, 2, 1, 0.5], {"target_loss": 1}, (3, "target_loss")),
        ([3, 2, 2, 2, 2], {"patience": 2}, (4, "plateau")),
        ([3, 2, 2, 1, 1, 1], {"patience": 2}, (6, "plateau")),
        ([3, 2.75, 2.5, 2.5], {"patience": 3, "tol": 0.5}, (4, "plateau")),
        ([3, 2.75, 2.5, 2.25], {"patience": 3, "tol": 0.5}, None),
        ([3, 4, 5], {"patience": 2, "reason": "validation"}, (3, "validation")),
    ],
)
def test_stopping_rules(losses, options, stop):
    stopping = Stopping(**options)
    reasons = [stopping.observe(i, {"loss": loss}, np.zeros(1)) for i, loss in enumerate(losses, 1)]
    found = next(((i, reason) for i, reason in enumerate(reasons, 1) if reason), None)
    assert found == stop
    assert stopping.best_loss == min(losses)
    assert losses[stopping.best_epoch - 1] == min(losses)


def test_fit_stops_at_its_target_or_on_a_plateau(backend):
    x, y = samples()
    history = network(backend).fit(x, y, epochs=200, target_loss=0.5, lr=0.02)
    assert history.stopped == "target_loss"
    assert history["loss"][-1] <= 0.5 < history["loss"][-2]
    history = network(backend).fit(x, y, epochs=200, tol=1.0, patience=4)
    assert (history.stopped, len(history)) == ("plateau", 5)


def test_the_best_weights_come_back(backend):
    (x, y), (hx, hy), seen = samples(), samples(30, seed=1), []
    model = network(backend)
    contrary = {"validation_data": (hx, (hy + 1) % 3), "optimizer": SGD(1.5), "epochs": 50}
    history = model.fit(x, y, patience=5, callbacks=[lambda epoch: seen.append(flat(epoch.model))], **contrary)
    best = int(np.argmin(history["val_loss"]))
    assert (history.stopped, history.best_epoch) == ("validation", best + 1)
    assert best + 1 < len(history)
    np.testing.assert_array_equal(flat(model), seen[best])


@pytest.mark.parametrize(("restore", "kept"), [(False, -1), (True, 0)])
def test_restoring_the_best_weights_is_a_choice(restore, kept):
    (x, y), seen = samples(), []
    model = network()
    # labels that contradict the data: learning can only make the validation worse
    contrary = {"validation_data": (x, (y + 1) % 3), "optimizer": SGD(1.0), "epochs": 5}
    model.fit(x, y, restore_best=restore, callbacks=[lambda epoch: seen.append(flat(epoch.model))], **contrary)
    np.testing.assert_array_equal(flat(model), seen[kept])


def test_a_callback_is_told_the_epoch_and_may_stop(backend):
    model, told = network(backend), []

    def stop_after_two(epoch):
        told.append((epoch.number, epoch.model is model, len(epoch.history)))
        return epoch.number == 2

    history = model.fit(*samples(), epochs=9, callbacks=[stop_after_two, lambda epoch: told.append("second")])
    assert history.stopped == "callback"
    assert told == [(1, True, 1), "second", (2, True, 2), "second"]


# Divergence and interruption


def diverging(backend, **fit):
    x, _ = samples()
    model = MLP([4, 8, 1], "relu", loss="mean_squared_error", backend=backend, seed=0)
    return model, lambda: model.fit(1e3 * x, 1e3 * x[:, 0], optimizer=SGD(1.0), batch_size=10, **fit)


def test_divergence_names_the_epoch_and_remedies_and_keeps_finite_weights(backend):
    model, fit = diverging(backend, epochs=5)
    before = flat(model).copy()
    with pytest.raises(DivergenceError, match=r"epoch 1: .*learning rate 1\b.*tenth.*standardise.*max_norm") as caught:
        fit()
    assert "the initial ones" in str(caught.value)
    np.testing.assert_array_equal(flat(model), before)
    assert len(model.history) == 0


def test_divergence_later_on_keeps_the_weights_of_the_epoch_before(backend):
    seen = []

    def explode(epoch):
        seen.append(flat(epoch.model).copy())
        if epoch.number == 3:
            epoch.model.weights[0][...] = 1e30

    x, y = samples()
    model = MLP([4, 8, 3], "relu", backend=backend, seed=0)
    with pytest.raises(DivergenceError, match=r"in epoch 4: .*those after epoch 3"):
        model.fit(1e9 * x, y, epochs=9, callbacks=[explode], optimizer=SGD(1e-12))
    assert len(model.history) == 3
    np.testing.assert_array_equal(flat(model), seen[-1])


def test_ctrl_c_in_a_callback_keeps_weights_and_history(backend):
    def interrupt(epoch):
        if epoch.number == 3:
            raise KeyboardInterrupt

    model, twin = network(backend), network(backend)
    history = model.fit(*samples(), epochs=9, callbacks=[interrupt])
    assert (history.stopped, len(history), history is model.history) == ("interrupt", 3, True)
    twin.fit(*samples(), epochs=3)
    np.testing.assert_array_equal(flat(model), flat(twin))


@pytest.fixture
def ctrl_c():
    """A function that sends Ctrl-C a moment later, with a handler that background jobs do not have by default."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
    signal.signal(signal.SIGINT, before)


def test_a_real_ctrl_c_reaches_a_team_of_threads(backend, ctrl_c):
    def press(epoch):
        if epoch.number == 3:
            ctrl_c()

    x, y = samples(2000)
    history = network(backend, n_threads=2).fit(x, y, epochs=2000, batch_size=10, callbacks=[press])
    assert history.stopped == "interrupt"
    assert len(history) >= 3


def test_ctrl_c_within_an_epoch_keeps_the_epochs_before(backend, monkeypatch):
    train, calls = type(get_backend(backend)).train, []

    def interrupted(self, operations, *arguments):
        calls.append(operations)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(self, operations, *arguments)

    monkeypatch.setattr(type(get_backend(backend)), "train", interrupted)
    model = network(backend)
    history = model.fit(*samples(), epochs=9, callbacks=[id])  # so that every epoch is a call
    assert (history.stopped, len(history)) == ("interrupt", 2)
    assert np.isfinite(flat(model)).all()
    monkeypatch.undo()
    assert model.fit(*samples(), epochs=1).stopped == "epochs"


def test_ctrl_c_within_a_diverging_epoch_leaves_finite_weights(monkeypatch):
    model, fit = diverging("numpy", epochs=5)
    before, run = flat(model).copy(), NumpyBackend.run

    def interrupted(*arguments):
        run(*arguments)
        assert not np.isfinite(flat(model)).all()
        raise KeyboardInterrupt

    monkeypatch.setattr(NumpyBackend, "run", interrupted)
    assert fit().stopped == "interrupt"
    np.testing.assert_array_equal(flat(model), before)


def trained(x, y, backend="numpy", **fit):
    model = network(backend)
    model.fit(x, y, epochs=20, batch_size="full", optimizer=SGD(0.5), **fit)
    return model


def test_a_sample_of_weight_0_is_absent_and_one_of_weight_2_counts_twice(backend):
    x, y = samples()
    weights = np.arange(100) % 3
    repeated = np.repeat(np.arange(100), weights)
    weighted = trained(x, y, backend, sample_weight=weights)
    assert_same_training(weighted, trained(x[repeated], y[repeated], backend))


@pytest.mark.parametrize(
    ("kind", "size"), [("float32", 1e-25), ("float32", 1e-200), ("float32", 1e25), ("float64", 1e-200)]
)
def test_weights_beyond_the_range_of_the_arithmetic_are_refused(kind, size):
    """They would vanish, and nothing be learned at a loss of 0, or their sum be infinite."""
    x, y = samples()
    for given in ({"sample_weight": np.full(100, size)}, {"class_weight": dict.fromkeys(range(3), size)}):
        with pytest.raises(InputError, match=f"has sizes up to .* but {kind} computes with largest sizes from"):
            MLP([4, 3], dtype=kind, backend="numpy").fit(x, y, **given)


@pytest.mark.parametrize("size", [1e-15, 1e15])
def test_a_factor_of_all_weights_changes_nothing(backend, size):
    x, y = samples()
    plain, scaled = (MLP([4, 5, 3], dtype="float32", backend=backend, seed=0) for _ in range(2))
    for net, factor in ((plain, 1), (scaled, size)):
        net.fit(x, y, epochs=3, sample_weight=factor * (1 + np.arange(100) % 3))
    np.testing.assert_allclose(flat(scaled), flat(plain), rtol=1e-4, atol=1e-5)


def test_a_weight_that_vanishes_beside_the_largest_is_0_on_every_backend(backend):
    """Compiled code and a GPU take a denormal number for 0; NumPy does not."""
    x, y = samples()
    tiny, zero = (MLP([4, 5, 3], dtype="float32", backend=backend, seed=0) for _ in range(2))
    for net, least in ((tiny, 1e-39), (zero, 0.0)):
        net.fit(x, y, epochs=2, batch_size=1, sample_weight=np.where(np.arange(100) % 2, 1.0, least))
    np.testing.assert_array_equal(flat(tiny), flat(zero))


@pytest.mark.parametrize("target", ["labels", "one-hot"])
@pytest.mark.parametrize("weights", [{0: 0.2, 1: 2, 2: 1}, {2: 3.5}, "balanced"], ids=str)
def test_class_weights_are_weights_of_samples(weights, target):
    x, y = samples()
    counts = np.bincount(y)
    table = dict(enumerate(100 / (3 * counts))) if weights == "balanced" else {0: 1, 1: 1, 2: 1} | weights
    by_hand = np.array([table[label] for label in y])
    given = y if target == "labels" else np.eye(3)[y]
    assert_same_training(trained(x, given, class_weight=weights), trained(x, y, sample_weight=by_hand))
    both = trained(x, given, class_weight=weights, sample_weight=x[:, 0] ** 2)
    assert_same_training(both, trained(x, y, sample_weight=by_hand * x[:, 0] ** 2))


def test_class_weights_of_one_sigmoid_output():
    x, _ = samples()
    y, models = (x[:, 0] > 1).astype(int), []
    for fit in ({"class_weight": "balanced"}, {"sample_weight": np.where(y, 50 / y.sum(), 50 / (100 - y.sum()))}):
        models.append(MLP([4, 1], "sigmoid", dtype="float64", backend="numpy", seed=0))
        models[-1].fit(x, y, epochs=5, **fit)
    assert_same_training(*models)


def test_a_second_fit_goes_on_from_the_first():
    x, y = samples()
    once, twice = network(), network()
    options = {"optimizer": SGD(0.1), "batch_size": 7, "shuffle": False}
    once.fit(x, y, epochs=4, **options)
    twice.fit(x, y, epochs=2, **options)
    twice.fit(x, y, epochs=2, **options)
    np.testing.assert_array_equal(flat(once), flat(twice))
    assert len(twice.history) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"x": np.full((100, 4), np.nan)},
        {"y": np.full(100, 3)},
        {"sample_weight": -np.ones(100)},
        {"class_weight": {7: 1.0}},
        {"optimizer": Adam(), "lr": 0.1},
        {"validation_data": (samples()[0][:, :3], samples()[1])},
        {"metrics": ["f1"]},
        {"callbacks": [1]},
    ],
    ids=lambda bad: "+".join(bad),
)
def test_a_refused_fit_leaves_no_trace(bad):
    x, y = samples()
    model = network(loss=None)
    before, state = flat(model).copy(), model._random.get_state()[1].copy()
    with pytest.raises(InputError):
        model.fit(**{"x": x, "y": y} | bad)
    np.testing.assert_array_equal(flat(model), before)
    np.testing.assert_array_equal(model._random.get_state()[1], state)
    assert model.loss is model.history is None


# Cost


def test_progress_is_shown_on_a_terminal_or_on_demand_only(capfd):
    model = network()
    model.fit(*samples(), epochs=2)
    model.fit(*samples(), epochs=2, progress=False)
    assert capfd.readouterr() == ("", "")
    model.fit(*samples(), epochs=2, progress=True)
    out, err = capfd.readouterr()
    assert (out, "/2" in err) == ("", True)


@pytest.mark.parametrize(
    ("activation", "optimizer", "dropout"),
    [
        ("relu", SGD(1e-3), 0.0),
        ("elu", SGD(1e-3, momentum=0.9, nesterov=True), 0.0),
        ("sigmoid", RMSprop(), 0.0),
        ("tanh", Adam(), 0.0),
        ("softplus", AdamW(), 0.0),
        ("softmax", Adam(), 0.0),
        ("gelu", Adam(), 0.0),
        ("gelu_tanh", Adam(), 0.0),
        ("silu", Adam(), 0.0),
        ("relu", Adam(), 0.5),
    ],
)
def test_a_later_epoch_allocates_no_array(activation, optimizer, dropout):
    x = np.random.RandomState(0).standard_normal((512, 32))
    model = MLP([32, 96, 96, 2], activation, dtype="float64", backend="numpy", l2=1e-3, dropout=dropout)
    peaks = []

    def measure(epoch):
        now, peak = tracemalloc.get_traced_memory()
        peaks.append(peak - now)
        tracemalloc.reset_peak()

    tracemalloc.start()
    try:
        model.fit(x, x[:, :2], epochs=3, batch_size=256, optimizer=optimizer, callbacks=[measure])
    finally:
        tracemalloc.stop()
    # half the activations of one layer and batch; NumPy's own buffer for casts and broadcasts is a third
    assert max(peaks[1:]) < 256 * 96 * 8 / 2


def test_a_later_epoch_compiles_nothing():
    from fastmlp.backends.numba_backend import NumbaBackend

    model, counts = network("numba"), []
    model.fit(*samples(), epochs=4, callbacks=[lambda epoch: counts.append(NumbaBackend.compilations())])
    model.fit(*samples(), epochs=1, callbacks=[lambda epoch: counts.append(NumbaBackend.compilations())])
    assert counts == [counts[0]] * 5


def test_hidden_outputs_are_those_that_the_next_layer_reads(backend):
    model, x = MLP([3, 5, 4, 2], "tanh", dtype="float64", backend=backend, seed=0), np.random.RandomState(1).randn(7, 3)
    first = np.tanh(x @ model.weights[0] + model.biases[0])
    second = np.tanh(first @ model.weights[1] + model.biases[1])
    np.testing.assert_allclose(model.hidden_activations(x, 0), first, rtol=1e-13)
    np.testing.assert_allclose(model.hidden_activations(x), second, rtol=1e-13)
    for layer in (2, -3, "first"):
        with pytest.raises(InputError, match="is none of the 2 hidden layers"):
            model.hidden_activations(x, layer)


def test_without_hidden_layers_the_output_is_left_to_the_loss():
    assert MLP([3, 1]).activations == [None]
    assert MLP([3, 2, 1]).activations == ["relu", None]
    assert MLP([3, 1], "sigmoid").activations == ["sigmoid"]


def test_samples_are_let_go(backend):
    """A model that lives on keeps neither what it was trained on nor what it was asked about last."""
    x, y = np.random.RandomState(0).rand(60, 4).astype("float32"), np.arange(60) % 3
    asked = x + 1
    watched = [weakref.ref(x), weakref.ref(asked)]
    model = MLP([4, 8, 3], loss="softmax_cross_entropy", backend=backend, seed=0)
    model.fit(x, y, epochs=2, progress=False)
    model.predict(asked)
    del x, asked
    gc.collect()
    assert all(watch() is None for watch in watched)
    assert len(model.weights) == 2  # it is still there
