"""The base of the tabular estimators: table encoder, recipe and network."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from fastmlp.errors import InputError, ModelFileError
from fastmlp.mlp import MLP
from fastmlp.optimizers import AdamW
from fastmlp.options import BackendName
from fastmlp.ranks.entry import shares_fate
from fastmlp.recipes import Recipe, candidates
from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.exporting.onnx_table import write_prepared
from fastmlp.tables.features.expansion import Expansion
from fastmlp.tables.fields import Fields
from fastmlp.tables.frames import collected, is_frame
from fastmlp.tables.preparation import Preparation, Reading
from fastmlp.tables.trials import best_recipe

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BaseTabular"]

_KEY = "fastmlp.tables.estimators"


class BaseTabular(BaseEstimator):
    """Base of TabularClassifier and TabularRegressor."""

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
        categorical: str | Sequence[str] = "auto",
        backend: BackendName | None = None,
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
        self.categorical = categorical
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    @shares_fate
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, comm: Any = None, reproducible: bool = False) -> Self:
        """Train a network on a table.

        Parameters
        ----------
        X : data frame, or array of numbers (N, I)
            Missing values are imputed.
        y : array (N,)
            Class labels; for a regressor numbers, (N,) or (N, O).
        sample_weight : array (N,), optional
            Weight of each sample in the loss.
        comm : mpi4py.MPI.Intracomm, optional
            Train on all ranks of this communicator together: see `MLP.fit`.
        reproducible : bool
            The same weights, bit for bit, on any number of ranks up to 16: see `MLP.fit`.

        Returns
        -------
        self
            The fitted estimator.
        """
        X, y = self._checked(X, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        seed = int(check_random_state(self.random_state).randint(2**31))
        seed = seed if comm is None else comm.of_first(seed)
        encoder = TableEncoder.fit(X, (), categorical=self.categorical, codes=True)
        x, _ = encoder.transform(X)
        recipes = self._recipes(x)
        counts, indicators = encoder.category_counts, self._indicators(y)
        bins, one_hot = recipes[0].bins, recipes[0].one_hot
        expansion, x = Expansion.fit(x, indicators, counts, bins=bins, one_hot=one_hot, seed=seed)
        learned = self._prepared(y, recipes[0])
        reading = Reading(header=True, delimiter=None, skip_lines=0, encoding=None, width=self.n_features_in_)
        self.preparation_ = replace(learned, encoder=encoder, expansion=expansion, reading=reading, seed=seed)
        targets = y if learned.target is None else learned.target.apply(y)
        outputs, loss = self._outputs_and_loss(y)
        class_weight = self._weights_of_classes(y)

        def train(recipe: Recipe, x: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> MLP:
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
                sample_weight=weights,
                class_weight=class_weight,
                progress=False,
                comm=comm,
                reproducible=reproducible,
            )
            return network

        self.recipe_ = best_recipe(recipes, x, targets, y, train, seed, sample_weight)
        self.network_ = train(self.recipe_, x, targets, sample_weight)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a safetensors file, atomically; the command line reads the file as well.

        Constructor parameters are not saved: they matter only for `fit`.

        Raises
        ------
        InputError
            If labels are neither strings nor numbers, or the file cannot be written.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        self.network_.metadata[_KEY] = {"feature_names": None if names is None else names.tolist(), **self._kept()}
        self.preparation_.keep_in(self.network_)
        self.network_.save(path)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to an ONNX file, whole or not at all; the package onnx is needed.

        Parameters
        ----------
        path : path
            A file that exists is replaced.

        Raises
        ------
        InputError
            If ONNX has no such labels.
        FastmlpError
            If the package onnx cannot be imported.

        Notes
        -----
        Each column is an input (N, 1) of its name: numbers are float64, NaN where one is missing, dates and times
        their seconds since 1970, categories texts. A classifier gives ``label`` (N,), as in training, and
        ``probabilities`` (N, C); a regressor ``prediction`` (N, O) float64.
        """
        check_is_fitted(self)
        write_prepared(self.network_, self.preparation_, path, labels=getattr(self, "classes_", None))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, backend: BackendName | None = None, n_threads: int | None = None
    ) -> Self:
        """Read an estimator that `save` wrote, or a model that `fastmlp train` trained on a table.

        Nothing in the file is executed.

        Raises
        ------
        ModelFileError
            If the file holds anything else, or a model of the other task.
        """
        network = MLP.load(path, backend=backend, n_threads=n_threads)
        preparation = Preparation.of(network)
        task = "classification" if preparation.class_names else "regression"
        if preparation.encoder is None or preparation.reading is None or task != cls._task:
            held = "a model of other data than a table" if preparation.encoder is None else f"a model for {task}"
            raise ModelFileError(
                f"The file {os.fspath(path)!r} holds {held}; {cls.__name__} reads {cls._task} of tables."
            )
        estimator = cls(backend=backend, n_threads=n_threads)
        estimator.network_, estimator.preparation_ = network, preparation
        kept = network.metadata.get(_KEY)
        if kept is None:  # the command line learns from the columns of its table, and ignores others
            estimator._restore(None)
            return estimator
        try:
            noted = Fields(kept, "An estimator", ("feature_names", *estimator._kept()))
            estimator._restore(noted)
            estimator.n_features_in_ = preparation.reading.width
            if noted.value("feature_names") is not None:
                estimator.feature_names_in_ = np.array(noted.texts("feature_names"), object)
        except InputError as error:
            raise ModelFileError(f"The estimator kept in {os.fspath(path)!r} is damaged: {error}") from error
        return estimator

    def _recipes(self, x: np.ndarray) -> list[Recipe]:
        """Candidate recipes for samples x (N, I), with the parameters that the user has set."""
        named: dict[str, Any] = {field.name: getattr(self, field.name, None) for field in fields(Recipe)}
        given = {name: value for name, value in named.items() if value is not None}
        recipes = [replace(recipe, **given) for recipe in candidates(self._task, *x.shape)]
        return recipes if self.decay is None else recipes[:1]

    def _checked(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Check samples and targets, and set the attributes that scikit-learn requires."""
        numeric = self._task == "regression"
        X = collected(X)
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
        """Network outputs (N, O) for a table of N rows."""
        check_is_fitted(self)
        X = collected(X)
        if not is_frame(X):
            X = validate_data(self, X, ensure_all_finite="allow-nan", reset=False)
        elif hasattr(self, "n_features_in_"):
            _check_feature_names(self, X, reset=False)
            _check_n_features(self, X, reset=False)
        encoder = self.preparation_.encoder
        assert encoder is not None
        x, _ = encoder.transform(X, targets=False)
        if len(x) < len(X):  # a model of the command line, trained with --missing drop
            raise ValueError(f"{len(X) - len(x)} of {len(X)} rows lack values, and the model cannot fill them in.")
        return self.network_.predict_proba(self.preparation_.inputs(x))

    @abstractmethod
    def _learn(self, y: np.ndarray) -> np.ndarray:
        """Convert targets as given to class indices (N,) or numbers (N, O), and note what `predict` needs."""

    @abstractmethod
    def _indicators(self, y: np.ndarray) -> np.ndarray:
        """Targets (N, O) for the target means of columns with many categories."""

    @abstractmethod
    def _prepared(self, y: np.ndarray, recipe: Recipe) -> Preparation:
        """Preparation with the names or the scaling of the targets."""

    @abstractmethod
    def _outputs_and_loss(self, y: np.ndarray) -> tuple[int, str]:
        """Number of outputs of the network, and its loss."""

    def _weights_of_classes(self, y: np.ndarray) -> dict[int, float] | None:
        """Weight of each class index."""
        return None

    @abstractmethod
    def _kept(self) -> dict[str, Any]:
        """What a saved file must hold about the targets, apart from the preparation."""

    @abstractmethod
    def _restore(self, kept: Fields | None) -> None:
        """Restore what `_kept` returned; None for a model that the command line has trained."""
