"""Throughput of fastmlp on the GPU compared with other libraries, and with only the products of a large network.

All contenders of a cell have the same data, network, initial weights and rule, draw a fresh permutation for every
epoch, know its mean loss in the end and have had a run that is not counted. Each round runs them one after the other,
in an order that rotates; ratios are taken round by round. At batch size 1 an epoch is the first few thousand samples.
"""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from contenders import Contender, Task, initial
from gpu_contenders import OURS, Maker, OnGpu, gpu_contenders
from gpu_device import Sizes, device_of, samples
from gpu_process import attempted
from workloads import flops

from fastmlp.backends.cuda.device import Device, Matmul

__all__ = ["large", "throughput"]

RATES = {"sgd": 0.01, "adam": 0.001}  # at which no batch size diverges
ADAM = ("1", "128", "full", "40")  # batch sizes at which Adam is run too; the last is the trial's
CHECKED_BATCH = 128
# Relative difference of the losses of an epoch without shuffling. Adam magnifies differences where gradients are near
# 0; in TF32 and bfloat16 a number has 11 and 8 significant bits.
TOLERANCE = {"sgd": 1e-5, "adam": 5e-3, "tf32": 1e-2, "bf16": 5e-2}
CELL, LARGE_CELL = 25.0, 30.0  # seconds that a cell may take; one that would not be done in time is left out
PRECISIONS = ("float32", "tf32", "bf16")

Keep = Callable[[Any], None]


def throughput(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Small networks: samples per second of all contenders."""
    there, missing = gpu_contenders("float32", sizes.emulated)
    result: dict[str, Any] = {"missing": missing, "checks": {}, "cells": [], "failures": []}
    for name, layers, optimizer in _networks(sizes):
        x, y = samples(layers[0], layers[-1], max(sizes.batches.values()), sizes.emulated)
        task = Task(x, y, *initial(layers), 1, optimizer, RATES[optimizer], os.cpu_count() or 1)
        if layers is sizes.networks[next(iter(sizes.networks))]:
            part = task.part(sizes.checked)._replace(batch=min(CHECKED_BATCH, sizes.checked // 2), shuffle=False)
            with attempted(f"{name} {optimizer}", result["failures"]):
                found = result["checks"][f"{name} {optimizer}"] = _check(there, part, TOLERANCE[optimizer], result)
                there = {other: kind for other, kind in there.items() if other not in found["apart"]}
        for batch, n in sizes.batches.items():
            if optimizer == "adam" and batch not in ADAM:
                continue
            if not sizes.emulated and deadline - time.perf_counter() < CELL:
                result["failures"].append(f"no time was left for {name} {optimizer}, batch {batch}")
                continue
            cell_task = task.part(n)._replace(batch=n if batch == "full" else int(batch))
            cell = {"network": name, "optimizer": optimizer, "batch": batch, "precision": "float32"}
            with attempted(f"{name} {optimizer}, batch {batch}", result["failures"]):
                result["cells"].append(cell | _measure(there, cell_task, sizes, result["failures"]))
            keep(result)
    return result


def large(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """The large network in every precision, and its products alone."""
    result: dict[str, Any] = {"missing": {}, "cells": [], "failures": []}
    layers, batch = sizes.large, sizes.large_batch
    x, y = samples(layers[0], layers[-1], batch * sizes.large_batches, sizes.emulated)
    task = Task(x, y, *initial(layers), batch, "sgd", RATES["sgd"], os.cpu_count() or 1)
    for precision in PRECISIONS:
        if not sizes.emulated and deadline - time.perf_counter() < LARGE_CELL:
            result["failures"].append(f"no time was left for {precision}")
            continue
        there, result["missing"] = gpu_contenders(precision, sizes.emulated)
        cell: dict[str, Any] = {"network": "-".join(map(str, layers)), "optimizer": "sgd", "batch": str(batch)}
        with attempted(precision, result["failures"]):
            cell |= {"precision": precision, "products": _bare_products(device_of(precision), layers, batch)}
            result["cells"].append(cell | _measure(there, task, sizes, result["failures"]))
        keep(result)
    return result


def _networks(sizes: Sizes) -> Iterator[tuple[str, list[int], str]]:
    """SGD for all; Adam for the first, since it differs in one pass over the parameters."""
    for name, layers in sizes.networks.items():
        yield name, layers, "sgd"
    name, layers = next(iter(sizes.networks.items()))
    yield name, layers, "adam"


def _made(there: dict[str, Maker], task: Task, failures: list[str]) -> dict[str, Contender]:
    """The contenders that can run a task."""
    made = {}
    for name, kind in there.items():
        try:
            made[name] = kind(task)
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}".splitlines()[0])
            if name == OURS:
                raise
    return made


def _check(there: dict[str, Maker], task: Task, tolerance: float, result: dict[str, Any]) -> dict[str, Any]:
    """Losses of an epoch without shuffling, and the contenders whose loss differs too much from fastmlp's."""
    losses = {}
    for name, contender in _made(there, task, result["failures"]).items():
        contender.reset()
        contender.train(1)
        losses[name] = float(contender.loss)
    apart = {name: loss for name, loss in losses.items() if not abs(loss / losses[OURS] - 1) <= tolerance}
    for name, loss in apart.items():
        result["failures"].append(f"{name} computes something else: loss {loss}, fastmlp's {losses[OURS]}")
    return {"losses": losses, "tolerance": tolerance, "apart": list(apart)}


def _measure(there: dict[str, Maker], task: Task, sizes: Sizes, failures: list[str]) -> dict[str, Any]:
    """Interleaved rounds of all contenders on one task."""
    begin = time.perf_counter()
    made = _made(there, task, failures)
    epochs, first_loss = {}, {}
    for name, contender in made.items():
        contender.reset()
        contender.train(1)
        first_loss[name] = float(contender.loss)
        epochs[name] = max(1, round(sizes.seconds / contender.train(1)))
    rates: dict[str, list[float]] = {name: [] for name in made}
    in_steps: list[float] = []
    names = list(made)
    for number in range(sizes.rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            contender = made[name]
            contender.reset()
            taken = contender.train(epochs[name])
            rates[name].append(epochs[name] * len(task.x) / taken)
            if isinstance(contender, OnGpu):
                steps = math.ceil(len(task.x) / task.batch) * epochs[name]
                in_steps.append(contender.in_steps / steps)
    del made, contender
    gc.collect()  # what graphs hold
    return {
        "samples per second": rates,
        "seconds of a step": in_steps,
        "loss of the first epoch": first_loss,
        "samples": len(task.x),
        "gigaflops of a step": flops(task.sizes) * task.batch / 1e9,
        "took": time.perf_counter() - begin,
    }


def _bare_products(device: Device, layers: list[int], batch: int) -> list[dict[str, Any]]:
    """Seconds of each product of a training step, by the library alone, on random numbers: in bfloat16, if such."""
    real, random, found = np.dtype(np.float32), np.random.default_rng(0), []

    def new(rows: int, columns: int) -> Any:
        numbers = random.standard_normal((rows, columns), np.float32)
        if device.precision == "bf16":
            return device.upload((numbers.view(np.uint32) >> 16).astype(np.uint16))
        return device.upload(numbers)

    def room(rows: int, columns: int) -> Any:
        return device.empty(rows * columns, real).reshape(rows, columns)

    for l, (inputs, outputs) in enumerate(pairwise(layers)):
        x, w, delta = new(batch, inputs), new(inputs, outputs), new(batch, outputs)
        products = {
            "forward": Matmul(x, w, room(batch, outputs)),
            "gradient": Matmul(x, delta, room(inputs, outputs), transpose_a=True),
        }
        if l > 0:
            products["backward"] = Matmul(delta, w, room(batch, inputs), transpose_b=True)
        for what, product in products.items():
            seconds = device.seconds([product], real)
            shape = f"{batch} x {inputs} x {outputs}"
            rate = 2 * batch * inputs * outputs / seconds / 1e12
            found.append({"product": what, "shape": shape, "seconds": seconds, "TFLOP/s": rate})
    return found
