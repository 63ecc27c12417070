"""The kind of a column of texts: numbers in a notation, dates and times in a format, or categories."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.dictionary_encoding import as_texts, numbers_of_texts
from fastmlp.tables.frames import polars_module
from fastmlp.tables.meaning.kind import FEW, Kind, category, refuse
from fastmlp.tables.meaning.labels import alike
from fastmlp.tables.meaning.missing import array_of, present
from fastmlp.tables.meaning.moments import formats_of, moments_in, nearly_moments
from fastmlp.tables.meaning.notation import (
    Notation,
    are_infinite,
    is_ambiguous,
    look_like_numbers,
    may_have_thousands,
    nearly_numbers,
    notations_of,
    units_in,
    without_units,
)
from fastmlp.tables.meaning.suspicious_values import far_end, number_notes, row_notes
from fastmlp.tables.table import Table
from fastmlp.tables.text import listed

__all__ = ["Reader", "label_notes"]

_NEARLY = 0.9  # of the values; a column with so many numbers cannot be one of categories
_SOMEWHAT = 0.3  # of the values; so many numbers are worth a message
_OUTCOME = {"identifier": "left out", "category": "taken for categories", "constant": "left out"}
_LONG = "^[0-9]{16,}$"  # more digits than float64 keeps
_ZERO = "^0[0-9]+$"


@dataclass(frozen=True)
class Reader:
    """Infers what columns of texts hold.

    Attributes
    ----------
    table : N rows.
    marks : texts that mark a missing value.
    decimal : decimal mark of numbers that could have either.
    decimal_is_given : whether the user has given that mark.
    day_first : whether 01/02/2023 is in February where the texts do not tell; None for the convention that goes with
        the decimal mark.
    notes : list to which messages for the user are added.
    """

    table: Table
    marks: Collection[str]
    decimal: str
    decimal_is_given: bool
    day_first: bool | None
    notes: list[str]

    def kind(self, column: Any) -> Kind:
        """Return the kind of a column of N texts, dictionary-encoded or not.

        Raises
        ------
        InputError : texts that are nearly all numbers or dates, but not all; several units; too many categories.
        """
        values = present(column, self.marks)
        name, missing = values.name, values.null_count()
        if missing == len(values):
            return Kind(name, "empty", missing)
        counts = values.drop_nulls().value_counts()
        counts = counts.with_columns(as_texts(counts.to_series(0)))
        distinct, rows = counts.to_series(0), len(values) - missing
        if not self.are_codes(distinct):
            found = self._numbers(column, distinct) or self._moments(values, distinct)
            if found is not None:
                return found
            self._check_units(distinct)
        kind = category(name, missing, distinct.to_list(), rows)
        outcome = _OUTCOME[kind.kind]
        if not self.refuse_mixture(values, counts, f"column {name!r}", outcome) and kind.distinct > FEW:
            like = self.likeness(distinct)
            if like:
                self.notes.append(
                    f"column {name!r} is {outcome}, though its texts begin like numbers or dates: {like}; write them "
                    "as such if they are"
                )
        if kind.kind == "category":
            self.notes.extend([*label_notes(f"column {name!r}", distinct.to_list()), *row_notes(name, column)])
        return kind

    def notation(self, distinct: Any) -> Notation | None:
        """Return the notation in which all of D distinct texts are numbers; None if there is none."""
        notations = notations_of(distinct)
        if not notations:
            return None
        notation = next((n for n in notations if n.decimal == self.decimal), notations[0])
        if len(notations) == 1 or self.decimal_is_given:
            return notation
        example = is_ambiguous(distinct)
        delimiter = "" if self.table.layout is None else self.table.layout.delimiter
        if example is not None and (
            "," in example or self.decimal == "," or may_have_thousands(without_units(distinct), delimiter)
        ):
            number = notation.read(polars_module().Series([example]))[0]
            self.notes.append(
                f"column {distinct.name!r}: {example!r} is read as {number:.10g}; --decimal decides otherwise"
            )
        return notation

    def are_codes(self, distinct: Any) -> bool:
        """Whether whole numbers are codes: they have too many digits for float64, or some begin with a zero."""
        if distinct.str.contains(_LONG).all():
            return True
        if not (distinct.str.contains("^[0-9]+$").all() and distinct.str.contains(_ZERO).any()):
            return False
        example = distinct.filter(distinct.str.contains(_ZERO)).min()
        self.notes.append(
            f"column {distinct.name!r} is taken for codes: {example!r} begins with a zero, which a number would not"
        )
        return True

    def _numbers(self, column: Any, distinct: Any) -> Kind | None:
        notation = self.notation(distinct)
        if notation is None:
            return None
        values = present(column, self.marks, notation)
        numbers = numbers_of_texts(values, notation.read)
        absent = np.isnan(numbers)
        missing = int(absent.sum())
        if missing == len(numbers):
            return Kind(column.name, "empty", missing)
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        self.notes.extend(number_notes(column.name, numbers, low, high))
        return Kind(column.name, "constant" if low == high and not missing else "number", missing, notation=notation)

    def _moments(self, values: Any, distinct: Any) -> Kind | None:
        forms = formats_of(distinct)
        if not forms:
            return None
        name, missing = distinct.name, values.null_count()
        values, form = as_texts(values), forms[0]
        if len(forms) > 1:
            day_first = self.decimal == "," if self.day_first is None else self.day_first
            form = next((one for one in forms if one.startswith("%d") == day_first), form)
            if self.day_first is None:
                which, option = ("day", "--no-day-first") if form.startswith("%d") else ("month", "--day-first")
                self.notes.append(
                    f"column {name!r}: the first number of {distinct.min()!r} is taken for the {which}; {option} "
                    "decides otherwise"
                )
        if "%y" in form:
            self.notes.append(f"column {name!r}: two digits of a year are read as 1970 to 2069")
        end = far_end(array_of(moments_in(values, form)))
        if end is not None:
            text = values.filter(moments_in(values, form) == end)[0]
            self.notes.append(
                f"column {name!r} is {text!r} in several rows, far from its other dates; if that stands for a missing "
                f"value, say so by --also-missing={text}"
            )
        return Kind(name, "constant" if len(distinct) == 1 and not missing else "moment", missing, form=form)

    def _check_units(self, distinct: Any) -> None:
        units = units_in(distinct)
        if len(units) > 1:
            raise InputError(
                f"Column {distinct.name!r} holds numbers in several units: {listed(unit or 'none' for unit in units)}. "
                "Convert them to one; or leave the column out (drop_columns), or name it as one of categories "
                "(categorical)."
            )

    def refuse_mixture(self, values: Any, counts: Any, what: str, outcome: str) -> bool:
        """Refuse texts that are nearly all numbers or dates; if some are, add a note and return True.

        Parameters
        ----------
        values : texts (N,), null where they are missing.
        counts : frame of two columns, the distinct texts and their counts.
        what, outcome : the column and what is done with it, for the note.

        Raises
        ------
        InputError : nearly all texts are numbers or dates, but not all.
        """
        distinct, rows = counts.to_series(0), len(values) - values.null_count()
        noted = False
        for readable, kind in (
            (nearly_numbers(distinct), "a finite number"),
            (nearly_moments(distinct), "a date or time"),
        ):
            share, several = counts.filter(readable).to_series(1).sum() / rows, int(readable.sum()) > FEW
            odd = distinct.filter(~readable)
            if not len(odd):
                continue
            if (share >= _NEARLY and several) or (readable.any() and are_infinite(odd)):
                is_odd = as_texts(values).is_in(odd.implode()).fill_null(False)
                remedy = (
                    "or say that it stands for no value (also_missing), or what the column holds (categorical, task)"
                )
                refuse(self.table, values, is_odd, f"{kind}, as others are", remedy)
            if share >= _NEARLY or (share >= _SOMEWHAT and several):
                noted = True
                self.notes.append(
                    f"{what} is {outcome}, though {100 * share:.0f} % of its values are each {kind}: "
                    f"{listed(odd.sort()[:3])} is not; --also-missing may say what it is"
                )
        return noted

    def likeness(self, distinct: Any) -> str:
        """Return examples of D distinct texts, joined, if nearly all begin like numbers or dates; else ""."""
        like = look_like_numbers(distinct)
        return listed(distinct.filter(like).sort()[:3]) if float(like.to_numpy().mean()) >= _NEARLY else ""


def label_notes(what: str, labels: list[str]) -> list[str]:
    """Messages about labels that differ but look alike."""
    groups = alike(labels)
    if not groups:
        return []
    shown = "; ".join(listed(sorted(group)[:4]) for group in sorted(groups)[:3])
    return [f"{what} holds texts that differ only by case, spaces or invisible characters: {shown}; write them alike"]
