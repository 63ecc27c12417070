"""What every library in the comparison is given, what it must do with it, and fastmlp doing it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import NamedTuple, Protocol

import numpy as np

from fastmlp import MLP, Adam
from fastmlp.optimizers import get_optimizer
from fastmlp.schedules import Constant

__all__ = ["BETA1", "BETA2", "EPSILON", "OURS", "Contender", "Fastmlp", "Task", "contenders", "initial"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, as published
OURS = "fastmlp"


class Task(NamedTuple):
    """Train by softmax cross entropy, ReLU in the hidden layers. A full batch has no order to shuffle."""

    x: np.ndarray  # (N, I) float32
    y: np.ndarray  # (N,) int64
    weights: list[np.ndarray]  # (I, O) float32 each, to begin with
    biases: list[np.ndarray]  # (O,)
    batch: int
    optimizer: str  # "sgd" or "adam"
    lr: float
    threads: int
    shuffle: bool = True
    seed: int = 0

    @property
    def sizes(self) -> list[int]:
        return [self.weights[0].shape[0], *(w.shape[1] for w in self.weights)]

    def part(self, samples: int) -> Task:
        return self._replace(x=self.x[:samples], y=self.y[:samples])

    @property
    def shuffled(self) -> bool:
        return self.shuffle and self.batch < len(self.x)


class Contender(Protocol):
    """A library with the task's data in its own arrays and the task's program compiled, as far as it compiles.

    Made by ``Contender(task)``, which raises RuntimeError with the reason where that does not work.
    """

    loss: float  # mean of the last epoch's batch losses, each met before its update

    def take(self, samples: int) -> None:
        """Train on the task's first so many samples from now on."""
        ...

    def reset(self) -> None:
        """Initial parameters, and none of an optimizer's memory."""
        ...

    def train(self, epochs: int) -> float:
        """Seconds that so many further epochs take."""
        ...

    def parameters(self) -> list[np.ndarray]:
        """Weights (I, O), then biases (O,), as they are now."""
        ...


class _Clock(Constant):
    """Notes when it is asked for an epoch's rates. With a rule of its own it is asked for one epoch at a time."""

    def __init__(self) -> None:
        object.__setattr__(self, "asked", [])

    def rates(self, lr: float, *position) -> np.ndarray:
        self.asked.append(perf_counter())
        return super().rates(lr, *position)


class Fastmlp:
    """The public class on the Numba backend, with its own choice of threads up to the task's number."""

    def __init__(self, task: Task) -> None:
        self.task = self.whole = task
        self.model = MLP(task.sizes, loss="softmax_cross_entropy", backend="numba", seed=task.seed)
        self.loss = float("nan")

    def take(self, samples: int) -> None:
        self.task = self.whole.part(samples)

    def reset(self) -> None:
        self.model.set_parameters(self.task.weights, self.task.biases)

    def train(self, epochs: int) -> float:
        """The clock starts after one epoch more: only `fit`'s checks of its input stay out, permutations count."""
        task, clock = self.task, _Clock()
        optimizer = {"optimizer": "sgd", "lr": task.lr} if task.optimizer == "sgd" else {"optimizer": Adam(task.lr)}
        history = self.model.fit(
            task.x, task.y, epochs=epochs + 1, batch_size=task.batch, shuffle=task.shuffle, progress=False,
            schedule=clock, **optimizer,
        )  # fmt: skip
        self.loss = history["loss"][0]  # of the first epoch, which is what the comparison of losses asks for
        return perf_counter() - clock.asked[1]

    def parameters(self) -> list[np.ndarray]:
        return [*self.model.weights, *self.model.biases]

    def threads(self) -> int:
        """That an epoch takes on an idle machine."""
        rule = get_optimizer(self.task.optimizer)
        _, operations, state = self.model._engine().session(self.task.batch, rule)
        return min(self.task.threads, operations.worth(len(self.task.x), state.update))


# Under its name in tables: the package it needs, the module and class that drive it
_PEERS = {
    "scikit-learn": ("sklearn", "peer_sklearn", "ScikitLearn"),
    "PyTorch": ("torch", "peer_torch", "Eager"),
    "torch.compile": ("torch", "peer_torch", "Compiled"),
    "JAX": ("jax", "peer_jax", "Jax"),
}


def contenders() -> tuple[dict[str, Callable[[Task], Contender]], dict[str, str]]:
    """Those that are installed, fastmlp first; and why each of the others is left out."""
    there: dict[str, Callable[[Task], Contender]] = {OURS: Fastmlp}
    missing = {}
    for name, (package, module, kind) in _PEERS.items():
        if find_spec(package) is None:
            missing[name] = f"{package} is not installed"
        else:
            there[name] = getattr(import_module(module), kind)
    return there, missing


def initial(sizes: list[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The weights and biases that everybody begins with: those of fastmlp."""
    model = MLP(sizes, backend="numpy", seed=seed)
    return [w.copy() for w in model.weights], [b.copy() for b in model.biases]
