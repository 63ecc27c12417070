"""Batch, mini-batch and stochastic gradient descent, and prediction, on every backend: samples per second.

One call trains for one epoch with everything that `fit` does: checks, workspaces, batches, the loss. Compilation and
the first access to the data are excluded.
"""

import pytest
from workloads import NETWORKS, REGIMES, SAMPLES, flops, make, record

ROUNDS = 5


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("network", NETWORKS)
def test_training(benchmark, backend, network, regime, optimizer):
    sizes, samples = NETWORKS[network], SAMPLES[regime]
    model, x, y = make(sizes, backend, samples)
    benchmark.group = f"training {network}, {optimizer}"
    benchmark.extra_info |= {"network": network, "regime": regime, "optimizer": optimizer, "backend": backend}
    benchmark.pedantic(
        model.fit,
        args=(x, y),
        kwargs={"epochs": 1, "batch_size": REGIMES[regime], "optimizer": optimizer, "lr": 1e-3, "progress": False},
        rounds=ROUNDS,
        warmup_rounds=1,
    )
    record(benchmark, samples, flops(sizes))


@pytest.mark.parametrize("network", NETWORKS)
def test_predict(benchmark, backend, network):
    sizes, samples = NETWORKS[network], 8192
    model, x, _ = make(sizes, backend, samples)
    benchmark.group = f"predict {network}"
    benchmark.extra_info |= {"network": network, "regime": "predict", "optimizer": "-", "backend": backend}
    benchmark.pedantic(model.predict, args=(x,), rounds=2 * ROUNDS, warmup_rounds=1)
    record(benchmark, samples, flops(sizes, training=False))
