"""Scores of a model on samples, as numbers and as text."""

from __future__ import annotations

import numpy as np

from fastmlp.cli.network import targets_for
from fastmlp.cli.quantiles import in_order, quantile_lines, quantiles_of
from fastmlp.cli.text import counted, one_line, table
from fastmlp.errors import InputError
from fastmlp.metrics import accuracy_score, confusion_matrix, per_class_accuracy, r2_score
from fastmlp.mlp import MLP
from fastmlp.tables.preparation import Preparation

__all__ = ["score_lines"]

_MOST_COLUMNS = 20  # classes of a confusion matrix that fits a screen


def score_lines(
    model: MLP, preparation: Preparation, x: np.ndarray, y: np.ndarray, what: str, *, confusion: bool = False
) -> str:
    """The scores of a model on samples.

    Parameters
    ----------
    model, preparation : what was trained.
    x : prepared features (N, I).
    y : class indices (N,), or numbers (N,) or (N, O) in their own unit.
    what : "test" or "training".
    confusion : whether to add loss and confusion matrix.
    """
    out = model.predict_proba(x)
    lines = []
    if confusion:
        loss = model.evaluate(x, targets_for(model, preparation, y), metrics=[])["loss"]
        lines.append(f"{what} loss {loss:.6g}{' of the scaled targets' if preparation.target else ''}")
    lines += (
        _classes(preparation, y, out, what, confusion)
        if preparation.class_names
        else _numbers(model, preparation, y, out, what)
    )
    return "\n".join(lines)


def _classes(preparation: Preparation, y: np.ndarray, out: np.ndarray, what: str, confusion: bool) -> list[str]:
    predicted, n_classes = preparation.classes(out), len(preparation.class_names)
    shares, counts = per_class_accuracy(y, predicted, n_classes), np.bincount(y, minlength=n_classes)
    names = [one_line(name) for name in preparation.class_names]
    rows = [("class", "accuracy", "samples")]
    rows += [(names[c], _percent(share), f"{counts[c]:,}") for c, share in shares.items()]
    share, most = accuracy_score(y, predicted), counts.max() / len(y)
    lines = [
        f"{what} accuracy {_percent(share)} of {counted(len(y), 'sample')}; the largest class has {_percent(most)}",
        table(rows),
    ]
    if confusion and n_classes <= _MOST_COLUMNS:
        matrix = confusion_matrix(y, predicted, n_classes)
        cells = [(name, *map(str, row)) for name, row in zip(names, matrix.tolist(), strict=True)]
        lines += ["confusion matrix: a row for each true class, a column for each predicted one"]
        lines += [table([("", *names), *cells])]
    elif confusion:
        lines += [f"(a confusion matrix of {n_classes} classes would not fit here)"]
    return lines


def _numbers(model: MLP, preparation: Preparation, y: np.ndarray, out: np.ndarray, what: str) -> list[str]:
    values = preparation.values(out)
    truth = y.reshape(len(y), -1)
    quantiles = quantiles_of(model)
    if quantiles and truth.shape[1] == 1:
        return quantile_lines(quantiles, truth, in_order(values), what)
    if truth.shape != values.shape:
        raise InputError(f"The data have {truth.shape[1]} targets per sample, but the model gives {values.shape[1]}.")
    if preparation.encoder is None:
        return [_number_line(truth, values, what, "")]
    return [
        _number_line(truth[:, o], values[:, o], what, f", in the unit of {one_line(name)}")
        for o, name in enumerate(preparation.encoder.target_names)
    ]


def _number_line(truth: np.ndarray, values: np.ndarray, what: str, unit: str) -> str:
    with np.errstate(over="ignore"):
        r2 = f"{r2_score(truth, values):.4f}" if len(truth) > 1 else "undefined for one sample"
        error = float(np.abs(truth - values).mean())
    return f"{what} R² {r2}, mean absolute error {error:.6g}{unit}, of {counted(len(truth), 'sample')}"


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.2f} %"
