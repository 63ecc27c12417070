"""Writing the features of a table, some rows and columns at a time, on several threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.encoding.columns import CategoryColumn, Column, MomentColumn, NumberColumn
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.encoding.fitting import Part
from fastmlp.tables.meaning.labels import codes_of, labels_of
from fastmlp.tables.meaning.missing import present
from fastmlp.tables.parallel import column_chunks, parallel_map
from fastmlp.tables.table import Table

__all__ = ["write_features"]


def write_features(
    columns: Sequence[Column], table: Table, rows: np.ndarray, marks: Sequence[str], x: np.ndarray
) -> Findings:
    """Write the features of some rows of a table; return the values that training did not have.

    Parameters
    ----------
    columns : fitted columns, in the order of the features.
    table : N rows.
    rows : indices (M,) int64 of the rows to write, ascending.
    marks : texts that mark a missing value.
    x : (M, I) float32, zeros at first; written in place.

    Raises
    ------
    InputError : a value that does not fit its column.
    """
    found = Findings()
    for findings in parallel_map(lambda task: task(), _tasks(columns, table, rows, marks, x)):
        found.add(findings)
    return found


def _tasks(
    columns: Sequence[Column], table: Table, rows: np.ndarray, marks: Sequence[str], x: np.ndarray
) -> Iterator[Any]:
    numbers: list[tuple[NumberColumn | MomentColumn, int]] = []
    categories: list[tuple[CategoryColumn, int]] = []
    place = 0
    for column in columns:
        if isinstance(column, CategoryColumn):
            categories.append((column, place))
        else:
            numbers.append((column, place))
        place += len(column.feature_names)
    for first, part in table.parts([column.name for column in columns]):
        start, stop = np.searchsorted(rows, [first, first + len(part)]).tolist()
        picked = Part(part, rows[start:stop] - first)
        for chunk in column_chunks(numbers, len(picked)) if len(picked) else ():
            yield partial(_write_numbers, chunk, picked, marks, x[start:stop])
        for column, place in categories if len(picked) else ():
            yield partial(_write_categories, column, picked, marks, x[start:stop, place:])


def _write_numbers(
    chunk: Sequence[tuple[NumberColumn | MomentColumn, int]], part: Part, marks: Sequence[str], x: np.ndarray
) -> Findings:
    """Write the features of several columns at once, which is faster than one by one for few rows."""
    found = Findings()
    columns, places = [column for column, _ in chunk], [place for _, place in chunk]
    numbers = part.numbers(columns, marks)
    absent = np.isnan(numbers)
    counts = absent.sum(axis=1)
    for position in np.flatnonzero(counts).tolist():
        column = columns[position]
        numbers[position, absent[position]] = column.fill
        if column.has_missing:
            x[:, places[position] + 1] = absent[position]
        else:
            found.add_missing(column.name, int(counts[position]))
    _note_far(columns, numbers, found)
    for position, column in enumerate(columns):
        if isinstance(column, MomentColumn) and column.periods:
            place = places[position] + 1 + column.has_missing
            x[:, place : place + 2 * len(column.periods)] = column.waves(numbers[position]).T
    shifts, scales = (np.array([getattr(column, key) for column in columns])[:, None] for key in ("shift", "scale"))
    with np.errstate(over="ignore", invalid="ignore"):
        numbers -= shifts
        numbers /= scales
    extremes = np.maximum(numbers.max(axis=1), -numbers.min(axis=1))
    if not (extremes <= np.finfo(np.float32).max).all():
        position = int(np.flatnonzero(~(extremes <= np.finfo(np.float32).max))[0])
        column = columns[position]
        largest = np.nanmax(np.abs(part.numbers([column], marks)))
        raise InputError(
            f"Column {column.name!r} holds numbers up to {largest:g}, too large for a mean of "
            f"{column.shift:g} and a deviation of {column.scale:g}. Correct them."
        )
    for first, last in _runs(places):
        x[:, places[first] : places[last - 1] + 1] = numbers[first:last].T
    return found


def _note_far(columns: Sequence[NumberColumn | MomentColumn], numbers: np.ndarray, found: Findings) -> None:
    """Count numbers (K, M) that lie further outside the training range than it is wide."""
    lows, highs = numbers.min(axis=1), numbers.max(axis=1)
    for position, column in enumerate(columns):
        if not isinstance(column, NumberColumn) or column.low == column.high:
            continue
        wide = column.high - column.low
        if lows[position] < column.low - wide or highs[position] > column.high + wide:
            beyond = np.maximum(column.low - numbers[position], numbers[position] - column.high)
            furthest = float(numbers[position, beyond.argmax()])
            found.add_far(column.name, int((beyond > wide).sum()), furthest, column.low, column.high)


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of indices, the last exclusive, of consecutive places, which are written much faster together."""
    first = 0
    for index in range(1, len(places) + 1):
        if index == len(places) or places[index] != places[index - 1] + 1:
            yield first, index
            first = index


def _write_categories(column: CategoryColumn, part: Part, marks: Sequence[str], x: np.ndarray) -> Findings:
    """Write the category codes of one column, or the ones of its indicators; the features must be zero."""
    found = Findings()
    labels = labels_of(present(part.column(column.name), marks))
    codes, unseen = codes_of(labels, column.index)
    if len(unseen):
        found.add_unseen(column.name, len(unseen), unseen.unique().sort().head(3).to_list())
    absent = labels.is_null().to_numpy()
    if absent.any():
        codes = np.where(absent, len(column.categories) if column.has_missing else column.fill, codes)
        if not column.has_missing:
            found.add_missing(column.name, int(absent.sum()))
    if column.coded:
        x[:, 0] = codes
        return found
    rows = np.flatnonzero(codes >= 0)
    x[rows, codes[rows]] = 1.0
    return found
