"""scikit-learn estimators for data frames: the encoder of tables, the recipe for them, and a network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from fastmlp.datasets import TableEncoder
from fastmlp.mlp import MLP
from fastmlp.optimizers import AdamW
from fastmlp.recipes import Recipe, rivals
from fastmlp.tables.features.expansion import Expansion
from fastmlp.tables.features.scaling import Range, Scaling
from fastmlp.tables.frames import is_frame
from fastmlp.tables.trials import best_recipe

__all__ = ["TabularClassifier", "TabularRegressor"]


class BaseTabular(BaseEstimator):
    """Base of the two estimators."""

    _task: ClassVar[str]
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden": ["array-like", None],
        "activation": [str, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "lr": [Interval(Real, 0, None, closed="neither"), None],
        "decay": [Interval(Real, 0, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "epochs": [Interval(Integral, 1, None, closed="left"), None],
        "bins": [Interval(Integral, 0, None, closed="left"), None],
        "one_hot": [Interval(Integral, 0, None, closed="left"), None],
        "clip": ["boolean", None],
        "categorical": ["array-like", StrOptions({"auto"})],
        "backend": [str, None],
        "n_threads": [Integral, None],
        "random_state": ["random_state"],
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
        backend: str | None = None,
        n_threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.lr = lr
        self.decay = decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.bins = bins
        self.one_hot = one_hot
        self.clip = clip
        self.categorical = categorical
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> BaseTabular:
        """Learn from a table.

        Parameters
        ----------
        X : data frame, or array of numbers (N, I)
            Missing values are imputed.
        y : array (N,)
            Class labels; for a regressor numbers, (N,) or (N, O).
        """
        X, y = self._checked(X, y)
        seed = int(check_random_state(self.random_state).randint(2**31))
        self.encoder_ = TableEncoder.fit(X, (), categorical=self.categorical, codes=True)
        x, _ = self.encoder_.transform(X)
        given = {field.name: value for field in fields(Recipe) if (value := getattr(self, field.name)) is not None}
        recipes = [replace(recipe, **given) for recipe in rivals(self._task, *x.shape)]
        recipe = recipes[0]
        self.expansion_, x = Expansion.fit(
            x,
            self._means_of(y),
            self.encoder_.category_counts,
            bins=recipe.bins,
            one_hot=recipe.one_hot,
            seed=seed,
        )
        outputs, loss, targets = self._network_targets(y)

        def train(recipe: Recipe, x: np.ndarray, targets: np.ndarray) -> MLP:
            return self._trained(recipe, x, targets, outputs=outputs, loss=loss, seed=seed)

        self.recipe_ = best_recipe(recipes if self.decay is None else [recipe], x, targets, y, train, seed)
        self.network_ = train(self.recipe_, x, targets)
        return self

    def _trained(
        self, recipe: Recipe, x: np.ndarray, targets: np.ndarray, *, outputs: int, loss: str, seed: int
    ) -> MLP:
        hidden = list(recipe.hidden)
        network = MLP(
            [x.shape[1], *hidden, outputs],
            recipe.activation if hidden else "identity",
            loss=loss,
            dropout=recipe.dropout if hidden else 0.0,
            backend=self.backend,
            n_threads=self.n_threads,
            seed=seed,
        )
        network.fit(
            x,
            targets,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            optimizer=AdamW(lr=recipe.lr, decay=recipe.decay),
            schedule="one_cycle",
            progress=False,
        )
        return network

    def _checked(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Samples and targets that can be learned from; what scikit-learn asks to remember of them is remembered."""
        numeric = self._task == "regression"
        if not is_frame(X):
            X, y = validate_data(
                self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2, multi_output=numeric, y_numeric=numeric
            )
            return X, self._learn(y)
        _check_feature_names(self, X, reset=True)
        _check_n_features(self, X, reset=True)
        y = _check_y(y, multi_output=numeric, y_numeric=numeric, estimator=self)
        check_consistent_length(X, y)
        return X, self._learn(y)

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network predicts (N, O) for a table of N rows."""
        check_is_fitted(self)
        if is_frame(X):
            _check_feature_names(self, X, reset=False)
            _check_n_features(self, X, reset=False)
        else:
            X = validate_data(self, X, ensure_all_finite="allow-nan", reset=False)
        x, _ = self.encoder_.transform(X)
        return self.network_.predict_proba(self.expansion_.transform(x)).astype(np.float64)

    @abstractmethod
    def _learn(self, y: np.ndarray) -> np.ndarray:
        """Class indices or numbers, of targets as they were given."""

    @abstractmethod
    def _means_of(self, y: np.ndarray) -> np.ndarray:
        """What takes the place of a column's many categories: the targets (N, O) to take means of."""

    @abstractmethod
    def _network_targets(self, y: np.ndarray) -> tuple[int, str, np.ndarray]:
        """Number of outputs, loss, and targets of the network."""


class TabularClassifier(ClassifierMixin, BaseTabular):
    """A network for classes of the rows of a data frame, by the recipe of `fastmlp.recipes.tabular`.

    Parameters
    ----------
    hidden, activation, dropout, lr, decay, batch_size, epochs, bins, one_hot, clip : optional
        See `fastmlp.recipes.Recipe`; None takes what the recipe has for the number of samples. Unless decay is given, a
        short trial chooses between the recipes of `fastmlp.recipes.rivals`.
    categorical : "auto" or sequence of str
        Columns that hold categories; by default those with a value that is no number.
    backend, n_threads
        See `fastmlp.MLP`.
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_ : array (C,)
    encoder_ : TableEncoder
    expansion_ : Expansion
        Between the encoder's columns and the network.
    network_ : MLP
    recipe_ : Recipe
        What the network was trained by.
    """

    _task: ClassVar[str] = "classification"

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C) of the classes."""
        out = self._outputs(X)
        return np.hstack([1 - out, out]) if out.shape[1] == 1 else out

    def predict(self, X: Any) -> np.ndarray:
        """Class labels (N,)."""
        indices = self.predict_proba(X).argmax(axis=1)
        return self.classes_[indices]

    def _learn(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class, {self.classes_[0]!r}: there is nothing to tell apart.")
        return indices

    def _means_of(self, y: np.ndarray) -> np.ndarray:
        classes = len(self.classes_)
        return y[:, None] == (np.arange(classes) if classes > 2 else 1)

    def _network_targets(self, y: np.ndarray) -> tuple[int, str, np.ndarray]:
        classes = len(self.classes_)
        return (classes, "softmax_cross_entropy", y) if classes > 2 else (1, "binary_cross_entropy", y)


class TabularRegressor(RegressorMixin, BaseTabular):
    """A network for numbers that the rows of a data frame have, by the recipe of `fastmlp.recipes.tabular`.

    Parameters
    ----------
    hidden, activation, dropout, lr, decay, batch_size, epochs, bins, one_hot, clip : optional
        See `fastmlp.recipes.Recipe`; None takes what the recipe has for the number of samples.
    categorical : "auto" or sequence of str
        Columns that hold categories; by default those with a value that is no number.
    backend, n_threads
        See `fastmlp.MLP`.
    random_state : int, RandomState or None

    Attributes
    ----------
    encoder_ : TableEncoder
    expansion_ : Expansion
        Between the encoder's columns and the network.
    network_ : MLP
    range_ : Range
        Of the training targets, which predictions stay within.
    recipe_ : Recipe
    scaling_ : Scaling
        Of the targets.
    """

    _task: ClassVar[str] = "regression"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Numbers (N,), or (N, O) if the training targets were."""
        out = self._outputs(X)
        values = self.scaling_.undo(out)
        values = self.range_.clip(values) if self.recipe_.clip else values
        return values[:, 0] if self._is_single else values

    def _learn(self, y: np.ndarray) -> np.ndarray:
        self._is_single, y = y.ndim == 1, y.reshape(len(y), -1).astype(np.float64)
        scaling = Scaling.of(y)
        if scaling is None:
            raise ValueError("y holds numbers too large for a mean and a deviation. Scale it.")
        self.scaling_, self.range_ = scaling, Range.of(y)
        return y

    def _means_of(self, y: np.ndarray) -> np.ndarray:
        return y

    def _network_targets(self, y: np.ndarray) -> tuple[int, str, np.ndarray]:
        return y.shape[1], "mean_squared_error", self.scaling_.apply(y)
