"""Training by the CUDA backend on an emulated device: the results of NumPy, for every rule, loss and regime."""

import gc
import math
import re
from types import SimpleNamespace

import emulation.device
import numpy as np
import pytest
from conftest import emulate_gpu, emulated_device
from emulation.device import EmulatedDevice
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLP, SGD, Adam, AdamW, InputError, MLPClassifier, RMSprop, backends
from fastmlp.backends import cuda_backend
from fastmlp.backends.cuda import programs, runs
from fastmlp.backends.cuda.runs import Run
from fastmlp.backends.cuda_backend import CudaBackend
from fastmlp.errors import OutOfDeviceMemoryError
from fastmlp.kernels.cuda import FEW, MAX_INSTRUCTIONS
from fastmlp.losses import custom_loss

RULES = {
    "sgd": SGD(0.02),
    "momentum": SGD(0.005, momentum=0.9),
    "nesterov": SGD(0.005, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(0.003),
    "adam": Adam(0.005),
    "adamw": AdamW(0.005, decay=0.1),
}
EXTRAS = {
    "plain": ({}, {}),
    "dropout": ({"dropout": [0.2, 0.4]}, {}),
    "penalties": ({"l1": 1e-3, "l2": 1e-2}, {}),
    "clipped": ({}, {"max_norm": 0.1}),
    "weighted": ({"l2": 1e-2}, {"sample_weight": np.linspace(0, 2, 90)}),
    "summed": ({"reduction": "sum"}, {"max_norm": 1.0}),
}
LOSSES = {
    "softmax_cross_entropy": lambda y: y,
    "binary_cross_entropy": lambda y: np.eye(3)[y],
    "squared_error": lambda y: np.eye(3)[y],
    "mean_squared_error": lambda y: np.eye(3)[y],
    "half_squared_error": lambda y: np.eye(3)[y],
    "absolute_error": lambda y: np.eye(3)[y] - 0.5,
    "huber": lambda y: 3 * np.eye(3)[y],
    "poisson": lambda y: 1.0 + np.eye(3)[y],
    "quantile": lambda y: np.eye(3)[y] - 0.5,
}
ACTIVATIONS = ["identity", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu", "gelu_tanh", "silu"]
BATCHES = {"one": 1, "few": 16, "ragged few": 28, "many": FEW + 8, "full": "full"}
DRIFT = {"float64": 1e-12, "float32": 5e-5}


def samples(n=90):
    random = np.random.RandomState(0)
    x = random.standard_normal((n, 6))
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] * x[:, 2] > 0)


def train(backend, *, dtype="float64", activation="tanh", x=None, y=None, options=None, **fit):
    x_drawn, labels = samples()
    model = MLP([6, 9, 7, 3], activation, dtype=dtype, backend=backend, seed=3, **options or {})
    history = model.fit(x_drawn if x is None else x, labels if y is None else y, **{"epochs": 3} | fit)
    return np.concatenate([array.ravel() for array in (*model.weights, *model.biases)]), np.array(history["loss"])


def assert_same(dtype="float64", **settings):
    (one, first), (other, second) = (train(name, dtype=dtype, **settings) for name in ("numpy", "cuda"))
    np.testing.assert_allclose(other, one, rtol=0, atol=DRIFT[dtype])
    np.testing.assert_allclose(second, first, rtol=DRIFT[dtype])


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_and_regime(emulated, rule, batch, dtype):
    assert_same(dtype, optimizer=RULES[rule], batch_size=BATCHES[batch], epochs=1 if batch == "one" else 3)


@pytest.mark.parametrize("batch", ["few", "many"])
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_every_extra(emulated, rule, extra, batch):
    options, fit = EXTRAS[extra]
    assert_same(optimizer=RULES[rule], batch_size=BATCHES[batch], options=options, **fit)


@pytest.mark.parametrize("batch", ["few", "many"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(emulated, loss, batch):
    options = {"loss": loss}
    assert_same(y=LOSSES[loss](samples()[1]), optimizer=SGD(0.01), batch_size=BATCHES[batch], options=options)


@pytest.mark.parametrize("batch", ["few", "many"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(emulated, activation, batch):
    assert_same(activation=activation, optimizer=SGD(0.05), batch_size=BATCHES[batch])


@pytest.mark.parametrize("batch", ["few", "many"])
def test_layers_whose_activation_needs_whole_rows(emulated, batch):
    y, options = np.eye(3)[samples()[1]], {"loss": "mean_squared_error"}
    layers = ["tanh", "softmax", "softmax"]
    assert_same(y=y, activation=layers, optimizer=SGD(0.05), batch_size=BATCHES[batch], options=options)


def test_the_perceptron_rule(emulated):
    x, y = samples()
    weights = []
    for backend in ("numpy", "cuda"):
        model = MLP([6, 1], "threshold", dtype="float64", backend=backend, seed=3)
        model.fit(x, np.sign(y)[:, None], optimizer=SGD(0.1), epochs=3, batch_size=1)
        weights.append(model.weights[0])
    np.testing.assert_allclose(weights[1], weights[0], rtol=0, atol=DRIFT["float64"])


@pytest.mark.parametrize("kind", ["float32", "float16", "uint8", "int32", "bool"])
def test_samples_of_other_dtypes(emulated, kind):
    x = (np.abs(samples()[0]) * 3).astype(kind)
    assert_same(x=x, optimizer=SGD(0.01), batch_size=16)


def test_sparse_samples(emulated):
    x = samples()[0]
    x = sparse.csr_matrix(np.where(np.abs(x) < 0.5, 0, x))
    for batch in ("few", "many"):
        assert_same(x=x, optimizer=SGD(0.1), batch_size=BATCHES[batch], options={"l2": 0.01})


def test_a_batch_of_several_chunks(emulated, monkeypatch):
    monkeypatch.setattr(type(emulated), "chunk", 32)
    for rule in ("sgd", "adam"):
        assert_same(optimizer=RULES[rule], batch_size="full", options={"dropout": 0.3, "l1": 1e-3})


@pytest.fixture
def products(monkeypatch):
    """The epilogues that the library has computed; spoil = epilogue and field that are wrong from then on."""
    emulate_gpu(monkeypatch, emulated_device("library"))
    products, right = SimpleNamespace(epilogues=set(), spoil=(None, "")), emulation.device.multiply

    def multiply(**node):
        right(**node)
        products.epilogues.add(node["epilogue"])
        epilogue, field = products.spoil
        if epilogue and epilogue == node["epilogue"]:
            memory = node[field].memory()
            memory[...] = ~memory if field == "mask" else memory + 1

    monkeypatch.setattr(emulation.device, "multiply", multiply)
    return products


WITH_MASKS = {"activation": "relu", "optimizer": SGD(0.05), "batch_size": "full", "options": {"l2": 0.1}}


@pytest.mark.parametrize("free", [1 << 30, 0], ids=["resident", "streaming"])
@pytest.mark.parametrize("chunk", [32, 90])
def test_derivatives_and_sums_by_the_library(products, monkeypatch, dtype, chunk, free):
    monkeypatch.setattr(CudaBackend, "chunk_of", lambda self, row_bytes: chunk)
    monkeypatch.setattr(EmulatedDevice, "free_memory", lambda self: free)
    assert_same(dtype, **WITH_MASKS)
    assert products.epilogues >= {"bias", "relu_aux_bias", "drelu_bgrad", "bgrad"}


def test_later_processes_take_the_same_ways(products, monkeypatch, tmp_path):
    """Of a pair of products too: what was measured is in a file, and another measurement would choose otherwise."""
    weights, epilogues = [], []
    for prefers_products in (True, False):
        device = EmulatedDevice(prefers_products=prefers_products)
        backend = CudaBackend(device=device, choices=tmp_path)
        monkeypatch.setattr(backends, "_load", lambda name, precision, backend=backend: backend)
        weights.append(train("cuda", **WITH_MASKS)[0])
        epilogues.append(set(products.epilogues))
        products.epilogues.clear()
    np.testing.assert_array_equal(*weights)
    assert epilogues[0] >= epilogues[1] >= {"bias", "relu_aux_bias", "drelu_bgrad", "bgrad"}


def test_no_folder_for_choices_is_needed(products, monkeypatch):
    monkeypatch.setattr(cuda_backend, "_gpu", lambda precision: EmulatedDevice(prefers_products=True))
    monkeypatch.setattr(cuda_backend, "cache_folders", lambda name: [])
    backend = CudaBackend()
    monkeypatch.setattr(backends, "_load", lambda name, precision: backend)
    assert np.isfinite(train("cuda", **WITH_MASKS)[0]).all()


@pytest.mark.parametrize("wrong", [("relu_aux_bias", "mask"), ("drelu_bgrad", "vector"), ("bgrad", "vector")], ids=str)
def test_a_wrong_mask_or_sum_is_seen(products, wrong):
    products.spoil = wrong
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same(**WITH_MASKS)


def test_an_epoch_in_several_calls_is_the_epoch_in_one(emulated, monkeypatch):
    whole, first = train("cuda", optimizer=RULES["adam"], batch_size=16, options={"dropout": 0.3})
    monkeypatch.setattr(type(emulated), "span_work", 1.0)
    cut, second = train("cuda", optimizer=RULES["adam"], batch_size=16, options={"dropout": 0.3})
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_allclose(second, first, rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 32])
def test_a_launch_is_short_enough_to_be_interrupted(monkeypatch, batch):
    """A span is one launch of a program; a step takes 25 µs or less."""
    emulate_gpu(monkeypatch, EmulatedDevice())
    spans, steps = [], 20_000
    monkeypatch.setattr(runs, "UNROLLED", 1)  # a program has one step
    monkeypatch.setattr(Run, "_run_program", lambda self, program, times: spans.append(times))
    n = batch * steps
    MLP([2, 3], backend="cuda").fit(np.zeros((n, 2)), np.zeros(n, int), epochs=1, batch_size=batch, shuffle=False)
    assert sum(spans) == steps
    assert max(spans) * 25e-6 < 0.21


@pytest.mark.parametrize("batch", ["full", 28, 16])
@pytest.mark.parametrize("free", [1 << 30, 0], ids=["resident", "streaming"])
def test_short_epochs_are_queued_together(emulated, monkeypatch, batch, free):
    """The host waits for the losses and parameters of all of them, not of each."""
    monkeypatch.setattr(EmulatedDevice, "free_memory", lambda self: free)
    trained, train_all = [], Run.train
    monkeypatch.setattr(Run, "train", lambda self, *given: trained.append(len(given[3])) or train_all(self, *given))
    assert_same(optimizer=RULES["adam"], batch_size=batch, epochs=10, options={"dropout": 0.2})
    assert trained == [10]


def test_a_repeated_run_is_the_same_to_the_last_bit(emulated):
    runs = [train("cuda", dtype="float32", optimizer=RULES["adam"], batch_size=bs) for bs in (16, 40) for _ in range(2)]
    for once, again in (runs[:2], runs[2:]):
        np.testing.assert_array_equal(once[0], again[0])
        np.testing.assert_array_equal(once[1], again[1])


def test_a_deep_network_is_no_program(emulated):
    """A tape that is too long for the persistent kernel becomes a graph."""
    x, y = samples()
    weights = []
    for backend in ("numpy", "cuda"):
        model = MLP([6, *[4] * MAX_INSTRUCTIONS, 3], "tanh", dtype="float64", backend=backend, seed=3)
        model.fit(x, y, optimizer=SGD(0.01), epochs=1, batch_size=16)
        weights.append(model.weights[0])
    np.testing.assert_allclose(weights[1], weights[0], rtol=0, atol=DRIFT["float64"])


def test_many_layers_of_many_shapes(emulated):
    """For each shape all ways are tried, with the same few numbers in the library's memory."""
    x, y = samples()
    weights = []
    for backend in ("numpy", "cuda"):
        model = MLP([6, *range(5, 45), 3], "tanh", dtype="float64", backend=backend, l2=0.1, seed=3)
        model.fit(x, y, optimizer=SGD(0.01), epochs=1, batch_size=BATCHES["many"])
        weights.append(model.weights[0])
    np.testing.assert_allclose(weights[1], weights[0], rtol=0, atol=DRIFT["float64"])


def test_validation_data_cross_once(emulated, monkeypatch):
    crossed, samples_of = [], type(emulated).samples
    monkeypatch.setattr(type(emulated), "samples", lambda self, x: crossed.append(len(x)) or samples_of(self, x))
    x, y = samples()
    train("cuda", optimizer=SGD(0.01), batch_size=16, epochs=4, validation_data=(x[:20], y[:20]))
    assert crossed == [90, 20]


def test_predictions_gradients_and_later_fits(emulated):
    x, y = samples()
    models = [MLP([6, 9, 3], "tanh", dtype="float64", backend=name, seed=3) for name in ("numpy", "cuda")]
    for _ in range(2):
        for model in models:
            model.fit(x, y, epochs=2, optimizer="adam", batch_size=16, validation_data=(x[:20], y[:20]))
        one, other = models
        np.testing.assert_allclose(other.predict_proba(x), one.predict_proba(x), rtol=1e-10)
        gradients = [model.gradients(x, y) for model in models]
        np.testing.assert_allclose(gradients[1].loss, gradients[0].loss, rtol=1e-12)
        for a, b in zip(gradients[1].weights, gradients[0].weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def test_nothing_is_recorded_twice(emulated, monkeypatch):
    """An epoch is the replay of one step, or of some together: only the first of them reads the step's text."""
    recorded = []
    record = Run._record
    monkeypatch.setattr(Run, "_record", lambda self, *given: recorded.append(given[2::2]) or record(self, *given))
    train("cuda", optimizer=SGD(0.1), batch_size=16, epochs=5)
    assert sorted(recorded) == [(90 % 16, 1), (16, 1), (16, 4)]  # rows and steps


@pytest.mark.parametrize("batch_size", [16, "full"])  # a program of one kernel, and a graph of several
def test_a_custom_loss_trains_as_on_the_cpu(emulated, batch_size):
    loss = custom_loss(
        lambda z, y: np.where(abs(z - y) < 0.5, 0.5 * (z - y) ** 2, 0.5 * abs(z - y) - 0.125),
        lambda z, y: np.clip(z - y, -0.5, 0.5),
        name="mine",
    )
    x, y = samples()
    losses = []
    for backend in ("numpy", "cuda"):
        model = MLP([6, 9, 1], "tanh", loss=loss, backend=backend, dtype="float64", seed=0)
        losses.append(model.fit(x, 1.0 * y, epochs=3, batch_size=batch_size, optimizer=SGD(0.1))["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-9)
    assert losses[1][-1] < losses[1][0]


def branching(z, y):
    return z - y if z > y else y - z


@pytest.mark.parametrize(
    ("gradient", "reason"),
    [
        (branching, "it asks whether a number is true, as `if` does. Choose between numbers by np.where"),
        (lambda z, y: math.tanh(z - y), "as functions of the module math do. Use those of NumPy"),
        (lambda z, y: np.heaviside(z, y), "np.heaviside is not among the functions that can be translated"),
        (lambda z, y: np.sum(z), "np.sum is not among the functions"),
        (lambda z, y: (z - y).clip(0), "AttributeError"),
        (lambda z, y: "z", "'z' in it is no number"),
    ],
)
def test_a_custom_loss_without_translation_is_refused_before_any_work(emulated, gradient, reason):
    loss = custom_loss(lambda z, y: (z - y) ** 2, gradient, name="mine")
    with pytest.raises(InputError, match=f"The gradient of the loss 'mine' .*{re.escape(reason)}.* backend='numpy'"):
        MLP([6, 9, 3], loss=loss, backend="cuda").fit(samples()[0], np.zeros((90, 3)))


def test_a_diverging_run_is_reported_and_keeps_finite_weights(emulated):
    from fastmlp import DivergenceError

    x, y = samples()
    model = MLP([6, 9, 1], "relu", backend="cuda", seed=3)
    with pytest.raises(DivergenceError):
        model.fit(x, 1.0 * y, optimizer=SGD(1e6), epochs=20, batch_size=16)
    assert all(np.isfinite(w).all() for w in model.weights)


@pytest.mark.parametrize("kind", ["float64", "uint8"])
@pytest.mark.parametrize("batch", BATCHES)
def test_samples_that_do_not_fit_stream(emulated, monkeypatch, batch, kind):
    """They stay on the host, and are copied batch by batch or chunk by chunk."""
    monkeypatch.setattr(type(emulated), "chunk_of", lambda self, row_bytes: 32)
    monkeypatch.setattr(EmulatedDevice, "free_memory", lambda self: 0)
    x = (np.abs(samples()[0]) * 3).astype(kind)
    assert_same(x=x, optimizer=SGD(0.001), batch_size=BATCHES[batch], options={"l2": 0.1})


def test_a_file_larger_than_the_device_memory(monkeypatch):
    emulate_gpu(monkeypatch, EmulatedDevice(memory=1 << 19))
    random = np.random.RandomState(0)
    x, y = random.standard_normal((5000, 6)), random.randint(0, 3, 5000)
    assert_same(x=x, y=y, optimizer=SGD(0.01), batch_size=500, epochs=2)


def test_predictions_of_samples_that_do_not_fit(emulated, monkeypatch):
    x = samples(300)[0]
    one, other = (MLP([6, 9, 3], "tanh", dtype="float64", backend=name, seed=3) for name in ("numpy", "cuda"))
    monkeypatch.setattr(type(emulated), "chunk_of", lambda self, row_bytes: 64)
    monkeypatch.setattr(EmulatedDevice, "free_memory", lambda self: 0)
    np.testing.assert_allclose(other.predict_raw(x), one.predict_raw(x), rtol=0, atol=1e-13)


def test_a_batch_too_large_for_the_memory_goes_in_smaller_chunks(monkeypatch):
    emulate_gpu(monkeypatch, EmulatedDevice(memory=1 << 19))
    assert_same(optimizer=SGD(0.05), batch_size="full", epochs=2)
    random = np.random.RandomState(0)
    x, y = random.standard_normal((4000, 6)), random.randint(0, 3, 4000)
    assert_same(x=x, y=y, optimizer=SGD(0.05), batch_size="full", epochs=2)


LARGE = [6, 100, 100, 3]  # 11,103 parameters, padded to 11,152; each row of a batch: 4 (6 + 100 + 100 + 3) numbers
NEED = 4 * 4 * 11152  # bytes of float32 parameters, gradients and Adam's two moments


def fit_large(**fit):
    """The exception of a fit on the current device, and whether the weights are unchanged then."""
    model = MLP(LARGE, backend="cuda", seed=3)
    before = [w.copy() for w in model.weights]
    try:
        model.fit(*samples(600), **{"optimizer": "adam", "epochs": 1} | fit)
    except OutOfDeviceMemoryError as error:
        for w, old in zip(model.weights, before, strict=True):
            np.testing.assert_array_equal(w, old)
        return error


def test_a_network_too_large_for_the_memory_is_refused_and_keeps_its_weights(monkeypatch):
    emulate_gpu(monkeypatch, EmulatedDevice(memory=1 << 16))
    error = fit_large()
    assert re.search(r"no room for \d+ bytes: \d+ of its 65536 are free\.", str(error))
    assert f"Parameters, gradients and the optimizer's state take {NEED:,} bytes." in str(error)
    assert str(error).endswith("Each row of a batch takes 3,344 bytes: no batch size would fit.")
    assert error.asked > error.free > 0


@pytest.mark.parametrize("beyond", [33_000, 40_000])
def test_a_batch_too_large_beside_the_network_is_reported_with_one_that_fits(monkeypatch, beyond):
    emulate_gpu(monkeypatch, EmulatedDevice(memory=NEED + beyond))
    error = fit_large(batch_size=512)
    rows = int(re.search(r"batch_size=(\d+) would fit, if the samples do\.$", str(error)).group(1))
    del error  # and with it what its traceback holds
    gc.collect()
    assert fit_large(batch_size=rows) is None


@pytest.mark.parametrize("clusters", [True, False])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_programs_on_several_blocks(monkeypatch, clusters, order):
    """With every schedule of the threads, and barriers that cost nothing, little, or too much to have any."""
    emulate_gpu(monkeypatch, EmulatedDevice(order, clusters=clusters))
    weights = []
    for seconds in (0, programs.BARRIER / 20, 1):
        monkeypatch.setattr(programs, "BARRIER", seconds)
        assert_same(optimizer=RULES["adam"], batch_size=16, epochs=1, options={"l2": 0.1}, max_norm=0.5)
        weights.append(train("cuda", optimizer=RULES["adam"], batch_size=16, epochs=1)[0])
    np.testing.assert_allclose(weights[1:], np.stack([weights[0]] * 2), rtol=0, atol=1e-13)


def test_fits_on_growing_data_reuse_nothing_that_has_gone(emulated):
    """An estimator keeps its buffers from fit to fit; graphs have the addresses of the data they were made for."""
    from fastmlp import MLPClassifier

    probabilities = []
    for backend in ("numpy", "cuda"):
        e = MLPClassifier((7,), solver="sgd", batch_size=40, max_iter=2, random_state=0, backend=backend)
        for n in (60, 90, 90, 50, 300):
            x, y = samples(n)
            e.partial_fit(x, y, classes=[0, 1, 2])
        probabilities.append(e.predict_proba(samples()[0]))
    np.testing.assert_allclose(probabilities[1], probabilities[0], rtol=1e-9)


def test_samples_leave_the_device_after_training(emulated):
    """An estimator keeps its buffers for the next fit, but not a recorded step, which reads the samples."""
    x, y = np.random.RandomState(0).rand(2000, 40).astype("float32"), np.arange(2000) % 3
    model = MLPClassifier((8,), max_iter=1, batch_size=64, backend="cuda", random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(x[:64], y[:64])
    gc.collect()
    before = emulated._device.used
    with pytest.warns(ConvergenceWarning):
        model.fit(x, y)
    gc.collect()
    assert emulated._device.used - before < x.nbytes // 2
