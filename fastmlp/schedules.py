"""Learning-rate schedules: the rate of every update of an epoch.

A schedule has no state: its rates are a function of the position in the run and of the monitored losses so far, so a
resumed or repeated run gets the same rates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from fastmlp.errors import InputError

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "WarmUp",
    "get_schedule",
    "ignores_losses",
]


@runtime_checkable
class Schedule(Protocol):
    """The interface of a schedule: any object with this method is one.

    If the rates depend only on the position in the run, set the attribute ``ignores_losses = True``: several short
    epochs then run in one call.
    """

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        """Return the learning rate of each update of one epoch.

        Parameters
        ----------
        lr : float
            The learning rate the user chose.
        epoch : int
            The 0-based epoch, below `epochs`.
        epochs : int
            Epochs of the whole run.
        steps : int
            Updates per epoch.
        losses : sequence of float
            The monitored loss of each finished epoch, oldest first.

        Returns
        -------
        array (steps,) float64
            The rates.
        """
        ...


@dataclass(frozen=True)
class Constant:
    """`lr` for every update."""

    ignores_losses: ClassVar[bool] = True

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        return _constant(steps, lr)


@lru_cache(maxsize=16)
def _constant(steps: int, lr: float) -> np.ndarray:
    """(steps,) times lr. It is kept, since an epoch of a tiny network takes little longer than to make it."""
    rates = np.full(steps, lr, np.float64)
    rates.flags.writeable = False
    return rates


@dataclass(frozen=True)
class Step:
    """lr · factor^floor(epoch / every).

    Parameters
    ----------
    every : int
        Epochs from one change to the next.
    factor : float
        What the rate is multiplied by, in (0, 1].
    """

    ignores_losses: ClassVar[bool] = True
    every: int = 10
    factor: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "every", 1)
        _check(self, "factor", 0, 1, open_low=True)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        return np.full(steps, lr * self.factor ** (epoch // self.every), np.float64)


@dataclass(frozen=True)
class Exponential:
    """lr · decay^epoch: each epoch multiplies the rate by `decay`.

    Parameters
    ----------
    decay : float
        In (0, 1].
    """

    ignores_losses: ClassVar[bool] = True
    decay: float = 0.95

    def __post_init__(self) -> None:
        _check(self, "decay", 0, 1, open_low=True)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        return np.full(steps, lr * self.decay**epoch, np.float64)


@dataclass(frozen=True)
class InverseScaling:
    """lr / (epoch + 1)^power: scikit-learn's "invscaling", with epochs where that counts samples.

    Parameters
    ----------
    power : float
        Not negative.
    """

    ignores_losses: ClassVar[bool] = True
    power: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "power", 0)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        return np.full(steps, lr / (epoch + 1) ** self.power, np.float64)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from lr down to final · lr, changing with every update.

    The first update has rate lr. The last is one step short of final · lr, so that it has an effect if `final` is 0.

    Parameters
    ----------
    final : float
        The last rate as a share of lr, in [0, 1].

    Notes
    -----
    Source: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """

    ignores_losses: ClassVar[bool] = True
    final: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "final", 0, 1)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        done = (epoch * steps + np.arange(steps)) / (epochs * steps)
        return lr * _ease(self.final, 1.0 - done)


@dataclass(frozen=True)
class OneCycle:
    """Rise from start · lr to lr in `peak_fraction` of all updates, then fall to final · lr.

    One update runs at exactly lr, and the last one at final · lr.

    Parameters
    ----------
    peak_fraction : float
        Share of the updates until the peak, in [0, 1].
    start : float
        The first rate as a share of lr, in (0, 1].
    final : float
        The last rate as a share of lr, in [0, 1].

    Notes
    -----
    Source: Smith & Topin 2018, "Super-Convergence"; both legs are half cosines instead of straight lines, as
    in fastai (Howard & Gugger 2020).
    """

    ignores_losses: ClassVar[bool] = True
    peak_fraction: float = 0.3
    start: float = 1 / 25
    final: float = 1e-4

    def __post_init__(self) -> None:
        _check(self, "peak_fraction", 0, 1)
        _check(self, "start", 0, 1, open_low=True)
        _check(self, "final", 0, 1)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        total = epochs * steps
        peak = max(1, round(self.peak_fraction * total))
        update = epoch * steps + np.arange(1, steps + 1)
        up = _ease(self.start, update / peak)
        down = _ease(self.final, (total - update) / max(1, total - peak))
        return lr * np.where(update <= peak, up, down)


@dataclass(frozen=True)
class WarmUp:
    """Linear warm-up, changing with every update, to the first rate of `then`; after `epochs`, `then` itself.

    `then` is evaluated as if the run began after the warm-up: its epochs and losses are counted from there.

    Parameters
    ----------
    epochs : int
        Epochs of the warm-up, at least 1.
    then : Schedule
        The schedule after the warm-up.

    Notes
    -----
    Source: Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2.
    """

    epochs: int = 5
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        _check(self, "epochs", 1)
        if isinstance(self.then, type) or not isinstance(self.then, Schedule):
            raise InputError(f"WarmUp: then={self.then!r} is not a schedule. Give an instance, such as then=Cosine().")

    @property
    def ignores_losses(self) -> bool:
        return ignores_losses(self.then)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        # A run no longer than the warm-up still needs a target rate: that of one hypothetical epoch of `then`.
        remaining = max(1, epochs - self.epochs)
        if epoch >= self.epochs:
            return self.then.rates(lr, epoch - self.epochs, remaining, steps, losses[self.epochs :])
        target = self.then.rates(lr, 0, remaining, steps, [])[:1]
        return target * (epoch * steps + np.arange(1, steps + 1)) / (self.epochs * steps)


@dataclass(frozen=True)
class ReduceOnPlateau:
    """Multiply the rate by `factor` each time `patience` epochs in a row have not improved the loss.

    A loss is an improvement if it is below the best so far by more than ``threshold · |loss|``; NaN never is.

    Parameters
    ----------
    factor : float
        What the rate is multiplied by, in (0, 1].
    patience : int
        Epochs without improvement, at least 1.
    threshold : float
        Least improvement that counts, relative to the loss.
    minimum : float
        The least rate; a rate, not a share of lr.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "factor", 0, 1, open_low=True)
        _check(self, "patience", 1)
        _check(self, "threshold", 0)
        _check(self, "minimum", 0)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        best, waited, reductions = math.inf, 0, 0
        for loss in losses:
            # Relative to the new loss: relative to `best`, the first comparison would be inf − inf.
            if best - loss > self.threshold * abs(loss):
                best, waited = loss, 0
                continue
            waited += 1
            if waited == self.patience:
                waited, reductions = 0, reductions + 1
        return np.full(steps, max(lr * self.factor**reductions, min(lr, self.minimum)), np.float64)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "inverse_scaling": InverseScaling,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "warm_up": WarmUp,
    "reduce_on_plateau": ReduceOnPlateau,
}


def get_schedule(schedule: str | Schedule) -> Schedule:
    """Return a schedule by name, with its defaults, or the given instance.

    Raises
    ------
    InputError
        If it is neither a known name nor an object with the method `rates`.
    """
    if isinstance(schedule, str) and schedule in SCHEDULES:
        return SCHEDULES[schedule]()
    if isinstance(schedule, Schedule) and not isinstance(schedule, type):
        return schedule
    choices = ", ".join(map(repr, SCHEDULES))
    raise InputError(f"schedule={schedule!r} is unknown. Choose {choices}, or an instance such as Cosine().")


def ignores_losses(schedule: Schedule) -> bool:
    """Whether `ignores_losses` is set in the class that defines `rates`: a subclass with other rates must set it."""
    kind = next((kind for kind in type(schedule).__mro__ if "rates" in vars(kind)), object)
    return "ignores_losses" in vars(kind) and bool(schedule.ignores_losses)  # type: ignore[attr-defined]


def _ease(low: float, share: np.ndarray) -> np.ndarray:
    """Half a cosine from `low` at share 0 to 1 at share 1, exact at both ends."""
    height = 0.5 * (1.0 - np.cos(np.pi * share))
    return (1.0 - height) * low + height


def _check(schedule: object, name: str, low: float, high: float = math.inf, open_low: bool = False) -> None:
    """Refuse a field that is not a finite number in [low, high], or (low, high]; an integer if its default is one."""
    value, default = getattr(schedule, name), getattr(type(schedule), name)
    kind, words = (Integral, "whole number") if isinstance(default, int) else (Real, "number")
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and low <= value <= high and not (open_low and value == low):
        return
    bounds = f"{'>' if open_low else '>='} {low}" + ("" if high == math.inf else f" and <= {high}")
    raise InputError(
        f"{type(schedule).__name__}: {name}={value!r} cannot be used. Give a finite {words} {bounds}, such "
        f"as {default!r}."
    )
