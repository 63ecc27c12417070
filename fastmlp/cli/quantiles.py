"""Prediction intervals from several quantiles of one target: their loss and scores."""

from __future__ import annotations

import numpy as np

from fastmlp.cli.text import counted
from fastmlp.errors import InputError
from fastmlp.losses import Loss, quantile
from fastmlp.mlp import MLP
from fastmlp.tables.preparation import Preparation

__all__ = ["Intervals", "chosen_quantiles", "quantiles_of", "sorted_quantiles"]


def chosen_quantiles(given: float | list[float] | None, loss: str, y: np.ndarray) -> Loss | None:
    """Return the loss for the quantiles of --quantiles, in ascending order; None if the option was not given.

    Parameters
    ----------
    given : value of the option.
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
    """Return the Q quantiles that a model predicts; empty unless there are several."""
    several = model.loss is not None and model.loss.name == "quantile" and len(model.loss.parameter) > 1
    return model.loss.parameter if model.loss is not None and several else ()


def sorted_quantiles(values: np.ndarray) -> np.ndarray:
    """Sort predicted quantiles (N, Q) in each row: crossing quantiles come closer to the true ones by sorting.

    Source: Chernozhukov, Fernandez-Val & Galichon, "Quantile and probability curves without crossing", Econometrica 78,
    2010.
    """
    return np.sort(values, axis=1)


class Intervals:
    """Accumulates the loss of predicted quantiles and the number of targets within their interval.

    Parameters
    ----------
    preparation : of the model.
    quantiles : Q of one target, in ascending order.
    """

    def __init__(self, preparation: Preparation, quantiles: tuple[float, ...]) -> None:
        self._preparation, self._quantiles = preparation, np.array(quantiles)
        self._loss, self._within = 0.0, 0

    def add(self, y: np.ndarray, out: np.ndarray) -> None:
        """Add a batch: targets y (N,) or (N, 1) and network outputs (N, Q)."""
        truth = y.reshape(len(y), -1)
        if truth.shape[1] != 1:
            raise InputError(f"The data have {truth.shape[1]} targets per sample, but the model predicts one.")
        values, q = sorted_quantiles(self._preparation.values(out)), self._quantiles
        over = truth - values
        self._loss += float(np.maximum(q * over, (q - 1) * over).mean(axis=1).sum())
        self._within += int(((truth >= values[:, :1]) & (truth <= values[:, -1:])).sum())

    def lines(self, what: str, n: int) -> list[str]:
        """Return the scores of all n samples as text."""
        q = self._quantiles
        return [
            f"{what} quantile loss {self._loss / n:.6g} of {counted(n, 'sample')}",
            f"{100 * self._within / n:.1f} % are between the quantiles {q[0]:g} and {q[-1]:g}; "
            f"{100 * (q[-1] - q[0]):.4g} % should be",
        ]
