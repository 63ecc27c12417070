"""Seconds until the first fit is done: cold, with an empty cache of compiled code, and warm, in a later process.

Run: python benchmarks/compile_time.py [--rounds 3] [--base FOLDER] [--output FILE]. Each figure is from a new process,
which has imported scikit-learn's MLPClassifier, from there on: the import of fastmlp and one epoch over 64 samples.
"again" is a second fit in the same process. "prediction" is a warm process that imports fastmlp, loads a model and
predicts one row. With --base, a checkout of another build takes turns with this one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from report import machine

from fastmlp.files import atomic_write

CASES = {
    "784-128-10, SGD, batch size 32": ([784, 128, 10], "relu", {"optimizer": "sgd", "batch_size": 32}),
    "784-128-10, SGD, batch size 1": ([784, 128, 10], "relu", {"optimizer": "sgd", "batch_size": 1}),
    "784-512-256-10, Adam, batch size 32": ([784, 512, 256, 10], "relu", {"optimizer": "adam", "batch_size": 32}),
    "784-2048-2048-10, SGD, packed products": ([784, 2048, 2048, 10], "relu", {"optimizer": "sgd", "batch_size": 64}),
    "20-64-64-3, GELU, RMSprop, L2, dropout": ([20, 64, 64, 3], "gelu", {"optimizer": "rmsprop", "batch_size": 32}),
}
_PROGRAM = """
import sys, time
import numpy as np
import sklearn.neural_network
begin = time.perf_counter()
from fastmlp import MLP
sizes, activation, fit = {case!r}
model_file = {model!r}
random = np.random.RandomState(0)
x, y = random.rand(64, sizes[0]).astype("float32"), random.randint(0, sizes[-1], 64)
if {predict}:
    MLP.load(model_file, backend="numba").predict(x[:1])
    print(time.perf_counter() - begin)
    sys.exit()
extra = dict(l2=1e-4, dropout=0.2) if fit["optimizer"] == "rmsprop" else dict()
for _ in range(2):
    model = MLP(sizes, activation, loss="softmax_cross_entropy", backend="numba", **extra)
    model.fit(x, y, epochs=1, progress=False, **fit)
    print(time.perf_counter() - begin)
    begin = time.perf_counter()
model.save(model_file)
"""


def seconds(package: Path, case: tuple, folder: str, predict: bool = False) -> list[float]:
    """Seconds until the first fit is done, and of the same fit again; or until the first prediction."""
    program = _PROGRAM.format(case=case, model=f"{folder}/model.safetensors", predict=predict)
    environment = os.environ | {"FASTMLP_CACHE_DIR": folder, "PYTHONPATH": str(package)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, cwd=folder, capture_output=True, check=True)
    return list(map(float, run.stdout.split()))


def table(rounds: int, builds: dict[str, Path]) -> list[str]:
    """Markdown lines: medians and ranges over the rounds."""
    columns = "cold", "warm", "again", "prediction"
    lines = [f"| first fit | build | {', s | '.join(columns)}, s |", f"|---|---{'|---' * len(columns)}|"]
    for name, case in CASES.items():
        found: dict[str, list[tuple]] = {build: [] for build in builds}
        for _ in range(rounds):
            for build, package in builds.items():
                with TemporaryDirectory() as folder:
                    cold, _ = seconds(package, case, folder)
                    warm, again = seconds(package, case, folder)
                    seconds(package, case, folder, predict=True)  # compiles what it needs
                    found[build].append((cold, warm, again, *seconds(package, case, folder, predict=True)))
        for build, figures in found.items():
            cells = [f"{median(of):.2f} ({min(of):.2f} … {max(of):.2f})" for of in zip(*figures, strict=True)]
            lines.append(f"| {name} | {build} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("COMPILE_TIME.md"))
    arguments = parser.parse_args()
    builds = {"this": Path(__file__).parents[1]} | ({"before": arguments.base} if arguments.base else {})
    lines = [
        *("# Seconds of the first fit", "", *machine()[:-1]),
        f"- command: `python {' '.join(sys.argv)}`",
        "- from after the import of scikit-learn; medians and ranges over new processes",
        *("", *table(arguments.rounds, builds)),
    ]
    with atomic_write(arguments.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
