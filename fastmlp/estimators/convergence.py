"""scikit-learn's rule of when to stop, and of the learning rates that hang on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmlp.resume import described
from fastmlp.schedules import Schedule, ignores_losses

__all__ = ["NOT_FINITE", "Convergence"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


@dataclass
class Convergence:
    """Keeps an estimator's loss curve, best score and count of epochs without improvement; a schedule and a criterion.

    An epoch without improvement is one whose loss is above the best loss minus tol, or, with early stopping, whose
    validation score is below the best score plus tol. After *more than* n_iter_no_change of them in a row training
    stops, or with the adaptive learning rate goes on at a fifth of it.

    Source: ``_update_no_improvement_count`` and the optimizers of `sklearn.neural_network`.
    """

    estimator: Any
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
        if self.schedule is None:
            rate = self._rate(epoch - self.estimator.n_iter_)
            last, constant = self._last
            if last != rate or len(constant) != steps:
                self._last = rate, (constant := np.full(steps, rate))
            return constant
        if self.epochs_before:  # `partial_fit`
            epoch, losses = epoch + self.epochs_before, self.estimator.loss_curve_[-self.epochs_before :]
        return self.schedule.rates(lr, epoch, max(self.estimator.max_iter, epoch + 1), steps, losses)

    def _rate(self, ahead: int) -> float:
        """Of the epoch after so many others from now on."""
        return self.learning_rate if ahead == 0 else self._rate_after(self.estimator.t_ + ahead * self.n_samples)

    def _rate_after(self, samples: int) -> float:
        scaled = self.follows == "invscaling"
        return self.first_rate / (samples + 1) ** self.power_t if scaled else self.learning_rate

    @property
    def ignores_losses(self) -> bool:
        """See `fastmlp.schedules.Schedule`. The adaptive rate does not, but changes only where `epochs_ahead` ends."""
        return self.schedule is None or ignores_losses(self.schedule)

    def epochs_ahead(self) -> float:
        e = self.estimator
        return 1 if e.verbose else max(1, e.n_iter_no_change + 1 - e._no_improvement_count)

    def observe(self, epoch: int, row: Mapping[str, Any], params: np.ndarray) -> str | None:
        e = self.estimator
        e.n_iter_, e.loss_, e.t_ = epoch, row["loss"], e.t_ + self.n_samples
        e.loss_curve_.append(e.loss_)
        self._say("Iteration {}, loss = {:.8f}", epoch, e.loss_)
        improved = self._loss_improved() if e.best_loss_ is not None else False
        if "val_score" in row:
            e.validation_loss_curve_.append(row["val_loss"])
            better = self._score_improved(epoch, row["val_score"], params)
            improved = better if e.early_stopping else improved
        e._no_improvement_count = 0 if improved else e._no_improvement_count + 1
        self.learning_rate = self._rate_after(e.t_)
        return self._plateau() if e._no_improvement_count > e.n_iter_no_change else None

    def settings(self) -> dict[str, Any]:
        """See `fastmlp.stopping.Criterion`; the learning rates too."""
        e = self.estimator
        own = None if self.schedule is None else described(self.schedule)
        names = "tol", "n_iter_no_change", "early_stopping"
        return {name: getattr(e, name) for name in names} | {
            "early_stopping_metric": described(e.early_stopping_metric),
            "learning_rate": own or self.follows,
            "power_t": self.power_t,
            "samples seen before": e.t_,
            "curve before": described(np.array([*e.loss_curve_, -1.0 if e.best_loss_ is None else e.best_loss_])),
        }

    def _loss_improved(self) -> bool:
        e = self.estimator
        # not "loss <= best - tol": NaN counts as an improvement, as in scikit-learn
        improved = not e.loss_ > e.best_loss_ - e.tol
        e.best_loss_ = min(e.best_loss_, e.loss_)
        return improved

    def _score_improved(self, epoch: int, score: float, params: np.ndarray) -> bool:
        e = self.estimator
        e.validation_scores_.append(score)
        self._say("Validation score: {:f}", score)
        improved = not score < e.best_validation_score_ + e.tol
        if score > e.best_validation_score_:
            e.best_validation_score_, e.best_epoch_ = score, len(e.validation_scores_)
            self.best_epoch = epoch
            if e.early_stopping:
                self.best = params.copy()
        return improved

    def _plateau(self) -> str | None:
        e = self.estimator
        what, reason = ("Validation score", "validation") if e.early_stopping else ("Training loss", "plateau")
        said = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change:g} consecutive epochs."
        if self.follows == "adaptive":
            if self.learning_rate > 1e-6:
                self.learning_rate /= 5.0
                self._say("{} Setting learning rate to {:f}", said, self.learning_rate)
                e._no_improvement_count = 0
                return None
            said += " Learning rate too small."
        self._say("{} Stopping.", said)
        return reason

    def _say(self, text: str, *values: Any) -> None:
        if self.estimator.verbose:
            print(text.format(*values))
