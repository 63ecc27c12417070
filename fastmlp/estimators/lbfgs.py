"""The solver "lbfgs": SciPy's L-BFGS-B on the network's loss and gradient, and what a fit with it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.engine import Engine
from fastmlp.estimators.callbacks import FitTask
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import show
from fastmlp.estimators.planning import Run
from fastmlp.forks import no_fork
from fastmlp.history import History
from fastmlp.losses import LOSSES, OF_SCIKIT_LEARN, Loss, apply_link, clipped_log_loss
from fastmlp.network import Data
from fastmlp.ranks.start import start_equal
from fastmlp.trainer import Epoch, call_all
from fastmlp.weights import check_total

__all__ = ["run_lbfgs"]

_CODES = {loss.code for loss in (*OF_SCIKIT_LEARN.values(), LOSSES["poisson"])}  # those that scikit-learn has, too


def run_lbfgs(estimator: Estimator, run: Run, task: FitTask) -> None:
    """Train: all iterations of a fit."""
    samples, engine, recorder = run.samples, run.engine, run.recorder
    show(estimator, run.buffer)
    recorder.begin_lbfgs(engine.layout)
    history, begin = History(), time.perf_counter()

    def after_iteration(loss: float) -> None:
        nonlocal begin
        recorder.iterations(estimator.n_iter_ + 1, loss)
        recorder.say("Iteration {}, loss = {:.8f}", estimator.n_iter_, loss)
        begin, seconds = time.perf_counter(), time.perf_counter() - begin
        rate = samples.data.n_samples / seconds
        history.append(loss=loss, learning_rate=float("nan"), seconds=seconds, samples_per_second=rate)
        stop = False
        if recorder.leads:
            stop = call_all(estimator.callbacks or (), Epoch(estimator.n_iter_, estimator, history))
            stop |= task.epoch(last=stop or estimator.n_iter_ == estimator.max_iter)
        if engine.group is not None:
            stop = engine.group.of_first(stop)
        if stop:
            raise StopIteration

    if engine.group is not None:
        sizes = {"sizes": engine.layout.sizes, "max_iter": estimator.max_iter, "penalties": (engine.l1, engine.l2)}
        start_equal(engine.group, engine, samples.data, sizes)
    watched = estimator.callbacks or estimator.verbose or task.watched
    limits = estimator.max_iter, estimator.max_fun, estimator.tol
    result = _minimise(engine, samples.data, *limits, after_iteration if watched else None)
    recorder.iterations(min(result.nit, estimator.max_iter), result.fun)
    if result.status != 99:  # 99: a callback asked to stop
        _check_optimize_result("lbfgs", result, estimator.max_iter)  # the warning, in the words of this scikit-learn


def _minimise(
    engine: Engine, data: Data, max_iter: int, max_fun: int, tol: float, after_iteration: Callable[[float], Any] | None
) -> Any:
    """Minimise the loss over all samples, penalties included, in the engine's parameters.

    Parameters
    ----------
    engine, data
        In float64: line searches need the digits.
    max_iter, max_fun, tol
        Iterations and evaluations at most; where the projected gradient counts as zero.
    after_iteration : function of the loss, or None
        Called after each iteration; the search ends if it raises StopIteration.

    Returns
    -------
    scipy.optimize.OptimizeResult

    Source: Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16, 1995.
    """
    with no_fork():
        from scipy.optimize import minimize

    layout, params, order = engine.layout, engine.params, np.arange(data.n_samples)
    check_total(data.weights, "sample_weight")
    # Summed, and divided once at the end: scikit-learn's order, whose path a line search leaves over the last digit.
    summed, total = replace(engine, mean=False), data.total_weight()
    known = engine.loss is not None and engine.loss.code in _CODES
    alone = engine.all_reduce is None
    exact = alone and known and engine.backend.name == "numpy" and data.n_samples <= engine.backend.chunk
    values = np.empty((data.n_samples, layout.sizes[-1])) if exact else None

    whole = np.arange(params.size)  # with the padding, of which L-BFGS knows nothing
    places = np.concatenate([part.ravel() for part in (*layout.weights(whole), *layout.biases(whole))])

    def iteration_ends(intermediate_result: Any) -> None:  # by this name SciPy knows what to pass
        assert after_iteration is not None
        after_iteration(float(intermediate_result.fun))

    with summed.differentiating(data, order, values) as evaluate:
        at, gradient = b"", np.empty(0)

        def loss_at(x: np.ndarray) -> float:
            nonlocal at, gradient
            params[places] = x
            loss, flat = evaluate()
            at, gradient = x.tobytes(), flat[places] / total
            return loss / total if values is None else _loss_in_order(engine, data, values)

        def gradient_at(x: np.ndarray) -> np.ndarray:
            if x.tobytes() != at:
                loss_at(x)
            return gradient

        result = minimize(
            loss_at,
            params[places],
            method="L-BFGS-B",
            # where SciPy asks for it, it has just asked for the loss: cheaper than jac=True, which looks twice
            jac=gradient_at,
            callback=None if after_iteration is None else iteration_ends,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        )
    params[places] = result.x
    return result


def _terms(loss: Loss, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """ℓ of each sample and output, from targets and values of the last layer (N, O)."""
    if loss.value is not None:
        return loss.value(z, y)
    return clipped_log_loss(apply_link(loss.link, z), y, binary=loss.link == "sigmoid")


def _loss_in_order(engine: Engine, data: Data, z: np.ndarray) -> float:
    """The loss of values z (N, O) of the last layer, its terms added as scikit-learn adds them, to the last digit.

    The terms of each output are averaged, then added up; penalties come layer by layer.
    """
    assert engine.loss is not None
    y = data.values_of_targets(z.shape[1])
    weights = data.weights if data.weights.size else None
    by_output = np.average(_terms(engine.loss, y, z), weights=weights, axis=0)
    loss = by_output.mean() if engine.loss.value_is_mean else by_output.sum()
    squares = sum(np.dot(w.ravel(), w.ravel()) for w in engine.layout.weights(engine.params))
    absolute = sum(np.abs(w).sum() for w in engine.layout.weights(engine.params)) if engine.l1 else 0.0
    total = data.total_weight()
    return float(loss + 0.5 * engine.l2 * squares / total + engine.l1 * absolute / total)
