"""Data sets from table files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastmlp.datasets.dataset import Dataset
from fastmlp.errors import InputError
from fastmlp.splits import split_ordered, split_rows
from fastmlp.tables.dictionary_encoding import dictionary_encoded
from fastmlp.tables.encoding.encoder import TableEncoder
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.encoding.plan import make_plan
from fastmlp.tables.meaning.missing import MISSING_VALUES
from fastmlp.tables.reading.files import read_table
from fastmlp.tables.storage import Storage
from fastmlp.tables.text import listed

__all__ = ["load_table"]

_SPLITS = ("random", "ordered")


def load_table(
    path: str | os.PathLike[str],
    *,
    header: bool = True,
    delimiter: str | None = None,
    skip_lines: int = 0,
    encoding: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    columns: Sequence[str] | None = None,
    target: str | int | Sequence[str | int] | None = None,
    task: str = "auto",
    categorical: str | Sequence[str] = "auto",
    missing: str = "impute",
    missing_values: Sequence[str] = MISSING_VALUES,
    also_missing: Sequence[str] = (),
    standardize: bool = True,
    standardize_target: bool = False,
    strip_label: str = "",
    drop_columns: Sequence[str] = (),
    test_fraction: float = 0.2,
    split: str = "random",
    seed: int = 0,
    day_first: bool | None = None,
    codes: bool = False,
    memory: int | None = None,
    progress: bool | None = None,
) -> Dataset:
    """Read a table, infer from all rows what its columns hold, and encode it by an encoder fitted to the training rows.

    A table or features larger than `memory` are kept on disk; apart from them, loading takes some 100 bytes a row.

    Parameters
    ----------
    path, header, delimiter, skip_lines, encoding, decimal, thousands : optional
        As in `read_table`.
    columns : sequence of str, optional
        Names of the columns to use, besides the target; by default all.
    target, task, categorical, missing, missing_values, also_missing, standardize : optional
        As in `TableEncoder.fit`.
    standardize_target, strip_label, drop_columns : optional
        As in `TableEncoder.fit`.
    test_fraction : float
        Share of the rows to hold out for testing; the same share of each class.
    split : {"random", "ordered"}
        Which rows are for testing: random ones, or the last ones, as for rows in order of time.
    seed : int
        Of the random split; the same seed takes the same rows.
    day_first, codes : optional
        As in `TableEncoder.fit`.
    memory : int, optional
        Most bytes of memory of the table, and of its features; by default a third of the free memory. If they are
        larger, they are kept in temporary files, x as a memory map.
    progress : bool, optional
        As in `read_table`.

    Returns
    -------
    Dataset
        With x (N, I) float32, y (N,) int64 or float64, or (N, O) float64 for several targets, and the encoder.

    Raises
    ------
    InputError
        If the file, an option or a value cannot be used.
    """
    if split not in _SPLITS:
        raise InputError(f"split={split!r} is unknown. Choose {' or '.join(map(repr, _SPLITS))}.")
    if columns is not None:
        named = [target] if isinstance(target, str) else [] if target is None or isinstance(target, int) else target
        if not named or any(isinstance(name, int) for name in named):
            raise InputError("columns= goes with a target that is named. Give target='…'.")
        columns = [*columns, *(str(name) for name in named if name not in columns)]
    if target is not None and not isinstance(target, (str, int)) and not target:
        raise InputError("target=[] names no column. Give one to learn, or None for the last one.")
    storage = Storage(memory)
    table = read_table(
        path,
        header=header,
        delimiter=delimiter,
        skip_lines=skip_lines,
        encoding=encoding,
        decimal=decimal,
        thousands=thousands,
        columns=columns,
        missing_values=(*missing_values, *also_missing),
        storage=storage,
        progress=progress,
    )
    table = replace(table, frame=dictionary_encoded(table.frame))
    plan = make_plan(
        table,
        target,
        task=task,
        categorical=categorical,
        missing=missing,
        missing_values=missing_values,
        also_missing=also_missing,
        strip_label=strip_label,
        drop_columns=drop_columns,
        decimal=decimal or _decimal_beside(thousands),
        day_first=day_first,
    )
    classes, rows = plan.classes(), plan.rows
    if split == "ordered":
        train, test = split_ordered(len(rows), test_fraction)
    else:
        train, test = split_rows(len(rows), test_fraction, seed, classes)
    train, test = np.sort(train), np.sort(test)  # sorted rows are selected faster
    encoder = TableEncoder.of(
        plan, rows[train], standardize=standardize, standardize_target=standardize_target, codes=codes
    )
    found = Findings()
    x, y = encoder.transform(table, rows=rows[train], findings=found, storage=storage)
    assert y is not None  # the encoder was fitted on the target of this very table
    x_test = y_test = None
    if len(test):
        x_test, y_test = encoder.transform(table, rows=rows[test], findings=found, storage=storage)
    return Dataset(
        name=Path(path).name.split(".")[0] or Path(path).name,
        x=x,
        y=y,
        x_test=x_test,
        y_test=y_test,
        class_names=encoder.class_names,
        feature_names=encoder.feature_names,
        encoder=encoder,
        kinds=plan.kinds,
        width=len(table.names) if table.layout is None else table.layout.width,
        notes=(*plan.notes, *_rare(encoder.class_names, classes), *(f"test rows: {line}" for line in found.lines())),
    )


def _decimal_beside(thousands: str | None) -> str | None:
    return {",": ".", ".": ","}.get(thousands or "")


def _rare(names: Sequence[str], classes: np.ndarray | None) -> list[str]:
    """Messages about classes with a single row, which cannot be tested."""
    if classes is None:
        return []
    alone = np.flatnonzero(np.bincount(classes, minlength=len(names)) == 1)
    if not len(alone):
        return []
    shown = listed(names[c] for c in alone.tolist())
    return [f"a single row has the class {shown}: it is trained on and cannot be tested"]
