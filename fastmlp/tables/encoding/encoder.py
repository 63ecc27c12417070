"""From tables to arrays, the same way for the training table and every later one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.encoding.columns import CategoryColumn, Column, NumberColumn, read_column
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.encoding.fitting import Part, fit_columns, fit_targets
from fastmlp.tables.encoding.plan import Plan, kept_rows, make_plan, target_values
from fastmlp.tables.encoding.targets import ClassTarget, NumberTarget, Target, read_target
from fastmlp.tables.encoding.writing import write_features
from fastmlp.tables.fields import Fields
from fastmlp.tables.meaning.missing import MISSING_VALUES, POLICIES
from fastmlp.tables.storage import Storage
from fastmlp.tables.table import Table, as_table
from fastmlp.tables.text import listed

__all__ = ["TableEncoder"]

_VERSION = 2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableEncoder:
    """Turns tables into arrays; made by `fit` or `from_dict`.

    Columns that were not fitted are ignored. Without a feature for it, a missing value counts as the median of the
    training rows, or as their most frequent category.

    Attributes
    ----------
    columns : tuple
        The feature columns, in the order of the features.
    targets : tuple
        The target columns, which later tables may lack.
    missing : {"error", "drop", "impute"}
        What is done about missing values.
    missing_values : tuple of str
        Texts that stand for no value.
    """

    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    missing: str
    missing_values: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        table: Any,
        target: str | int | Sequence[str | int] | None = None,
        *,
        task: str = "auto",
        categorical: str | Sequence[str] = "auto",
        missing: str = "impute",
        missing_values: Sequence[str] = MISSING_VALUES,
        also_missing: Sequence[str] = (),
        standardize: bool = True,
        standardize_target: bool = False,
        strip_label: str = "",
        drop_columns: Sequence[str] = (),
        decimal: str | None = None,
        day_first: bool | None = None,
        codes: bool = False,
    ) -> TableEncoder:
        """Learn means, deviations, categories and classes from the training table.

        Parameters
        ----------
        table : Table, data frame or array (N, K)
            N rows; what `read_table` gives, a data frame of Polars, pandas or pyarrow, or numbers.
        target : str, int or sequence of them, optional
            Name or number of the target column, negative from the end; a text that names no column may be a number; a
            list for several columns of numbers; by default the last one; an empty list for a table that holds features
            alone.
        task : {"auto", "classification", "regression"}
            "auto" is classification if a target is not a number, or if all are at most 20 different whole numbers that
            are repeated.
        categorical : "auto" or sequence of str
            Names of the categorical columns; "auto" takes those with values that are no numbers, dates or times, of
            which there are not nearly as many as rows.
        missing : {"impute", "drop", "error"}
            "impute" fills missing values in, with the median or, for categories, a category of their own, and leaves
            out rows without a target; "drop" leaves out every row that has any; "error" refuses them.
        missing_values, also_missing : sequence of str
            Texts that stand for no value, besides an empty one: a list in place of the usual one, and others beside it.
            One that is a number does so in any notation.
        standardize : bool
            Whether numbers, dates and times get mean 0 and deviation 1.
        standardize_target : bool
            The same for the target of a regression; `decode_target` undoes it.
        strip_label : str
            Characters to drop at the end of each target, as the full stop of "yes.".
        drop_columns : sequence of str
            Names of columns to leave out.
        decimal : {".", ","}, optional
            Decides about numbers that could have either; by default what other columns show.
        day_first : bool, optional
            Whether 1/2/2023 is a day of February, where it could be either; by default what `decimal` suggests.
        codes : bool
            Whether a column of categories becomes one feature, the number of the category (see `category_counts`), for
            `fastmlp.tables.features.expansion` to encode.

        Raises
        ------
        InputError
            If an option is outside its range, a column is not there, missing values are not allowed, or values do not
            fit their column.
        """
        plan = make_plan(
            as_table(table),
            target,
            task=task,
            categorical=categorical,
            missing=missing,
            missing_values=missing_values,
            also_missing=also_missing,
            strip_label=strip_label,
            drop_columns=drop_columns,
            decimal=decimal,
            day_first=day_first,
        )
        for note in plan.notes:
            _LOG.warning("%s", note)
        return cls.of(plan, plan.rows, standardize=standardize, standardize_target=standardize_target, codes=codes)

    @classmethod
    def of(
        cls,
        plan: Plan,
        rows: np.ndarray,
        *,
        standardize: bool = True,
        standardize_target: bool = False,
        codes: bool = False,
    ) -> TableEncoder:
        """Learn what a plan leaves open from some rows (M,) of its table; parameters and errors as for `fit`."""
        targets = fit_targets(plan, rows) if standardize_target else plan.targets
        return cls(fit_columns(plan, rows, standardize, codes), targets, plan.missing, plan.missing_values)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return tuple(target.name for target in self.targets)

    @property
    def has_decimal_commas(self) -> bool:
        """Whether numbers in text have decimal commas."""
        numeric = [one for one in (*self.columns, *self.targets) if isinstance(one, (NumberColumn, NumberTarget))]
        return any(one.notation.decimal == "," for one in numeric)

    @property
    def task(self) -> str:
        """Either "classification" or "regression"; "none" without a target."""
        if not self.targets:
            return "none"
        return "classification" if isinstance(self.targets[0], ClassTarget) else "regression"

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names, in the order of the class indices; empty for regression."""
        return tuple(name for target in self.targets if isinstance(target, ClassTarget) for name in target.class_names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """I names: that of a column of numbers, "column=category" for categories, and others that say what they are."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def category_counts(self) -> tuple[int, ...]:
        """I numbers: of categories K where the feature is the number of one, 0 elsewhere."""
        counts: list[int] = []
        for column in self.columns:
            if isinstance(column, CategoryColumn) and column.coded:
                counts.append(len(column.labels))
            else:
                counts += [0] * len(column.feature_names)
        return tuple(counts)

    def kept_rows(
        self, table: Any, *, targets: bool = True, allow_none: bool = False, findings: Findings | None = None
    ) -> np.ndarray:
        """Give the numbers (M,) int64 of the rows that `transform` keeps.

        Parameters
        ----------
        table : Table, data frame or array
            N rows.
        targets : bool
            Whether rows must have a target, where the table has the column.
        allow_none : bool
            Whether M may be 0.
        findings : Findings, optional
            Takes note of the rows that are left out.

        Raises
        ------
        InputError
            If a feature column is not there, missing values are not allowed, or no row is left.
        """
        table = as_table(table)
        known = set(table.names)
        lacking = [column.name for column in self.columns if column.name not in known]
        if lacking:
            raise InputError(
                f"The table lacks the columns {listed(lacking)}; it has {listed(table.names)}. Give the columns that "
                "the encoder was fitted on."
            )
        there = self._targets_in(table) if targets else ()
        features = [column.name for column in self.columns]
        rows, _ = kept_rows(table, features, there, self.missing, self.missing_values, allow_none=allow_none)
        if findings is not None:
            findings.add_dropped(len(table) - len(rows))
        return rows

    def transform(
        self,
        table: Any,
        *,
        rows: np.ndarray | None = None,
        targets: bool = True,
        findings: Findings | None = None,
        storage: Storage | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Encode a table.

        Parameters
        ----------
        table : Table, data frame or array
            N rows.
        rows : array (M,), optional
            Numbers of the rows to encode, ascending; by default those of `kept_rows`.
        targets : bool
            Whether to look at the targets.
        findings : Findings, optional
            Takes note of what the training rows had not; by default a warning is logged.
        storage : Storage, optional
            Where x lies; by default in memory as far as a third of what is free suffices, else on the disk.

        Returns
        -------
        x : array (M, I) float32
            The features.
        y : array or None
            Class indices (M,) int64, numbers (M,) float64, or (M, O) of several targets; None if they are not looked
            at, or the table lacks one.

        Raises
        ------
        InputError
            As for `kept_rows`; if a value does not fit its column, or a label is unknown.
        """
        table = as_table(table)
        found = Findings() if findings is None else findings
        rows = self.kept_rows(table, targets=targets, findings=found) if rows is None else rows
        if (np.diff(rows) <= 0).any():
            raise InputError("rows must ascend, each of them once. Sort them, and reorder what is encoded.")
        x = (storage or Storage()).array((len(rows), len(self.feature_names)), np.float32)
        found.add(write_features(self.columns, table, rows, self.missing_values, x))
        if findings is None:
            for line in found.lines():
                _LOG.warning("%s", line)
        there = self._targets_in(table) if targets else ()
        if not there or len(there) < len(self.targets):
            return x, None
        part = Part(table, rows)
        y = [one.encode(target_values(part.column(one.name), one, self.missing_values)) for one in there]
        return x, y[0] if len(y) == 1 else np.stack(y, axis=1)

    def decode_target(self, y: np.ndarray) -> np.ndarray:
        """Give the class names (N,) of class indices (N,), or numbers (N,) or (N, O) in the table's own unit.

        Raises
        ------
        InputError
            If there is anything but class indices.
        """
        if len(self.targets) == 1:
            return self.targets[0].decode(y)
        return np.stack([target.decode(y[:, o]) for o, target in enumerate(self.targets)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Give dicts, lists, texts, bools and finite numbers, ready for JSON."""
        return {
            "version": _VERSION,
            "columns": [column.to_dict() for column in self.columns],
            "targets": [target.to_dict() for target in self.targets],
            "missing": self.missing,
            "missing_values": list(self.missing_values),
        }

    @classmethod
    def from_dict(cls, data: object) -> TableEncoder:
        """Build the encoder that `to_dict` wrote; the dictionary may come from anyone.

        Raises
        ------
        InputError
            If it is no such dictionary, or one of another version of fastmlp.
        """
        if isinstance(data, dict) and data.get("version") != _VERSION:
            raise InputError(
                f"The table encoder has the version {data.get('version', 1)!r:.100}, and this fastmlp reads version "
                f"{_VERSION}. Train the model anew, or use it with the fastmlp that wrote it."
            )
        fields = Fields(data, "A table encoder", ("version", "columns", "targets", "missing", "missing_values"))
        columns = tuple(map(read_column, fields.list("columns")))
        targets = tuple(map(read_target, fields.list("targets")))
        names = [*(target.name for target in targets), *(column.name for column in columns)]
        if not columns or len(set(names)) < len(names):
            raise InputError(f"A table encoder needs features and targets of different names, not {names!r:.200}.")
        if len(targets) > 1 and any(isinstance(target, ClassTarget) for target in targets):
            raise InputError("A table encoder has several targets only where all are numbers.")
        return cls(columns, targets, fields.text("missing", POLICIES), fields.texts("missing_values"))

    def _targets_in(self, table: Table) -> tuple[Target, ...]:
        known = set(table.names)
        return tuple(target for target in self.targets if target.name in known)
