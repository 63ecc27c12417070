"""Training on two MPI ranks of one machine, compared with two threads of one process, and with PyTorch's DDP.

Run: python benchmarks/ranks.py [--rounds N] [--cases CASE ...] [--torch PYTHON] [--record FILE]

A round launches `mpiexec -n 2` for each case and optimizer. In these processes all ways take turns: one thread, two
threads, during which the other process sleeps, and two ranks with a thread each. PYTHON is the interpreter of an
environment with PyTorch: two processes of DistributedDataParallel (gloo, a thread each) then train with the same
samples, initial weights and batch size, in the same round; the losses of an epoch are compared. The seconds of a round
are appended to FILE. Prints the tables of all rounds in FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from contenders import Clock, initial
from ranks_cases import CASES, LR, RANKS, samples
from report import machine

from fastmlp import MLP

HERE = Path(__file__).parent
TOLERANCE = {"sgd": 1e-5, "adam": 5e-3}  # between losses of an epoch, relative: see peers.py
IDLE = 0.005  # seconds between two looks of a process that has nothing to do
DDP = "DDP, 2 processes"
WAYS: dict[str, dict[str, Any]] = {
    "1 thread": {"n_threads": 1},
    "2 threads": {"n_threads": RANKS},
    "2 ranks": {"n_threads": 1, "comm": True},
    "1 thread, reproducible": {"n_threads": 1, "reproducible": True},
    "2 ranks, reproducible": {"n_threads": 1, "comm": True, "reproducible": True},
}


def measure(name: str, optimizer: str, turn: int) -> dict[str, float]:
    """Seconds of a step by the way it is trained, on one of the launched processes; the way `turn` comes first."""
    from mpi4py import MPI

    world, case = MPI.COMM_WORLD, CASES[name]
    x, y = samples(case)
    weights = initial(case.sizes)

    def fit(epochs: int, n_threads: int, **options: Any) -> tuple[Clock, float]:
        model, clock = MLP(case.sizes, seed=0, backend="numba", n_threads=n_threads), Clock()
        model.set_parameters(*weights)
        rule = {"optimizer": optimizer, "lr": LR[optimizer], "schedule": clock, "progress": False}
        return clock, model.fit(x, y, epochs=epochs, batch_size=case.batch, **rule, **options)["loss"][0]

    result = {"loss": fit(1, 1, shuffle=False)[1]}
    ways = list(WAYS)
    for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
        together = "comm" in WAYS[way]
        if together or world.Get_rank() == 0:
            clock, _ = fit(1 + case.epochs, **WAYS[way] | ({"comm": world} if together else {}))
            result[way] = (time.perf_counter() - clock.asked[1]) / (case.epochs * case.steps)
        done = world.Ibarrier()  # in `Barrier`, MPI would keep a core busy
        while not done.Test():
            time.sleep(IDLE)
    return result


def mpiexec() -> str:
    """The launcher that lies beside the interpreter, or in the path."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    found = shutil.which("mpiexec", path=path)
    if found is None:
        raise SystemExit("There is no mpiexec: pip install mpi4py mpich.")
    return found


def launch(name: str, optimizer: str, turn: int) -> dict[str, float]:
    """`measure` on both ranks."""
    command = [mpiexec(), "-n", str(RANKS), sys.executable, __file__, "--measure", name, optimizer, str(turn)]
    return _answer(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def launch_torch(python: str, name: str, optimizer: str) -> dict[str, Any]:
    """`ranks_torch.py` in two processes."""
    arrays = {
        f"{kind}{i}": a for kind, all_ in zip("wb", initial(CASES[name].sizes), strict=True) for i, a in enumerate(all_)
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(RANKS), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/initial.npz", **arrays)
        command = [python, str(HERE / "ranks_torch.py"), name, optimizer, f"{folder}/initial.npz"]
        processes = [
            subprocess.Popen(command, env=os.environ | place | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
            for rank in range(RANKS)
        ]
        texts = [process.communicate()[0] for process in processes]
    return _answer(texts[0])


def _answer(text: str) -> dict[str, Any]:
    return json.loads(next(line for line in text.splitlines() if line.startswith("{")))


def round_of(name: str, optimizer: str, turn: int, torch: str | None) -> dict[str, Any]:
    """A line of the record."""
    seconds: dict[str, Any] = launch(name, optimizer, turn)
    if torch:
        other = launch_torch(torch, name, optimizer)
        if abs(other["loss"] / seconds["loss"] - 1) > TOLERANCE[optimizer]:
            raise SystemExit(f"PyTorch computes something else: loss {other['loss']}, fastmlp {seconds['loss']}.")
        seconds |= {DDP: other["seconds"]}
    return {"case": name, "optimizer": optimizer, **seconds}


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown lines."""
    by_case: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        by_case[row["case"], row["optimizer"]].append(row)
    ways = [*WAYS, DDP]
    lines = [f"| network | optimizer | {' | '.join(ways)} |", "|---" * (2 + len(ways)) + "|"]
    for case, rounds in by_case.items():
        cells = [spread([1e3 * one[way] for one in rounds if way in one], 3) for way in ways]
        lines.append(f"| {' | '.join((*case, *cells))} |")
    ratios: dict[str, Callable[[dict[str, float]], float]] = {
        "efficiency of 2 ranks": lambda one: one["1 thread"] / RANKS / one["2 ranks"],
        "efficiency of 2 threads": lambda one: one["1 thread"] / RANKS / one["2 threads"],
        "2 ranks / 2 threads": lambda one: one["2 ranks"] / one["2 threads"],
        "price of reproducible, 1 thread": lambda one: one["1 thread, reproducible"] / one["1 thread"],
        "price of reproducible, 2 ranks": lambda one: one["2 ranks, reproducible"] / one["2 ranks"],
        "DDP / 2 ranks": lambda one: one[DDP] / one["2 ranks"],
    }
    lines += ["", f"| network | optimizer | {' | '.join(ratios)} |", "|---" * (2 + len(ratios)) + "|"]
    for case, rounds in by_case.items():
        there = [[ratio(one) for one in rounds if DDP in one or "DDP" not in name] for name, ratio in ratios.items()]
        lines.append(f"| {' | '.join((*case, *(spread(values, 2) for values in there)))} |")
    return lines


def spread(values: list[float], digits: int) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--record", type=Path, metavar="FILE", default=HERE / "ranks.jsonl")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, optimizer, turn = options.measure
        answer = measure(name, optimizer, int(turn))
        if "1 thread" in answer:
            print(json.dumps(answer), flush=True)
        return
    recorded = options.record.read_text().splitlines() if options.record.exists() else []
    with options.record.open("a") as record:
        for _ in range(options.rounds):
            for name in options.cases:
                for optimizer in LR:
                    recorded.append(json.dumps(round_of(name, optimizer, len(recorded), options.torch)))
                    print(recorded[-1], file=record, flush=True)
    print("\n".join([*machine()[:-1], "", *tables([json.loads(line) for line in recorded])]))


if __name__ == "__main__":
    main()
