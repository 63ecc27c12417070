"""Seconds of training to an accuracy on MNIST's test images, with the same settings for all libraries and with our own.

Run: FASTMLP_DATA=FOLDER python benchmarks/time_to_accuracy.py [--seeds N] [--threads N] [--quick]. FOLDER contains
mnist/. Writes TIME_TO_ACCURACY.md in this folder.

Only epochs are timed, not compilation, the copying of data, or the evaluation after every epoch. All compute in float32
and begin with the same weights for the same seed. fastmlp's own recipes were tuned by hand, one for each target, on the
same test images; each is timed to its end, since the accuracy of an annealed rate is reached in the last epoch.
"""

import argparse
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from contenders import OURS, Contender, Task, contenders, initial
from surroundings import heading, limit_threads
from threadpoolctl import threadpool_limits

from fastmlp import MLP, SGD, Adam
from fastmlp.datasets import Dataset, load
from fastmlp.files import atomic_write
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import OneCycle

HERE = Path(__file__).parent
TARGETS = (0.97, 0.98, 0.985)
SHARED_SIZES, SHARED_BATCH, SHARED_LR = [784, 256, 10], 128, 0.001  # Adam
MOST_EPOCHS = 15  # of the shared recipe
LEFT_OUT = "torch.compile"  # the eager one stands for PyTorch
PAUSE = 0.1  # seconds after an evaluation: the threads of its BLAS spin for a while, and would disturb the epoch
Curve = list[tuple[float, float]]  # after each epoch: seconds so far, test accuracy


def changed(instance: Any) -> str:
    """Describe a dataclass by its constructor call, without arguments at their defaults."""
    given = (field for field in fields(instance) if getattr(instance, field.name) != field.default)
    return f"{type(instance).__name__}({', '.join(f'{field.name}={getattr(instance, field.name)}' for field in given)})"


class Recipe(NamedTuple):
    """Settings of fastmlp for one target accuracy."""

    hidden: list[int]
    optimizer: Optimizer
    batch: int
    epochs: int
    schedule: OneCycle
    smoothing: float = 0.0  # ε of targets (1-ε) one-hot + ε/C: Szegedy et al., CVPR 2016, section 7

    def targets(self, y: np.ndarray) -> np.ndarray:
        if not self.smoothing:
            return y
        classes = int(y.max()) + 1
        return (1 - self.smoothing) * np.eye(classes, dtype=np.float32)[y] + np.float32(self.smoothing / classes)

    def __str__(self) -> str:
        layers = "-".join(map(str, [784, *self.hidden, 10]))
        smoothing = f", label smoothing {self.smoothing}" if self.smoothing else ""
        rule, schedule = changed(self.optimizer), changed(self.schedule)
        return f"{layers}, {rule}, batch {self.batch}, {schedule}, {self.epochs} epochs{smoothing}"


OWN = {
    0.97: Recipe([64], SGD(0.3, momentum=0.9, nesterov=True), 128, 2, OneCycle(0.2), 0.1),
    0.98: Recipe([160], Adam(0.008), 128, 3, OneCycle(0.2), 0.1),
    0.985: Recipe([384], Adam(0.006), 128, 5, OneCycle(0.2), 0.1),
}


def accuracy(parameters: list[np.ndarray], data: Dataset) -> float:
    """Accuracy on the test images, computed by NumPy for every library; followed by a pause."""
    layers = len(parameters) // 2
    h = np.asarray(data.x_test)
    for l, (w, b) in enumerate(zip(parameters[:layers], parameters[layers:], strict=True)):
        h = h @ w + b
        if l < layers - 1:
            h = np.maximum(h, 0)
    time.sleep(PAUSE)
    return float(np.mean(h.argmax(axis=1) == data.y_test))


def fit(model: MLP, data: Dataset, targets: np.ndarray, epochs: int, enough: float = 1.0, **options: Any) -> Curve:
    """Train until the epochs are done or the accuracy is reached; time in the callback is not counted."""
    curve: Curve = []
    resumed = 0.0

    def look(epoch) -> bool:
        nonlocal resumed
        # the first epoch by the trainer's clock, which leaves out the checks of the input
        seconds = time.perf_counter() - resumed if curve else epoch.history["seconds"][0]
        curve.append((seconds + (curve[-1][0] if curve else 0.0), accuracy([*model.weights, *model.biases], data)))
        resumed = time.perf_counter()
        return curve[-1][1] >= enough

    model.fit(data.x, targets, epochs=epochs, callbacks=[look], progress=False, **options)
    return curve


def shared_ours(task: Task, data: Dataset) -> Curve:
    model = MLP(task.sizes, loss="softmax_cross_entropy", backend="numba", seed=task.seed)
    model.set_parameters(task.weights, task.biases)
    return fit(model, data, data.y, MOST_EPOCHS, max(TARGETS), batch_size=task.batch, optimizer=Adam(task.lr))


def shared_peer(contender: Contender, data: Dataset) -> Curve:
    """Train another library; scikit-learn continues by partial_fit, since `fit` would start with a new optimizer."""
    train = getattr(contender, "train_on", lambda: contender.train(1))
    contender.reset()
    curve: Curve = []
    while len(curve) < MOST_EPOCHS and (not curve or curve[-1][1] < max(TARGETS)):
        seconds = train() + (curve[-1][0] if curve else 0.0)
        curve.append((seconds, accuracy(contender.parameters(), data)))
    return curve


def seconds_to(target: float, curve: Curve) -> float:
    """Seconds until the accuracy was first reached; infinity if never."""
    return next((seconds for seconds, reached in curve if reached >= target), float("inf"))


def summary(target: float, curves: list[Curve]) -> str:
    """Mean and spread of the seconds over the seeds that reached the accuracy, and their number."""
    seconds = np.array([seconds_to(target, curve) for curve in curves])
    there = seconds[np.isfinite(seconds)]
    if not there.size:
        return f"not reached by any of {len(curves)}"
    text = f"{there.mean():.2f} ({there.min():.2f} … {there.max():.2f})"
    return text if len(there) == len(curves) else f"{text}, {len(there)} of {len(curves)} seeds"


def run_shared(data: Dataset, seeds: int, threads: int, missing: dict[str, str]) -> dict[str, list[Curve]]:
    """The curves of every library: seed by seed all of them, in an order that rotates."""
    there, reasons = contenders()
    missing |= {name: reason for name, reason in reasons.items() if name != LEFT_OUT}
    there.pop(LEFT_OUT, None)
    curves: dict[str, list[Curve]] = {name: [] for name in there}
    for seed in range(seeds):
        weights = initial(SHARED_SIZES, seed)
        task = Task(data.x, data.y, *weights, SHARED_BATCH, "adam", SHARED_LR, threads, seed=seed)
        names = list(there)
        for name in names[seed % len(names) :] + names[: seed % len(names)]:
            if name == OURS:
                curves[name].append(shared_ours(task, data))
                continue
            contender = there[name](task)
            if seed == 0:
                warm_up(contender, len(data.x))
            curves[name].append(shared_peer(contender, data))
        ends = (f"{name} {curve[-1][-1][1]:.2%} in {curve[-1][-1][0]:.1f} s" for name, curve in curves.items())
        print(f"seed {seed}:", ", ".join(ends), file=sys.stderr)
    return curves


def warm_up(contender: Contender, samples: int) -> None:
    """Train on a few batches, so that a library's one-time work is done."""
    contender.take(20 * SHARED_BATCH)
    contender.reset()
    contender.train(1)
    contender.take(samples)


def run_own(data: Dataset, seeds: int) -> dict[float, list[Curve]]:
    """fastmlp's own recipes, every one to its end."""
    curves: dict[float, list[Curve]] = {}
    for target, recipe in OWN.items():
        curves[target] = []
        for seed in range(seeds):
            model = MLP([784, *recipe.hidden, 10], loss="softmax_cross_entropy", backend="numba", seed=seed)
            options: dict[str, Any] = {
                "batch_size": recipe.batch,
                "optimizer": recipe.optimizer,
                "schedule": recipe.schedule,
            }
            curves[target].append(fit(model, data, recipe.targets(data.y), recipe.epochs, **options))
    return curves


def tables(shared: dict[str, list[Curve]], own: dict[float, list[Curve]]) -> list[str]:
    """Markdown lines."""
    titles = " | ".join(f"{target:.1%}" for target in TARGETS)
    layers = "-".join(map(str, SHARED_SIZES))
    lines = [
        f"## One recipe for all: {layers}, Adam at {SHARED_LR}, batch {SHARED_BATCH}, at most {MOST_EPOCHS} epochs",
        "",
        "Seconds until the test accuracy after an epoch was first as high: mean (lowest … highest) of the seeds.",
        "",
        f"| library | {titles} | seconds of an epoch | accuracy in the end |",
        "|---|" + "---|" * (len(TARGETS) + 2),
    ]
    for name, curves in shared.items():
        cells = " | ".join(summary(target, curves) for target in TARGETS)
        epoch = np.median([curve[-1][0] / len(curve) for curve in curves])
        end = np.mean([curve[-1][1] for curve in curves])
        lines.append(f"| {name} | {cells} | {epoch:.2f} | {end:.2%} |")
    lines += [
        "",
        "## fastmlp's own recipe for each target",
        "",
        "| accuracy | seconds | accuracy in the end, mean (lowest) | recipe |",
        "|---|---|---|---|",
    ]
    for target, curves in own.items():
        last = np.array([curve[-1][1] for curve in curves])
        lines.append(
            f"| {target:.1%} | {summary(target, curves)} | {last.mean():.2%} ({last.min():.2%}) | {OWN[target]} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="runs of each, from seed 0 on")
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, that everybody may use")
    parser.add_argument("--quick", action="store_true", help="one seed: only whether all of it works")
    parser.add_argument("--output", type=Path, default=HERE / "TIME_TO_ACCURACY.md")
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    limit_threads(options.threads)
    missing: dict[str, str] = {}
    begin, data = time.perf_counter(), load("mnist")
    with threadpool_limits(options.threads):
        own = run_own(data, seeds)
        shared = run_shared(data, seeds, options.threads, missing)
    head = heading(options.threads, missing, time.perf_counter() - begin)
    lines = ["# Time to accuracy", "", *head, f"- {seeds} seeds", "", *tables(shared, own)]
    with atomic_write(options.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
