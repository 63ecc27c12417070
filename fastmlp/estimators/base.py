"""What the two estimators share: scikit-learn's interface around the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.backends import get_backend
from fastmlp.engine import Engine
from fastmlp.estimators.callbacks import CallbackSupportMixin, with_callbacks
from fastmlp.estimators.fitting import fit
from fastmlp.estimators.parameters import CONSTRAINTS, hidden_activations
from fastmlp.estimators.targets import Targets, row_major
from fastmlp.losses import Loss, apply_link
from fastmlp.network import Data, Layout, aligned_zeros

__all__ = ["BaseMLP", "has_partial_fit"]

# Buffers, threads and compiled code of estimators, by dtype. They belong to the process, not to the estimator's
# state: what is pickled, cloned or compared are parameters and fitted attributes.
_RUNNING: WeakKeyDictionary[BaseMLP, dict[np.dtype, tuple[np.ndarray, dict]]] = WeakKeyDictionary()


class BaseMLP(CallbackSupportMixin, BaseEstimator, ABC):
    """Base of `MLPClassifier` and `MLPRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list]] = CONSTRAINTS

    # of the parameters and of what a fit leaves, those that are looked at here
    activation: Any
    alpha: float
    backend: str | None
    l1: float
    n_threads: int | None
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    n_outputs_: int

    def _keep(self, parameters: dict[str, Any]) -> None:
        """Store the parameters of a constructor, unchanged."""
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    @abstractmethod
    def _learn_classes(self, y: np.ndarray, incremental: bool) -> None:
        """Take note of what y is: its classes, the number of outputs, the activation of the output."""

    @abstractmethod
    def _encode(self, y: np.ndarray) -> Targets:
        """y as targets, given what was learned of it."""

    @abstractmethod
    def _loss(self) -> Loss:
        """The loss, given what was learned of y."""

    @abstractmethod
    def _score_predicted(self, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
        """Accuracy or R² of predicted values (N, O); truth as `Samples.truth` has it."""

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> BaseMLP:
        """Train on X and y, from new weights unless warm_start.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix (N, I)
            float32 is trained in float32, everything else in float64 (see `dtype`). Sparse rows are not made dense.
        y : array (N,) or (N, O)
            Class labels, or an indicator matrix of labels; real numbers for a regressor.
        sample_weight : array (N,), optional
        X_val, y_val, sample_weight_val : optional
            Validation data of one's own: `validation_loss_curve_` and `validation_scores_` are kept, and early
            stopping looks at them in place of a part of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Parameters or data cannot be used, or the weights became infinite.
        """
        return fit(self, X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def hidden_activations(self, X: Any, layer: int = -1) -> np.ndarray:
        """Outputs (N, H) of a hidden layer, as features for another model. Layers count from 0, or from the end."""
        check_is_fitted(self)
        hidden = len(self.coefs_) - 1
        if not isinstance(layer, (int, np.integer)) or not -hidden <= layer < hidden:
            raise ValueError(
                f"layer={layer!r} is none of the {hidden} hidden layers, 0 to {hidden - 1} or -1 for the last."
            )
        return self._raw(X, depth=int(layer) % hidden + 1)

    def _predicted(self, X: Any) -> np.ndarray:
        """Predicted values (N, O): probabilities of a classifier."""
        values = self._raw(X)
        return apply_link(self._loss().link, values)

    def _raw(self, X: Any, depth: int | None = None) -> np.ndarray:
        check_is_fitted(self)
        X = row_major(validate_data(self, X, accept_sparse=["csr", "csc"], reset=False))
        dtype = np.result_type(*(w.dtype for w in self.coefs_), *([X.dtype] if X.dtype.kind == "f" else []))
        return self._engine(dtype).raw(Data.of(X, dtype), depth)

    def _set_weights(self, layout: Layout, params: np.ndarray) -> None:
        """New weights: `coefs_` and `intercepts_` become views of params (P,)."""
        _RUNNING[self] = {params.dtype: (params, {})}
        self.coefs_, self.intercepts_ = layout.weights(params), layout.biases(params)

    def _engine(self, dtype: np.dtype) -> Engine:
        """An engine of the fitted weights with arithmetic in `dtype`."""
        layout = Layout.of([len(self.coefs_[0]), *(w.shape[1] for w in self.coefs_)])
        running = _RUNNING.setdefault(self, {})
        if dtype not in running or running[dtype][0].size != layout.n_params:
            running[dtype] = aligned_zeros(layout.n_params, dtype), {}
        params, sessions = running[dtype]
        views = [*layout.weights(params), *layout.biases(params)]
        for view, given in zip(views, (*self.coefs_, *self.intercepts_), strict=True):
            if view.ctypes.data != given.ctypes.data:
                view[...] = given  # unpickled, given by the user, or of another dtype
        return Engine(
            layout=layout,
            activations=[*hidden_activations(self, len(self.coefs_) - 1), None],
            loss=self._loss(),
            params=params,
            backend=get_backend(self.backend),
            n_threads=self.n_threads,
            l1=float(self.l1),
            l2=float(self.alpha),
            penalty_shared=True,
            sessions=sessions,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def has_partial_fit(estimator: BaseMLP) -> bool:
    """For `available_if`: L-BFGS has no partial fit."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True
