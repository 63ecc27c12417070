"""The kernels compiled for CPUs with shorter vectors than the host's, in one process for each CPU.

Each process compiles everything anew, which takes a minute; its trained networks are compared with the NumPy backend.
"""

import os
import platform
import subprocess
import sys
from functools import cache
from itertools import pairwise, product
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from fastmlp import MLP, SGD, Adam

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="the CPUs that these tests know are x86"
)


class CPU(NamedTuple):
    """The settings of Numba for a CPU, and the expected size of vectors and tiles."""

    name: str
    features: tuple[str, ...]  # without them Numba would take the host's, whatever the name
    vector_bytes: int
    rows: int
    kinds: tuple[tuple[str, int], ...]  # dtypes and batch sizes, each with kernels of its own


# All pairs of CPU, dtype and batch size, and float32 in both sizes on the CPU that is most common
AVX2 = ("avx", "avx2", "fma", "bmi", "bmi2", "lzcnt", "popcnt")
CPUS = {
    "haswell": CPU("haswell", AVX2, 32, 6, (("float32", 1), ("float32", 37), ("float64", 37))),
    "x86-64": CPU("x86-64", (), 16, 4, (("float32", 37), ("float64", 1))),
}
SIZES = [245, 67, 9, 5]  # multiples of no vector; the first layer has whole tiles, and work for two threads
SAMPLES = 149
EPOCHS = {
    1: 1,
    37: 20,
}  # by batch size: 149 updates of one sample; 100 of 37 samples and, for the last of an epoch, one
THREADS = (1, 1, 2)  # of the runs that must give the same
OPTIMIZERS = {"sgd": SGD(0.05), "adam": Adam(0.005)}
DRIFT = {"float64": 1e-12, "float32": 5e-5}  # see test_trajectories


def cases(cpu):
    return [(*kind, *rest) for kind, *rest in product(cpu.kinds, ("relu", "tanh"), OPTIMIZERS)]


CASES = [(cpu, case) for cpu in CPUS.values() for case in cases(cpu)]


def train(backend, threads, dtype, batch_size, activation, optimizer):
    """Parameters and losses in one array."""
    random = np.random.RandomState(0)
    shape = SAMPLES, SIZES[0]
    x = random.standard_normal(shape) * (random.uniform(size=shape) < 0.5)  # zeros, which kernels leave out
    y = (x[:, :4] @ [1, 1, -1, -1] > 0) + 2 * (x[:, 0] * x[:, 1] > 0)
    model = MLP(SIZES, activation, dtype=dtype, backend=backend, n_threads=threads, seed=3)
    fit = {"epochs": EPOCHS[batch_size], "batch_size": batch_size, "optimizer": OPTIMIZERS[optimizer]}
    history = model.fit(x, y, **fit)
    return np.concatenate([*(array.ravel() for array in (*model.weights, *model.biases)), history["loss"]])


def main(name, path):
    """Compute all results for one CPU, in a process with its settings."""
    from fastmlp.kernels.cpu.machine.host import ROWS, VECTOR_BYTES

    trained = {"/".join(map(str, case)): [train("numba", n, *case) for n in THREADS] for case in cases(CPUS[name])}
    np.savez(path, vector_bytes=VECTOR_BYTES, rows=ROWS, **trained)


@cache
def found(cpu):
    """The results of `main` for that CPU; skips the test if this machine cannot run its code."""
    host = get_host_cpu_features()
    missing = [feature for feature in cpu.features if not host.get(feature)]
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    told = {"NUMBA_CPU_NAME": cpu.name, "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in cpu.features)}
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "found.npz")
        done = subprocess.run(
            [sys.executable, __file__, cpu.name, path],
            env=os.environ | told | {"FASTMLP_CACHE_DIR": folder},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        with np.load(path) as arrays:
            return dict(arrays)


@pytest.mark.parametrize("cpu", CPUS.values(), ids=CPUS)
def test_vectors_and_tiles_are_those_of_the_cpu(cpu):
    assert (found(cpu)["vector_bytes"], found(cpu)["rows"]) == (cpu.vector_bytes, cpu.rows)


of_each = pytest.mark.parametrize(
    ("cpu", "case"), CASES, ids=["-".join(map(str, (cpu.name, *case))) for cpu, case in CASES]
)


@of_each
def test_training_follows_numpy(cpu, case):
    trained, reference = found(cpu)["/".join(map(str, case))][0], train("numpy", 1, *case)
    np.testing.assert_allclose(trained, reference, rtol=0, atol=DRIFT[case[0]])


@of_each
def test_a_repeated_run_is_the_same_to_the_last_bit(cpu, case):
    for one, other in pairwise(found(cpu)["/".join(map(str, case))]):
        np.testing.assert_array_equal(one, other)


if __name__ == "__main__":
    main(*sys.argv[1:])
