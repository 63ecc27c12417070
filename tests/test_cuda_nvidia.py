"""`NvidiaDevice` over as much of CuPy as it uses: training by its streams, graphs, staging buffers and choices."""

import numpy as np
import pytest
from conftest import emulate_gpu
from emulation.fake_cupy import nvidia_device
from test_cuda_training import RULES, assert_same

from fastmlp.backends import get_backend
from fastmlp.backends.cuda.choice import Choice
from fastmlp.backends.cuda.device import Matmul
from fastmlp.backends.cuda_backend import CudaBackend


@pytest.fixture(params=[False, True], ids=["kernel", "library"])
def gpu(request, monkeypatch):
    device = nvidia_device(monkeypatch, prefers_products=request.param)
    emulate_gpu(monkeypatch, device)
    return device


@pytest.mark.parametrize("batch", [1, 16, 40, "full"])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
def test_every_regime(gpu, rule, batch, dtype):
    assert_same(dtype, activation="relu", optimizer=RULES[rule], batch_size=batch, epochs=2)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [40, 45])
@pytest.mark.parametrize("free", [1 << 30, 0], ids=["resident", "streaming"])
def test_batches_of_several_chunks(gpu, monkeypatch, free, chunk, weighted, rule):
    """If they are of one size, the products of the second differ from those of the first in their factors alone."""
    monkeypatch.setattr(CudaBackend, "chunk_of", lambda self, row_bytes: chunk)
    monkeypatch.setattr(type(gpu), "free_memory", lambda self: free)
    weights = {"sample_weight": np.linspace(0, 2, 90)} if weighted else {}
    options = {"l2": 1e-2, "dropout": 0.2}
    assert_same(activation="relu", optimizer=RULES[rule], batch_size="full", options=options, **weights)


@pytest.mark.parametrize("function", ["cublasLtMatmul", "cublasLtMatmulAlgoGetHeuristic"])
def test_a_library_that_fails_leaves_all_to_our_kernels(gpu, function):
    """What it does not know is no failure; anything else is told."""
    gpu._library._library.status = {function: 7}
    with pytest.warns(RuntimeWarning, match=f"a way to compute a product is left out: {function} of .* unsupported"):
        assert_same(optimizer=RULES["sgd"], batch_size=40, epochs=1)
    assert set(get_backend("cuda")._choice(np.dtype("float64"))._chosen.values()) == {"kernel"}


def test_ways_are_compared_when_the_clocks_have_risen(gpu):
    """The first measurement of all takes ten times as long."""
    seconds, idle = gpu.seconds, [10.0]
    gpu.seconds = lambda nodes, real: seconds(nodes, real) * (idle.pop() if idle else 1.0)
    choice = Choice(gpu, np.dtype(np.float64), None)
    a, out = gpu.upload(np.zeros((2, 2))), gpu.upload(np.zeros((2, 2)))
    ways = {"short": lambda: [Matmul(a, a, out)], "long": lambda: [Matmul(a, a, out)] * 2}
    assert choice.of(("linear", 2), ways, [out]) == "short"
