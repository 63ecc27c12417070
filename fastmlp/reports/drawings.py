"""The figures of a report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

from fastmlp.history import History
from fastmlp.reports.charts import WIDTH, Chart, Scale, drawing, number
from fastmlp.reports.measures import Bin

__all__ = ["calibration_chart", "confusion_matrix", "importance_bars", "loss_chart", "network", "predicted_chart"]
__all__ += ["residual_chart"]

_MOST_UNITS = 9  # of a layer that are drawn one by one
_BARS = 24


def network(sizes: Sequence[int], activations: Sequence[str]) -> str:
    """The layers with their units and connections; of a wide layer the first and the last units."""
    height, gap = 190, (WIDTH - 60) / max(1, len(sizes) - 1)
    columns = []
    for l, size in enumerate(sizes):
        shown = min(size, _MOST_UNITS)
        ys = [height / 2 + (k - (shown - 1) / 2) * 17 for k in range(shown)]
        columns.append((30 + l * gap, ys))
    parts = []
    for (x0, before), (x1, after) in pairwise(columns):
        lines = "".join(f"M{x0:.0f} {a:.1f}L{x1:.0f} {b:.1f}" for a in before for b in after)
        parts.append(f'<path class="edges" d="{lines}"/>')
    names = ["inputs", *activations]
    for (x, ys), size, name in zip(columns, sizes, names, strict=True):
        for k, y in enumerate(ys):
            dropped = size > _MOST_UNITS and k == _MOST_UNITS // 2
            parts.append(
                f'<text x="{x:.0f}" y="{y + 5:.1f}" text-anchor="middle">⋮</text>'
                if dropped
                else f'<circle class="unit" cx="{x:.0f}" cy="{y:.1f}" r="6"/>'
            )
        parts.append(f'<text x="{x:.0f}" y="{height + 12}" text-anchor="middle">{size:,}</text>')
        parts.append(f'<text x="{x:.0f}" y="{height + 28}" text-anchor="middle">{escape(name[:12])}</text>')
    layers = " – ".join(f"{size:,}" for size in sizes)
    return drawing(f"The network: {layers} units", WIDTH, height + 36, parts)


def loss_chart(history: History) -> str:
    """Training and validation loss by epoch."""
    columns = [name for name in ("loss", "val_loss") if name in history.columns]
    epochs = history.epochs
    values = [history[name] for name in columns]
    last = ", ".join(
        f"{what} loss {number(history[name][-1])}"
        for name, what in (("loss", "training"), ("val_loss", "validation"))
        if name in columns
    )
    chart = Chart(
        f"Loss by epoch, {len(epochs)} epochs; at the end {last}",
        Scale(epochs, whole=True),
        Scale(values, log=True),
        "epoch",
        "loss",
    )
    for name, kind in zip(columns, ("first", "second"), strict=False):
        chart.line(epochs, history[name], kind)
        if len(epochs) < 40:
            chart.points(epochs, history[name], kind, 2 if kind == "first" else 3)
    return chart.svg()


def confusion_matrix(confusion: np.ndarray, names: Sequence[str]) -> str:
    """How often (C, C) class i was predicted as class j: the darker, the greater the share of its row."""
    c = len(names)
    side = min(40.0, (WIDTH - 80) / c)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    left, top, parts = 78, 6, []
    for i in range(c):
        y = top + i * side
        parts.append(
            f'<text x="{left - 6}" y="{y + side / 2 + 4:.1f}" text-anchor="end">{escape(names[i][:11])}</text>'
        )
        for j in range(c):
            x, share = left + j * side, shares[i, j]
            parts.append(
                f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" '
                f'fill-opacity="{share:.3f}"/>'
            )
            if confusion[i, j] and side >= 20:
                ink = "on-cell" if share > 0.5 else ""
                middle = f'x="{x + side / 2:.1f}" y="{y + side / 2 + 4:.1f}" text-anchor="middle"'
                parts.append(f'<text class="{ink}" {middle}>{confusion[i, j]:,}</text>')
    bottom, longest = top + c * side, min(11, max(map(len, names)))
    for j in range(c):
        x = left + (j + 0.5) * side
        turned = f'transform="translate({x + 4:.1f} {bottom + 6:.1f}) rotate(-60)"'
        parts.append(f'<text {turned} text-anchor="end">{escape(names[j][:11])}</text>')
    right = int(np.trace(confusion))
    title = f"Confusion matrix of {c} classes: {right:,} of {int(confusion.sum()):,} samples are on its diagonal"
    return drawing(title, max(left + c * side + 8, WIDTH * 0.7), bottom + 14 + 6 * longest, parts)


def calibration_chart(bins: Sequence[Bin], error: float) -> str:
    """Share of right predictions by their confidence; on the diagonal both agree."""
    chart = Chart(
        f"Calibration: the expected calibration error is {error:.3f}",
        Scale([0, 1]),
        Scale([0, 1]),
        "confidence of the prediction",
        "share that is right",
    )
    chart.line([0, 1], [0, 1], "reference")
    x, y = [one.confidence for one in bins], [one.accuracy for one in bins]
    chart.line(x, y, "first")
    chart.points(x, y, "first", 3.5)
    return chart.svg()


def predicted_chart(truth: np.ndarray, predicted: np.ndarray, name: str) -> str:
    """Predicted against true numbers (N,)."""
    scale = Scale([truth, predicted])
    title = f"{name}: predicted against true values of {len(truth):,} samples; the line is where both agree"
    chart = Chart(title, scale, scale, "true", "predicted")
    chart.line([scale.low, scale.high], [scale.low, scale.high], "reference")
    chart.points(truth, predicted, "first", 1.5)
    return chart.svg()


def residual_chart(residuals: np.ndarray, name: str) -> str:
    """Histogram of predicted minus true numbers (N,); the outermost 1 % are counted in the outermost bars."""
    low, high = np.quantile(residuals, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(residuals, low, high), _BARS, (low, high))
    title = (
        f"{name}: residuals, with mean {number(float(residuals.mean()))}, deviation {number(float(residuals.std()))}"
    )
    chart = Chart(title, Scale(edges), Scale([0, counts.max()], whole=True), "predicted minus true", "samples")
    chart.bars(edges.tolist(), counts.tolist(), "bar")
    return chart.svg()


def importance_bars(names: Sequence[str], falls: np.ndarray, score: str) -> str:
    """Bars of the mean fall of the score by column, falls (columns, repeats), with a line of their deviation."""
    means, deviations = falls.mean(axis=1), falls.std(axis=1)
    top, row, left = 8, 20, 128
    scale = Scale([0, float(max(means.max(), 1e-12))])
    parts = []
    for k, (name, mean, deviation) in enumerate(zip(names, means.tolist(), deviations.tolist(), strict=True)):
        y, room = top + k * row, WIDTH - left - 52
        width = float(np.clip(scale.place(max(mean, 0)), 0, 1)) * room
        shown = name if len(name) <= 20 else f"{name[:19]}…"
        parts.append(f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{escape(shown)}</text>')
        parts.append(f'<rect class="bar" x="{left}" y="{y + 3}" width="{max(width, 0.5):.1f}" height="13"/>')
        spread = float(deviation / scale.high) * room
        ends = max(0.0, width - spread), min(float(room), width + spread)
        parts.append(f'<path class="line" d="M{left + ends[0]:.1f} {y + 9.5}H{left + ends[1]:.1f}"/>')
        parts.append(f'<text x="{left + ends[1] + 5:.1f}" y="{y + 13}">{mean:.3f}</text>')
    most = names[int(np.argmax(means))]
    title = f"Fall of {score} when a column is shuffled: most for {most}, {means.max():.3f}"
    return drawing(title, WIDTH, top + len(names) * row + 6, parts)
