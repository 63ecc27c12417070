"""Writing predictions as CSV or Parquet, batch by batch."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastmlp.files import atomic_write
from fastmlp.forks import no_fork
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.labels import labels_of
from fastmlp.tables.storage import Storage

__all__ = ["Columns", "write_csv", "write_parquet"]

Columns = Mapping[str, Any]
"""By name: Polars Series from the table, lists of texts (None is missing), or arrays of numbers (masked is missing)."""


def write_csv(path: str | None, batches: Iterator[Columns]) -> None:
    """Write batches of columns as CSV to a file, or to standard output if `path` is None; missing values are empty."""
    if path is None:
        _write(batches, sys.stdout.write)
        return
    with atomic_write(path) as file:
        _write(batches, lambda text: file.write(text.encode(errors="backslashreplace")))


def _write(batches: Iterator[Columns], write: Callable[[str], object]) -> None:
    is_first = True
    for columns in batches:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if is_first:
            writer.writerow(columns)
            is_first = False
        writer.writerows(zip(*(_texts(values) for values in columns.values()), strict=True))
        write(text.getvalue())


def _texts(values: Any) -> list[str]:
    if not isinstance(values, (list, np.ndarray)):
        return ["" if cell is None else cell for cell in labels_of(values).to_list()]
    cells = values.tolist() if isinstance(values, np.ndarray) else values
    return [
        "" if cell is None else f"{cell:.9g}" if isinstance(cell, (float, np.floating)) else str(cell) for cell in cells
    ]


def write_parquet(path: str, batches: Iterator[Columns]) -> None:
    """Write batches of columns to a Parquet file, via temporary files if they exceed the memory limit."""
    pl = polars_module()
    storage = Storage()
    frames = (pl.DataFrame([_series(name, values) for name, values in columns.items()]) for columns in batches)
    frame = storage.frame(frames)
    with atomic_write(path) as file, no_fork():  # Polars imports modules here
        frame.lazy().sink_parquet(file)


def _series(name: str, values: Any) -> Any:
    """A column whose dtype is the same in every batch."""
    pl = polars_module()
    if isinstance(values, np.ma.MaskedArray):
        kind = pl.Float32 if values.dtype == np.float32 else pl.Float64
        return pl.Series(name, values.tolist(), dtype=kind)
    if isinstance(values, list):
        return pl.Series(name, values, dtype=pl.String)
    return pl.Series(name, values) if isinstance(values, np.ndarray) else values.alias(name)
