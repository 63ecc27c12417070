"""Early stopping: when training ends before its last epoch, and which weights are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fastmlp.checks import check_flag, check_integer, check_real

__all__ = ["Criterion", "Stopping", "make_stopping"]


class Criterion(Protocol):
    """The interface of a stopping criterion."""

    best: np.ndarray | None  # (P,): the parameters to keep; None for the last ones
    best_epoch: int | None  # 1-based

    def epochs_ahead(self) -> float:
        """Return the number of epochs that may run before the next `observe`, since none of them can end training."""
        ...

    def observe(self, epoch: int, row: Mapping[str, Any], params: np.ndarray) -> str | None:
        """Evaluate an epoch (1-based) by its history row and params (P,); return the reason to stop, or None."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return all settings, as JSON values by names for messages."""
        ...


@dataclass
class Stopping:
    """Stops training by one loss.

    An epoch is an improvement if its loss is more than `tol` below that of the last improvement. After `patience`
    epochs in a row without one, training stops. `best` holds the parameters of the epoch with the lowest loss, if
    requested.
    """

    target_loss: float | None = None
    tol: float = 0.0
    patience: int | None = None
    reason: str = "plateau"  # the reason when patience ends: "validation" for the loss of validation data
    keep_best: bool = False
    best_loss: float = np.inf
    best_epoch: int | None = None  # 1-based
    best: np.ndarray | None = field(default=None, repr=False)  # (P,)
    _reference: float = np.inf
    _waited: int = 0

    def epochs_ahead(self) -> float:
        if self.keep_best or self.target_loss is not None:
            return 1
        return np.inf if self.patience is None else max(1, self.patience - self._waited)

    def observe(self, epoch: int, row: Mapping[str, Any], params: np.ndarray) -> str | None:
        """See `Criterion`. The loss is the validation loss if there is one."""
        loss = row.get("val_loss", row["loss"])
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            if self.keep_best:
                self.best = params.copy()
        if self.target_loss is not None and loss <= self.target_loss:
            return "target_loss"
        if loss < self._reference - self.tol:
            self._reference, self._waited = loss, 0
        else:
            self._waited += 1
        return self.reason if self.patience is not None and self._waited >= self.patience else None

    def settings(self) -> dict[str, Any]:
        names = "target_loss", "tol", "patience", "keep_best"
        return {name: getattr(self, name) for name in names}


def make_stopping(
    target_loss: float | None, tol: float, patience: int | None, restore_best: bool | None, validates: bool
) -> Stopping:
    """Make the criterion for these arguments of `MLP.fit`; `validates` is whether there are validation data."""
    stopping = Stopping(
        target_loss=None if target_loss is None else check_real("target_loss", target_loss, -np.inf),
        tol=check_real("tol", tol),
        patience=None if patience is None else check_integer("patience", patience),
        reason="validation" if validates else "plateau",
        keep_best=validates and patience is not None,
    )
    if restore_best is not None:
        stopping.keep_best = check_flag("restore_best", restore_best)
    return stopping
