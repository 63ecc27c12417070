"""precision="bf16": products of copies in bfloat16, each made once for all products that read it."""

import warnings

import numpy as np
import pytest
from coded import ACTIVATION
from conftest import emulate_gpu
from emulation.device import EmulatedDevice
from operation_calls import CudaBench
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLP, SGD, MLPClassifier, MLPRegressor
from fastmlp.backends import get_backend
from fastmlp.backends.cuda.device import Launch, Matmul
from fastmlp.backends.cuda.runs import Run
from fastmlp.backends.cuda.tape import Tape
from fastmlp.kernels import codes

ROWS, INPUTS, OUTPUTS = 40, 33, 17
WAYS = ("bf16 library", "fused bf16 library")


@pytest.fixture
def device(monkeypatch):
    """The emulated device, which uses bfloat16 products wherever possible."""
    device = EmulatedDevice(prefers_products=True, precision="bf16")
    emulate_gpu(monkeypatch, device)
    return device


@pytest.fixture
def any_device(request):
    """The same, or with --require-gpu the GPU."""
    if request.config.getoption("--require-gpu"):
        return get_backend("cuda", "bf16")._device
    return request.getfixturevalue("device")


def representable(*shape):
    """Numbers that bfloat16 represents exactly, so that rounding for a product loses nothing."""
    return np.random.RandomState(0).randint(-8, 9, shape).astype(np.float32) / 4


def drawn(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype(np.float32)


def products(draw):
    """Operations, their arguments and results."""
    x, w, b, delta = draw(ROWS, INPUTS), draw(INPUTS, OUTPUTS), draw(OUTPUTS), draw(ROWS, OUTPUTS)
    a = np.maximum(draw(ROWS, INPUTS), 0)
    x64, w64, b64, d64 = (array.astype(np.float64) for array in (x, w, b, delta))
    z = x64 @ w64 + b64
    slope = np.full((ROWS, OUTPUTS), np.nan, np.float32)
    for code, out in (codes.IDENTITY, z), (codes.RELU, np.maximum(z, 0)), (ACTIVATION["tanh"], np.tanh(z)):
        yield "linear", {"x": x, "w": w, "b": b, "activation": code, "slope": slope}, {"out": out}
    for code, passes in (codes.IDENTITY, 1), (codes.RELU, a > 0):
        given = {"delta": delta, "w": w, "activation": code, "a": a, "slope": np.full_like(a, np.nan)}
        yield "backward_data", given, {"out": d64 @ w64.T * passes}
    factors = {"alpha": 0.5, "beta": 0.0, "bias_beta": 0.0}
    yield "accumulate", {"a": x, "delta": delta} | factors, {"out": x64.T @ d64 / 2, "bias": d64.sum(axis=0) / 2}


@pytest.mark.parametrize("margin", [64, 67])
@pytest.mark.parametrize("way", WAYS)
def test_what_bfloat16_has_is_multiplied_exactly(any_device, way, margin):
    done = 0
    for name, given, expected in products(representable):
        written = {key: np.full(value.shape, np.nan, np.float32) for key, value in expected.items()}
        if CudaBench(any_device, way, margin, False).call(name, given | written) is not None:
            done += 1
            for key, value in expected.items():
                np.testing.assert_allclose(written[key], value, rtol=1e-5, atol=1e-5, err_msg=f"{name} {key}")
    if isinstance(any_device, EmulatedDevice):  # a GPU's library may have no algorithm
        assert done == {"bf16 library": 6, "fused bf16 library": 3}[way]


@pytest.mark.parametrize("way", WAYS)
def test_other_numbers_lose_what_is_documented(any_device, way):
    for name, given, expected in products(drawn):
        written = {key: np.full(value.shape, np.nan, np.float32) for key, value in expected.items()}
        if CudaBench(any_device, way, 64, False).call(name, given | written) is not None:
            error = np.abs(written["out"] - expected["out"])
            terms = {"linear": INPUTS, "backward_data": OUTPUTS, "accumulate": ROWS}[name]
            assert 1e-4 < error.max() < 2 * 2**-8 * 9 * terms**0.5, name


def fitted(backend, **fit):
    random = np.random.RandomState(0)
    x = random.standard_normal((90, 6))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] * x[:, 2] > 0)
    precision = {"precision": "bf16"} if backend == "cuda" else {}
    model = MLP([6, 9, 7, 3], "relu", backend=backend, seed=3, **precision)
    model.fit(x, y, epochs=3, **{"optimizer": SGD(0.05), "batch_size": 45} | fit)
    return np.concatenate([w.ravel() for w in (*model.weights, *model.biases)])


@pytest.fixture
def tapes(monkeypatch):
    """Tapes of the steps that are recorded."""
    kept, record = [], Run._record

    def recorded(self, *given):
        ops, terms = record(self, *given)
        kept.append(ops.tape)
        return ops, terms

    monkeypatch.setattr(Run, "_record", recorded)
    return kept


OF_A_CHUNK, WEIGHTS = 6, 3  # factors of products: samples, outputs of 2 layers and 3 deltas; weights


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.01, momentum=0.9)])
@pytest.mark.parametrize("chunk", [90, 32])
def test_every_factor_is_copied_once(device, tapes, monkeypatch, chunk, optimizer):
    monkeypatch.setattr(type(get_backend("cuda")), "chunk_of", lambda self, row_bytes: chunk)
    fit = {"optimizer": optimizer, "batch_size": "full"}
    np.testing.assert_allclose(fitted("cuda", **fit), fitted("numpy", **fit), rtol=0, atol=0.01)
    (tape,) = tapes
    chunks = -(-90 // chunk)
    assert [isinstance(node, Launch) and node.name == "round_to_bf16" for node in tape].count(True) == (
        WEIGHTS + OF_A_CHUNK * chunks
    )
    multiplied = [node for node in tape if isinstance(node, Matmul)]
    assert len(multiplied) == 8 * chunks
    assert all(node.a.dtype == node.b.dtype == np.uint16 for node in multiplied)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_precision_of_an_estimator(device, tapes, estimator):
    random = np.random.RandomState(0)
    x = random.standard_normal((90, 6)).astype(np.float32)
    y = (x[:, 0] > 0) + 1.0 * (x[:, 1] > 0)
    settings = {"hidden_layer_sizes": (9,), "max_iter": 40, "batch_size": 45, "random_state": 0, "tol": 0.0}
    settings |= {"learning_rate_init": 0.01, "n_iter_no_change": np.inf}
    exact, rounded = (estimator(**settings, backend="numpy"), estimator(**settings, backend="cuda", precision="bf16"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exact.fit(x, y)
        rounded.fit(x, y)
    assert all(node.a.dtype == np.uint16 for tape in tapes for node in tape if isinstance(node, Matmul))
    assert rounded.loss_ == pytest.approx(exact.loss_, rel=0.02) and rounded.loss_ != exact.loss_
    for kind in (np.float32, np.float64):  # the latter has products in float64, whatever the precision is
        assert rounded.score(x.astype(kind), y) == pytest.approx(exact.score(x, y), abs=0.05)


@pytest.mark.parametrize("settings", [{}, {"dtype": "float64"}, {"solver": "lbfgs", "dtype": "float32"}])
def test_precision_of_an_estimator_that_trains_in_float64(device, settings):
    model = MLPClassifier(backend="cuda", precision="bf16", **settings)
    with pytest.raises(
        ValueError, match=r"precision='bf16' is for training in float32; .* trains in float64\. Give dtype"
    ):
        model.fit(np.zeros((9, 2)), np.arange(9) % 2)


def test_a_copy_that_is_out_of_date_is_seen(device, monkeypatch):
    monkeypatch.setattr(type(get_backend("cuda")), "chunk_of", lambda self, row_bytes: 45)
    right = fitted("cuda", batch_size="full")
    monkeypatch.setattr(Tape, "_forget", lambda self, written: None)
    assert np.abs(fitted("cuda", batch_size="full") - right).max() > 1e-3


def test_the_emulation_without_it_has_no_copies(monkeypatch, tapes):
    emulate_gpu(monkeypatch, EmulatedDevice(prefers_products=True))
    fitted("cuda")
    assert not any(isinstance(node, Launch) and node.name == "round_to_bf16" for tape in tapes for node in tape)
