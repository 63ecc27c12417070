"""The tables of accuracy.py."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["markdown"]

_MEASURES = {
    "error": "class error, %",
    "log_loss": "log loss",
    "rmse": "root mean squared error",
    "seconds": "CPU seconds of a fit",
}
_LEAST = 0.01  # added to errors before ratios are taken, since errors of 0 have none


def markdown(rows: Iterable[dict]) -> str:
    """A table of each measure and of the CPU seconds: means and deviations over the splits, then geometric means, over
    the sets that both have, of the ratios to each of fastmlp's versions."""
    rows = [*rows]
    parts = [_table(rows, measure, title) for measure, title in _MEASURES.items()]
    return "\n\n".join(part for part in parts if part)


def _table(rows: list[dict], measure: str, title: str) -> str:
    methods = [*dict.fromkeys(row["method"] for row in rows)]
    values: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        if measure in row:
            values.setdefault((row["set"], row["method"]), {})[row["split"]] = row[measure]
    sets = [*dict.fromkeys(name for name, _ in values)]
    if not sets:
        return ""
    factor = 100 if measure == "error" else 1
    lines = [f"| {title} | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(_cell(values.get((name, m)), factor) for m in methods)} |" for name in sets]
    for base in ("before", "fastmlp"):
        if base in methods:
            ratios = (_ratio(values, sets, m, base, _LEAST if measure == "error" else 0.0) for m in methods)
            lines.append(f"| geometric mean, {base} = 1 | {' | '.join(ratios)} |")
    return "\n".join(lines)


def _cell(values: dict[int, float] | None, factor: float) -> str:
    if values is None:
        return "–"
    numbers = factor * np.array([*values.values()])
    return f"{numbers.mean():.4g} ± {numbers.std():.2g}"


def _ratio(values: dict, sets: list[str], method: str, base: str, least: float) -> str:
    """Of the means over the splits that both have."""
    logs = []
    for name in sets:
        ours, theirs = values.get((name, method), {}), values.get((name, base), {})
        both = ours.keys() & theirs.keys()
        if both:
            means = (np.mean([v[s] for s in both]) + least for v in (ours, theirs))
            logs.append(np.log(next(means)) - np.log(next(means)))
    few = "" if len(logs) == len(sets) else f" ({len(logs)} sets)"
    return f"{np.exp(np.mean(logs)):.3f}{few}" if logs else "–"
