"""Fitting an estimator: scikit-learn's order of events around a run of `fastmlp.trainer.Training` or of L-BFGS."""

from __future__ import annotations

import time
import warnings
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.checkpoint import Checkpoint
from fastmlp.engine import Engine, Session
from fastmlp.errors import DivergenceError
from fastmlp.estimators.callbacks import FitTask
from fastmlp.estimators.convergence import NOT_FINITE
from fastmlp.estimators.fitted_weights import bring_back, show, show_copy
from fastmlp.estimators.initial import begin_curves
from fastmlp.estimators.lbfgs import minimise
from fastmlp.estimators.online import make_epoch, remember
from fastmlp.estimators.optimizer import OptimizerState, keep_state
from fastmlp.estimators.planning import Plan, Run, as_before, prepare
from fastmlp.history import History
from fastmlp.network import Layout
from fastmlp.trainer import Epoch, Training, tell

__all__ = ["fit", "partial_fit"]


def fit(
    e: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: tuple[Any, Any, Any] = (None, None, None),
    checkpoint: Checkpoint | None = None,
) -> Any:
    """All of `fit`; validation is (X, y, sample_weight), each may be None. Returns the estimator."""
    run = prepare(e, X, y, sample_weight, validation, checkpoint, incremental=False)
    if run.plan is not None:
        begin_curves(e, e.early_stopping or validation[0] is not None)
    task = FitTask(e, e.max_iter, X, y, sample_weight)
    if run.plan is None:
        _lbfgs(e, run, task)
    else:
        _stochastic(e, run, run.plan, task)
    task.end()
    return _finite(e)


def partial_fit(e: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """One epoch that goes on where the call before ended. Returns the estimator."""
    if e.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True")
    if sample_weight is None and make_epoch(e, X, y):
        return e
    run = prepare(e, X, y, sample_weight, (None, None, None), None, incremental=True)
    if run.plan is None:
        raise ValueError("partial_fit needs a solver that makes steps; solver='lbfgs' makes none.")
    begin_curves(e, False)
    _stochastic(e, run, run.plan, None)
    remember(e, run)
    return _finite(e) if e.callbacks else e


def _finite(e: Any) -> Any:
    """The estimator; ValueError if L-BFGS or a callback has left weights that are not finite."""
    if not all(np.isfinite(w).all() for w in (*e.coefs_, *e.intercepts_)):
        raise ValueError(NOT_FINITE)
    return e


def _lbfgs(e: Any, run: Run, task: FitTask) -> None:
    samples, engine = run.samples, run.engine
    show(e, run.buffer)
    e._coef_indptr, e._intercept_indptr = _places(engine.layout)
    e.n_iter_, history, begin = 0, History(), time.perf_counter()

    def after_iteration(loss: float) -> None:
        nonlocal begin
        e.n_iter_, e.loss_ = e.n_iter_ + 1, loss
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {loss:.8f}")
        begin, seconds = time.perf_counter(), time.perf_counter() - begin
        rate = samples.data.n_samples / seconds
        history.append(loss=loss, learning_rate=float("nan"), seconds=seconds, samples_per_second=rate)
        stop = tell(e.callbacks or (), Epoch(e.n_iter_, e, history))
        if task.epoch(last=stop or e.n_iter_ == e.max_iter) or stop:
            raise StopIteration

    watched = e.callbacks or e.verbose or task.watched
    result = minimise(engine, samples.data, e.max_iter, e.max_fun, e.tol, after_iteration if watched else None)
    e.n_iter_, e.loss_ = min(result.nit, e.max_iter), result.fun
    if result.status != 99:  # 99: a callback asked to stop
        _check_optimize_result("lbfgs", result, e.max_iter)  # the warning, in the words of this scikit-learn


def _places(layout: Layout) -> tuple[list[tuple[int, int, tuple[int, int]]], list[tuple[int, int]]]:
    """Where scikit-learn's `_unpack` finds the weights and the biases in one vector without padding."""
    weights, biases, end = [], [], 0
    pairs = list(pairwise(layout.sizes))
    for i, o in pairs:
        weights.append((end, end := end + i * o, (i, o)))
    for _, o in pairs:
        biases.append((end, end := end + o))
    return weights, biases


def _stochastic(e: Any, run: Run, plan: Plan, task: FitTask | None) -> None:
    """All epochs of a fit, or one of partial_fit, which has no task."""
    order, batch_size, rule, keep, max_norm, convergence, measure, before, checkpoint, untouched = plan
    buffer, engine, random = run.buffer, run.engine, vars(e)["_random_state"]

    def build() -> Session:
        return engine.session(batch_size, rule, keep, max_norm)

    with engine.kept("train", (batch_size, rule, max_norm, keep), build) as session:

        def after_epoch(epoch: Epoch) -> bool:
            buffer.write()
            stop = tell(e.callbacks or (), epoch)
            bring_back(e, buffer)
            last = stop or epoch.history.stopped != "epochs" or epoch.number == e.max_iter
            return (task is not None and task.epoch(last)) or stop

        with as_before(e, untouched):  # the checkpoint may be of another run
            training = Training(
                engine=engine,
                session=session,
                data=run.samples.data,
                samples=order,
                rule=rule,
                schedule=convergence,
                epochs=1 if task is None else e.max_iter,
                batch_size=batch_size,
                shuffle=random if e.shuffle else None,
                shuffle_is_private=isinstance(e.random_state, Integral),
                dropout=random if keep else None,
                stopping=convergence,
                measure=measure,
                callbacks=[after_epoch] if e.callbacks or (task and task.watched) else [],
                model=e,
                history=History(),
                overflow=True,
                checkpoint=checkpoint,
            )
        _resume(engine, session, before)
        e.n_iter_ = 0
        try:
            _train(e, training, incremental=task is None)
            if e.early_stopping:
                if convergence.best is not None:
                    # scikit-learn's best weights are new arrays; those before have the weights of the last epoch
                    show_copy(e, buffer)
                    buffer.params[...] = training.last_finite
                    e._best_coefs, e._best_intercepts = e.coefs_, e.intercepts_
                elif hasattr(e, "_best_coefs"):  # of the fit before: a warm start that has found no better ones
                    e.coefs_, e.intercepts_ = e._best_coefs, e._best_intercepts
        finally:  # a callback may raise: then, too, the moments are those of this run
            buffer.write()
            update = session.state.update
            state = OptimizerState(
                rule,
                session.state.step,
                convergence.epochs_before + e.n_iter_,
                convergence.learning_rate,
                convergence.follows,
                convergence.power_t,
                engine.backend.to_host(update.moments),
            )
            keep_state(e, state, buffer.layout, same=task is None)


def _resume(engine: Engine, session: Session, before: OptimizerState | None) -> None:
    """Bring the optimizer to where the call before left it, or to its beginning."""
    state = session.state
    state.step = before.step if before else 0
    engine.backend.write(state.update.moments, before.moments if before else 0.0)


def _train(e: Any, training: Training, incremental: bool) -> None:
    try:
        history = training.run()
    except DivergenceError as error:
        untrained = is_classifier(e) and training.stopping.best is None  # whose labels by NaN scikit-learn scores
        if not e.early_stopping or untrained:
            raise ValueError(f"{NOT_FINITE} {error}") from error
        # scikit-learn goes on with NaN, whose scores never win, and comes back to the best weights in the end
        if training.stopping.best is not None:
            training.publish()[...] = training.stopping.best
        warnings.warn(str(error), ConvergenceWarning, stacklevel=2)
        return
    if history.stopped == "interrupt":
        warnings.warn("Training interrupted by user.", stacklevel=2)
    elif history.stopped == "epochs" and not incremental:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({e.max_iter}) reached and the optimization hasn't converged "
            "yet.",
            ConvergenceWarning,
            stacklevel=2,
        )
