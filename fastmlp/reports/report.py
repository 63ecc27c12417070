"""The sections of a report, from the data to the settings."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from importlib.metadata import version

import numpy as np

import fastmlp
from fastmlp.activations import name_of
from fastmlp.backends import get_backend
from fastmlp.files import atomic_write
from fastmlp.history import History
from fastmlp.metrics import accuracy_score, confusion_matrix, r2_score
from fastmlp.mlp import MLP
from fastmlp.reports import drawings
from fastmlp.reports.charts import number
from fastmlp.reports.measures import calibration, class_scores, drops, interval
from fastmlp.reports.page import figure, page, table
from fastmlp.tables.meaning.kind import Kind
from fastmlp.tables.preparation import Preparation

__all__ = ["Subject", "write_report"]

_MOST_CLASSES = 30  # of a confusion matrix
_MOST_ROWS = 200  # of a table
_MOST_POINTS = 1_500  # of a chart
_MOST_COLUMNS = 60  # that are shuffled, one after another
_SHUFFLED = 2_000  # samples, in which columns are shuffled
_REPEATS = 5
_SHOWN = 20  # most important columns
_CONFUSION = "Confusion matrix: true classes in rows, predicted ones in columns, shaded by their share of the row."
_STOPPED = {
    "epochs": "all epochs were done",
    "target_loss": "the target loss was reached",
    "plateau": "it ended when the training loss no longer fell",
    "validation": "it ended when the validation loss no longer fell",
    "callback": "a callback ended it",
    "interrupt": "it was interrupted",
}


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes
    ----------
    model, preparation : the trained model and its preparation.
    x : (N, W) network inputs of the samples that are scored.
    y : class indices (N,), or numbers (N,) or (N, O) in their original unit.
    what : "test", "training" or "evaluation": which samples these are.
    data : a line about all data.
    names : I names of the features of data that are no table; empty if they have none.
    kinds, notes : of a table: its columns, and what may be meant differently.
    history : of the training; None if it is not known.
    settings : by names: those that were not left at nothing.
    """

    model: MLP
    preparation: Preparation
    x: np.ndarray
    y: np.ndarray
    what: str
    data: str
    names: Sequence[str]
    kinds: Sequence[Kind]
    notes: Sequence[str]
    history: History | None
    settings: dict[str, str]


def write_report(path: str | os.PathLike[str], subject: Subject) -> None:
    """Write the report to a .html file, whole or not at all."""
    out = subject.model.predict_proba(subject.x)
    classes = bool(subject.preparation.class_names)
    lead, scores = _classes(subject, out) if classes else _numbers(subject, out)
    sections = [("scores", "Scores", scores), ("network", "Network and training", _network(subject))]
    if importance := _importance(subject):
        sections.append(("importance", "Which columns matter", importance))
    sections += [("data", "Data", _data(subject)), ("repeat", "To repeat it", _settings(subject))]
    text = page(f"fastmlp: {subject.preparation.data or 'a network'}", lead, sections)
    with atomic_write(path) as file:
        file.write(text.encode())


def _classes(subject: Subject, out: np.ndarray) -> tuple[str, str]:
    """The lead, and the scores of a classification."""
    names, y = list(subject.preparation.class_names), subject.y
    predicted, n = subject.preparation.classes(out), len(y)
    confusion = confusion_matrix(y, predicted, len(names))
    right = int((predicted == y).sum())
    low, high = interval(right, n)
    lead = f"Accuracy {right / n:.2%} of {n:,} {subject.what} samples (95 % interval {low:.2%} to {high:.2%})."
    confidence = np.maximum(out[:, 0], 1 - out[:, 0]) if out.shape[1] == 1 else out.max(axis=1)
    bins, error = calibration(confidence, predicted == y)
    figures = []
    if len(names) <= _MOST_CLASSES:
        figures.append(figure(drawings.confusion_matrix(confusion, names), _CONFUSION))
    figures.append(
        figure(
            drawings.calibration_chart(bins, error),
            f"Calibration. On the dotted line predictions are right as often as they say; above it they are right more "
            f"often. The expected calibration error is {error:.3f}.",
        )
    )
    rows = [
        (name, f"{s.samples:,}", _share(s.recall), f"{s.low:.1%} – {s.high:.1%}", _share(s.precision), _share(s.f1))
        for name, s in zip(names, class_scores(confusion), strict=True)
    ][:_MOST_ROWS]
    heading = ("class", "samples", "recall", "95 % interval", "precision", "F1")
    more = f" (the first {_MOST_ROWS} of {len(names):,})" if len(names) > _MOST_ROWS else ""
    return lead, f'<div class="figures">{"".join(figures)}</div>' + table(f"Scores by class{more}", heading, rows)


def _share(share: float) -> str:
    return "–" if np.isnan(share) else f"{share:.1%}"


def _numbers(subject: Subject, out: np.ndarray) -> tuple[str, str]:
    """The lead, and the scores of a regression."""
    values = subject.preparation.values(out)
    truth = subject.y.reshape(len(subject.y), -1).astype(np.float64)
    truth = np.broadcast_to(truth, values.shape)  # several quantiles of one target
    names, rows, figures = _outputs(subject, values.shape[1]), [], []
    for k, name in enumerate(names):
        t, p = truth[:, k], values[:, k]
        residuals = p - t
        r2 = f"{r2_score(t, p):.4f}" if len(t) > 1 else "–"
        errors = np.abs(residuals)
        rows.append((name, r2, number(float(errors.mean())), number(float(np.median(errors))), number(_rms(residuals))))
        some = np.random.RandomState(0).permutation(len(t))[:_MOST_POINTS]
        few = f" {_MOST_POINTS:,} of {len(t):,} samples." if len(t) > _MOST_POINTS else ""
        figures.append(
            figure(drawings.predicted_chart(t[some], p[some], name), f"{escape(name)}: predicted against true.{few}")
        )
        figures.append(figure(drawings.residual_chart(residuals, name), f"{escape(name)}: predicted minus true."))
    first = rows[0]
    lead = f"R² {first[1]} of {first[0]}, mean absolute error {first[2]}, on {len(truth):,} {subject.what} samples."
    heading = ("target", "R²", "mean absolute error", "median", "root mean square")
    return lead, f'<div class="figures">{"".join(figures)}</div>' + table("Errors in the targets' unit", heading, rows)


def _rms(residuals: np.ndarray) -> float:
    return float(np.sqrt(np.mean(residuals**2)))


def _outputs(subject: Subject, number_of_outputs: int) -> list[str]:
    encoder, loss = subject.preparation.encoder, subject.model.loss
    if loss is not None and loss.name == "quantile" and len(loss.parameter) == number_of_outputs > 1:
        return [f"quantile {q:g}" for q in loss.parameter]
    if encoder is not None and len(encoder.target_names) == number_of_outputs:
        return list(encoder.target_names)
    return ["target"] if number_of_outputs == 1 else [f"target {k + 1}" for k in range(number_of_outputs)]


def _network(subject: Subject) -> str:
    model, history = subject.model, subject.history
    names = [name_of(a) if a else (model.loss.link if model.loss else "") for a in model.activations]
    drawn = drawings.network(model.sizes, names)
    parameters = sum(w.size for w in model.weights) + sum(b.size for b in model.biases)
    loss = model.loss.name if model.loss else "none"
    figures = [figure(drawn, f"{parameters:,} parameters, {escape(loss)}. Units by layer, and their activations.")]
    if history is not None and len(history):
        caption = '<span class="key">training</span>'
        if "val_loss" in history.columns:
            caption += ' <span class="key dashed">validation</span>'
        caption += f" loss. {len(history):,} epochs, {history.updates:,} updates in {sum(history['seconds']):.3g} s; "
        caption += f"{_STOPPED.get(history.stopped, escape(history.stopped))}."
        figures.append(figure(drawings.loss_chart(history), caption))
    return f'<div class="figures">{"".join(figures)}</div>'


def _importance(subject: Subject) -> str:
    """Permutation importance of the columns; nothing where there are too many or too few."""
    groups = _groups(subject)
    if not 1 < len(groups) <= _MOST_COLUMNS or len(subject.x) < 10:
        return ""
    rows = np.sort(np.random.RandomState(0).permutation(len(subject.x))[:_SHUFFLED])
    x, y, preparation = np.array(subject.x[rows]), subject.y[rows], subject.preparation

    def score(x: np.ndarray) -> float:
        out = subject.model.predict_proba(x)
        if preparation.class_names:
            return accuracy_score(y, preparation.classes(out))
        truth, values = y.reshape(len(y), -1), preparation.values(out)
        return r2_score(np.broadcast_to(truth, values.shape), values)

    falls = drops(score, x, list(groups.values()), _REPEATS, seed=0)
    order = np.argsort(-falls.mean(axis=1), kind="stable")[:_SHOWN]
    names, what = list(groups), "accuracy" if preparation.class_names else "R²"
    bars = drawings.importance_bars([names[k] for k in order], falls[order], what)
    caption = (
        f"How far {what} falls when the values of a column are shuffled among {len(rows):,} samples: mean of "
        f"{_REPEATS} shuffles, with a line of one deviation to either side. Columns that say the same share it."
    )
    return figure(bars, caption)


def _groups(subject: Subject) -> dict[str, list[int]]:
    """Features by the column that they come from."""
    expansion, width = subject.preparation.expansion, subject.x.shape[1]
    widths = [column.width for column in expansion.columns] if expansion is not None else [1] * width
    names = list(subject.names)
    if subject.preparation.encoder is not None:  # a column may be several: a number, and whether it was missing
        names = [column.name for column in subject.preparation.encoder.columns for _ in column.feature_names]
    if len(names) != len(widths):
        names = [f"feature {k + 1}" for k in range(len(widths))]
    groups: dict[str, list[int]] = {}
    begin = 0
    for name, many in zip(names, widths, strict=True):
        groups.setdefault(name, []).extend(range(begin, begin + many))
        begin += many
    return groups


def _data(subject: Subject) -> str:
    parts = [f"<p>{escape(subject.data)}</p>"]
    if subject.kinds:
        rows = [
            (
                kind.name,
                kind.kind if kind.is_used else f"left out ({kind.kind})",
                f"{kind.distinct:,}" if kind.distinct else "",
                f"{kind.missing:,}" if kind.missing else "",
            )
            for kind in subject.kinds[:_MOST_ROWS]
        ]
        more = f" (the first {_MOST_ROWS} of {len(subject.kinds):,})" if len(subject.kinds) > _MOST_ROWS else ""
        parts.append(table(f"Columns{more}", ("column", "kind", "different", "missing"), rows, texts=2))
    if subject.notes:
        parts.append(f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in subject.notes[:_MOST_ROWS])}</ul>")
    return "".join(parts)


def _settings(subject: Subject) -> str:
    packages = [(name, version(name)) for name in ("numpy", "numba", "scikit-learn")]
    rows = [
        *subject.settings.items(),
        ("fastmlp", fastmlp.__version__),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        *packages,
        ("backend", get_backend(subject.model.backend).describe()),
        ("date", f"{date.today()}"),
    ]
    return table("Settings and versions", ("setting", "value"), rows, texts=2)
