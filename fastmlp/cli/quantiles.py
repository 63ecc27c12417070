"""Several quantiles of one target, which make an interval: the loss, and the scores of what it gives."""

from __future__ import annotations

import numpy as np

from fastmlp.cli.text import counted
from fastmlp.errors import InputError
from fastmlp.losses import Loss, quantile
from fastmlp.mlp import MLP
from fastmlp.tables.preparation import Preparation

__all__ = ["Intervals", "chosen_quantiles", "in_order", "quantiles_of"]


def chosen_quantiles(given: float | list[float] | None, loss: str, y: np.ndarray) -> Loss | None:
    """The loss of the quantiles that --quantiles names, in ascending order; None if it was not given.

    Parameters
    ----------
    given : of the option.
    loss : name of the loss.
    y : targets (N,) or (N, O).

    Raises
    ------
    InputError : another loss, a quantile that is repeated, or several quantiles of several targets.
    """
    if given is None:
        return None
    quantiles = sorted(given if isinstance(given, list) else [given])
    if loss != "quantile":
        raise InputError(f"--quantiles is for --loss quantile; {loss} has none.")
    if len(set(quantiles)) < len(quantiles):
        raise InputError(f"--quantiles names {quantiles} and so one of them twice. Name different ones.")
    if len(quantiles) > 1 and y.ndim > 1 and y.shape[1] > 1:
        raise InputError(f"Several --quantiles go with one target, but there are {y.shape[1]}. Choose one target.")
    return quantile(quantiles)


def quantiles_of(model: MLP) -> tuple[float, ...]:
    """The Q quantiles of one target that a model predicts; none unless there are several."""
    several = model.loss is not None and model.loss.name == "quantile" and len(model.loss.parameter) > 1
    return model.loss.parameter if model.loss is not None and several else ()


def in_order(values: np.ndarray) -> np.ndarray:
    """Quantiles (N, Q) in ascending order in each row: outputs that cross come closer to the truth by that.

    Source: Chernozhukov, Fernandez-Val & Galichon, "Quantile and probability curves without crossing", Econometrica 78,
    2010.
    """
    return np.sort(values, axis=1)


class Intervals:
    """Sums for the scores of predicted quantiles: their loss, and how many numbers they enclose.

    Parameters
    ----------
    preparation : of the model.
    quantiles : Q of one target, in ascending order.
    """

    def __init__(self, preparation: Preparation, quantiles: tuple[float, ...]) -> None:
        self._preparation, self._quantiles = preparation, np.array(quantiles)
        self._loss, self._within = 0.0, 0

    def add(self, y: np.ndarray, out: np.ndarray) -> None:
        """Count true numbers (N,) or (N, 1) and what the network gives (N, Q) for the same samples."""
        truth = y.reshape(len(y), -1)
        if truth.shape[1] != 1:
            raise InputError(f"The data have {truth.shape[1]} targets per sample, but the model predicts one.")
        values, q = in_order(self._preparation.values(out)), self._quantiles
        over = truth - values
        self._loss += float(np.maximum(q * over, (q - 1) * over).mean(axis=1).sum())
        self._within += int(((truth >= values[:, :1]) & (truth <= values[:, -1:])).sum())

    def lines(self, what: str, n: int) -> list[str]:
        """The scores of the n samples."""
        q = self._quantiles
        return [
            f"{what} quantile loss {self._loss / n:.6g} of {counted(n, 'sample')}",
            f"{100 * self._within / n:.1f} % are between the quantiles {q[0]:g} and {q[-1]:g}; "
            f"{100 * (q[-1] - q[0]):.4g} % should be",
        ]
