"""From tables of text to arrays, the same way for the training table and every later one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.datasets.columns import CategoricalColumn, CodedColumn, NumericColumn, fit_column, read_column
from fastmlp.datasets.fields import Fields
from fastmlp.datasets.missing import POLICIES, kept_rows
from fastmlp.datasets.table import Table
from fastmlp.datasets.targets import ClassTarget, NumberTarget, choose_task, read_target
from fastmlp.errors import InputError

__all__ = ["MISSING_VALUES", "TableEncoder"]

MISSING_VALUES = ("", "?", "NA", "NaN", "nan")
_TASKS = ("auto", "classification", "regression")


@dataclass(frozen=True)
class TableEncoder:
    """Turns tables into arrays; made by `fit` or `from_dict`.

    A numeric column becomes one feature, a categorical one a feature per category of the fitted table. A
    category that the fitted table lacks gives zeros in all of them; with missing="impute", so does a missing
    value in a categorical column that lacked none. Columns that were not fitted are ignored.

    Attributes
    ----------
    columns : the feature columns, in the order of the features.
    target : the target column, which later tables may lack.
    missing : "error", "drop" or "impute".
    missing_values : texts that stand for no value.
    """

    columns: tuple[NumericColumn | CategoricalColumn, ...]
    target: ClassTarget | NumberTarget
    missing: str
    missing_values: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        table: Table,
        target: str | int | None = None,
        *,
        task: str = "auto",
        categorical: str | Sequence[str] = "auto",
        missing: str = "error",
        missing_values: Sequence[str] = MISSING_VALUES,
        standardize: bool = True,
        standardize_target: bool = False,
        strip_label: str = "",
        drop_columns: Sequence[str] = (),
        codes: bool = False,
    ) -> "TableEncoder":
        """Learn means, deviations, categories and classes from the training table.

        Parameters
        ----------
        table : N rows.
        target : name or number of the target column, negative from the end; None for the last one.
        task : "classification", "regression", or "auto": classification if a target is not a number, or if
            all are whole numbers and at most 20 different ones.
        categorical : names of the categorical columns, or "auto": those where a value is not a number.
        missing : "error" refuses missing values; "drop" leaves their rows out; "impute" puts the mean into
            numeric columns and makes a category of its own in categorical ones.
        missing_values : texts that stand for no value.
        standardize : whether numeric columns get mean 0 and deviation 1.
        standardize_target : the same for the target of a regression; `decode_target` undoes it.
        strip_label : characters to drop at the end of each target, as the full stop of "yes.".
        drop_columns : names of columns to leave out.
        codes : whether a categorical column becomes one feature, the number of its category (see `category_counts`),
            for `fastmlp.tabular.features` to encode.

        Raises
        ------
        InputError : an option outside its range, a column that is not there, missing values that are not
            allowed, or values that do not fit their column.
        """
        _check_choice("task", task, _TASKS)
        _check_choice("missing", missing, POLICIES)
        for option, names in (("missing_values", missing_values), ("drop_columns", drop_columns)):
            _check_texts(option, names)
        if categorical != "auto":
            _check_texts("categorical", categorical)
        target = _target_name(table, target)
        features = _feature_names(table, target, drop_columns)
        for name in () if categorical == "auto" else categorical:
            if name not in features:
                raise InputError(f"categorical={name!r} is not a feature. Features: {_listed(features)}.")
        absent = frozenset(missing_values)
        table = table.take(kept_rows(table, features, target, missing, absent))
        labels = table[target]
        if task == "auto":
            task = choose_task([label.rstrip(strip_label) for label in labels])
        if standardize_target and task == "classification":
            raise InputError(
                f"standardize_target=True is for numbers, but the target {target!r} holds classes. Pass "
                "task='regression' if they are numbers, else standardize_target=False."
            )
        columns = (
            fit_column(
                name,
                table[name],
                absent,
                categorical=None if categorical == "auto" else name in categorical,
                standardize=standardize,
                codes=codes,
            )
            for name in features
        )
        return cls(
            tuple(columns),
            ClassTarget.fit(target, labels, strip_label)
            if task == "classification"
            else NumberTarget.fit(target, labels, strip_label, standardize_target),
            missing,
            tuple(dict.fromkeys(missing_values)),
        )

    @property
    def task(self) -> str:
        """Either "classification" or "regression"."""
        return "classification" if isinstance(self.target, ClassTarget) else "regression"

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names, in the order of the class indices; empty for regression."""
        return self.target.class_names if isinstance(self.target, ClassTarget) else ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """I names: that of a numeric column, "column=category" for a categorical one."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def category_counts(self) -> tuple[int, ...]:
        """I numbers: of categories K where the feature is the code of one, 0 elsewhere."""
        return tuple(
            count
            for column in self.columns
            for count in ([len(column.labels)] if isinstance(column, CodedColumn) else [0] * len(column.feature_names))
        )

    def kept_rows(self, table: Table) -> np.ndarray:
        """Give the numbers (M,) int64 of the rows that `transform` keeps: all, unless missing="drop".

        Raises
        ------
        InputError : a feature column that is not there, missing values that are not allowed, or no row left.
        """
        lacking = [column.name for column in self.columns if column.name not in table.names]
        if lacking:
            raise InputError(
                f"The table lacks the columns {_listed(lacking)}; it has {_listed(table.names)}. Give the "
                "columns that the encoder was fitted on."
            )
        target = self.target.name if self.target.name in table.names else None
        features = [column.name for column in self.columns]
        return kept_rows(table, features, target, self.missing, frozenset(self.missing_values))

    def transform(self, table: Table) -> tuple[np.ndarray, np.ndarray | None]:
        """Encode a table.

        Parameters
        ----------
        table : any number of rows, of which M are kept, see `kept_rows`.

        Returns
        -------
        x (M, I) float64
        y : class indices (M,) int64 or numbers (M,) float64; None if the table has no target column.

        Raises
        ------
        InputError : as for `kept_rows`; a value that does not fit its column; an unknown label.
        """
        table = table.take(self.kept_rows(table))
        absent = frozenset(self.missing_values)
        x = np.zeros((len(table), len(self.feature_names)))
        start = 0
        for column in self.columns:
            stop = start + len(column.feature_names)
            column.encode(table[column.name], absent, x[:, start:stop])
            start = stop
        return x, self.target.encode(table[self.target.name]) if self.target.name in table.names else None

    def decode_target(self, y: np.ndarray) -> np.ndarray:
        """Give the class names (N,) of class indices (N,), or numbers in the table's own unit.

        Raises
        ------
        InputError : what is not a class index.
        """
        return self.target.decode(y)

    def to_dict(self) -> dict[str, Any]:
        """Give dicts, lists, texts, bools and finite numbers, ready for JSON."""
        return {
            "columns": [column.to_dict() for column in self.columns],
            "target": self.target.to_dict(),
            "missing": self.missing,
            "missing_values": list(self.missing_values),
        }

    @classmethod
    def from_dict(cls, data: object) -> "TableEncoder":
        """Build the encoder that `to_dict` wrote; the dictionary may come from anyone.

        Raises
        ------
        InputError : not such a dictionary.
        """
        fields = Fields(data, "A table encoder", ("columns", "target", "missing", "missing_values"))
        columns = tuple(map(read_column, fields.list("columns")))
        target = read_target(fields.value("target"))
        names = [target.name, *(column.name for column in columns)]
        if not columns or len(set(names)) < len(names):
            raise InputError(f"A table encoder needs features and a target of different names, not {names!r:.200}.")
        return cls(columns, target, fields.text("missing", POLICIES), fields.texts("missing_values"))


def _check_choice(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{option}={value!r} is unknown. Choose {' or '.join(map(repr, allowed))}.")


def _check_texts(option: str, value: object) -> None:
    texts = value if isinstance(value, Collection) and not isinstance(value, str) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{option}={value!r} is not a list of texts. Give one, such as ['a', 'b'].")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _target_name(table: Table, target: str | int | None) -> str:
    """Give the name of the target column, which may be given by its number."""
    if isinstance(target, str) and target in table.names:
        return target
    position = -1 if target is None else target
    if type(position) is int and -len(table.names) <= position < len(table.names):
        return table.names[position]
    raise InputError(
        f"target={target!r} is no column of the table. Name one of {_listed(table.names)}, or give its "
        f"number, from 0 to {len(table.names) - 1}."
    )


def _feature_names(table: Table, target: str, dropped: Sequence[str]) -> list[str]:
    """Give the names of the columns that are neither dropped nor the target."""
    candidates = [name for name in table.names if name != target]
    for name in dropped:
        if name not in candidates:
            fault = "is the target" if name == target else "is not in the table"
            raise InputError(f"drop_columns={name!r} {fault}. Columns to choose from: {_listed(candidates)}.")
    features = [name for name in candidates if name not in dropped]
    if not features:
        raise InputError(
            f"Beside the target {target!r} the table has no column to learn from. Add one, check the "
            "delimiter it was read with, or drop fewer columns."
        )
    return features
