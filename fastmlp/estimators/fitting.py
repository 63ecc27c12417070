"""`fit` and `partial_fit` from begin to end, in scikit-learn's order of events."""

from __future__ import annotations

from typing import Any

from fastmlp.checkpoint import Checkpoint
from fastmlp.estimators.callbacks import FitTask
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import check_finite
from fastmlp.estimators.lbfgs import run_lbfgs
from fastmlp.estimators.online import make_epoch, remember
from fastmlp.estimators.planning import prepare
from fastmlp.estimators.stochastic import run_epochs
from fastmlp.ranks.all_reduce import AllReduce

__all__ = ["fit", "partial_fit"]


def fit(
    estimator: Estimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: tuple[Any, Any, Any] = (None, None, None),
    checkpoint: Checkpoint | None = None,
    all_reduce: AllReduce | None = None,
) -> Estimator:
    """All of `fit`; validation is (X, y, sample_weight), each may be None. Returns the estimator."""
    run = prepare(estimator, X, y, sample_weight, validation, checkpoint, incremental=False, all_reduce=all_reduce)
    task = FitTask(estimator, estimator.max_iter, X, y, sample_weight)
    if run.plan is None:
        run_lbfgs(estimator, run, task)
    else:
        run_epochs(estimator, run, run.plan, task)
    task.end()
    check_finite(estimator)  # L-BFGS or a callback may have left weights that are not
    return estimator


def partial_fit(estimator: Estimator, X: Any, y: Any, sample_weight: Any) -> Estimator:
    """One epoch that goes on where the call before ended. Returns the estimator."""
    if estimator.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True")
    if sample_weight is None and make_epoch(estimator, X, y):
        return estimator
    run = prepare(estimator, X, y, sample_weight, (None, None, None), None, incremental=True)
    if run.plan is None:
        raise ValueError("partial_fit needs a solver that makes steps; solver='lbfgs' makes none.")
    run_epochs(estimator, run, run.plan, None)
    remember(estimator, run, run.plan)
    if estimator.callbacks:
        check_finite(estimator)
    return estimator
