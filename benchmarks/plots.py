"""Plots of the results in this folder, which are written to it; nothing is measured.

    python benchmarks/plots.py

- accuracy.png: scores of accuracy.jsonl, relative to fastmlp's
- estimators.png: ratios of fit times in ESTIMATORS.md
- time_to_accuracy.png: seconds in TIME_TO_ACCURACY.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
SCORES = {"log_loss": "log loss", "rmse": "root mean squared error"}
METHODS = ("fastmlp", "LightGBM", "HistGradientBoosting", "XGBoost", "CatBoost", "scikit-learn MLP")
LIBRARIES = ("fastmlp", "JAX", "PyTorch", "scikit-learn")
SPREAD = re.compile(r"([\d.]+) \(([\d.]+) … ([\d.]+)\)")  # of a cell: mean, lowest and highest


def accuracy() -> Figure:
    """One row for each data set: a method's mean over the splits divided by that of fastmlp over the same splits."""
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    for line in (HERE / "accuracy.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for score in SCORES.keys() & row.keys():
            values.setdefault((score, row["set"], row["method"]), {})[row["split"]] = row[score]
    sets = [[*dict.fromkeys(name for score, name, _ in values if score == wanted)] for wanted in SCORES]
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, 1, height_ratios=[len(names) for names in sets])
    for axes, (score, title), names in zip(panels, SCORES.items(), sets, strict=True):
        for number, method in enumerate(METHODS):
            ratios = [_ratio(values.get((score, name, method), {}), values[score, name, "fastmlp"]) for name in names]
            axes.plot(ratios, range(len(names)), "os^vDP"[number], label=method, zorder=3 - number / 10)
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xticks([tick for tick in (1, 1.25, 1.5, 2, 3, 5) if low < tick < high])
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"{title} relative to fastmlp's, less is better")
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    return figure


def estimators() -> Figure:
    """One point for each case: the speed-up over scikit-learn's estimator against the seconds of its fit."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for (dtype, lbfgs), cases in _fit_times().items():
        seconds, ratios = np.array(cases).T
        label = f"{'L-BFGS' if lbfgs else 'SGD and Adam'}, {dtype}"
        color, marker = ("C1" if lbfgs else "C0"), ("s" if dtype == "float32" else "o")
        axes.plot(seconds, ratios, marker, color=color, alpha=0.6, markeredgecolor="none", label=label)
    axes.axhline(1, color="black", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="seconds of scikit-learn's fit", ylabel="times faster")
    axes.set_yticks([1, 2, 5, 10, 20])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def time_to_accuracy() -> Figure:
    """Bars of the seconds to 97 % and 98 % accuracy on MNIST's test images, with the range of the seeds."""
    rows = {cells[0]: cells for cells in _rows("TIME_TO_ACCURACY.md", 6)}
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, column, goal in zip(figure.subplots(1, 2), (1, 2), ("97 %", "98 %"), strict=True):
        spreads = [SPREAD.findall(rows[library][column])[0] for library in LIBRARIES]
        mean, lowest, highest = np.array(spreads, dtype=float).T
        colors = ["C0", *["C7"] * (len(LIBRARIES) - 1)]
        axes.barh(LIBRARIES, mean, xerr=[mean - lowest, highest - mean], color=colors, capsize=3)
        axes.invert_yaxis()
        axes.set(xlabel="seconds of training", title=f"{goal} of MNIST's test images")
        axes.grid(alpha=0.3, axis="x")
    return figure


def _ratio(theirs: dict[int, float], ours: dict[int, float]) -> float:
    both = theirs.keys() & ours.keys()
    return np.mean([theirs[split] for split in both]) / np.mean([ours[split] for split in both]) if both else np.nan


def _fit_times() -> dict[tuple[str, bool], list[tuple[float, float]]]:
    groups: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for _, _, settings, dtype, theirs, _, ratio, *_ in _rows("ESTIMATORS.md", 10):
        groups.setdefault((dtype, settings.startswith("lbfgs")), []).append((float(theirs), float(ratio)))
    return groups


def _rows(name: str, columns: int) -> Iterator[list[str]]:
    """Yield the cells of the rows, headings left out, of the tables that have so many columns."""
    heading = True
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if len(cells) != columns:
            heading = True
        elif line.startswith("|-"):
            heading = False
        elif not heading:
            yield cells


if __name__ == "__main__":
    for draw in (accuracy, estimators, time_to_accuracy):
        draw().savefig(HERE / f"{draw.__name__}.png", dpi=110, bbox_inches="tight")
