"""What the functions of this folder may read and call of an estimator, and who writes it during a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fastmlp.estimators.targets import Targets
from fastmlp.losses import Loss

__all__ = ["Estimator", "Weighted"]


class Weighted(Protocol):
    """An estimator, ours or scikit-learn's, whose weights `fitted_weights` reads and writes, and nobody else writes."""

    coefs_: Any  # a list of arrays (I, O), unless a user has put something else there
    intercepts_: Any  # a list of arrays (O,)
    _best_coefs: Any  # those of the best epoch, with early stopping
    _best_intercepts: Any


# frozen: a type checker refuses whoever assigns to an attribute
@dataclass(frozen=True, init=False, repr=False, eq=False)
class Estimator(Weighted, Protocol):
    """A `BaseMLP`. What is a user's to change may change at any time, also in a callback."""

    # parameters
    hidden_layer_sizes: Any
    activation: str | Sequence[str]
    solver: Any  # a name or an `Optimizer`
    alpha: float
    batch_size: int | str
    learning_rate: Any  # a name or a `Schedule`
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int
    max_fun: int
    backend: str | None
    dtype: str
    precision: str
    n_threads: int | None
    dropout: Any  # a number or one for each hidden layer
    l1: float
    max_norm: float | None
    early_stopping_metric: Any  # a name or a scorer
    coefs_init: Sequence[Any] | None
    intercepts_init: Sequence[Any] | None
    callbacks: Sequence[Any] | None

    # what a fit leaves, written by `recorder`
    n_outputs_: int
    n_layers_: int
    out_activation_: str
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: Any  # float or None
    best_epoch_: int
    _no_improvement_count: int

    # written by the classifier
    classes_: np.ndarray

    _fastmlp_defaults: Mapping[str, Any]

    # what classifier and regressor do differently

    def _fastmlp_learn_targets(self, y: np.ndarray, incremental: bool) -> None:
        """Take note of what y is: its classes."""

    def _fastmlp_check_validation_targets(self, y: np.ndarray) -> None:
        """ValueError if the targets of validation data are none that can be predicted."""

    def _fastmlp_encode(self, y: np.ndarray, trained_on: Targets | None = None) -> Targets:
        """y as targets, given what was learned of it; trained_on: by whose frequencies to balance, if not by y's."""

    def _fastmlp_encode_validated(self, y: np.ndarray) -> tuple[np.ndarray, Targets]:
        """y, and y as targets, from what the `_validate_input` of a subclass has returned as y."""

    def _fastmlp_output_activation(self) -> str:
        """The activation of the output, in scikit-learn's words, given what was learned of y."""

    def _fastmlp_match_output(self, targets: Targets) -> Targets:
        """The targets in the form that `out_activation_` is trained with; ValueError if there is none."""

    def _fastmlp_loss(self) -> Loss:
        """The loss, given what was learned of y."""

    def _fastmlp_score_predicted(self, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
        """Accuracy or R² of predicted values (N, O); truth are class indices (N,), or values (N, O)."""

    # scikit-learn's private methods that a subclass may override, see `hooks`
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]: ...
    def _initialize(self, y: np.ndarray, layer_units: Sequence[int], dtype: np.dtype) -> None: ...
    def _init_coef(self, fan_in: int, fan_out: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]: ...
    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> np.ndarray: ...
