"""Successive halving: short trainings for all trials, longer ones for the best of them.

Source: K. Jamieson and A. Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

__all__ = ["FACTOR", "Rung", "halve", "rungs"]

FACTOR = 3  # of the trials one in so many goes on, with so many times the epochs
_MOST = 3  # rungs: less than a ninth of the epochs ranks trials poorly

T = TypeVar("T")


class Rung(NamedTuple):
    """A stage of the halving."""

    trials: int
    epochs: int


def rungs(trials: int, epochs: int) -> list[Rung]:
    """Return the stages for so many trials; the last has all the epochs, and every stage about as many in total."""
    powers = [FACTOR**k for k in range(_MOST) if FACTOR**k <= min(trials, epochs)]
    return [
        Rung(-(-trials // fewer), -(-epochs // shorter))
        for fewer, shorter in zip(powers, reversed(powers), strict=True)
    ]


def halve(trials: Sequence[T], epochs: int, losses_of: Callable[[Sequence[T], int], Sequence[float]]) -> None:
    """Train all trials, and at each further stage those with the least losses, the first of equal ones.

    Parameters
    ----------
    trials : what is to be compared.
    epochs : those of the last stage.
    losses_of : trains the given trials from the beginning for so many epochs and returns their losses; one whose loss
        is not finite does not go on.
    """
    for rung in rungs(len(trials), epochs):
        trials = trials[: rung.trials]
        losses = losses_of(trials, rung.epochs)
        trials = [trials[k] for k in np.argsort(losses, kind="stable") if np.isfinite(losses[k])]
