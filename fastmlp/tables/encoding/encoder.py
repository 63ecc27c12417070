"""The encoder of tables as arrays, fitted to the training table and applied to every later one."""

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
    """Encodes tables as arrays; made by `fit` or `from_dict`.

    Columns of later tables that were not in the training table are ignored. Where no feature marks missing values, they
    count as the median of the training rows, or as their most frequent category.

    Attributes
    ----------
    columns : tuple
        The feature columns, in the order of the features.
    targets : tuple
        The target columns, which need not be in later tables.
    missing : {"error", "drop", "impute"}
        Policy for missing values.
    missing_values : tuple of str
        Texts that mark a missing value.
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
        """Fit an encoder to the training table: means, deviations, categories and classes.

        Parameters
        ----------
        table : Table, data frame or array (N, K)
            N rows; the result of `read_table`, a data frame of Polars, pandas or pyarrow, or an array of numbers.
        target : str, int or sequence of them, optional
            Name or index of the target column, negative from the end. A string that names no column may be an index. A
            list for several columns of numbers, an empty one for a table without a target. By default the last column.
        task : {"auto", "classification", "regression"}
            "auto" is classification if a target is not a number, or if all are at most 20 different whole numbers that
            are repeated.
        categorical : "auto" or sequence of str
            Names of the categorical columns. "auto" takes columns with values that are not numbers, dates or times,
            unless there are nearly as many different ones as rows.
        missing : {"impute", "drop", "error"}
            "impute" replaces missing numbers by the median, makes missing categories a category of their own and drops
            rows without a target; "drop" drops every row with a missing value; "error" refuses them.
        missing_values, also_missing : sequence of str
            Texts that mark a missing value, besides an empty one: a list in place of the default one, and additions to
            it. A number matches in any notation.
        standardize : bool
            Whether numbers, dates and times are scaled to mean 0 and deviation 1.
        standardize_target : bool
            The same for the target of a regression; `decode_target` undoes it.
        strip_label : str
            Characters to strip from the end of each target, such as the full stop of "yes.".
        drop_columns : sequence of str
            Names of columns to leave out.
        decimal : {".", ","}, optional
            Decimal mark of numbers that could have either; by default inferred from other columns.
        day_first : bool, optional
            Whether 1/2/2023 is in February where the column does not tell; by default True with a decimal comma.
        codes : bool
            Whether a column of categories becomes one feature, the index of the category (see `category_counts`), which
            `fastmlp.tables.features.expansion` encodes further.

        Raises
        ------
        InputError
            If an option is out of range, a column is not in the table, missing values are refused, or values do not fit
            their column.
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
        """Fit an encoder by a plan, to some rows (M,) of its table; parameters and errors as in `fit`."""
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
        """The task, "classification" or "regression"; "none" without a target."""
        if not self.targets:
            return "none"
        return "classification" if isinstance(self.targets[0], ClassTarget) else "regression"

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names, in the order of the class indices; empty for regression."""
        return tuple(name for target in self.targets if isinstance(target, ClassTarget) for name in target.class_names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """I names: the column of a number, "column=category" of a category, descriptions for other features."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def category_counts(self) -> tuple[int, ...]:
        """I numbers: K where the feature is the index of one of K categories, 0 for other features."""
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
        """Return the indices (M,) int64 of the rows that `transform` keeps.

        Parameters
        ----------
        table : Table, data frame or array
            N rows.
        targets : bool
            Whether rows must have a target, if the table has the target column.
        allow_none : bool
            Whether M may be 0.
        findings : Findings, optional
            Counts the rows that are left out.

        Raises
        ------
        InputError
            If a feature column is not in the table, missing values are refused, or no row is left.
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
            Indices of the rows to encode, ascending; by default those of `kept_rows`.
        targets : bool
            Whether to encode the targets.
        findings : Findings, optional
            Collects values that training did not have; by default they are logged as warnings.
        storage : Storage, optional
            Memory limit and temporary files of x; by default a third of the free memory, then disk.

        Returns
        -------
        x : array (M, I) float32
            The features.
        y : array or None
            Class indices (M,) int64, numbers (M,) float64, or (M, O) for several targets; None without `targets`, or if
            a target column is not in the table.

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
        """Convert class indices (N,) to class names (N,), or numbers (N,) or (N, O) to the unit of the table.

        Raises
        ------
        InputError
            If y is not class indices, for a classification.
        """
        if len(self.targets) == 1:
            return self.targets[0].decode(y)
        return np.stack([target.decode(y[:, o]) for o, target in enumerate(self.targets)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return dicts, lists, strings, bools and finite numbers, ready for JSON."""
        return {
            "version": _VERSION,
            "columns": [column.to_dict() for column in self.columns],
            "targets": [target.to_dict() for target in self.targets],
            "missing": self.missing,
            "missing_values": list(self.missing_values),
        }

    @classmethod
    def from_dict(cls, data: object) -> TableEncoder:
        """Build an encoder from the dictionary of `to_dict`, which is not trusted.

        Raises
        ------
        InputError
            If it is not such a dictionary, or has another format version.
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
