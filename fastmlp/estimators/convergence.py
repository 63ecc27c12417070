"""scikit-learn's rule of when to stop, and of the learning rates that depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.recorder import Recorder
from fastmlp.resume import described
from fastmlp.schedules import Schedule, ignores_losses

__all__ = ["Convergence"]


@dataclass
class Convergence:
    """Decides when to stop, which weights to end with, and the learning rates: a criterion and a schedule.

    An epoch without improvement is one whose loss is above the best loss minus tol, or, with early stopping, whose
    validation score is below the best score plus tol. After *more than* n_iter_no_change of them in a row training
    stops, or with the adaptive learning rate goes on at a fifth of it. Curves, best values and the count are the
    estimator's attributes, where callbacks see them: they are read here, and written by the recorder.

    Source: ``_update_no_improvement_count`` and the optimizers of `sklearn.neural_network`.
    """

    recorder: Recorder
    learning_rate: float  # of the next epoch
    n_samples: int  # seen in an epoch
    follows: str  # "constant", "invscaling" or "adaptive"
    first_rate: float  # of which "invscaling" makes the later ones
    power_t: float
    schedule: Schedule | None  # one of ours, in place of those three
    epochs_before: int = 0  # epochs that the optimizer has done in earlier calls
    best: np.ndarray | None = field(default=None, repr=False)
    best_epoch: int | None = None
    # the rate of the last epoch and that of its steps, mostly the next one's too
    _last: tuple[float, np.ndarray] = field(default=(np.nan, np.empty(0)), init=False, repr=False)

    def rates(self, lr: float, epoch: int, epochs: int, steps: int, losses: Sequence[float]) -> np.ndarray:
        """See `fastmlp.schedules.Schedule`."""
        estimator = self.recorder.estimator
        if self.schedule is None:
            ahead = epoch - estimator.n_iter_
            rate = self._rate_after(estimator.t_ + ahead * self.n_samples) if ahead else self.learning_rate
            last, constant = self._last
            if last != rate or len(constant) != steps:
                self._last = rate, (constant := np.full(steps, rate))
            return constant
        if self.epochs_before:  # `partial_fit`
            epoch, losses = epoch + self.epochs_before, estimator.loss_curve_[-self.epochs_before :]
        return self.schedule.rates(lr, epoch, max(estimator.max_iter, epoch + 1), steps, losses)

    def _rate_after(self, samples: int) -> float:
        """Of the epoch that begins after so many samples."""
        scaled = self.follows == "invscaling"
        return self.first_rate / (samples + 1) ** self.power_t if scaled else self.learning_rate

    @property
    def ignores_losses(self) -> bool:
        """See `fastmlp.schedules.Schedule`. The adaptive rate does not, but changes only where `epochs_ahead` ends."""
        return self.schedule is None or ignores_losses(self.schedule)

    def epochs_ahead(self) -> float:
        """See `fastmlp.stopping.Criterion`."""
        estimator = self.recorder.estimator
        return 1 if estimator.verbose else max(1, estimator.n_iter_no_change + 1 - estimator._no_improvement_count)

    def observe(self, epoch: int, row: Mapping[str, Any], params: np.ndarray) -> str | None:
        """See `fastmlp.stopping.Criterion`."""
        estimator = self.recorder.estimator
        best_score = "val_score" in row and row["val_score"] > estimator.best_validation_score_
        self.recorder.epoch(epoch, row, self.n_samples, _improves(estimator, row), best_score)
        if best_score:
            self.best_epoch = epoch
            if estimator.early_stopping:
                self.best = params.copy()
        self.learning_rate = self._rate_after(estimator.t_)
        return self._plateau() if estimator._no_improvement_count > estimator.n_iter_no_change else None

    def _plateau(self) -> str | None:
        """The reason to stop after too many epochs without improvement; None: to go on at a lower rate."""
        estimator, what, reason = self.recorder.estimator, "Training loss", "plateau"
        if estimator.early_stopping:
            what, reason = "Validation score", "validation"
        tol, epochs = estimator.tol, estimator.n_iter_no_change
        said = f"{what} did not improve more than tol={tol:f} for {epochs:g} consecutive epochs."
        if self.follows == "adaptive":
            if self.learning_rate > 1e-6:
                self.learning_rate /= 5.0
                self.recorder.say("{} Setting learning rate to {:f}", said, self.learning_rate)
                self.recorder.count_anew()
                return None
            said += " Learning rate too small."
        self.recorder.say("{} Stopping.", said)
        return reason

    def settings(self) -> dict[str, Any]:
        """See `fastmlp.stopping.Criterion`; the learning rates too."""
        estimator = self.recorder.estimator
        own = None if self.schedule is None else described(self.schedule)
        names = "tol", "n_iter_no_change", "early_stopping"
        best_loss = -1.0 if estimator.best_loss_ is None else estimator.best_loss_
        return {name: getattr(estimator, name) for name in names} | {
            "early_stopping_metric": described(estimator.early_stopping_metric),
            "learning_rate": own or self.follows,
            "power_t": self.power_t,
            "samples seen before": estimator.t_,
            "curve before": described(np.array([*estimator.loss_curve_, best_loss])),
        }


def _improves(estimator: Estimator, row: Mapping[str, Any]) -> bool:
    """Whether an epoch that is not yet recorded counts as an improvement."""
    # not "loss <= best - tol": NaN counts as an improvement, as in scikit-learn
    if "val_score" in row and estimator.early_stopping:
        return not row["val_score"] < estimator.best_validation_score_ + estimator.tol
    best = estimator.best_loss_
    return best is not None and not row["loss"] > best - estimator.tol
