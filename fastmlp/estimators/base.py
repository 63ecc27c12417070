"""What the two estimators share: scikit-learn's interface around the engine."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from functools import wraps
from inspect import signature
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron

from fastmlp.checkpoint import DEFAULT_INTERVAL, open_checkpoint
from fastmlp.checks import check_flag
from fastmlp.estimators.cache import cache_of
from fastmlp.estimators.callbacks import CallbackSupportMixin, with_callbacks
from fastmlp.estimators.conversion import from_sklearn, to_sklearn
from fastmlp.estimators.estimator import Estimator
from fastmlp.estimators.fitted_weights import layout_of, own_weights
from fastmlp.estimators.interchange import like_input
from fastmlp.estimators.onnx import write_estimator
from fastmlp.estimators.optimizer import from_plain, mark_unread, read_optimizer, to_plain
from fastmlp.estimators.parameters import CONSTRAINTS
from fastmlp.estimators.prediction import by_rows, require_weights
from fastmlp.estimators.private import PrivateMethods
from fastmlp.ranks.all_reduce import reduction_of
from fastmlp.ranks.entry import shares_fate
from fastmlp.streams.samples import Samples

__all__ = ["BaseMLP", "with_defaults"]

T = TypeVar("T", bound="type[BaseMLP]")


class BaseMLP(PrivateMethods, CallbackSupportMixin, BaseEstimator):
    """Base of `MLPClassifier` and `MLPRegressor`; what these add is in `fastmlp.estimators.estimator.Estimator`."""

    _parameter_constraints: ClassVar[dict[str, list]] = CONSTRAINTS
    _fastmlp_defaults: ClassVar[dict[str, Any]] = {}  # of the parameters of fastmlp's own classes

    # with the signature of scikit-learn's constructor, whose checks allow no attribute that it does not name: `loss`
    @wraps(BaseMultilayerPerceptron.__init__, assigned=())  # type: ignore[misc]
    def __init__(self, *theirs: Any, **named: Any) -> None:
        """Take what scikit-learn's base class takes, for subclasses that pass over their parent's constructor."""
        BaseMultilayerPerceptron.__init__(self, *theirs, **named)

    def _fastmlp_store_parameters(self, given: Mapping[str, Any]) -> None:
        """Store the parameters of a constructor, unchanged."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    def _fastmlp_check_validation_targets(self, y: np.ndarray) -> None:
        """All of them can be predicted."""

    @shares_fate
    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = DEFAULT_INTERVAL,
        resume: bool = False,
        comm: Any = None,
        reproducible: bool = False,
    ) -> BaseMLP:
        """Train on X and y, from new weights unless warm_start or from where a checkpoint was written.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix (N, I), or Samples
            float32 is trained in float32, everything else in float64 (see `dtype`). Sparse rows are not made dense.
            Samples of `fastmlp.open_samples` have their own y and weights, are read while the network trains, and are
            trained in float64 only if they have numbers beyond float32.
        y : array (N,) or (N, O)
            Class labels, or an indicator matrix of labels; real numbers for a regressor.
        sample_weight : array (N,), optional
            How much each sample counts in the loss.
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
        comm : mpi4py.MPI.Intracomm, optional
            Train on all ranks of this communicator together: see `MLP.fit`.
        reproducible : bool
            The same weights, bit for bit, on any number of ranks up to 16: see `MLP.fit`.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            Parameters or data cannot be used, the checkpoint is damaged or of another fit (the estimator is
            unchanged), or the weights became infinite.
        """
        validation = (X_val, y_val, sample_weight_val)
        lanes = (X.lanes if self.shuffle else 1) if isinstance(X, Samples) else None
        all_reduce = reduction_of(comm, check_flag("reproducible", reproducible), lanes)
        saver = open_checkpoint(checkpoint, checkpoint_every, resume, writes=comm is None or comm.rank == 0)
        ours: dict[str, Any] = {"validation": validation} if any(array is not None for array in validation) else {}
        ours |= {} if saver is None else {"checkpoint": saver}
        ours |= {} if all_reduce is None else {"all_reduce": all_reduce}
        return self._fit(X, y, sample_weight=sample_weight, incremental=False, **ours)

    @like_input
    def hidden_activations(self, X: Any, layer: int = -1) -> np.ndarray:
        """Outputs (N, H) of a hidden layer, as features for another model. Layers count from 0, or from the end."""
        require_weights(self)
        return by_rows(self, X, lambda values: values, layout_of(self).hidden_depth(layer))

    def to_sklearn(self, *, predict_only: bool = False) -> Any:
        """The same estimator as one of scikit-learn's, fitted if this one is.

        It predicts the same, and `partial_fit` or a warm start goes on there with the same numbers. Nothing is
        shared with this estimator.

        Parameters
        ----------
        predict_only : bool
            Leave out what matters in training alone and scikit-learn does not have (dropout, l1, class_weight,
            schedules, other solvers and losses): its own defaults stand there.

        Raises
        ------
        ValueError
            scikit-learn has nothing that does what a parameter says, e.g. an activation.
        """
        return to_sklearn(self, predict_only)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to an ONNX file, whole or not at all; the package onnx is needed.

        Parameters
        ----------
        path : path
            A file that exists is replaced.

        Raises
        ------
        InputError
            ONNX has no such labels, or a subclass has a forward pass of its own.

        Notes
        -----
        The input ``X`` (N, I) has the dtype of the weights. The outputs of a classifier are ``label`` (N,), labels as
        in training, and ``probabilities`` (N, C), the columns in the order of `classes_`; of several labels both are
        (N, C). A regressor gives ``prediction`` (N, O). `skl2onnx.to_onnx` makes ONNX of pipelines and ensembles.
        """
        write_estimator(self, path)

    @classmethod
    def from_sklearn(cls, estimator: Estimator, **ours: Any) -> Any:
        """scikit-learn's estimator as one of this class, fitted if that one is: the way back of `to_sklearn`.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            One of our classes is copied.
        **ours
            Parameters that are to be others, or that scikit-learn does not have, such as ``backend="cuda"``.
        """
        return from_sklearn(cls, estimator, ours)

    @property
    def _optimizer(self) -> Any:
        """scikit-learn's optimizer in the state in which the last stochastic fit has left ours."""
        optimizer = read_optimizer(self)
        if optimizer is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute '_optimizer'")
        if hasattr(self, "coefs_"):
            optimizer.params = [*self.coefs_, *self.intercepts_]  # as scikit-learn's had before 1.0
        return optimizer

    @_optimizer.setter
    def _optimizer(self, optimizer: Any) -> None:
        self.__dict__["_optimizer"] = optimizer

    @_optimizer.deleter
    def _optimizer(self) -> None:
        self._optimizer  # noqa: B018  # AttributeError if there is none
        del self.__dict__["_optimizer"]

    @property
    def _random_state(self) -> np.random.RandomState:
        """The generator of the last call. Whoever reads it may keep it, so the next call makes another."""
        cache = cache_of(self)
        if "_random_state" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute '_random_state'")
        cache.generator = None
        return self.__dict__["_random_state"]

    @_random_state.setter
    def _random_state(self, random: np.random.RandomState) -> None:
        self.__dict__["_random_state"] = random

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_optimizer" in state:
            state["_optimizer"] = to_plain(state["_optimizer"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_optimizer" in state:
            state = state | {"_optimizer": from_plain(state["_optimizer"])}
        super().__setstate__(state)
        if "coefs_" in state:
            # so that nothing is shared with what was copied, and predictions copy nothing
            own_weights(self)
            for name in ("_optimizer", "loss_curve_", "validation_scores_", "validation_loss_curve_"):
                if name in state:
                    setattr(self, name, copy.deepcopy(state[name]))
            mark_unread(self)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def with_defaults(cls: T) -> T:
    """Decorate an estimator; the parameters that scikit-learn's lacks get their defaults as attributes of the class.

    So the constructor of a subclass may set just those that scikit-learn has.
    """
    # asked for by every clone and fit, where Python would read it from the code anew each time
    cls.__init__.__signature__ = signature(cls.__init__)  # type: ignore[attr-defined]
    cls._fastmlp_defaults = {name: parameter.default for name, parameter in signature(cls).parameters.items()}
    for name in cls._fastmlp_defaults.keys() - signature(BaseMultilayerPerceptron).parameters.keys():
        setattr(cls, name, cls._fastmlp_defaults[name])
    return cls
