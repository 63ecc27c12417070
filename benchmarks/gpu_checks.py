"""Correctness of the CUDA backend on this GPU: the CPU's losses, reproducible bits, tests, sanitizers, MNIST.

Run as a script, it trains small networks by every kind of step, for the sanitizers.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gpu_device import ROOT, Sizes, device_of, samples
from gpu_process import attempted, run_for

from fastmlp import MLP, SGD, Adam
from fastmlp.datasets import load
from fastmlp.optimizers import RMSprop

__all__ = ["accuracy", "agreement", "digests", "memcheck", "racecheck", "tests"]

EPOCHS = 2
# Largest relative difference of an epoch's loss from the CPU's. Sums in another order give 1e-6 in float32; Adam
# magnifies that where gradients are near 0.
TOLERANCE = {"float32 sgd": 1e-5, "float32 momentum": 1e-5, "float32 adam": 5e-3}
TOLERANCE |= {"float64 sgd": 1e-10, "float64 momentum": 1e-10, "float64 adam": 1e-8}
# Plain SGD moves the weights by the products that give the gradient, and without dropout the library may keep ReLU's
# masks: the two are compared without what keeps them from it.
RULES = {
    "sgd": (SGD(0.01), {}),
    "momentum": (SGD(0.01, momentum=0.9), {"dropout": 0.1}),
    "adam": (Adam(0.001), {"dropout": 0.1}),
}
# Tests that run on the real device: files, and the expression that selects their tests. Those of single kernels and
# operations come first, since the others fail if they do.
TESTS = (
    (("cuda/test_cuda_kernels.py", "backends/test_operations.py", "backends/test_loss_operations.py"), "cuda"),
    (("cuda/test_cuda_precision.py", "cuda/test_cublaslt.py"), "bfloat16 or documented or real"),
    (
        (
            *("backends/test_backends.py", "cuda/test_cuda_detection.py", "training/test_training.py"),
            *("training/test_gradients.py", "training/test_losses.py", "training/test_sparse.py"),
            *("training/test_trajectories.py", "backends/test_threads.py"),
        ),
        "cuda",
    ),
)
SANITIZER = "compute-sanitizer"
FOUND = 86  # its exit code if it has found anything

Keep = Callable[[Any], None]


def agreement(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """The losses of some epochs on the GPU and on the CPU (NumPy), from the same seed."""
    result: dict[str, Any] = {"cases": [], "failures": []}
    layers = next(iter(sizes.networks.values()))
    x, y = samples(layers[0], layers[-1], sizes.checked, sizes.emulated)
    for dtype in ("float32", "float64"):
        for rule in RULES:
            for batch in sizes.batches:
                n = sizes.checked_one if batch == "1" else sizes.checked
                size = batch if batch == "full" else min(int(batch), n)
                with attempted(f"{dtype} {rule}, batch {batch}", result["failures"]):
                    one, other = (_fit(name, layers, x[:n], y[:n], dtype, rule, size) for name in ("numpy", "cuda"))
                    losses, theirs = (np.array(model.history["loss"]) for model in (one, other))
                    apart = float(np.max(np.abs(theirs / losses - 1)))
                    weights = max(float(np.max(np.abs(a - b))) for a, b in zip(one.weights, other.weights, strict=True))
                    case = {"dtype": dtype, "rule": rule, "batch": batch, "losses": losses.tolist()}
                    case |= {
                        "relative difference": apart,
                        "of weights": weights,
                        "allowed": TOLERANCE[f"{dtype} {rule}"],
                    }
                    result["cases"].append(case)
                    if not apart <= case["allowed"]:  # NaN is no agreement
                        result["failures"].append(f"{dtype} {rule}, batch {batch}: losses differ by {apart:.1e}")
                keep(result)
    return result


def _fit(backend: str, layers: list[int], x, y, dtype: str, rule: str, batch: int | str) -> MLP:
    """A trained model; with a penalty, so that its kernels take part."""
    optimizer, options = RULES[rule]
    model = MLP(layers, dtype=dtype, backend=backend, seed=0, l2=1e-4, loss="softmax_cross_entropy", **options)
    model.fit(x, y, epochs=EPOCHS, batch_size=batch, optimizer=optimizer, progress=False)
    return model


def digests(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Of losses and parameters of two runs from the same seed."""
    result: dict[str, Any] = {"digests": {}, "failures": []}
    layers = next(iter(sizes.networks.values()))
    x, y = samples(layers[0], layers[-1], sizes.checked, sizes.emulated)
    for rule in RULES:
        for batch in sizes.batches:
            n = sizes.checked_one if batch == "1" else sizes.checked
            size = batch if batch == "full" else min(int(batch), n)
            with attempted(f"{rule}, batch {batch}", result["failures"]):
                pair = []
                for _ in range(2):
                    model = _fit("cuda", layers, x[:n], y[:n], "float32", rule, size)
                    content = [*model.weights, *model.biases, np.array(model.history["loss"])]
                    pair.append(hashlib.sha256(b"".join(array.tobytes() for array in content)).hexdigest())
                result["digests"][f"{rule}, batch {batch}"] = pair[0]
                if pair[0] != pair[1]:
                    result["failures"].append(f"{rule}, batch {batch}: a second run gives other bits")
            keep(result)
    return result


def accuracy(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Seconds of training to a given accuracy on MNIST's test images, by fastmlp's recipes for the CPU."""
    from time_to_accuracy import OWN

    if sizes.emulated or "FASTMLP_DATA" not in os.environ:
        return {"left out": "MNIST is too much for the emulation" if sizes.emulated else "FASTMLP_DATA is not set"}
    data, result = load("mnist"), {"recipes": [], "failures": []}
    for target in (0.98, 0.985):
        recipe, runs = OWN[target], []
        targets = recipe.targets(data.y)
        for seed in range(-1, sizes.seeds):  # the first is not counted
            if deadline < time.perf_counter():
                result["failures"].append(f"no time was left for {target:.1%}, seed {seed} and later ones")
                break
            model = MLP([784, *recipe.hidden, 10], loss="softmax_cross_entropy", backend="cuda", seed=max(seed, 0))
            options = {"epochs": recipe.epochs, "batch_size": recipe.batch, "schedule": recipe.schedule}
            begin = time.perf_counter()
            history = model.fit(data.x, targets, optimizer=recipe.optimizer, progress=False, **options)
            whole = time.perf_counter() - begin
            reached = float(np.mean(model.predict(data.x_test) == data.y_test))
            if seed >= 0:
                runs.append({"seconds": sum(history["seconds"]), "whole fit": whole, "accuracy": reached})
        result["recipes"].append({"target": target, "recipe": str(recipe), "runs": runs})
        keep(result)
    return result


def tests(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """The tests for CUDA, where a missing GPU is a failure.

    An error may make the GPU unusable for a process, so each group has its own; the remaining time is shared evenly.
    """
    result: dict[str, Any] = {"runs": [], "failures": []}
    for number, (names, chosen) in enumerate(TESTS):
        begin = time.perf_counter()
        until = begin + (deadline - begin) / (len(TESTS) - number)
        command = [sys.executable, "-m", "pytest", "--require-gpu", "-k", chosen, "-v", "--tb=short", "--maxfail=30"]
        command += ["-p", "no:cacheprovider", "-o", "faulthandler_timeout=60"]
        ran = _run([*command, *(f"tests/{name}" for name in names)], until)
        counted = (line.strip("= ") for line in reversed(ran["end"]) if re.search(r"\d (passed|failed|error)", line))
        ran["summary"] = next(counted, ran["end"][-1])
        result["runs"].append(ran)
        if ran["code"] != 0:
            result["failures"].append(f"{', '.join(names)}: exit code {ran['code']}: {ran['summary']}")
        keep(result)
    return result


def memcheck(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Memory access errors found by compute-sanitizer."""
    return _sanitized("memcheck", deadline)


def racecheck(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Races in shared memory found by compute-sanitizer."""
    return _sanitized("racecheck", deadline)


def _sanitized(tool: str, deadline: float) -> dict[str, Any]:
    path = shutil.which(SANITIZER) or shutil.which(SANITIZER, path="/usr/local/cuda/bin")
    if path is None:
        return {"left out": f"{SANITIZER} is not installed"}
    ran = _run([path, "--tool", tool, "--error-exitcode", str(FOUND), sys.executable, __file__], deadline)
    lines = [line for line in ran["end"] if "SUMMARY" in line]
    ran["summary"] = lines[-1].strip("= ") if lines else "no summary"
    failed = ran["code"] != 0 or not lines  # without a summary it has checked nothing
    return ran | {"failures": [f"exit code {ran['code']}: {ran['summary']}"] if failed else []}


def _run(command: list[str], deadline: float) -> dict[str, Any]:
    """Exit code (None: killed at the deadline) and the last lines of a command; its whole output goes to the log."""
    seconds = max(deadline - time.perf_counter(), 1.0)
    with tempfile.TemporaryFile() as output:
        code = run_for(command, seconds, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code is None:
        text += f"\nended after {seconds:.0f} s"
    print(text)
    return {"command": command, "code": code, "end": text.strip().splitlines()[-40:] or ["it printed nothing"]}


def small_run() -> None:
    """Train small networks on the GPU by every kind of step."""
    random = np.random.RandomState(0)
    x, y = random.standard_normal((90, 12)).astype(np.float32), random.randint(0, 3, 90)
    rules = SGD(0.01), SGD(0.01, momentum=0.9), Adam(0.001), RMSprop(0.001)
    for rule, batch in [*((rule, 40) for rule in rules), *((rules[0], batch) for batch in (1, 16, 28, "full"))]:
        n = 9 if batch == 1 else len(x)
        options = {"loss": "softmax_cross_entropy", "backend": "cuda", "seed": 0}
        rich = MLP([12, 35, 20, 3], dropout=0.2, l1=1e-4, l2=1e-3, **options)
        rich.fit(x[:n], y[:n], epochs=2, batch_size=batch, optimizer=rule, max_norm=1.0, progress=False)
        rich.predict(x)
        plain = MLP([12, 8, 3], **options)
        plain.fit(x[:n], y[:n], epochs=1, batch_size=batch, optimizer=rule, progress=False)
    print(f"trained on {device_of().describe()}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    small_run()
