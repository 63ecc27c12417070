"""The time of a step in detail: implementations of each product, programs and graphs, and the cost of a launch."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from contenders import Task, initial
from gpu_contenders import OnGpu
from gpu_device import Sizes, device_of, measured_by, samples
from gpu_process import attempted

from fastmlp import MLP, SGD
from fastmlp.backends.cuda import programs as programs_of_steps
from fastmlp.backends.cuda import runs
from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.device import Device, Launch
from fastmlp.kernels.cuda import operations

__all__ = ["launches", "products", "programs"]

FEW_ROWS = ("1", "8", "32")
BLOCKS = (1, 2, 4, 8, 16, 32, 64, 132)
OTHER = {"64-32-10": [64, 32, 10]}  # a network smaller than those whose throughput is measured
NODES = (1, 16, 64)  # of a graph
FASTER = (runs, "seconds_as_graph", lambda *given: math.inf)  # a program is, it seems then
PIECE = 20.0  # seconds that a piece of work may take; one that would not be done in time is left out

Keep = Callable[[Any], None]


def products(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Seconds of every implementation of each product of the networks' steps, and those that the fits have chosen."""
    result: dict[str, Any] = {"times": {}, "chosen": {}, "failures": []}
    cells = [
        (layers, n if batch == "full" else int(batch), "float32")
        for layers in sizes.networks.values()
        for batch, n in sizes.batches.items()
    ]
    cells += [(sizes.large, sizes.large_batch, precision) for precision in ("float32", "tf32", "bf16")]
    for layers, batch, precision in cells:
        name = f"{'-'.join(map(str, layers))}, batch {batch}, {precision}"
        if not sizes.emulated and deadline - time.perf_counter() < PIECE / 4:
            result["failures"].append(f"no time was left for {name}")
            continue
        with attempted(name, result["failures"]):
            x, y = samples(layers[0], layers[-1], batch, sizes.emulated)
            model = MLP(layers, loss="softmax_cross_entropy", backend="cuda", precision=precision, seed=0)
            # no program: it uses only our kernels, so there is no choice
            with measured_by(model, precision) as watch, patch.object(runs, "FEW", 0):
                model.fit(x, y, epochs=1, batch_size=batch, optimizer=SGD(1e-4), progress=False)
            result["times"][name] = watch.seconds
        keep(result)
    folder = Path(os.environ.get("FASTMLP_CACHE_DIR", os.devnull), "fastmlp", "cuda")
    result["chosen"] = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
    return result


def programs(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Seconds of a step of a few rows: as a program, by number of blocks, and as a graph."""
    result: dict[str, Any] = {"steps": [], "failures": []}
    device = device_of()
    networks = sizes.networks | ({} if sizes.emulated else OTHER)
    blocks = [n for n in BLOCKS if n <= device.multiprocessors]
    # by what each is brought about; whatever the model says, a program is tried
    ways: dict[str, list[tuple]] = {
        f"program, grid of {n}": [(runs, "CLUSTER", 0), (runs, "PROGRAM_BLOCKS", n), FASTER] for n in blocks
    }
    if device.clusters:
        ways[f"program, cluster of {runs.CLUSTER}"] = [FASTER]
        ways["the same, as if barriers took no time"] = [FASTER, (programs_of_steps, "BARRIER", 0.0)]
    ways["graph of the chosen ways"] = [(runs, "MAX_INSTRUCTIONS", 0)]
    ways["graph of our kernels"] = [(runs, "MAX_INSTRUCTIONS", 0), (Choice, "of", OwnKernels.of)]
    for name, layers in networks.items():
        for rows in FEW_ROWS[: 1 if sizes.emulated else None]:
            if not sizes.emulated and deadline - time.perf_counter() < PIECE / 4:
                result["failures"].append(f"no time was left for {name}, batch {rows}")
                continue
            n = sizes.steps * int(rows)
            x, y = samples(layers[0], layers[-1], min(n, 60_000), sizes.emulated)
            task = Task(x, y, *initial(layers), int(rows), "sgd", 0.01, 1)
            seconds = {}
            for way, changes in ways.items():
                with attempted(f"{name}, batch {rows}, {way}", result["failures"]):
                    seconds[way] = _of_a_step(task, changes, sizes.rounds)
            result["steps"].append({"network": name, "batch": rows, "seconds": seconds})
            keep(result)
    return result


def _of_a_step(task: Task, changes: list[tuple], rounds: int) -> list[float]:
    """Seconds, a number per round, with these attributes of modules and classes changed."""
    with ExitStack() as stack:
        for change in changes:
            stack.enter_context(patch.object(*change))
        contender = OnGpu(task)
        contender.train(1)
        found = []
        for _ in range(rounds):
            contender.reset()
            contender.train(1)
            found.append(contender.in_steps / (len(task.x) // task.batch))
    return found


def launches(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """The cost of launches in seconds: on the host for each launch, on the GPU for each kernel; and that of a copy."""
    device, real = device_of(), np.dtype(np.float32)
    small = _copy(device, 1)
    result: dict[str, Any] = {"direct": {}, "graphs": {}, "failures": []}
    with device.lock():
        result["direct"] = _by_host(device, lambda: device.queue([small], real), sizes.steps)
        for nodes in NODES:
            graph = device.capture([small] * nodes, real)
            result["graphs"][str(nodes)] = _by_host(device, graph.launch, sizes.steps)
        n = 1000 if sizes.emulated else 1 << 28
        seconds = device.seconds([_copy(device, n)], real)
    return result | {"copy": {"bytes read and written": 8 * n, "seconds": seconds}}


def _copy(device: Device, n: int) -> Launch:
    """A launch of `copy` on n numbers. The arrays live as long as the launch."""
    real = np.dtype(np.float32)
    x, out = device.upload(np.random.default_rng(0).standard_normal(n, np.float32)), device.empty(n, real)
    arguments = np.zeros((), operations(real)["copy"].arguments)
    arguments["x"], arguments["out"], arguments["n"] = device.address(x), device.address(out), n
    _kept.extend((x, out))
    return Launch("copy", min(1024, -(-n // 1024)), arguments)


_kept: list[Any] = []


def _by_host(device: Device, start: Callable[[], None], times: int) -> dict[str, float]:
    """Seconds per launch until several launches are queued, and until they are done."""
    wait = device.upload(np.zeros(1))
    start()
    device.download(wait)
    begin = time.perf_counter()
    for _ in range(times):
        start()
    queued = time.perf_counter() - begin
    device.download(wait)
    return {"queued": queued / times, "done": (time.perf_counter() - begin) / times}
