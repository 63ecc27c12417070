"""MLPRegressor."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from fastmlp.estimators.base import BaseMLP, with_defaults
from fastmlp.estimators.documentation import documented
from fastmlp.estimators.hooks import estimator_class
from fastmlp.estimators.interchange import like_input
from fastmlp.estimators.parameters import ALIASES, CONSTRAINTS, REGRESSION_LOSSES, regression_loss
from fastmlp.estimators.prediction import predicted, require_weights
from fastmlp.estimators.targets import Targets
from fastmlp.interchange import as_numpy
from fastmlp.losses import Loss

__all__ = ["MLPRegressor"]


@documented
@with_defaults
@estimator_class
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron regressor: scikit-learn's, number for number, and faster.

    The same random_state gives the weights, curves and predictions that `sklearn.neural_network.MLPRegressor` gives.

    Parameters
    ----------
    loss : str or Loss, default='squared_error'
        'squared_error' (half of it), 'poisson' (y >= 0, predictions exp(z)), 'absolute_error', 'huber', 'quantile',
        another of `fastmlp.losses`, or one of your own made with `fastmlp.losses.custom_loss`.
    {architecture}
    {parameters}
    {regularisation}
    quantile : float or list of float, default=0.5
        Of the loss 'quantile'. A list gives as many outputs for one y, or goes with the columns of y.
    huber_delta : float, default=1.0
        Residual at which the loss 'huber' becomes linear.

    Attributes
    ----------
    {attributes}

    Examples
    --------
    >>> from fastmlp import MLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor(random_state=1, solver="lbfgs", max_iter=50, tol=0.1).fit(X, y / 100)
    >>> model.predict(X).shape
    (442,)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **CONSTRAINTS,
        "loss": [StrOptions(REGRESSION_LOSSES), Loss],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        backend=None,
        dtype="auto",
        precision="float32",
        n_threads=None,
        dropout=0.0,
        l1=0.0,
        max_norm=None,
        early_stopping_metric="score",
        coefs_init=None,
        intercepts_init=None,
        callbacks=None,
        quantile=0.5,
        huber_delta=1.0,
    ):
        self._fastmlp_store_parameters(locals())

    def _fastmlp_learn_targets(self, y: np.ndarray, incremental: bool) -> None:
        """Nothing but the number of outputs is learned of real numbers."""

    def _fastmlp_output_activation(self) -> str:
        return self._fastmlp_loss().link

    def _fastmlp_encode(self, y: np.ndarray, trained_on: Targets | None = None) -> Targets:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.dtype.kind not in "biuf":
            raise ValueError(f"y has dtype {y.dtype}, but must hold real numbers.")
        values, loss = y.reshape(len(y), -1), self._fastmlp_loss()
        if loss.name == "poisson" and values.min() < 0:
            raise ValueError(f"loss='poisson' takes counts, y >= 0, but y has the value {values.min():g}.")
        if loss.name == "quantile" and len(loss.parameter) > 1:
            if values.shape[1] not in (1, len(loss.parameter)):
                raise ValueError(
                    f"{len(loss.parameter)} quantiles are wanted of y with {values.shape[1]} columns: give one."
                )
            values = np.broadcast_to(values, (len(values), len(loss.parameter)))
        return Targets(None, values, values.shape[1])

    def _fastmlp_encode_validated(self, y: np.ndarray) -> tuple[np.ndarray, Targets]:
        y = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
        return y, self._fastmlp_encode(y)

    def _fastmlp_match_output(self, targets: Targets) -> Targets:
        link = self._fastmlp_output_activation()
        if ALIASES.get(self.out_activation_, self.out_activation_) != link:
            raise ValueError(
                f"out_activation_={self.out_activation_!r} can predict, but loss={self.loss!r} is trained with "
                f"{link!r}. If another loss was set after a fit, fit anew (warm_start=False)."
            )
        return targets

    def _fastmlp_loss(self) -> Loss:
        return regression_loss(self.loss, self.quantile, self.huber_delta)

    def _fastmlp_score_predicted(self, truth, predicted, weights) -> float:
        if not np.isfinite(predicted).all():
            return float("nan")
        return float(r2_score(truth, predicted, sample_weight=weights))

    @like_input
    def predict(self, X: Any) -> np.ndarray:
        """Values (N,), or (N, O) of several outputs, for X (N, I)."""
        require_weights(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> np.ndarray:
        return predicted(self, X, lambda z: z.ravel() if z.shape[1] == 1 else z, check_input=check_input)

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return super()._score_with_function(X, y, sample_weight, r2_score)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of `predict` on X (N, I) and y (N,) or (N, O); of several quantiles of one y, the mean of theirs."""
        y = as_numpy(y)
        if np.ndim(y) == 1 and getattr(self, "n_outputs_", 1) > 1:
            y = np.broadcast_to(np.reshape(y, (-1, 1)), (len(y), self.n_outputs_))
        return super().score(as_numpy(X), y, as_numpy(sample_weight))

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """One epoch over X and y that goes on where the call before ended.

        Parameters
        ----------
        X : array or sparse matrix (N, I)
            The samples, any number of them.
        y : array (N,) or (N, O)
            Real numbers.
        sample_weight : array (N,), optional
            How much each sample counts in the loss.

        Returns
        -------
        self
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
