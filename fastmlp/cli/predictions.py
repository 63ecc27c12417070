"""Predictions as CSV, batch by batch, or as Parquet."""

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

__all__ = ["Columns", "write_csv", "write_parquet"]

# Of the table, a series of Polars; else lists or arrays.
Columns = Mapping[str, Any]


def write_csv(path: str | None, batches: Iterator[Columns]) -> None:
    """Write batches of columns to a file, or to standard output if `path` is None; a value that is None as nothing."""
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
    """Write batches of columns to a Parquet file. They are held together, since its metadata come last."""
    pl = polars_module()
    frames = [pl.DataFrame({name: _plain(values) for name, values in columns.items()}) for columns in batches]
    with atomic_write(path) as file, no_fork():  # Polars imports some of its modules now
        pl.concat(frames, how="vertical_relaxed").write_parquet(file)


def _plain(values: Any) -> Any:
    """NumPy's numbers in a list as Python's."""
    if not isinstance(values, list):
        return values
    return [cell.item() if isinstance(cell, np.generic) else cell for cell in values]
