"""The cost of checkpoints: a training with one every 30 s and one without, and the stall for a 100 MB network.

Run: python benchmarks/checkpoint_cost.py [--rounds 5] [--output benchmarks/CHECKPOINT_COST.md]. The two trainings
alternate, so that other load affects both. Files are written to the folder for temporary files.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from report import machine

from fastmlp import MLP
from fastmlp.checkpoint import Checkpoint
from fastmlp.files import atomic_write

MNIST = [784, 128, 10], 60_000, 128  # sizes, samples, batch
LARGE = [2048, 3600, 3600, 1200], 1280, 128  # 24.7 million parameters: 99 MB, and as much for each of Adam's moments


def samples(sizes, count):
    random = np.random.RandomState(0)
    x = random.standard_normal((count, sizes[0])).astype(np.float32)
    return np.maximum(x, 0, out=x), random.randint(0, sizes[-1], count)


def train(case, epochs, checkpoint=None, every="30s"):
    """Seconds of one training, and of each of its epochs."""
    sizes, count, batch = case
    x, y = samples(sizes, count)
    model = MLP(sizes, loss="softmax_cross_entropy", backend="numba", seed=0)
    begin = perf_counter()
    options = {"epochs": epochs, "batch_size": batch, "checkpoint": checkpoint, "checkpoint_every": every}
    history = model.fit(x, y, **options, progress=False)
    return perf_counter() - begin, history["seconds"]


def every_30_seconds(rounds, folder):
    """Markdown lines about trainings of some 40 s, including the wait for the last checkpoint."""
    once, _ = train(MNIST, 5)
    epochs = max(5, round(40 / (once / 5)))
    plain, saved = [], []
    for turn in range(rounds):
        plain.append(train(MNIST, epochs)[0])
        saved.append(train(MNIST, epochs, folder / f"mnist{turn}")[0])
    ratios = [b / a for a, b in zip(plain, saved, strict=True)]
    return [
        f"784-128-10, batch 128, Adam, {epochs} epochs of 60,000 samples, a checkpoint every 30 s and at the end, "
        f"{rounds} rounds:",
        "",
        "| | median s | range |",
        "|---|---|---|",
        f"| without | {median(plain):.2f} | {min(plain):.2f} … {max(plain):.2f} |",
        f"| with | {median(saved):.2f} | {min(saved):.2f} … {max(saved):.2f} |",
        f"| with / without, round by round | {median(ratios):.4f} | {min(ratios):.4f} … {max(ratios):.4f} |",
    ]


def stall(rounds, folder):
    """Markdown lines about the stall of the training thread by checkpoints of a large network, and by copying alone."""
    stalls, copies, lasts = [], [], []
    write = Checkpoint.write

    def timed(self, state, *, last=False):
        begin = perf_counter()
        write(self, state, last=last)
        (lasts if last else stalls).append(perf_counter() - begin)
        if not last:
            arrays = list(state.arrays.values())
            into = [self._buffers[name] for name in state.arrays]  # what the writer reads: the same bytes again
            begin = perf_counter()
            for source, target in zip(arrays, into, strict=True):
                np.copyto(target, source)
            copies.append(perf_counter() - begin)

    train(LARGE, 1)
    slower = []
    Checkpoint.write = timed
    try:
        for turn in range(rounds):
            _, epochs = train(LARGE, 9, folder / f"large{turn}", every=4)
            others = median([*epochs[1:4], *epochs[6:8]])
            slower += [sum(epochs[at : at + 2]) - 2 * others for at in (4,)]
    finally:
        Checkpoint.write = write
    size = (folder / "large0").stat().st_size
    return [
        f"2048-3600-3600-1200 (99 MB of parameters), Adam, a checkpoint of {size / 1e6:.0f} MB every 4 epochs of 10 "
        f"steps, {rounds} trainings of 9 epochs:",
        "",
        "| | median ms | range |",
        "|---|---|---|",
        _row("the training thread's stall of a checkpoint", stalls),
        _row("copying the same arrays", copies),
        _row("what the two epochs after one take longer: its digest and its way to the disk use a core", slower),
        _row("waiting for the last one, which is on the disk when `fit` returns", lasts),
    ]


def _row(what, seconds):
    low, middle, high = (1e3 * value for value in (min(seconds), median(seconds), max(seconds)))
    return f"| {what} | {middle:.0f} | {low:.0f} … {high:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = [part(arguments.rounds, Path(folder)) for part in (every_30_seconds, stall)]
    command = f"- command: `python {' '.join(sys.argv)}`"
    lines = ["# The cost of checkpoints", "", *machine()[:-1], command, "", *parts[0], "", *parts[1], ""]
    print("\n".join(lines))
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write("\n".join(lines).encode())


if __name__ == "__main__":
    main()
