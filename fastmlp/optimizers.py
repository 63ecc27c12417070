"""Optimizers: what a user chooses, the numbers a step needs from them, and their state.

Every rule works on the whole flat parameter buffer at once, in `ops.sgd`, `ops.adam` or `ops.rmsprop`. What changes
from step to step (learning rate, bias corrections) is a small table that the host makes for a whole epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastmlp import step
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.checks import check_flag, check_real
from fastmlp.errors import InputError
from fastmlp.kernels import codes
from fastmlp.network import Update, aligned_zeros, build_update

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "State", "get_optimizer"]


@dataclass
class State:
    """Where an optimizer is: updates done, and its moments (inside the `Update` that the step reads)."""

    update: Update
    step: int = 0


class _Parameters(NamedTuple):
    """As much of a network as an update touches."""

    params: np.ndarray  # (P,)
    n_weights: int


@dataclass(frozen=True)
class Optimizer:
    """Base of the update rules. `lr` is the learning rate, which a schedule may change."""

    lr: float
    rule: ClassVar[int]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("nesterov", "epsilon_hat"):
                object.__setattr__(self, name, check_flag(name, value))
                continue
            fraction = name in ("beta1", "beta2", "momentum", "rho")
            # a Python float: numpy.float64 is a strong type and would turn a float32 update into float64
            high, half_open = 1 if fraction else np.inf, fraction and name != "momentum"
            number = check_real(f"{type(self).__name__} {name}", value, 0, high, open_end=half_open)
            if name in ("lr", "epsilon") and number == 0:
                raise InputError(f"{type(self).__name__} {name}={value!r} must be positive.")
            object.__setattr__(self, name, number)

    def settings(self) -> dict[str, Any]:
        """The constants of the rule, by the names of `Update`."""
        return {}

    def rates(self, first_step: int, lr: np.ndarray) -> np.ndarray:
        """Table (steps, 3): learning rate, step size and epsilon of updates from number `first_step` (0-based) on."""
        table = np.empty((len(lr), 3))
        table[:, 0] = table[:, 1] = lr
        table[:, 2] = getattr(self, "epsilon", 0.0)
        return table

    def init(
        self, params: np.ndarray, zeros: Callable = aligned_zeros, direct: bool = False, **objective: Any
    ) -> State:
        """Fresh state for a flat buffer params (P,); `objective` may hold mean, l1, l2 and max_norm.

        direct asks for gradients that are accumulated in the parameters themselves; only plain SGD can grant it.
        """
        rule = codes.DIRECT if direct else self.rule
        return State(build_update(params, rule, zeros=zeros, **self.settings(), **objective))

    def update(self, state: State, params: np.ndarray, gradient: np.ndarray, n_weights: int | None = None) -> None:
        """One update of params (P,) in place along gradient (P,), for a training loop of one's own on the host.

        n_weights is the length of the prefix that penalties and weight decay apply to; None: all of it.
        """
        state.update.into[...] = gradient
        rates = self.rates(state.step, np.array([self.lr]))
        parameters = _Parameters(params, params.size if n_weights is None else n_weights)
        step.apply_update(NumpyOps(), parameters, state.update, rates[0])
        state.step += 1


@dataclass(frozen=True)
class SGD(Optimizer):
    """v = momentum v - lr g; w += v, with nesterov w += momentum v - lr g. Without momentum w -= lr g."""

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    rule: ClassVar[int] = codes.SGD

    def settings(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v = ρ v + (1-ρ) g²; w -= lr g / (sqrt(v) + ε). Source: Tieleman & Hinton, Coursera lecture 6.5, 2012."""

    lr: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    rule: ClassVar[int] = codes.RMSPROP

    def settings(self) -> dict[str, Any]:
        return {"beta2": self.rho}


@dataclass(frozen=True)
class Adam(Optimizer):
    """m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; w -= lr m̂ / (sqrt(v̂) + ε), m̂ = m/(1-β1ᵗ), v̂ = v/(1-β2ᵗ).

    Algorithm 1 of Kingma & Ba, ICLR 2015 (as in PyTorch). Multiplying numerator and denominator by sqrt(1-β2ᵗ) leaves
    one step size lr sqrt(1-β2ᵗ)/(1-β1ᵗ) and one epsilon ε sqrt(1-β2ᵗ) for the whole buffer. With epsilon_hat that
    epsilon is ε itself, the "ε̂" of the paper's end of section 2 (as in scikit-learn and TensorFlow).
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False
    rule: ClassVar[int] = codes.ADAM

    def settings(self) -> dict[str, Any]:
        return {"beta1": self.beta1, "beta2": self.beta2}

    def rates(self, first_step: int, lr: np.ndarray) -> np.ndarray:
        table = np.empty((len(lr), 3))
        t = np.arange(first_step + 1, first_step + 1 + len(lr), dtype=np.float64)
        root = np.sqrt(1 - self.beta2**t)
        table[:, 0], table[:, 1] = lr, lr * root / (1 - self.beta1**t)
        table[:, 2] = self.epsilon if self.epsilon_hat else self.epsilon * root
        return table


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam after w -= lr decay w on the weights, not the biases: decoupled decay (Loshchilov & Hutter, ICLR 2019)."""

    decay: float = 0.01

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "decay": self.decay}


_BY_NAME: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}


def get_optimizer(optimizer: str | Optimizer, lr: float | None = None) -> Optimizer:
    """An optimizer from its name ("sgd", "rmsprop", "adam", "adamw") with the learning rate lr, or the one given."""
    if isinstance(optimizer, Optimizer):
        if lr is not None:
            raise InputError("lr is given beside an optimizer that has its own. Give it to the optimizer only.")
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in _BY_NAME:
        raise InputError(
            f"optimizer={optimizer!r} is unknown. Choose one of: {', '.join(_BY_NAME)}; or an instance such as "
            "SGD(lr=0.1, momentum=0.9)."
        )
    kind: Callable[..., Optimizer] = _BY_NAME[optimizer]
    return kind() if lr is None else kind(lr=lr)
