"""Scores of predictions; labels may be numbers or strings.

`n_classes` says that the labels are the whole numbers 0 .. C-1, so that classes without a sample appear too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.checks import check_sequence
from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.interchange import as_numpy
from fastmlp.losses import Loss

__all__ = ["accuracy_score", "check_metrics", "confusion_matrix", "get_metric", "per_class_accuracy", "r2_score"]

Metric = Callable[[ArrayLike, ArrayLike, ArrayLike | None], float]


def accuracy_score(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Share of correctly predicted samples, by `sklearn.metrics.accuracy_score`.

    Parameters
    ----------
    y_true, y_pred : array (N,) or (N, C)
        Labels, or zeros and ones for each class: a row is then correct if all of it is.
    sample_weight : array (N,), optional
        Not negative.

    Raises
    ------
    InputError
        If there are no samples, the shapes differ, or scikit-learn refuses the labels.
    """
    if all(isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iu" for y in (y_true, y_pred)):
        # for whole numbers, which every epoch of `MLP.fit` has, a tenth of the time
        return _delegate(_share_of_equal, y_true, y_pred, sample_weight)
    with no_fork():
        from sklearn.metrics import accuracy_score as score

    return _delegate(score, y_true, y_pred, sample_weight)


def _share_of_equal(y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> float:
    return float(np.average(y_true == y_pred, weights=sample_weight))


def r2_score(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Coefficient of determination R², the mean over the outputs, by `sklearn.metrics.r2_score`.

    1 is perfect and 0 as good as the mean target. An output whose target is constant scores 1 if predicted
    exactly, else 0. A single sample has no R²: NaN.

    Parameters
    ----------
    y_true, y_pred : array (N,) or (N, O)
        Finite numbers.
    sample_weight : array (N,), optional
        Not negative.

    Raises
    ------
    InputError
        If there are no samples, the shapes differ, or values are not finite.
    """
    with no_fork():
        from sklearn.metrics import r2_score as score

    if len(_pair(y_true, y_pred)[0]) == 1:
        return float("nan")  # as scikit-learn does, with a warning
    return _delegate(score, y_true, y_pred, sample_weight)


def per_class_accuracy(y_true: ArrayLike, y_pred: ArrayLike, n_classes: int | None = None) -> dict[Any, float]:
    """Share of the samples of each true class that are predicted correctly (the recall of each class).

    Parameters
    ----------
    y_true, y_pred : array (N,)
        Labels.
    n_classes : int, optional
        The number of classes C; by default the labels are those that occur in `y_true`.

    Returns
    -------
    dict {label: float}
        In ascending order of the labels; NaN for a class without a sample.

    Raises
    ------
    InputError
        If there are no samples, the shapes differ, or a label is outside 0 .. C-1.
    """
    true, predicted = _labels(y_true, y_pred, n_classes)
    right = true == predicted
    classes = np.unique(true) if n_classes is None else np.arange(n_classes)
    members = ((label, true == label) for label in classes.tolist())
    return {label: float(right[of].mean()) if of.any() else float("nan") for label, of in members}


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, n_classes: int | None = None) -> np.ndarray:
    """Count the samples of each true class (row) that are predicted as each class (column).

    As `sklearn.metrics.confusion_matrix`, but without its warning when only one label occurs.

    Parameters
    ----------
    y_true, y_pred : array (N,)
        Labels.
    n_classes : int, optional
        The number of classes C; by default the labels are those that occur in either array, sorted.

    Returns
    -------
    array (C, C) int64
        The counts.

    Raises
    ------
    InputError
        If there are no samples, the shapes differ, or a label is outside 0 .. C-1.
    """
    true, predicted = _labels(y_true, y_pred, n_classes)
    classes = np.unique(np.concatenate([true, predicted])) if n_classes is None else np.arange(n_classes)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (np.searchsorted(classes, true), np.searchsorted(classes, predicted)), 1)
    return counts


_METRICS: dict[str, Metric] = {"accuracy": accuracy_score, "r2": r2_score}


def get_metric(name: str) -> Metric:
    """Return a metric by name, a function (y_true, y_pred, sample_weight) -> float.

    Parameters
    ----------
    name : {"accuracy", "r2"}
        A metric of `MLP.fit`.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if not isinstance(name, str) or name not in _METRICS:
        raise InputError(f"metric={name!r} is unknown. Choose {' or '.join(map(repr, _METRICS))}.")
    return _METRICS[name]


def check_metrics(metrics: Sequence[str] | None, loss: Loss) -> list[str]:
    """Return the names of metrics as a list; None stands for the default metric of the loss."""
    if metrics is None:
        return ["accuracy" if loss.classifies else "r2"]
    names = check_sequence("metrics", metrics, "metric names")
    for name in names:
        get_metric(name)
    return names


def _delegate(
    score: Callable[..., float], y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
) -> float:
    """Call a scikit-learn metric, turning its exceptions into InputErrors."""
    true, predicted = _pair(y_true, y_pred)
    if sample_weight is not None:
        sample_weight = weight = np.asarray(as_numpy(sample_weight))
        if weight.shape != true.shape[:1] or not (weight >= 0).all():
            raise InputError(
                f"sample_weight of shape {weight.shape} cannot weigh {len(true)} samples. Give one number "
                "per sample, none of them negative."
            )
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # predictions of a diverging network may be huge
            return float(score(true, predicted, sample_weight=sample_weight))
    except ValueError as error:
        raise InputError(f"These targets and predictions cannot be scored: {error}") from error


def _labels(y_true: ArrayLike, y_pred: ArrayLike, n_classes: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Check label vectors (N,), and that labels are below `n_classes` if it is given."""
    true, predicted = _pair(y_true, y_pred)
    if true.ndim != 1:
        raise InputError(f"Labels of shape {true.shape} are not one per sample. Give vectors; see argmax(axis=1).")
    # An array of dtype object, as from pandas, may hold numbers or strings.
    kinds = {true.dtype.kind, predicted.dtype.kind}
    if "U" in kinds and not kinds <= {"U", "O"}:
        raise InputError(
            f"y_true holds {true.dtype} and y_pred {predicted.dtype}: no label can agree. Use the same kind "
            "of label in both."
        )
    if n_classes is None:
        return true, predicted
    for name, values in (("y_true", true), ("y_pred", predicted)):
        wrong = values[~np.isin(values, np.arange(n_classes))]
        if wrong.size:
            raise InputError(
                f"{name} holds the label {wrong.tolist()[0]!r}, but n_classes={n_classes} allows the whole "
                f"numbers 0 to {n_classes - 1}. Leave n_classes out to use the labels as they are."
            )
    return true, predicted


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Convert both to arrays, which must have the same shape and at least one sample."""
    true, predicted = np.asarray(as_numpy(y_true)), np.asarray(as_numpy(y_pred))
    if true.shape != predicted.shape:
        raise InputError(
            f"y_true has the shape {true.shape} and y_pred {predicted.shape}. Give one prediction per "
            "target, in the same shape."
        )
    if true.size == 0 or true.ndim == 0:
        raise InputError(f"y_true of shape {true.shape} holds no samples. Give at least one target.")
    return true, predicted
