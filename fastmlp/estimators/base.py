"""What the two estimators share: scikit-learn's interface around the engine."""

from __future__ import annotations

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import vstack
from sklearn import get_config
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.backends import get_backend
from fastmlp.checkpoint import DEFAULT_INTERVAL, open_checkpoint
from fastmlp.engine import Engine
from fastmlp.estimators.callbacks import CallbackSupportMixin, with_callbacks
from fastmlp.estimators.conversion import from_sklearn, layout_of, to_sklearn
from fastmlp.estimators.fitting import fit
from fastmlp.estimators.interchange import in_kind
from fastmlp.estimators.parameters import CONSTRAINTS, hidden_activations
from fastmlp.estimators.targets import Targets, readable
from fastmlp.interchange import as_numpy, enough_memory
from fastmlp.losses import Loss, apply_link
from fastmlp.network import Data, Layout, aligned_zeros

__all__ = ["BaseMLP", "has_partial_fit"]


@dataclass
class _Running:
    """What an estimator's arithmetic in one dtype needs."""

    params: np.ndarray  # (P,)
    shown: list[np.ndarray] = field(default_factory=list)  # its views in `coefs_` and `intercepts_`, if any: users may
    # hold them, so only a fit may write to it
    sessions: dict = field(default_factory=dict)


# Buffers, threads and compiled code of estimators, by dtype. They belong to the process, not to the estimator's
# state: what is pickled, cloned or compared are parameters and fitted attributes.
_RUNNING: WeakKeyDictionary[BaseMLP, dict[np.dtype, _Running]] = WeakKeyDictionary()


class BaseMLP(CallbackSupportMixin, BaseEstimator, ABC):
    """Base of `MLPClassifier` and `MLPRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list]] = CONSTRAINTS

    # of the parameters and of what a fit leaves, those that are looked at here
    activation: Any
    alpha: float
    backend: str | None
    l1: float
    n_threads: int | None
    precision: str
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    n_outputs_: int
    out_activation_: str

    def _store_parameters(self, parameters: dict[str, Any]) -> None:
        """Store the parameters of a constructor, unchanged."""
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    @abstractmethod
    def _learn_targets(self, y: np.ndarray, incremental: bool) -> None:
        """Take note of what y is: its classes, the number of outputs, the activation of the output."""

    def _check_validation_targets(self, y: np.ndarray) -> None:
        """ValueError if the targets of validation data are none that can be predicted."""

    @abstractmethod
    def _encode(self, y: np.ndarray, trained_on: Targets | None = None) -> Targets:
        """y as targets, given what was learned of it; trained_on: by whose frequencies to balance, if not by y's."""

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
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = DEFAULT_INTERVAL,
        resume: bool = False,
    ) -> BaseMLP:
        """Train on X and y, from new weights unless warm_start or from where a checkpoint was written.

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
        checkpoint : path, optional
            A file that is written now and then and at the end, with all that the fit needs to go on; not for 'lbfgs'.
        checkpoint_every : int or str
            Epochs between two files, or a time such as "30s", "10min" or "2h".
        resume : bool
            Go on from the file at `checkpoint`, or begin if there is none: the end is the same, bit for bit, as that
            of a fit that never stopped. max_iter may be more than before; other data or settings are an error.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Parameters or data cannot be used, the checkpoint is damaged or of another fit (the estimator is
            unchanged), or the weights became infinite.
        """
        saver = open_checkpoint(checkpoint, checkpoint_every, resume)
        return fit(self, X, y, sample_weight, (X_val, y_val, sample_weight_val), saver)

    @in_kind
    def hidden_activations(self, X: Any, layer: int = -1) -> np.ndarray:
        """Outputs (N, H) of a hidden layer, as features for another model. Layers count from 0, or from the end."""
        check_is_fitted(self, "coefs_")
        return self._by_rows(X, lambda values: values, layout_of(self).hidden_depth(layer))

    def to_sklearn(self, *, predict_only: bool = False) -> Any:
        """The same estimator as one of scikit-learn's, fitted if this one is.

        It predicts the same, and `partial_fit` or a warm start goes on there with the same numbers. Nothing is
        shared with this estimator.

        Parameters
        ----------
        predict_only
            Leave out what matters in training alone and scikit-learn does not have (dropout, l1, class_weight,
            schedules, other solvers and losses): its own defaults stand there.

        Raises
        ------
        ValueError
            scikit-learn has nothing that does what a parameter says, e.g. an activation.
        """
        return to_sklearn(self, predict_only)

    @classmethod
    def from_sklearn(cls, estimator: Any, **ours: Any) -> Any:
        """scikit-learn's estimator as one of this class, fitted if that one is: the way back of `to_sklearn`.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            One of our classes is copied.
        **ours
            Parameters that are to be others, or that scikit-learn does not have, such as ``backend="cuda"``.
        """
        return from_sklearn(cls, estimator, ours)

    def _predicted(self, X: Any, answer: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The answers made of predicted values (n, O), probabilities of a classifier, some rows at a time."""
        check_is_fitted(self, "coefs_")
        fitted = self.out_activation_  # not `_loss().link`: the parameter may be another by now
        link = "sigmoid" if fitted == "logistic" else fitted
        return self._by_rows(X, lambda values: answer(apply_link(link, values)))

    @enough_memory()
    def _by_rows(self, X: Any, answer: Callable[[np.ndarray], np.ndarray], depth: int | None = None) -> np.ndarray:
        """The answers made of values (n, O) of layer `depth`, n rows at a time: scikit-learn's `working_memory`."""
        X = validate_data(self, readable(X, "X"), accept_sparse="csr", reset=False)
        dtype = np.result_type(*(w.dtype for w in self.coefs_), X.dtype)
        dtype = dtype if dtype == np.float32 else np.dtype(np.float64)
        engine = self._engine(dtype)
        sizes, n = engine.layout.sizes, X.shape[0]
        # workspaces, for this and the last number of rows; the rows converted; values on their way to the answer
        row_bytes = dtype.itemsize * (6 * sum(sizes) + sizes[0] + 6 * sizes[-1 if depth is None else depth]) + 16
        out, sparse = np.empty(0), list[Any]()
        step = max(1, int(get_config()["working_memory"] * 2**20 / row_bytes))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            part = answer(engine.raw(Data.of(_readable(X[rows], dtype), dtype), depth))
            if part.shape[0] == n:
                return part
            if not isinstance(part, np.ndarray):
                sparse.append(part)  # labels of a classifier that learned them from a sparse indicator matrix
                continue
            if not start:
                out = np.empty((n, *part.shape[1:]), part.dtype)
            out[rows] = part
        return vstack(sparse, sparse[0].format) if sparse else out

    def _set_weights(self, layout: Layout, params: np.ndarray) -> None:
        """New weights: `coefs_` and `intercepts_` become views of params (P,)."""
        running = _Running(params)
        _RUNNING[self] = {params.dtype: running}
        self._show(layout, running)

    def _show(self, layout: Layout, running: _Running) -> None:
        self.coefs_, self.intercepts_ = layout.weights(running.params), layout.biases(running.params)
        running.shown = [*self.coefs_, *self.intercepts_]

    def _own_weights(self) -> None:
        """Bring `coefs_` and `intercepts_`, whatever arrays they are, into one buffer of this estimator's own."""
        given = [*self.coefs_, *self.intercepts_]
        layout = layout_of(self)
        params = aligned_zeros(layout.n_params, np.result_type(*given))
        _fill([*layout.weights(params), *layout.biases(params)], given)
        self._set_weights(layout, params)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coefs_" in state:
            # so that nothing is shared with what was copied, and predictions copy nothing
            self._own_weights()
            for name in ("_optimizer", "loss_curve_", "validation_scores_", "validation_loss_curve_"):
                if name in state:
                    setattr(self, name, copy.deepcopy(state[name]))

    def _engine(self, dtype: np.dtype, show: bool = False) -> Engine:
        """An engine of the fitted weights with arithmetic in `dtype`; show: `coefs_` becomes what it trains."""
        layout, given = layout_of(self), [*self.coefs_, *self.intercepts_]
        kept = _RUNNING.setdefault(self, {})
        running = kept.get(dtype)
        if running is None or list(map(id, running.shown)) != list(map(id, given)):
            # given by the user, or of another dtype
            if running is None or running.shown or running.params.size != layout.n_params:
                running = kept[dtype] = _Running(aligned_zeros(layout.n_params, dtype))
            _fill([*layout.weights(running.params), *layout.biases(running.params)], given)
        if show:
            self._show(layout, running)
        return Engine(
            layout=layout,
            activations=[*hidden_activations(self, len(self.coefs_) - 1), None],
            loss=self._loss(),
            params=running.params,
            backend=get_backend(self.backend, self.precision),
            n_threads=self.n_threads,
            l1=float(self.l1),
            l2=float(self.alpha),
            penalty_shared=True,
            sessions=running.sessions,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _fill(views: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> None:
    for view, array in zip(views, given, strict=True):
        if view.shape != array.shape:
            raise ValueError(f"coefs_ and intercepts_ do not fit together: a shape is {array.shape}, not {view.shape}.")
        view[...] = as_numpy(array)


def _readable(X: Any, dtype: np.dtype) -> Any:
    """Rows in C order, float32 or float64; sparse ones as they are."""
    if not isinstance(X, np.ndarray):
        return X
    return np.ascontiguousarray(X, None if X.dtype in (np.float32, np.float64) and X.dtype.isnative else dtype)


def has_partial_fit(estimator: BaseMLP) -> bool:
    """For `available_if`: L-BFGS has no partial fit."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True
