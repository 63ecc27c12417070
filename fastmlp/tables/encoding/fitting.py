"""Fitting columns and targets to the training rows: medians, means, deviations, categories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.encoding.columns import CategoryColumn, Column, MomentColumn, NumberColumn, mean_and_std
from fastmlp.tables.encoding.plan import Plan, target_values
from fastmlp.tables.encoding.targets import NumberTarget, Target
from fastmlp.tables.meaning.kind import Kind, shown
from fastmlp.tables.meaning.missing import array_of, matrix_of, present
from fastmlp.tables.meaning.moments import is_time
from fastmlp.tables.meaning.notation import is_either
from fastmlp.tables.parallel import column_chunks, parallel_map
from fastmlp.tables.table import Table

if TYPE_CHECKING:
    import polars

__all__ = ["Part", "fit_columns", "fit_targets"]


class Part:
    """Some rows of a table, selected column by column on access.

    Parameters
    ----------
    table : N rows.
    rows : indices (M,) int64 of the selected rows, ascending.
    """

    def __init__(self, table: Table, rows: np.ndarray) -> None:
        self._table, self._rows = table, rows
        self._is_whole = len(rows) == len(table)

    def __len__(self) -> int:
        return len(self._rows)

    def column(self, name: str) -> polars.Series:
        """Return the M values of a column."""
        return self._picked(self._table.column(name))

    def numbers(self, columns: Sequence[NumberColumn | MomentColumn], marks: Collection[str]) -> np.ndarray:
        """Return K columns as float64 (K, M), NaN where values are missing.

        Raises
        ------
        InputError : a value is neither missing nor of its column's kind.
        """
        series = self._table.columns([column.name for column in columns])
        is_plain = [
            isinstance(one, NumberColumn) and one.notation.allows_bare and self._table.types[one.name].is_numeric()
            for one in columns
        ]
        if all(is_plain):  # faster for many columns
            numbers = matrix_of(series, marks)
            numbers = numbers if self._is_whole else np.take(numbers, self._rows, axis=1)
        else:
            numbers = np.stack([self._one(*one, marks) for one in zip(columns, series, is_plain, strict=True)])
        infinite = np.isinf(numbers)
        if infinite.any():
            position, row = np.argwhere(infinite)[0].tolist()
            self._refuse(columns[position], row)
        return numbers

    def _one(
        self, column: NumberColumn | MomentColumn, whole: polars.Series, is_plain: bool, marks: Collection[str]
    ) -> np.ndarray:
        """The numbers (M,) of one column."""
        values = self._picked(whole)
        if is_plain:
            return array_of(values, marks)
        values = present(values, marks, column.notation if isinstance(column, NumberColumn) else None)
        numbers = column.numbers(values)
        odd = ~np.isfinite(numbers) & values.is_not_null().to_numpy()
        if odd.any():
            self._refuse(column, int(np.flatnonzero(odd)[0]))
        return numbers

    def _picked(self, column: polars.Series) -> polars.Series:
        return column if self._is_whole else column.gather(self._rows)

    def _refuse(self, column: NumberColumn | MomentColumn, row: int) -> NoReturn:
        value = self.column(column.name)[row]
        if isinstance(column, MomentColumn):
            what = "is not a date or time written as in training"
        elif isinstance(value, str) and is_either(value):
            what = (
                "may have another decimal mark than training, or a mark between thousands, of which training had none"
            )
        else:
            unit = column.notation.unit
            what = f"is not a finite number written as in training{f', with {unit}' if unit else ''}"
        held = f"Column {column.name!r} holds {shown(value)} in {self._table.place(int(self._rows[row]))}"
        raise InputError(
            f"{held}, which {what}. Correct it; or train anew, where it stands for a missing value (also_missing) or "
            "the column is left out (drop_columns)."
        )


def fit_columns(plan: Plan, rows: np.ndarray, standardize: bool, codes: bool) -> tuple[Column, ...]:
    """Fit the feature columns of a plan to some rows (M,) of its table.

    `standardize` scales numbers; with `codes`, a column of categories is one feature, see `CategoryColumn.coded`.
    """
    part = Part(plan.table, rows)
    columns: dict[str, Column] = {}
    numeric = [_unfitted(kind) for kind in plan.kinds if kind.kind in ("number", "moment")]

    def of_numbers(chunk: Sequence[NumberColumn | MomentColumn]) -> list[NumberColumn | MomentColumn]:
        return _fit_numbers(chunk, part.numbers(chunk, plan.missing_values), standardize)

    def of_categories(name: str) -> CategoryColumn:
        return CategoryColumn.fit(present(part.column(name), plan.missing_values), codes)

    for fitted in parallel_map(of_numbers, column_chunks(numeric, len(part))):
        columns |= {column.name: column for column in fitted}
    for column in parallel_map(of_categories, [kind.name for kind in plan.kinds if kind.kind == "category"]):
        columns[column.name] = column
    return tuple(columns[kind.name] for kind in plan.kinds if kind.is_used)


def fit_targets(plan: Plan, rows: np.ndarray) -> tuple[Target, ...]:
    """Return the targets of a plan, standardised by the mean and deviation of some rows (M,).

    Raises
    ------
    InputError : a target holds classes, or numbers whose squares overflow.
    """
    part = Part(plan.table, rows)
    fitted = []
    for target in plan.targets:
        if not isinstance(target, NumberTarget):
            raise InputError(
                f"standardize_target=True is for numbers, but the target {target.name!r} holds classes. Pass "
                "task='regression' if they are numbers, else standardize_target=False."
            )
        fitted.append(target.standardized(target_values(part.column(target.name), target, plan.missing_values)))
    return tuple(fitted)


def _unfitted(kind: Kind) -> NumberColumn | MomentColumn:
    if kind.kind == "number":
        return NumberColumn(kind.name, kind.notation, 0.0, 0.0, 1.0, kind.missing > 0, 0.0, 0.0)
    return MomentColumn(kind.name, kind.form, 0.0, 0.0, 1.0, kind.missing > 0, ())


def _fit_numbers(
    columns: Sequence[NumberColumn | MomentColumn], numbers: np.ndarray, standardize: bool
) -> list[NumberColumn | MomentColumn]:
    """Fit K columns to numbers (K, M); NaN is replaced in place by the column's fill value."""
    absent = np.isnan(numbers)
    complete = ~absent.any(axis=1)
    fill = np.zeros(len(columns))
    fill[complete] = _medians(numbers[complete])
    for position in np.flatnonzero(~complete).tolist():
        there = numbers[position, ~absent[position]]
        fill[position] = _medians(there[None]).item() if len(there) else 0.0
        numbers[position, absent[position]] = fill[position]
    shift, scale = mean_and_std([column.name for column in columns], numbers)
    if not standardize:
        shift, scale = np.zeros_like(shift), np.ones_like(scale)
    fitted: list[NumberColumn | MomentColumn] = []
    learned = zip(fill.tolist(), shift.tolist(), scale.tolist(), (~complete).tolist(), strict=True)
    ends = zip(numbers.min(axis=1).tolist(), numbers.max(axis=1).tolist(), strict=True)
    for column, values, facts, (low, high) in zip(columns, numbers, learned, ends, strict=True):
        if isinstance(column, NumberColumn):
            fitted.append(NumberColumn(column.name, column.notation, *facts, low, high))
        else:
            periods = MomentColumn.periods_in(values, column.form != "" and is_time(column.form))
            fitted.append(MomentColumn(column.name, column.form, *facts, periods))
    return fitted


def _medians(numbers: np.ndarray) -> np.ndarray:
    """The medians (K,) of the rows of numbers (K, M), which are reordered in place; np.median takes 8 times as long."""
    half, odd = divmod(numbers.shape[1], 2)
    numbers.partition(half, axis=1)
    upper = numbers[:, half]
    return upper if odd else (numbers[:, :half].max(axis=1) + upper) / 2
