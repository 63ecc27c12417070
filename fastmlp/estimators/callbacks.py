"""Callbacks of the estimators: plain functions, and scikit-learn's own protocol where it has one (1.9 and later).

Source: SLEP023, https://github.com/scikit-learn/enhancement_proposals/pull/90.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable) -> Callable:
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]

_CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


class FitTask:
    """Tells scikit-learn's callbacks of a fit and its epochs. Without any of them it does nothing."""

    def __init__(self, estimator: Any, epochs: int, X: Any, y: Any, sample_weight: Any = None) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.estimator, self.given = estimator, {"X": X, "y": y, "metadata": metadata}
        self.context: Any = None
        self.task: Any = None  # of the epoch that goes on
        if getattr(estimator, "_skl_callbacks", None):
            self.context = estimator._init_callback_context(max_subtasks=epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.given)
            self._begin()

    @property
    def watched(self) -> bool:
        """Whether there are callbacks."""
        return self.context is not None

    def _begin(self) -> None:
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(
            estimator=self.estimator, **self.given, reconstruction_attributes=self._attributes
        )

    def epoch(self, last: bool) -> bool:
        """Report the end of an epoch, and the beginning of the next unless it was the last; whether to stop."""
        if self.context is None:
            return False
        stop, self.task = self._end(self.task), None
        if not (stop or last):
            self._begin()
        return stop

    def end(self) -> None:
        """Report the end of the fit."""
        if self.context is None:
            return
        if self.task is not None:  # an epoch that came to nothing: as in scikit-learn it ends without an estimator
            self.task.call_on_fit_task_end(estimator=self.estimator)
        self._end(self.context)

    def _end(self, context: Any) -> bool:
        return bool(
            context.call_on_fit_task_end(
                estimator=self.estimator, **self.given, reconstruction_attributes=self._attributes
            )
        )

    def _attributes(self) -> dict[str, Any]:
        """Called only if a callback wants an estimator; it gets a copy, and copies have weights of their own."""
        return {name: copied for name in _CURVES if (copied := list(getattr(self.estimator, name, None) or ()))}
