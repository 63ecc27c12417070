"""Training throughput of fastmlp compared with scikit-learn, PyTorch (eager and compiled) and JAX, all at their best.

Run: FASTMLP_DATA=FOLDER python benchmarks/peers.py [--rounds N] [--threads N] [--quick]; see --help. FOLDER contains
mnist/. Writes PEERS.md and peers.png in this folder; takes a quarter of an hour on two cores.

All have the same data, network, initial weights, optimizer and number of threads, compute in float32, draw a new
permutation for every epoch, compute each epoch's mean loss, and have an uncounted first run. First it is checked that
they compute the same. Each round runs them one after the other, in rotating order; ratios are taken round by round. A
long epoch, as at batch size 1, is run on the first samples only.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from contenders import OURS, Contender, Task, contenders, initial
from fma_peak import fma_peak
from peer_tables import Cell, plot, tables
from surroundings import heading, limit_threads
from threadpoolctl import threadpool_limits
from workloads import flops

from fastmlp.datasets import load
from fastmlp.files import atomic_write

HERE = Path(__file__).parent
NETWORKS = {
    "784-128-10 SGD": ([784, 128, 10], "sgd", ["1", "32", "128", "512", "full"]),
    "784-128-10 Adam": ([784, 128, 10], "adam", ["1", "32", "128", "512", "full"]),
    "784-512-256-10 SGD": ([784, 512, 256, 10], "sgd", ["1", "32", "128", "512", "full"]),
    "64-32-10 SGD": ([64, 32, 10], "sgd", ["1", "32", "128", "512", "full"]),
    "2-4-3 SGD": ([2, 4, 3], "sgd", ["1", "32", "128", "full"]),
}
RATES = {"sgd": 0.01, "adam": 0.001}  # at which no batch size diverges
SAMPLES = 60_000
SECONDS, LONGEST = 0.5, 1.0  # a run takes about so long; an epoch that takes longer is run in part
PAUSE = 0.3  # seconds: the threads of a BLAS spin for a while after a product, which would slow down the next contender
QUICK = {"rounds": 1, "seconds": 0.05, "networks": ["784-128-10 SGD", "2-4-3 SGD"], "batches": ["1", "128"]}

# Relative difference of the losses of an epoch. Sums in another order give 1e-6 by SGD; Adam magnifies that where
# gradients are near 0, and scikit-learn's adds ε to the root before its correction.
CHECKED_BATCH, CHECKED_SAMPLES = 128, 10_000  # the last batch is a smaller one
TOLERANCE = {"sgd": 1e-5, "adam": 5e-3}


def data(inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's training images (N, 784), their means over 4 x 4 pixels (N, 64), or points of three classes (N, 2)."""
    if inputs == 2:
        random = np.random.RandomState(0)
        y = random.randint(0, 3, SAMPLES)
        centres = np.array([[0.0, 1.0], [-0.9, -0.5], [0.9, -0.5]])
        return (centres[y] + 0.5 * random.standard_normal((SAMPLES, 2))).astype(np.float32), y.astype(np.int64)
    mnist = load("mnist")
    if inputs == 64:
        framed = np.pad(mnist.x.reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
        return framed.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(-1, 64), mnist.y
    return mnist.x, mnist.y


def check(there: dict, task: Task) -> dict[str, str]:
    """Compare every contender's loss after one epoch with ours; return why some are left out."""
    losses, failed = {}, {}
    for name, kind in there.items():
        try:
            contender = kind(task)
        except RuntimeError as error:
            failed[name] = str(error)
            continue
        contender.reset()
        contender.train(1)
        losses[name] = contender.loss
        if abs(contender.loss / losses[OURS] - 1) > TOLERANCE[task.optimizer]:
            raise SystemExit(f"{name} computes something else: loss {contender.loss}, fastmlp {losses[OURS]}.")
    print("losses after an epoch:", ", ".join(f"{name} {loss:.7f}" for name, loss in losses.items()), file=sys.stderr)
    return failed


def size_up(contender: Contender, task: Task, seconds: float) -> int:
    """The number of epochs of a run. The contender is warmed up, and set to the samples to train on."""
    few = min(len(task.x), max(200 if task.batch == 1 else 2000, 2 * task.batch))
    contender.take(few)
    contender.reset()
    contender.train(1)
    epoch = contender.train(1) / few * len(task.x)
    part = int(len(task.x) * seconds / epoch) // task.batch * task.batch
    samples = len(task.x) if epoch <= LONGEST else min(max(part, few), len(task.x))
    if samples != few:
        contender.take(samples)
        contender.reset()
        contender.train(1)
    return max(1, round(seconds / epoch))


def measure(network: str, batch: str, there: dict, task: Task, rounds: int, seconds: float) -> Cell:
    """Interleaved rounds of all contenders on one task."""
    runners = {name: kind(task) for name, kind in there.items()}
    epochs = {name: size_up(contender, task, seconds) for name, contender in runners.items()}
    threads = runners[OURS].threads()
    rates: dict[str, list[float]] = {name: [] for name in runners}
    peak, names = [], list(runners)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            contender = runners[name]
            contender.reset()
            time.sleep(PAUSE)
            taken = contender.train(epochs[name])
            rates[name].append(epochs[name] * len(contender.task.x) / taken)
        time.sleep(PAUSE)
        peak.append(fma_peak(threads))
    arrays = {name: np.array(values) for name, values in rates.items()}
    return Cell(network, batch, arrays, threads, arrays[OURS] * flops(task.sizes) / 1e9, np.array(peak))


def cells(there: dict, missing: dict, options: argparse.Namespace) -> Iterator[Cell]:
    """Measure all requested cells. Contenders that fail are moved from `there` to `missing`."""
    for network in options.networks:
        sizes, optimizer, batches = NETWORKS[network]
        x, y = data(sizes[0])
        task = Task(x, y, *initial(sizes), CHECKED_BATCH, optimizer, RATES[optimizer], options.threads)
        for name, reason in check(there, task.part(CHECKED_SAMPLES)._replace(shuffle=False)).items():
            missing[name] = reason
            del there[name]
        for batch in (batch for batch in batches if batch in options.batches):
            cell_task = task._replace(batch=len(x) if batch == "full" else int(batch))
            yield measure(network, batch, there, cell_task, options.rounds, options.seconds)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender that are counted")
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, that everybody may use")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--batches", nargs="+", default=["1", "32", "128", "512", "full"], metavar="SIZE")
    parser.add_argument("--quick", action="store_true", help="a few short runs: only whether all of it works")
    parser.add_argument("--output", type=Path, default=HERE / "PEERS.md", help="the plot is peers.png beside it")
    parser.set_defaults(seconds=SECONDS)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main() -> None:
    options = parse()
    limit_threads(options.threads)
    there, missing = contenders()
    begin, done = time.perf_counter(), []
    with threadpool_limits(options.threads):
        for cell in cells(there, missing, options):
            done.append(cell)
            ours = np.median(cell.rates[OURS])
            rest = ", ".join(
                f"{name} {np.median(rate) / ours:.2f}" for name, rate in cell.rates.items() if name != OURS
            )
            print(f"{cell.network}, batch {cell.batch}: {OURS} {ours:,.0f}/s; of that: {rest}", file=sys.stderr)
    head = heading(options.threads, missing, time.perf_counter() - begin)
    lines = ["# fastmlp compared with other libraries", "", *head, f"- {options.rounds} rounds", "", *tables(done)]
    with atomic_write(options.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    with atomic_write(options.output.with_name("peers.png")) as file:
        plot(done, file)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
