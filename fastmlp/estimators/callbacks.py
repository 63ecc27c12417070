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


class FitTask:
    """Tells scikit-learn's callbacks of a fit and its epochs. Without any of them it does nothing."""

    def __init__(self, estimator: Any, epochs: int, X: Any, y: Any) -> None:
        self.estimator, self.given = estimator, {"X": X, "y": y}
        self.context: Any = None
        self.task: Any = None
        propagated = hasattr(estimator, "_parent_callback_ctx")
        if propagated or getattr(estimator, "_skl_callbacks", None):
            self.context = estimator._init_callback_context(max_subtasks=epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.given)
            self._begin()

    def _begin(self) -> None:
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.estimator, **self.given)

    def epoch(self, last: bool) -> bool:
        """Report the end of an epoch, and the beginning of the next unless it was the last; whether to stop."""
        if self.context is None:
            return False
        stop = self._end(self.task)
        if not stop and not last:
            self._begin()
        return stop

    def end(self) -> None:
        if self.context is not None:
            self._end(self.context)

    def _end(self, context: Any) -> bool:
        e = self.estimator
        return bool(
            context.call_on_fit_task_end(
                estimator=e,
                **self.given,
                # copied only if a callback asks for it
                reconstruction_attributes=lambda: {
                    "coefs_": [w.copy() for w in e.coefs_],
                    "intercepts_": [b.copy() for b in e.intercepts_],
                },
            )
        )
