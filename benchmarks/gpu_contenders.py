"""fastmlp on the GPU as a contender, and the other libraries available for the comparison."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from contenders import OURS, Contender, Task

from fastmlp import MLP, SGD, Adam

__all__ = ["OURS", "OnGpu", "gpu_contenders"]

Maker = Callable[[Task], Contender]


class Clock:
    """A constant learning rate that notes when each epoch begins.

    A callback would see epochs end as well, but where there is one, the parameters go back to the GPU after each.
    """

    def __init__(self) -> None:
        self.begins: list[float] = []

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        self.begins.append(perf_counter())
        return np.full(steps, lr)


class OnGpu:
    """The public class on the CUDA backend (see `Contender`)."""

    def __init__(self, task: Task, precision: str = "float32") -> None:
        self.task = self.whole = task
        place = {"backend": "cuda", "precision": precision}
        self.model = MLP(task.sizes, loss="softmax_cross_entropy", seed=task.seed, **place)
        self.loss = float("nan")
        self.in_steps = float("nan")  # seconds of the epochs timed last that were spent in steps

    def take(self, samples: int) -> None:
        self.task = self.whole.part(samples)

    def reset(self) -> None:
        self.model.set_parameters(self.task.weights, self.task.biases)

    def train(self, epochs: int) -> float:
        """Permutations, the epoch's loss and the copy of the parameters to the host are in; placing the data is not."""
        task, clock = self.task, Clock()
        rule = SGD(task.lr) if task.optimizer == "sgd" else Adam(task.lr)
        history = self.model.fit(
            task.x, task.y, epochs=epochs + 2, batch_size=task.batch, shuffle=task.shuffle, optimizer=rule,
            schedule=clock, progress=False,
        )  # fmt: skip
        self.loss = history["loss"][0]  # of the first epoch, which is what the comparison of losses asks for
        self.in_steps = sum(history["seconds"][1 : epochs + 1])
        return clock.begins[epochs + 1] - clock.begins[1]

    def parameters(self) -> list[np.ndarray]:
        return [*self.model.weights, *self.model.biases]


# Under its name in tables: the package it needs, the module and class that drive it
_PEERS = {
    "PyTorch": ("torch", "gpu_torch", "Eager"),
    "torch.compile": ("torch", "gpu_torch", "Compiled"),
    "PyTorch graph": ("torch", "gpu_torch", "Graphed"),
    "compiled graph": ("torch", "gpu_torch", "CompiledGraph"),
    "JAX scan": ("jax", "gpu_jax", "Scan"),
}


def gpu_contenders(precision: str, emulated: bool) -> tuple[dict[str, Maker], dict[str, str]]:
    """Those that are installed and see the GPU, fastmlp first; and why each of the others is left out."""
    there: dict[str, Maker] = {OURS: partial(OnGpu, precision=precision)}
    missing = {}
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or it takes most of the memory at once
    os.environ.setdefault("JAX_PLATFORMS", "cuda")
    for name, (package, module, kind) in _PEERS.items():
        if emulated:
            missing[name] = "peers do not run on the emulation"
        elif find_spec(package) is None:
            missing[name] = f"{package} is not installed"
        else:
            try:
                peer = import_module(module)
                problem = peer.problem()
            except Exception as error:
                problem = f"{type(error).__name__}: {error}".splitlines()[0]
            if problem:
                missing[name] = problem
            else:
                there[name] = partial(getattr(peer, kind), precision=precision)
    return there, missing
