"""Seconds until the first fit is done: cold, with an empty cache of compiled code, and warm, in a later process.

Run: python benchmarks/compile_time.py [--rounds 3] [--output FILE]. Each figure is from a new process, from after the
import of Numba to the end of one epoch over 64 samples. "again" is a second fit in the same process: drawing and
training the weights, without the start-up.
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
import time
import numpy as np
from fastmlp import MLP
imported = time.perf_counter()
import numba
sizes, activation, fit = {case!r}
extra = dict(l2=1e-4, dropout=0.2) if fit["optimizer"] == "rmsprop" else dict()
figures = [time.perf_counter() - imported]
for _ in range(2):
    begin = time.perf_counter()
    random = np.random.RandomState(0)
    x, y = random.rand(64, sizes[0]).astype("float32"), random.randint(0, sizes[-1], 64)
    model = MLP(sizes, activation, loss="softmax_cross_entropy", backend="numba", **extra)
    model.fit(x, y, epochs=1, progress=False, **fit)
    figures.append(time.perf_counter() - begin)
print(*figures)
"""


def seconds(case: tuple, cache: str) -> list[float]:
    """Seconds of importing Numba, of the first fit after it, and of the same fit again."""
    run = [sys.executable, "-c", _PROGRAM.format(case=case)]
    output = subprocess.run(run, env=os.environ | {"FASTMLP_CACHE_DIR": cache}, capture_output=True, check=True).stdout
    return list(map(float, output.split()))


def table(rounds: int) -> list[str]:
    """Markdown lines: medians and ranges over the rounds."""
    lines = ["| first fit | import of Numba, s | cold, s | warm, s | again, s |", "|---|---|---|---|---|"]
    for name, case in CASES.items():
        columns: list[list[float]] = [[], [], [], []]
        importing, cold, warm, again = columns
        for _ in range(rounds):
            with TemporaryDirectory() as cache:
                for figures in (cold, warm):
                    imported, fitted, repeated = seconds(case, cache)
                    importing.append(imported)
                    figures.append(fitted)
                    again.append(repeated)
        cells = [f"{median(column):.2f} ({min(column):.2f} … {max(column):.2f})" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("COMPILE_TIME.md"))
    arguments = parser.parse_args()
    lines = [
        *("# Seconds of the first fit", "", *machine()[:-1]),
        *(f"- command: `python {' '.join(sys.argv)}`", "- medians and ranges over new processes", ""),
        *table(arguments.rounds),
    ]
    with atomic_write(arguments.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
