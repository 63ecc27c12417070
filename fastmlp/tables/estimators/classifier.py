"""The scikit-learn classifier for data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from fastmlp.errors import InputError
from fastmlp.options import BackendName
from fastmlp.recipes import Recipe
from fastmlp.tables.estimators.base import BaseTabular
from fastmlp.tables.features.categories import class_targets
from fastmlp.tables.fields import Fields
from fastmlp.tables.preparation import Preparation

__all__ = ["TabularClassifier"]


class TabularClassifier(ClassifierMixin, BaseTabular):
    """A classifier for the rows of a data frame, trained by the recipe of `fastmlp.recipes.tabular`.

    Parameters
    ----------
    hidden, activation, dropout, lr, decay, batch_size, epochs, bins, one_hot : optional
        See `fastmlp.recipes.Recipe`; None takes the recipe's value for the number of samples. Unless decay is given, a
        short trial chooses between the recipes of `fastmlp.recipes.candidates`.
    class_weight : dict, "balanced" or None
        Weight of each label in the loss; "balanced" is inversely proportional to its number of samples.
    categorical : "auto" or sequence of str
        Columns that hold categories; by default those with a value that is not a number, date or time.
    backend : {"numpy", "numba", "cuda", "auto"}, optional
        Where the network is trained, see `fastmlp.MLP`.
    n_threads : int, optional
        Threads of the Numba backend, see `fastmlp.MLP`.
    random_state : int, RandomState or None
        For initial weights, batches and the trial.

    Attributes
    ----------
    classes_ : array (C,)
        Class labels, in the order of the columns of `predict_proba`.
    network_ : MLP
        The trained network.
    preparation_ : Preparation
        The conversion of a table to network inputs.
    recipe_ : Recipe
        The recipe by which the network was trained; not set by `load`.
    """

    _task: ClassVar[str] = "classification"
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BaseTabular._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
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
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities (N, C) float64."""
        out = self._outputs(X).astype(np.float64)
        return np.hstack([1 - out, out]) if out.shape[1] == 1 else out

    def predict(self, X: Any) -> np.ndarray:
        """Return class labels (N,)."""
        out = self._outputs(X)
        return self.classes_[self.preparation_.classes(out)]

    def _learn(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class, {self.classes_[0]!r}: there is nothing to tell apart.")
        return indices

    def _indicators(self, y: np.ndarray) -> np.ndarray:
        return class_targets(y, len(self.classes_))

    def _prepared(self, y: np.ndarray, recipe: Recipe) -> Preparation:
        return Preparation("", class_names=tuple(map(str, self.classes_)))

    def _outputs_and_loss(self, y: np.ndarray) -> tuple[int, str]:
        classes = len(self.classes_)
        return (classes, "softmax_cross_entropy") if classes > 2 else (1, "binary_cross_entropy")

    def _weights_of_classes(self, y: np.ndarray) -> dict[int, float] | None:
        if self.class_weight is None:
            return None
        labels = self.classes_[y]
        return dict(enumerate(compute_class_weight(self.class_weight, classes=self.classes_, y=labels).tolist()))

    def _kept(self) -> dict[str, Any]:
        labels = self.classes_.tolist() if hasattr(self, "classes_") else []
        if not all(type(label) in (str, bool, int, float) for label in labels):
            raise InputError(f"A file holds labels that are texts, bools or numbers, not {labels!r:.100}.")
        return {"labels": labels}

    def _restore(self, kept: Fields | None) -> None:
        names = self.preparation_.class_names
        labels = names if kept is None else kept.list("labels")
        if not all(type(label) in (str, bool, int, float) for label in labels) or tuple(map(str, labels)) != names:
            raise InputError(f"its labels {labels!r:.100} are not those of the classes {names!r:.100}.")
        self.classes_ = np.array(labels)
