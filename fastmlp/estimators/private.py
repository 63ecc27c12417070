"""scikit-learn's private methods: those that a fit or a prediction calls, and those that only a user's code calls.

The first may be overridden (see `fastmlp.estimators.hooks`). The others are scikit-learn's own functions, which work on
the `coefs_`, `intercepts_` and parameters of any estimator that has them. They know nothing of what scikit-learn does
not have, and are refused where that matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron
from sklearn.utils.validation import column_or_1d

from fastmlp.estimators import fitting, initial
from fastmlp.estimators.prediction import by_rows
from fastmlp.estimators.samples import check_arrays
from fastmlp.estimators.targets import one_hot

__all__ = ["PrivateMethods"]


def _borrowed(name: str) -> Callable:
    theirs = getattr(BaseMultilayerPerceptron, name)

    @wraps(theirs)
    def method(self: Any, *arguments: Any, **keywords: Any) -> Any:
        _refuse_extensions(self, name)
        return theirs(self, *arguments, **keywords)

    return method


def _refuse_extensions(estimator: Any, name: str) -> None:
    """ValueError if the network or its objective is one that scikit-learn does not have."""
    foreign = {"activation": not _named(estimator.activation, ("identity", "logistic", "tanh", "relu"))}
    if name != "_forward_pass":
        foreign |= {
            "loss": not _named(estimator.loss, ("log_loss", "squared_error", "poisson")),
            "dropout": bool(np.any(estimator.dropout)),
            "l1": estimator.l1 != 0,
        }
    for parameter in (parameter for parameter in foreign if foreign[parameter]):
        raise ValueError(
            f"{name} is scikit-learn's own method, which knows nothing of "
            f"{parameter}={getattr(estimator, parameter)!r}. Use predict, hidden_activations, or a fastmlp.MLP and its "
            "gradients."
        )


def _named(value: Any, names: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value in names


class PrivateMethods:
    """Mixin of methods with the names, arguments and answers of scikit-learn's."""

    _forward_pass = _borrowed("_forward_pass")
    _backprop = _borrowed("_backprop")
    _compute_loss_grad = _borrowed("_compute_loss_grad")
    _unpack = _borrowed("_unpack")
    _loss_grad_lbfgs = _borrowed("_loss_grad_lbfgs")
    _fit_lbfgs = _borrowed("_fit_lbfgs")
    _fit_stochastic = _borrowed("_fit_stochastic")
    _update_no_improvement_count = _borrowed("_update_no_improvement_count")

    def _fit(self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False, **ours: Any) -> Any:
        """Train; ours: arguments of `fastmlp.estimators.fitting.fit` that scikit-learn does not have."""
        if incremental:
            return fitting.partial_fit(self, X, y, sample_weight)
        return fitting.fit(self, X, y, sample_weight, **ours)

    def _check_solver(self: Any) -> bool:
        """Whether there is a partial fit; AttributeError if not."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    def _validate_input(self: Any, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, np.ndarray]:
        """X and y checked, and y (N, O) as a classifier compares it with its outputs: zeros and ones."""
        X, y, _ = check_arrays(self, X, y, None, reset)
        self._fastmlp_learn_targets(y, incremental)
        if is_classifier(self):
            return X, one_hot(self._fastmlp_encode(y))
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _initialize(self: Any, y: np.ndarray, layer_units: Sequence[int], dtype: Any) -> None:
        """New weights for layers of the given sizes (I, …, O) and curves without an entry; y (N, O)."""
        initial.initialize(self, layer_units, np.dtype(dtype))

    def _init_coef(self: Any, fan_in: int, fan_out: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Random weights (fan_in, fan_out) and biases (fan_out,) of a layer with the activation `activation`."""
        name = self.activation if isinstance(self.activation, str) else "relu"
        return initial.draw(self._random_state, fan_in, fan_out, name, np.dtype(dtype))

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> np.ndarray:
        """Outputs (N, O), probabilities of a classifier; check_input=False takes X as it is."""
        return by_rows(self, X, lambda outputs: outputs, check_input=check_input)

    def _score_with_function(self: Any, X: Any, y: Any, sample_weight: Any, score_function: Callable) -> float:
        predicted = self._predict(X, check_input=False)
        if np.issubdtype(predicted.dtype, np.floating) and not np.isfinite(predicted).all():
            return float("nan")
        return score_function(y, predicted, sample_weight=sample_weight)
