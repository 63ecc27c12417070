"""The scores of a model as text, accumulated batch by batch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fastmlp.cli.network import targets_for
from fastmlp.cli.quantiles import Intervals, quantiles_of
from fastmlp.cli.text import counted, one_line, table
from fastmlp.errors import InputError
from fastmlp.mlp import MLP
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.text import listed

__all__ = ["score_lines"]

_MOST_COLUMNS = 20  # classes of a confusion matrix that fits the screen


def score_lines(
    model: MLP,
    preparation: Preparation,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    what: str,
    *,
    confusion: bool = False,
) -> str:
    """Score a model on samples; return the scores as text.

    Parameters
    ----------
    model, preparation : the trained model and its preparation.
    batches : pairs of network inputs x (N, I) and targets y: class indices (N,), or numbers (N,) or (N, O) in their
        original unit.
    what : "test", "training" or "evaluation", for the text.
    confusion : whether to add loss and confusion matrix.

    Raises
    ------
    InputError : targets that do not fit the model, or no samples.
    """
    quantiles = quantiles_of(model)
    sums: _Classes | _Numbers | Intervals
    if preparation.class_names:
        sums = _Classes(preparation, confusion)
    else:
        sums = Intervals(preparation, quantiles) if quantiles else _Numbers(preparation)
    loss, n = 0.0, 0
    for x, y in batches:
        n += len(x)
        if confusion:
            loss += len(x) * model.evaluate(x, targets_for(model, preparation, y), metrics=[])["loss"]
        sums.add(y, model.predict_proba(x))
    if not n:
        names = preparation.encoder.target_names if preparation.encoder else ("target",)
        raise InputError(f"No row has a value of {listed(names)}, so there is nothing to score. Give rows that have.")
    scaled = " of the scaled targets" if preparation.target else ""
    lines = [f"{what} loss {loss / n:.6g}{scaled}"] if confusion else []
    return "\n".join(lines + sums.lines(what, n))


class _Classes:
    """Counts correct predictions of each class and, for few classes, the confusion matrix."""

    def __init__(self, preparation: Preparation, confusion: bool) -> None:
        self._preparation, self._confusion = preparation, confusion
        c = self._n_classes = len(preparation.class_names)
        self._counts, self._right = np.zeros(c, np.int64), np.zeros(c, np.int64)
        self._matrix = np.zeros((c, c), np.int64) if confusion and c <= _MOST_COLUMNS else None

    def add(self, y: np.ndarray, out: np.ndarray) -> None:
        predicted, c = self._preparation.classes(out), self._n_classes
        self._counts += np.bincount(y, minlength=c)
        self._right += np.bincount(y[y == predicted], minlength=c)
        if self._matrix is not None:
            self._matrix += np.bincount(y * c + predicted, minlength=c * c).reshape(c, c)

    def lines(self, what: str, n: int) -> list[str]:
        names = [one_line(name) for name in self._preparation.class_names]
        counts, right = self._counts.tolist(), self._right.tolist()
        rows = [("class", "accuracy", "samples")]
        rows += [
            (name, _percent(good / count) if count else "none", f"{count:,}")
            for name, good, count in zip(names, right, counts, strict=True)
        ]
        share, most = sum(right) / n, max(counts) / n
        lines = [
            f"{what} accuracy {_percent(share)} of {counted(n, 'sample')}; the largest class has {_percent(most)}",
            table(rows),
        ]
        if self._matrix is not None:
            cells = [(name, *map(str, row)) for name, row in zip(names, self._matrix.tolist(), strict=True)]
            lines += ["confusion matrix: a row for each true class, a column for each predicted one"]
            lines += [table([("", *names), *cells])]
        elif self._confusion:
            lines += [f"(a confusion matrix of {self._n_classes} classes would not fit here)"]
        return lines


class _Numbers:
    """Accumulates R² and the mean absolute error of each output.

    Means and sums of squares are updated batch by batch on differences from the first target, which avoids cancellation
    where targets are large compared with their deviation.

    Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._n = 0
        self._first = self._mean = self._squares = self._residuals = self._errors = np.zeros(0)

    def add(self, y: np.ndarray, out: np.ndarray) -> None:
        values, truth = self._preparation.values(out), y.reshape(len(y), -1).astype(np.float64)
        if truth.shape != values.shape:
            raise InputError(
                f"The data have {truth.shape[1]} targets per sample, but the model gives {values.shape[1]}."
            )
        if not self._n:
            self._first = truth[0].copy()
            self._mean, self._squares, self._residuals, self._errors = np.zeros((4, truth.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):  # predictions for other data may be huge
            self._errors += np.abs(truth - values).sum(axis=0)
            self._residuals += ((truth - values) ** 2).sum(axis=0)
            difference = truth - self._first
            mean = difference.mean(axis=0)
            step, n = mean - self._mean, len(truth)
            self._squares += ((difference - mean) ** 2).sum(axis=0) + step**2 * (self._n * n / (self._n + n))
            self._n += n
            self._mean += step * (n / self._n)

    def lines(self, what: str, n: int) -> list[str]:
        # R² of a constant target is a convention: 1 for perfect predictions, else 0.
        constant = np.where(self._residuals == 0, 1.0, 0.0)
        varies = self._squares != 0
        with np.errstate(over="ignore", invalid="ignore"):
            r2 = np.where(varies, 1 - self._residuals / np.where(varies, self._squares, 1), constant)
        errors, encoder = self._errors / n, self._preparation.encoder
        if encoder is None:
            return [_number_line(float(r2.mean()), float(errors.mean()), what, "", n)]
        return [
            _number_line(one, error, what, f", in the unit of {one_line(name)}", n)
            for one, error, name in zip(r2.tolist(), errors.tolist(), encoder.target_names, strict=True)
        ]


def _number_line(r2: float, error: float, what: str, unit: str, n: int) -> str:
    score = f"{r2:.4f}" if n > 1 else "undefined for one sample"
    return f"{what} R² {score}, mean absolute error {error:.6g}{unit}, of {counted(n, 'sample')}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
