"""The solver "lbfgs": SciPy's L-BFGS-B on the network's loss and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastmlp.engine import Engine
from fastmlp.forks import no_fork
from fastmlp.losses import LOSSES, OF_SCIKIT_LEARN, Loss, apply_link, clipped_log_loss
from fastmlp.network import Data
from fastmlp.weights import check_total

__all__ = ["minimise"]

_CODES = {loss.code for loss in (*OF_SCIKIT_LEARN.values(), LOSSES["poisson"])}  # those that scikit-learn has, too


def minimise(
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
    exact = known and engine.backend.name == "numpy" and data.n_samples <= engine.backend.chunk
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
