"""The task of every library in the comparison, the interface that it implements, and fastmlp's implementation."""

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

__all__ = ["BETA1", "BETA2", "EPSILON", "OURS", "Clock", "Contender", "Fastmlp", "Task", "contenders", "initial"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, as published
OURS = "fastmlp"


class Task(NamedTuple):
    """Training with softmax cross entropy and ReLU hidden layers. A full batch is not shuffled."""

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
    """A library with the task's data in its own arrays, and its program compiled if the library compiles.

    ``Contender(task)`` raises RuntimeError with the reason if the library cannot run the task.
    """

    loss: float  # mean of the last epoch's batch losses, each met before its update

    def take(self, samples: int) -> None:
        """Train on the first `n` samples of the task from now on."""
        ...

    def reset(self) -> None:
        """Reset to the initial parameters and an empty optimizer state."""
        ...

    def train(self, epochs: int) -> float:
        """Train for further epochs; return the seconds."""
        ...

    def parameters(self) -> list[np.ndarray]:
        """The current weights (I, O), then biases (O,)."""
        ...


class Clock(Constant):
    """A schedule that records when an epoch begins; a custom schedule is called for one epoch at a time."""

    def __init__(self) -> None:
        object.__setattr__(self, "asked", [])

    def rates(self, lr: float, *position) -> np.ndarray:
        self.asked.append(perf_counter())
        return super().rates(lr, *position)


class Fastmlp:
    """`MLP` on the Numba backend, with its own choice of threads up to the task's number."""

    def __init__(self, task: Task) -> None:
        self.task = self.whole = task
        self.model = MLP(task.sizes, loss="softmax_cross_entropy", backend="numba", seed=task.seed)
        self.loss = float("nan")

    def take(self, samples: int) -> None:
        self.task = self.whole.part(samples)

    def reset(self) -> None:
        self.model.set_parameters(self.task.weights, self.task.biases)

    def train(self, epochs: int) -> float:
        """Time all epochs after an additional first one: without the input checks of `fit`, with permutations."""
        task, clock = self.task, Clock()
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
        """The number of threads of an epoch on an idle machine."""
        rule = get_optimizer(self.task.optimizer)
        _, operations, state = self.model._engine().session(self.task.batch, rule)
        return min(self.task.threads, operations.worth(len(self.task.x), state.update))


# By name in tables: the package it needs, and the module and class of its contender
_PEERS = {
    "scikit-learn": ("sklearn", "peer_sklearn", "ScikitLearn"),
    "PyTorch": ("torch", "peer_torch", "Eager"),
    "torch.compile": ("torch", "peer_torch", "Compiled"),
    "JAX": ("jax", "peer_jax", "Jax"),
}


def contenders() -> tuple[dict[str, Callable[[Task], Contender]], dict[str, str]]:
    """The installed contenders, fastmlp first; and for each of the others the reason why it is left out."""
    there: dict[str, Callable[[Task], Contender]] = {OURS: Fastmlp}
    missing = {}
    for name, (package, module, kind) in _PEERS.items():
        if find_spec(package) is None:
            missing[name] = f"{package} is not installed"
        else:
            there[name] = getattr(import_module(module), kind)
    return there, missing


def initial(sizes: list[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The initial weights and biases of all contenders: those of fastmlp."""
    model = MLP(sizes, backend="numpy", seed=seed)
    return [w.copy() for w in model.weights], [b.copy() for b in model.biases]
