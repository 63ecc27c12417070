"""Speed with the default number of threads compared with one and two threads, in alternation.

Run: FASTMLP_DATA=FOLDER python benchmarks/thread_choice.py [--rounds N] [--output FILE]. Networks, data and batch sizes
are those of peers.py. Writes THREAD_CHOICE.md: the speed of the default relative to the best number, round by round.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from contenders import Fastmlp, Task, initial
from peer_tables import median_and_spread
from peers import NETWORKS, RATES, SAMPLES, data
from report import machine

from fastmlp import MLP
from fastmlp.files import atomic_write

NUMBERS = {"default": None, "1": 1, "2": 2}
SECONDS = 0.3  # that a run takes, about
FEW_SAMPLES = 6_000  # of a network with many inputs, one by one


def rates(name: str, batch: str, rounds: int) -> dict[str, np.ndarray]:
    """Samples per second with each number of threads, a number per round."""
    sizes, optimizer, _ = NETWORKS[name]
    x, y = data(sizes[0])
    samples = FEW_SAMPLES if batch == "1" and sizes[0] > 100 else SAMPLES
    rows = samples if batch == "full" else int(batch)
    task = Task(x[:samples], y[:samples], *initial(sizes), rows, optimizer, RATES[optimizer], threads=2)
    runners = {}
    for label, number in NUMBERS.items():
        runners[label] = Fastmlp(task)
        runners[label].model = MLP(sizes, loss="softmax_cross_entropy", backend="numba", n_threads=number, seed=0)
    epochs = max(1, round(SECONDS / max(min(runner.train(1) for runner in runners.values()), 1e-3)))
    measured: dict[str, list[float]] = {label: [] for label in runners}
    for turn in range(rounds):
        order = list(runners)
        for label in order[turn % 3 :] + order[: turn % 3]:
            measured[label].append(epochs * samples / runners[label].train(epochs))
    return {label: np.array(values) for label, values in measured.items()}


def table(rounds: int) -> list[str]:
    """Markdown lines."""
    lines = ["| network | batch | default, samples/s | one thread | two threads | default over the best of both |"]
    lines.append("|---" * 6 + "|")
    for name, (_, _, batches) in NETWORKS.items():
        for batch in batches:
            found = rates(name, batch, rounds)
            best = max(("1", "2"), key=lambda label: float(np.median(found[label])))
            speeds = " | ".join(f"{np.median(values):,.0f}" for values in found.values())
            ratio = median_and_spread(found["default"] / found[best])
            lines.append(f"| {name} | {batch} | {speeds} | {ratio} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("THREAD_CHOICE.md"))
    options = parser.parse_args()
    begin = time.perf_counter()
    rows = table(options.rounds)
    command = f"- command: `python {' '.join(sys.argv)}`, {(time.perf_counter() - begin) / 60:.1f} minutes"
    lines = ["# The default number of threads", "", *machine()[:-1], command, "", *rows]
    with atomic_write(options.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
