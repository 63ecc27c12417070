"""Training on ranks that a network connects: the sum of gradients by message, delay and rate, and a model of its time.

Run: python benchmarks/ranks_network.py [--record FILE] PART ...     (as root, on Linux)
     python benchmarks/ranks_network.py [--record FILE]              (the tables and the plot)

Ranks are in network namespaces of this machine, which `ranks_link.py` connects; MPICH speaks TCP between them.

sums   seconds of an `AllReduce` of two ranks by its bytes, on links of some delays and rates
slow   the same for 2, 4 and 8 ranks on links so slow that it does not matter that they share the cores
shares seconds of a training step of one process with 1/n of the batch
steps  seconds of a training step of two ranks on some of the links

Parts are appended to FILE. When all are there, their tables with the model, its residuals and predictions are printed,
and ranks.png is drawn beside FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ranks import mpiexec
from ranks_cases import CASES, LR, NETWORKS, SHARES, samples
from ranks_link import links, name_of
from ranks_tables import plot, tables
from report import machine

from fastmlp.files import atomic_write

HERE = Path(__file__).parent
# delay one way in s, rate in bytes/s
LINKS = [(d * 1e-6, r * 1.25e8) for d, r in ((0, 100), (50, 10), (50, 1), (200, 10), (200, 1), (1000, 1))]
STEPS_LINKS = [(50e-6, 1.25e9), (50e-6, 1.25e8), (1e-3, 1.25e8)]
SLOW = 0.05, 2.5e7
SIZES = [256, 2048, 8192, 16384, 32768, 131072, 524288, 2097152, 8388608]
SLOW_SIZES = [2048, 131072, 1048576]


def launch(ranks: int, delay: float, rate: float, *arguments: str) -> dict[str, float]:
    """What the first rank of `ranks`, one in each namespace, prints."""
    apart = {"UCX_TLS": "tcp,self", "MPIR_CVAR_NOLOCAL": "1", "FASTMLP_NUM_THREADS": "1"}
    command = [mpiexec()]
    for place in range(ranks):
        command += [":"] if place else []
        command += ["-n", "1", "-env", "UCX_NET_DEVICES", name_of(place), "ip", "netns", "exec", name_of(place)]
        command += [sys.executable, __file__, "--measure", *arguments]
    with links(ranks, delay, rate):
        done = subprocess.run(command, env=os.environ | apart, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


# What each rank runs


def sum_seconds(sizes: list[int], seconds: float) -> dict[str, list[float]]:
    """Seconds of a sum by its bytes: three means over about so many seconds."""
    from mpi4py import MPI

    from fastmlp.ranks.all_reduce import AllReduce
    from fastmlp.ranks.entry import group_of

    group = group_of(MPI.COMM_WORLD)
    assert not group.on_one_machine
    result = {}
    for size in sizes:
        reduce = AllReduce(group)
        gradient = reduce.gradient(size // 4, np.dtype(np.float32))

        def several(count: int, reduce: AllReduce = reduce, gradient: np.ndarray = gradient) -> float:
            begin = 0.0
            for i in range(1 + count):
                reduce(group.rank, 1, gradient, 0.0)  # after which the ranks are as far apart as after the next one
                begin = begin if i else time.perf_counter()
            return (time.perf_counter() - begin) / count

        several(2)
        # an even number: a rank that is ahead in one sum is behind in the next, and waits longer
        count = 2 * group.of_first(max(2, int(seconds / several(4) / 2)))
        result[str(size)] = [several(count) for _ in range(3)]
    group.close()
    return result


def step_seconds(name: str, share: int, together: bool) -> float:
    """Seconds of a step of Adam, with 1/share of the batch in one process, or with all of it on the ranks together."""
    from contenders import Clock, initial
    from mpi4py import MPI

    from fastmlp import MLP

    case, clock = CASES[name], Clock()
    x, y = samples(case)
    model = MLP(case.sizes, seed=0, backend="numba", n_threads=1)
    model.set_parameters(*initial(case.sizes))
    options = {"optimizer": "adam", "lr": LR["adam"], "schedule": clock, "progress": False}
    batch = case.batch // share
    model.fit(x, y, epochs=5, batch_size=batch, comm=MPI.COMM_WORLD if together else None, **options)
    epochs = np.diff([*clock.asked[1:], time.perf_counter()])
    return float(np.median(epochs)) / (len(x) // batch)


def measure(what: str, *arguments: str) -> dict[str, Any]:
    """On one of the ranks."""
    if what == "sums":
        return sum_seconds([int(size) for size in arguments[1:]], float(arguments[0]))
    return {"seconds": step_seconds(arguments[0], 1, together=True)}


# What is recorded


def rows(part: str) -> Iterator[dict[str, Any]]:
    """The lines of a part of the record."""
    if part == "sums":
        for delay, rate in LINKS:
            sums = launch(2, delay, rate, "sums", "0.08", *map(str, SIZES))
            yield {"part": part, "ranks": 2, "delay": delay, "rate": rate, "sums": sums}
    if part == "slow":
        for ranks in (2, 4, 8):
            sums = launch(ranks, *SLOW, "sums", "0", *map(str, SLOW_SIZES))
            yield {"part": part, "ranks": ranks, "delay": SLOW[0], "rate": SLOW[1], "sums": sums}
    if part == "shares":
        for name, share in product(NETWORKS, SHARES):
            yield {"part": part, "case": name, "ranks": share, "seconds": step_seconds(name, share, False)}
    if part == "steps":
        for name, (delay, rate) in product(NETWORKS, STEPS_LINKS):
            seconds = launch(2, delay, rate, "step", name)["seconds"]
            yield {"part": part, "case": name, "ranks": 2, "delay": delay, "rate": rate, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--record", type=Path, metavar="FILE", default=HERE / "ranks_network.jsonl")
    parser.add_argument("--measure", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        answer = json.dumps(measure(*options.measure))
        os.write(1, f"{answer}\n".encode())
        return
    with options.record.open("a") as record:
        for part in options.parts:
            for row in rows(part):
                print(json.dumps(row), file=record, flush=True)
    if options.parts:
        return
    recorded = [json.loads(line) for line in options.record.read_text().splitlines()]
    print("\n".join([*machine()[:-1], "", *tables(recorded)]))
    with atomic_write(options.record.with_name("ranks.png")) as file:
        plot(recorded, file)


if __name__ == "__main__":
    main()
