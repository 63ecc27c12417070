"""The plan of a table: features, targets and samples, chosen by all rows before any are held out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.encoding.targets import ClassTarget, Target, stripped
from fastmlp.tables.encoding.tasks import TASKS, find_target
from fastmlp.tables.meaning.kind import Kind
from fastmlp.tables.meaning.kinds import decimal_of, find_kinds
from fastmlp.tables.meaning.missing import MISSING_VALUES, POLICIES, present
from fastmlp.tables.meaning.texts import Reader
from fastmlp.tables.table import Table
from fastmlp.tables.text import is_text, listed

if TYPE_CHECKING:
    import polars

__all__ = ["Plan", "kept_rows", "make_plan", "target_values"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Which columns of a table are features and targets, and which rows are samples.

    Attributes
    ----------
    table : N rows.
    kinds : of all columns except targets and dropped ones, in the order of the table.
    targets : one; several if all are numbers; none for a table without a target.
    rows : indices (M,) int64 of the samples, ascending.
    missing, missing_values : policy for missing values, and the texts that mark them.
    notes : messages for the user.
    """

    table: Table
    kinds: tuple[Kind, ...]
    targets: tuple[Target, ...]
    rows: np.ndarray
    missing: str
    missing_values: tuple[str, ...]
    notes: tuple[str, ...]

    def classes(self) -> np.ndarray | None:
        """Return the class indices (M,) int64 of the samples; None for a regression."""
        target = self.targets[0] if self.targets else None
        if not isinstance(target, ClassTarget):
            return None
        return target.encode(
            target_values(self.table.column(target.name), target, self.missing_values).gather(self.rows)
        )


def make_plan(
    table: Table,
    target: str | int | Sequence[str | int] | None = None,
    *,
    task: str = "auto",
    categorical: str | Sequence[str] = "auto",
    missing: str = "impute",
    missing_values: Sequence[str] = MISSING_VALUES,
    also_missing: Sequence[str] = (),
    strip_label: str = "",
    drop_columns: Sequence[str] = (),
    decimal: str | None = None,
    day_first: bool | None = None,
) -> Plan:
    """Choose features, targets and samples of a table; parameters and errors as in `TableEncoder.fit`."""
    _check_choice("task", task, TASKS)
    _check_choice("missing", missing, POLICIES)
    _check_texts("missing_values", missing_values)
    _check_texts("also_missing", also_missing)
    _check_texts("drop_columns", drop_columns)
    chosen = () if categorical == "auto" else categorical
    _check_texts("categorical", chosen if categorical == "auto" else categorical)
    names = _target_names(table, target)
    features = _feature_names(table, names, drop_columns)
    for name in chosen:
        if name not in features:
            raise InputError(f"categorical={name!r} is not a feature. Features: {listed(features)}.")
    marks, notes = tuple(dict.fromkeys((*missing_values, *also_missing))), list(table.notes)
    reader = Reader(table, marks, decimal or decimal_of(table, marks), decimal is not None, day_first, notes)
    kinds = find_kinds(reader, features, chosen)
    task = "regression" if len(names) > 1 and task == "auto" else task
    # Marks that the user has listed are never classes.
    certain = also_missing if tuple(missing_values) == MISSING_VALUES else marks
    targets = tuple(find_target(reader, name, task=task, certain=certain, strip_label=strip_label) for name in names)
    if len(targets) > 1 and any(isinstance(one, ClassTarget) for one in targets):
        raise InputError("Several targets must be numbers. Choose one target, or task='regression'.")
    used = [kind.name for kind in kinds if kind.is_used]
    if not used:
        reasons = ", ".join(sorted({kind.kind for kind in kinds}))
        raise InputError(
            f"No column is left to learn from: those besides the target are {reasons} ({listed(features)}). Add "
            "columns, check the delimiter, or list columns in categorical that hold categories."
        )
    notes += _left_out(kinds)
    rows, more = kept_rows(table, [one.name for one in kinds if one.is_used and one.missing], targets, missing, marks)
    return Plan(table, tuple(kinds), targets, rows, missing, marks, (*notes, *more))


def kept_rows(
    table: Table,
    features: Sequence[str],
    targets: Sequence[Target],
    policy: str,
    marks: Collection[str],
    *,
    allow_none: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Choose the rows to encode.

    Parameters
    ----------
    table : N rows.
    features : names of feature columns that may have missing values.
    targets : those that are in the table.
    policy : "error" refuses missing values, "drop" drops their rows, "impute" drops only rows without a target.
    marks : texts that mark a missing value.
    allow_none : whether M may be 0.

    Returns
    -------
    rows (M,) int64, ascending; and messages for the user.

    Raises
    ------
    InputError : missing values that the policy refuses, or no row left.
    """
    looked_at = features if policy != "impute" else ()
    absent = {name: present(table.column(name), marks).is_null().to_numpy() for name in looked_at}
    lacking = {one.name: target_values(table.column(one.name), one, marks).is_null().to_numpy() for one in targets}
    every = absent | lacking
    counts = {name: int(mask.sum()) for name, mask in every.items() if mask.any()}
    if not counts:
        return np.arange(len(table)), []
    columns = listed_counts(counts)
    if policy == "error":
        first = table.place(int(np.flatnonzero(np.any(list(every.values()), axis=0))[0]))
        raise InputError(
            f"Values are missing in {columns}, of {len(table)} rows, the first in {first}. Fill them in; or train with "
            "missing='drop', which leaves such rows out, or missing='impute', which fills the features in."
        )
    rows = np.flatnonzero(~np.any(list(every.values()), axis=0))
    if not rows.size and not allow_none:
        raise InputError(
            f"Each of the {len(table)} rows lacks a value: they are missing in {columns}. List columns in "
            "drop_columns, choose another target, or pass missing='impute', which needs targets only."
        )
    return rows, [f"{len(table) - len(rows):,} of {len(table):,} rows are left out: values are missing in {columns}"]


def target_values(column: polars.Series, target: Target, marks: Collection[str]) -> polars.Series:
    """Return the N values of a target column, null where they are missing; a mark that is also a class is kept."""
    values = stripped(column, target.strip_label)
    if isinstance(target, ClassTarget):
        return present(values, set(marks) - set(target.class_names))
    return present(values, marks, target.notation)


def listed_counts(counts: dict[str, int]) -> str:
    """Join names with their counts: the first ten, then the number of the others."""
    shown = [f"{name!r} ({number:,})" for name, number in counts.items()]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10:,} more" if len(shown) > 10 else "")


def _left_out(kinds: Sequence[Kind]) -> list[str]:
    identifiers = [f"{kind.name!r} ({kind.example!r}, …)" for kind in kinds if kind.kind == "identifier"]
    if not identifiers:
        return []
    more = f" and {len(identifiers) - 10:,} more" if len(identifiers) > 10 else ""
    return [
        f"left out, as their texts differ in nearly every row: {', '.join(identifiers[:10])}{more}; --categorical "
        "takes them as categories, --drop-columns says that they may go"
    ]


def _check_choice(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{option}={value!r} is unknown. Choose {' or '.join(map(repr, allowed))}.")


def _check_texts(option: str, value: object) -> None:
    texts = value if isinstance(value, Collection) and not isinstance(value, str) else [None]
    if not all(map(is_text, texts)):
        raise InputError(f"{option}={value!r} is not a list of texts. Give one, such as ['a', 'b'].")


def _target_names(table: Table, target: str | int | Sequence[str | int] | None) -> list[str]:
    """Return the names of the target columns, given by name or, if no column has that name, by index."""
    wanted = [-1 if target is None else target] if target is None or isinstance(target, (str, int)) else list(target)
    names: list[str] = []
    for one in wanted:
        place = int(one) if isinstance(one, str) and re.fullmatch("-?[0-9]{1,9}", one) else one
        if isinstance(one, str) and one in table.names:
            names.append(one)
        elif type(place) is int and -len(table.names) <= place < len(table.names):
            names.append(table.names[place])
        else:
            hint = " Check the delimiter: the table has one column." if len(table.names) == 1 else ""
            raise InputError(
                f"target={one!r} is no column of the table. Name one of {listed(table.names)}, or give its number, "
                f"from 0 to {len(table.names) - 1}.{hint}"
            )
    if len(set(names)) < len(names):
        raise InputError(f"target={target!r} names a column twice. Name different ones.")
    return names


def _feature_names(table: Table, targets: Sequence[str], dropped: Sequence[str]) -> list[str]:
    """Return the names of the columns that are neither dropped nor targets."""
    candidates = [name for name in table.names if name not in targets]
    known = set(candidates)
    for name in dropped:
        if name not in known:
            fault = "is the target" if name in targets else "is not in the table"
            raise InputError(f"drop_columns={name!r} {fault}. Columns to choose from: {listed(candidates)}.")
    out = set(dropped)
    features = [name for name in candidates if name not in out]
    if not features:
        raise InputError(
            f"Besides the target {listed(targets)} the table has no column to learn from. Add one, check the "
            "delimiter it was read with, or drop fewer columns."
        )
    return features
