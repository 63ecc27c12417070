"""The networks and data of the benchmarks, and the computation of throughput."""

from itertools import pairwise

import numpy as np

from fastmlp import MLP

NETWORKS = {
    "2-4-3": [2, 4, 3],
    "64-32-10": [64, 32, 10],
    "784-128-10": [784, 128, 10],
    "784-512-256-10": [784, 512, 256, 10],
}
REGIMES = {"full": "full", "512": 512, "128": 128, "32": 32, "1": 1}

# Samples in one measured call: enough to be timed, few enough for NumPy at batch size 1.
SAMPLES = {"full": 8192, "512": 8192, "128": 8192, "32": 4096, "1": 512}


def flops(sizes, training=True):
    """Floating-point operations of one sample: 2 per weight forward, 2 for its gradient, 2 for δ except in layer 1."""
    layers = [2 * i * o for i, o in pairwise(sizes)]
    return 3 * sum(layers) - layers[0] if training else sum(layers)


def make(sizes, backend, samples, dtype="float32", n_threads=None):
    """A model and random data of its shape: x uniform in [0, 1), labels uniform."""
    random = np.random.RandomState(0)
    x = random.rand(samples, sizes[0]).astype(dtype)
    y = random.randint(0, sizes[-1], samples)
    model = MLP(sizes, loss="softmax_cross_entropy", backend=backend, dtype=dtype, seed=0, n_threads=n_threads)
    return model, x, y


def record(benchmark, samples, flops_per_sample):
    """Record the throughput of the median round along with the times."""
    if benchmark.stats is None:  # --benchmark-disable
        return
    rate = samples / benchmark.stats.stats.median
    benchmark.extra_info["samples_per_second"] = rate
    benchmark.extra_info["gflops"] = rate * flops_per_sample / 1e9
