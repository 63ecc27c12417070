"""The report of a command: ``--report FILE.html``."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Sequence

import numpy as np

from fastmlp.cli.text import counted, option_text
from fastmlp.forks import no_fork
from fastmlp.history import History
from fastmlp.mlp import MLP
from fastmlp.tables.meaning.kind import Kind
from fastmlp.tables.preparation import Preparation

__all__ = ["MOST", "Scored", "keeping", "write"]

MOST = 50_000  # samples that a report is about

Scored = tuple[np.ndarray, np.ndarray]  # network inputs, and targets as `fastmlp.cli.report.score_lines` takes them


def write(
    path: str | os.PathLike[str],
    arguments: Namespace,
    model: MLP,
    preparation: Preparation,
    scored: Scored,
    what: str,
    *,
    data: str,
    names: Sequence[str] = (),
    kinds: Sequence[Kind] = (),
    notes: Sequence[str] = (),
    history: History | None = None,
) -> None:
    """Write the report on these samples; the other arguments are as in `fastmlp.reports.report.Subject`."""
    with no_fork():
        from fastmlp.reports.report import Subject, write_report

    x, y = scored
    if len(x) > MOST:
        rows = np.sort(np.random.RandomState(0).permutation(len(x))[:MOST])
        data = f"{data}. The scores are those of {MOST:,} of {counted(len(x), 'sample')}"
        x, y = np.asarray(x[rows]), y[rows]
    settings = {
        name.replace("_", "-"): _text(value)
        for name, value in vars(arguments).items()
        if value is not None and value is not False and name not in ("command", "report")
    }
    write_report(path, Subject(model, preparation, x, y, what, data, names, kinds, notes, history, settings))


def _text(value: object) -> str:
    """A value of an option as it is written on the command line."""
    return "yes" if value is True else option_text(value)


def keeping(batches: Iterable[Scored], into: list[Scored]) -> Iterable[Scored]:
    """Pass batches on, and keep the first `MOST` samples of them in the list."""
    kept = 0
    for x, y in batches:
        if kept < MOST:
            into.append((x[: MOST - kept], y[: MOST - kept]))
            kept += len(into[-1][0])
        yield x, y
