"""The scikit-learn regressor for data frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin

from fastmlp.options import BackendName
from fastmlp.recipes import Recipe
from fastmlp.tables.estimators.base import BaseTabular
from fastmlp.tables.features.scaling import Range, Scaling
from fastmlp.tables.fields import Fields
from fastmlp.tables.preparation import Preparation

__all__ = ["TabularRegressor"]


class TabularRegressor(RegressorMixin, BaseTabular):
    """A regressor for the rows of a data frame, trained by the recipe of `fastmlp.recipes.tabular`.

    Parameters
    ----------
    hidden, activation, dropout, lr, decay, batch_size, epochs, bins, one_hot, clip : optional
        See `fastmlp.recipes.Recipe`; None takes the recipe's value for the number of samples.
    categorical : "auto" or sequence of str
        Columns that hold categories; by default those with a value that is not a number, date or time.
    backend : {"numpy", "numba", "cuda", "auto"}, optional
        Where the network is trained, see `fastmlp.MLP`.
    n_threads : int, optional
        Threads of the Numba backend, see `fastmlp.MLP`.
    random_state : int, RandomState or None
        For initial weights and batches.

    Attributes
    ----------
    network_ : MLP
        The trained network.
    preparation_ : Preparation
        The conversion of a table to network inputs, and of network outputs to predictions.
    recipe_ : Recipe
        The recipe by which the network was trained; not set by `load`.
    """

    _task: ClassVar[str] = "regression"
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseTabular._parameter_constraints,
        "clip": ["boolean", None],
    }

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        dropout: float | None = None,
        lr: float | None = None,
        decay: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        bins: int | None = None,
        one_hot: int | None = None,
        clip: bool | None = None,
        categorical: str | Sequence[str] = "auto",
        backend: BackendName | None = None,
        n_threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            hidden=hidden,
            activation=activation,
            dropout=dropout,
            lr=lr,
            decay=decay,
            batch_size=batch_size,
            epochs=epochs,
            bins=bins,
            one_hot=one_hot,
            categorical=categorical,
            backend=backend,
            n_threads=n_threads,
            random_state=random_state,
        )
        self.clip = clip

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Return predictions (N,), or (N, O) if the training targets had that shape; float64."""
        out = self._outputs(X)
        values = self.preparation_.values(out)
        return values[:, 0] if self._is_single else values

    def _learn(self, y: np.ndarray) -> np.ndarray:
        self._is_single = y.ndim == 1
        return y.reshape(len(y), -1).astype(np.float64)

    def _indicators(self, y: np.ndarray) -> np.ndarray:
        return y

    def _prepared(self, y: np.ndarray, recipe: Recipe) -> Preparation:
        scaling = Scaling.of(y)
        if scaling is None:
            raise ValueError("y holds numbers too large for a mean and a deviation. Scale it.")
        return Preparation("", (), target=scaling, bounds=Range.of(y) if recipe.clip else None)

    def _outputs_and_loss(self, y: np.ndarray) -> tuple[int, str]:
        return y.shape[1], "mean_squared_error"

    def _kept(self) -> dict[str, Any]:
        return {"is_single": getattr(self, "_is_single", True)}

    def _restore(self, kept: Fields | None) -> None:
        self._is_single = self.network_.sizes[-1] == 1 if kept is None else kept.flag("is_single")
