"""precision="bf16" beside float32 on one CPU: rates of training and prediction, test scores, seconds to 98 % on MNIST.

Run: FASTMLP_DATA=FOLDER python benchmarks/bf16.py [--parts PART …] [--threads N]. Writes BF16.md in this folder; parts
that are not measured anew stay as BF16.json has them. PyTorch, if installed, is measured with and without autocast.

Contenders take turns, round by round, in one process; rates are medians with the lowest and the highest of the rounds.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from contenders import Contender, Fastmlp, Task, initial
from report import machine
from surroundings import limit_threads
from threadpoolctl import threadpool_limits
from time_to_accuracy import fit, seconds_to

from fastmlp import MLP, Adam
from fastmlp.datasets import load
from fastmlp.files import atomic_write
from fastmlp.kernels.cpu.machine.host import PAIRS

HERE = Path(__file__).parent
RECORD = HERE / "BF16.json"
SAMPLES = {"784-128-10": 20_000, "784-512-256-10": 10_000, "1024-1024-1024-10": 5_000}
BATCHES, ROWS = (32, 128, 512, None), (128, 8192)  # None: all samples
ROUNDS, SECONDS = 5, 0.15  # of each timed call at least
PAUSE = 0.1  # seconds before it: another library's threads spin for a while after its last product
PRECISIONS = ("float32", "bf16")
SEEDS, BATCH = 10, 128  # of the fits for scores and times
Cell = dict[str, Any]


def ours(precision: str) -> Callable[[Task], Fastmlp]:
    def make(task: Task) -> Fastmlp:
        contender = Fastmlp(task)
        contender.model = MLP(
            task.sizes, loss="softmax_cross_entropy", backend="numba", precision=precision, seed=task.seed
        )
        return contender

    return make


def contenders() -> dict[str, Callable[[Task], Contender]]:
    there: dict[str, Callable[[Task], Contender]] = {precision: ours(precision) for precision in PRECISIONS}
    if find_spec("torch"):
        import torch
        from peer_torch import Eager

        class Autocast(Eager):
            def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
                with torch.autocast("cpu", torch.bfloat16):
                    return super().step(x, y)

        there |= {"PyTorch": Eager, "PyTorch, autocast": Autocast}
    return there


def spread(values: list[float]) -> list[float]:
    return [float(value) for value in (np.median(values), min(values), max(values))]


def training(sizes: list[int], samples: int, threads: int) -> list[Cell]:
    random, cells = np.random.default_rng(0), []
    x = random.random((samples, sizes[0]), np.float32) * (random.random((samples, sizes[0])) < 0.2)
    x, y = x.astype(np.float32), random.integers(0, 10, samples)
    for batch in (rows or samples for rows in BATCHES):
        task = Task(x, y, *initial(sizes), batch, "sgd", 0.01, threads)
        there = {name: make(task) for name, make in contenders().items()}
        rates: dict[str, list[float]] = {name: [] for name in there}
        epochs = {}
        for name, contender in there.items():
            contender.train(1)
            epochs[name] = max(1, round(SECONDS / contender.train(1)))
        for _ in range(ROUNDS):
            for name, contender in there.items():
                time.sleep(PAUSE)
                contender.train(1)
                rates[name].append(samples * epochs[name] / contender.train(epochs[name]))
        cells.append({"batch": batch, "rates": {name: spread(values) for name, values in rates.items()}})
    return cells


def prediction(sizes: list[int]) -> list[Cell]:
    cells = []
    for rows in ROWS:
        x = np.random.default_rng(0).random((rows, sizes[0]), np.float32)
        models = {name: MLP(sizes, backend="numba", precision=name, seed=0) for name in PRECISIONS}
        rates: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(3 * ROUNDS):
            for name, model in models.items():
                model.predict_raw(x)
                begin, calls = time.perf_counter(), 0
                while calls == 0 or time.perf_counter() < begin + SECONDS / 3:
                    model.predict_raw(x)
                    calls += 1
                rates[name].append(rows * calls / (time.perf_counter() - begin))
        cells.append({"rows": rows, "rates": {name: spread(values) for name, values in rates.items()}})
    return cells


def scores(name: str) -> Cell:
    """Test scores in percent, of each precision and seed: accuracy, or R² for housing."""
    if name == "housing":
        file = Path(os.environ["FASTMLP_DATA"], "california-housing/housing.csv")
        data = load(file, target="median_house_value", missing="impute", standardize_target=True)
        sizes, loss = [data.x.shape[1], 128, 64, 1], "mean_squared_error"
    else:
        data = load(name)
        sizes, loss = [784, 256, 10], "softmax_cross_entropy"
    found: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(SEEDS):
        for precision in PRECISIONS:
            model = MLP(sizes, loss=loss, backend="numba", precision=precision, seed=seed)
            model.fit(data.x, data.y, epochs=20, batch_size=BATCH, optimizer=Adam(0.001), progress=False)
            if name == "housing":
                truth = np.ravel(data.y_test)
                score = 1 - np.mean((model.predict_raw(data.x_test).ravel() - truth) ** 2) / truth.var()
            else:
                score = np.mean(model.predict(data.x_test) == data.y_test)
            found[precision].append(100 * float(score))
    return {"data": name, "scores": found}


def times(sizes: list[int]) -> Cell:
    """Seconds of training until 98 % of MNIST's test images are recognised, of each precision and seed."""
    data = load("mnist")
    found: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(SEEDS):
        for precision in PRECISIONS:
            model = MLP(sizes, loss="softmax_cross_entropy", backend="numba", precision=precision, seed=seed)
            curve = fit(model, data, data.y, 30, 0.98, batch_size=BATCH, optimizer=Adam(0.001))
            found[precision].append(seconds_to(0.98, curve))
    return {"seconds": found}


def measured(part: str, threads: int) -> Any:
    if part in DATA:
        return scores(part)
    kind, _, layers = part.rpartition(" ")
    sizes = [int(width) for width in layers.split("-")]
    if kind == "98%":
        return times(sizes)
    return {"training": training(sizes, SAMPLES[part], threads), "prediction": prediction(sizes)}


DATA = ("mnist", "fashion-mnist", "housing")
TIMED = ("98% 784-256-10", "98% 784-512-256-10")
PARTS = (*SAMPLES, *DATA, *TIMED)


def thousands(rates: list[float]) -> str:
    """Samples a second: median, lowest and highest."""
    middle, low, high = (f"{rate / 1e3:,.0f}" for rate in rates)
    return f"{middle} ({low} … {high})"


def rate_tables(found: Cell) -> list[str]:
    lines: list[str] = []
    for kind, count, of in (("training", "batch", "Training by plain SGD"), ("prediction", "rows", "Prediction")):
        cells = [(part, cell) for part in SAMPLES if part in found for cell in found[part][kind]]
        names = list(dict.fromkeys(name for _, cell in cells for name in cell["rates"]))
        lines += [f"## {of}: thousands of samples a second", ""]
        lines += [f"| network | {count} | {' | '.join(names)} | bf16 over float32 |", "|---" * (len(names) + 3) + "|"]
        for part, cell in cells:
            rates = [thousands(cell["rates"][name]) if name in cell["rates"] else "" for name in names]
            ratio = cell["rates"]["bf16"][0] / cell["rates"]["float32"][0]
            lines.append(f"| {part} | {cell[count]:,} | {' | '.join(rates)} | **{ratio:.2f}** |")
        lines.append("")
    return lines


def quality_tables(found: Cell) -> list[str]:
    lines = ["## Test scores", ""]
    lines += [f"Accuracy in percent, R² for housing: mean ± deviation of {SEEDS} seeds after 20 epochs of Adam.", ""]
    lines += ["| data | float32 | bf16 | difference of the means ± its standard error |", "|---|---|---|---|"]
    for part in DATA:
        if part in found:
            one, other = (np.array(found[part]["scores"][name]) for name in PRECISIONS)
            both = " | ".join(f"{values.mean():.2f} ± {values.std(ddof=1):.2f}" for values in (one, other))
            error = (other - one).std(ddof=1) / len(one) ** 0.5
            lines.append(f"| {part} | {both} | {(other - one).mean():+.2f} ± {error:.2f} |")
    lines += ["", "## Seconds of training to 98 % on MNIST", ""]
    lines += [f"Adam, batches of {BATCH}; median (least … most) of {SEEDS} seeds.", ""]
    lines += ["| network | float32 | bf16 | ratio |", "|---|---|---|---|"]
    for part in TIMED:
        if part in found:
            one, other = (spread(found[part]["seconds"][name]) for name in PRECISIONS)
            both = " | ".join(f"{middle:.2f} ({least:.2f} … {most:.2f})" for middle, least, most in (one, other))
            lines.append(f"| {part.split()[1]} | {both} | **{other[0] / one[0]:.2f}** |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, that everybody may use")
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    found = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for part in arguments.parts:
        with threadpool_limits(arguments.threads):
            found[part] = measured(part, arguments.threads)
        with atomic_write(RECORD) as file:
            file.write(json.dumps(found, indent=1).encode())
    way = "by AVX512_BF16" if PAIRS else "in float32, for want of AVX512_BF16"
    lines = ["# bfloat16 on the CPU", "", *machine()[:-1], f"- at most {arguments.threads} threads for every library"]
    lines += [f"- PyTorch {version('torch')}"] if find_spec("torch") else ["- PyTorch is not installed"]
    lines += [f"- products of bfloat16 factors: {way}"]
    lines += ["- command: `python benchmarks/bf16.py --parts PART`, part by part", ""]
    with atomic_write(HERE / "BF16.md") as file:
        file.write("\n".join([*lines, *rate_tables(found), *quality_tables(found), ""]).encode())


if __name__ == "__main__":
    main()
