"""Columns of a table, and what becomes of them, as statements of C99."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fastmlp.errors import InputError
from fastmlp.tables.encoding.columns import CategoryColumn, Column, MomentColumn
from fastmlp.tables.exporting.spellings import number_of
from fastmlp.tables.features.bins import Binned
from fastmlp.tables.features.categories import Indicators, TargetMeans
from fastmlp.tables.features.expansion import Expansion

__all__ = ["BINS", "column_lines", "expansion_lines", "numbers"]

BINS = """\
/* where v lies in each of n bins: 0 below it, 1 above it */
static void bins(real v, const real *edges, int n, real *f) {
  for (int b = 0; b < n; ++b) {
    const real place = (v - edges[b]) / (edges[b + 1] - edges[b]);
    f[b] = place < 0 ? 0 : place > 1 ? 1 : place;
  }
}
"""


def numbers(values: Sequence[float]) -> str:
    """Constants separated by commas."""
    return ", ".join(map(repr, map(float, values)))


def column_lines(columns: Sequence[Column], marks: Sequence[str], into: str) -> Iterator[str]:
    """Return the lines that write the features of columns x[0], x[1], … to an array.

    Raises
    ------
    InputError : dates or times, whose seconds a float cannot tell apart.
    """
    coded = [value for value in map(number_of, marks) if math.isfinite(value)]
    place = 0
    for i, column in enumerate(columns):
        if isinstance(column, MomentColumn):
            raise InputError(
                f"Column {column.name!r} holds dates or times, which a C file cannot read. Export to ONNX, or train "
                f"without it: --drop-columns {column.name!r}."
            )
        if isinstance(column, CategoryColumn):
            absent = len(column.categories) if column.has_missing else column.fill
            code = f"(isnan(x[{i}]) ? {absent} : x[{i}])"
            width = len(column.feature_names)
            if column.coded:
                yield f"{into}[{place}] = {code};"
            else:
                yield f"for (int k = 0; k < {width}; ++k) {into}[{place} + k] = {code} == k;"
            place += width
            continue
        absent_if = " || ".join([f"isnan(x[{i}])", *(f"x[{i}] == (real){value!r}" for value in coded)])
        yield (
            f"{into}[{place}] = (real)((({absent_if}) ? {column.fill!r} : x[{i}]) - {column.shift!r}) / "
            f"(real){column.scale!r};"
        )
        if column.has_missing:
            yield f"{into}[{place + 1}] = {absent_if};"
        place += len(column.feature_names)


def expansion_lines(expansion: Expansion) -> Iterator[str]:
    """Return the lines that write features f[0], f[1], … made of columns c[0], c[1], …."""
    for columns, features, column in expansion.runs():
        j, first = columns.start, features.start
        if column is None:
            count = columns.stop - j
            yield f"for (int k = 0; k < {count}; ++k) f[{first} + k] = c[{j} + k];"
        elif isinstance(column, Binned):
            yield f"static const real edges_{j}[] = {{{numbers(column.edges)}}};"
            yield f"f[{first}] = c[{j}];"
            yield f"bins(c[{j}], edges_{j}, {len(column.edges) - 1}, f + {first + 1});"
        elif isinstance(column, Indicators) and column.categories == 2:
            yield f"f[{first}] = c[{j}] < 0 ? 0 : 2 * c[{j}] - 1;"
        elif isinstance(column, Indicators):
            yield f"for (int k = 0; k < {column.categories}; ++k) f[{first} + k] = c[{j}] == k;"
        else:
            yield from _target_means(column, j, first)


def _target_means(column: TargetMeans, j: int, first: int) -> Iterator[str]:
    k, o = column.categories, column.width
    rows = ", ".join(numbers(row) for row in (*column.means, column.unknown))
    yield f"const int row_{j} = c[{j}] >= 0 && c[{j}] < {k} ? (int)c[{j}] : {k};"
    yield f"static const real means_{j}[{k + 1} * {o}] = {{{rows}}};"
    yield (f"for (int o = 0; o < {o}; ++o) f[{first} + o] = means_{j}[row_{j} * {o} + o];")
