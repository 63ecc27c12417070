"""`NvidiaDevice` on a stand-in for CuPy: training with its streams, graphs, staging buffers and choices."""

import json
from functools import cache, partial

import numpy as np
import pytest
from conftest import emulate_gpu
from emulation.cublaslt import BGRADA, EPILOGUE, POINTER_MODE
from emulation.fake_cupy import nvidia_device
from test_cuda_training import RULES, assert_same

from fastmlp.backends import get_backend
from fastmlp.backends.cuda import programs
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


@pytest.mark.parametrize("hasty", [False, True])
@pytest.mark.parametrize("batch", [20, "full"])
def test_copies_and_work_wait_for_one_another(gpu, monkeypatch, batch, hasty):
    """Whether copies are done as late or as early as possible."""
    monkeypatch.setattr(CudaBackend, "chunk_of", lambda self, row_bytes: 20)
    monkeypatch.setattr(type(gpu), "free_memory", lambda self: 0)
    gpu.gpu.hasty = {gpu._copies.ptr} if hasty else set()
    assert_same(optimizer=RULES["sgd"], batch_size=batch, epochs=2)


def test_memory_of_the_host_may_change_after_a_write(gpu):
    for n in (10, 1000, 100_000):
        host = np.arange(n, dtype=np.float64)
        arrays = [gpu.empty(n, np.float64) for _ in range(200 if n < 100_000 else 2)]
        for i, array in enumerate(arrays):
            gpu.write(array, host + i)
            host[:] = np.nan
            host[:] = np.arange(n)
        for i, array in enumerate(arrays):
            np.testing.assert_array_equal(gpu.download(array), host + i)


@pytest.mark.parametrize("function", ["cublasLtMatmul", "cublasLtMatmulAlgoGetHeuristic"])
def test_a_library_that_fails_leaves_all_to_our_kernels(gpu, function):
    """An unsupported product is no failure; any other error is reported."""
    gpu._library._library.status = {function: 7}
    with pytest.warns(RuntimeWarning, match=f"a way to compute a product is left out: {function} of .* unsupported"):
        assert_same(optimizer=RULES["sgd"], batch_size=40, epochs=1)
    assert set(get_backend("cuda")._choice(np.dtype("float64"))._chosen.values()) == {"kernel"}


def test_ways_are_compared_when_the_clocks_have_risen(gpu):
    """The very first measurement takes ten times as long."""
    seconds, idle = gpu.seconds, [10.0]
    gpu.seconds = lambda nodes, real: seconds(nodes, real) * (idle.pop() if idle else 1.0)
    choice = Choice(gpu, np.dtype(np.float64), None)
    a, out = gpu.upload(np.zeros((2, 2))), gpu.upload(np.zeros((2, 2)))
    ways = {"short": lambda: [Matmul(a, a, out)], "long": lambda: [Matmul(a, a, out)] * 2}
    assert choice.of(("linear", 2), ways, [out]) == "short"


@pytest.mark.parametrize("later", [False, True], ids=["in the same process", "in a later one"])
def test_a_way_is_tried_anew_with_factors_of_another_kind(monkeypatch, tmp_path, later):
    """Adam's gradients have factors on the host, those of SGD with a penalty on the device, 1 - rate * l2; the library
    may support one of them.
    """
    for rule in ("adam", "sgd"):
        if rule == "adam" or later:
            device = nvidia_device(monkeypatch)
            device._library._library.lacks = lambda asked: asked[EPILOGUE] == BGRADA and asked[POINTER_MODE]
            monkeypatch.setattr(device, "seconds", partial(prefer_sums, device.seconds))
            backend = emulate_gpu(monkeypatch, device)
            backend._choice = cache(lambda real, device=device: Choice(device, real, tmp_path))
        assert_same(optimizer=RULES[rule], batch_size=40, epochs=1, options={"l2": 0.1})
        chosen = json.loads(next(tmp_path.glob("*.json")).read_text())
        ways = {way for name, way in chosen.items() if name.startswith("accumulate-40-") and name.endswith(KINDS[rule])}
        assert ways == {"fused library" if rule == "adam" else "library"}


def prefer_sums(seconds, nodes, real):
    """The time of nodes, which is less if the library sums δ along with a gradient."""
    return seconds(nodes, real) - sum(getattr(node, "epilogue", None) == "bgrad" for node in nodes)


KINDS = {"adam": "host-written", "sgd": "device-added"}


def test_a_program_does_without_clusters_where_there_is_no_place_for_one(gpu, monkeypatch):
    """As on a part of a GPU; its blocks then meet at a barrier of the grid."""
    monkeypatch.setattr(programs, "BARRIER", 0)
    gpu.gpu.refused = {"cluster_program"}
    assert_same(optimizer=RULES["sgd"], batch_size=16, epochs=3, options={"l1": 1e-3})
    launched = [name for name in gpu.gpu.launched if "program" in name]
    assert launched.count("cluster_program") == 1
    assert launched.count("program") > 1
