"""`NvidiaDevice` over as much of CuPy as it uses: training by its streams, graphs, staging buffers and choices."""

import numpy as np
import pytest
from conftest import emulate_gpu
from emulation.fake_cupy import nvidia_device
from test_cuda_training import RULES, assert_same

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
