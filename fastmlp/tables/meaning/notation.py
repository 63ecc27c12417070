"""Numbers in texts: decimal point or comma, marks between thousands, currencies, per cent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.tables.encoding.fields import Fields
from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = [
    *("DECIMALS", "Notation", "are_infinite", "is_ambiguous", "nearly_numbers", "notations_of"),
    *("only_decimal_commas", "units_in"),
]

DECIMALS = (".", ",")
# A mark between thousands stands before exactly three digits; spaces and apostrophes may be such marks with either
# decimal mark. These expressions mean the same to Python and to Polars.
_GROUPS = " '’\u00a0\u202f"
_NUMBER = "^[+-]?(?:[0-9]+|[1-9][0-9]{{0,2}}(?:[{other}{groups}][0-9]{{3}})+)?(?:{mark}[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
_NUMBERS = {
    ".": _NUMBER.format(mark="[.]", other=",", groups=_GROUPS),
    ",": _NUMBER.format(mark=",", other=".", groups=_GROUPS),
}
_AMBIGUOUS = "^[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}$"
_UNIT = "[$€£¥₹]|[A-Z]{1,2}[$]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN"
_BEFORE = f"^([+-]?)\\s*({_UNIT})\\s*"
_AFTER = f"\\s*({_UNIT}|%)$"


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : "." or ",".
    unit : a currency or "%", before or after each number; "" for bare numbers.
    """

    decimal: str = "."
    unit: str = ""

    def read(self, texts: polars.Series) -> polars.Series:
        """Give the numbers (N,) Float64 of N texts; null for a text that is no finite number in this notation."""
        pl = polars_module()
        if self.decimal == "." and not self.unit:
            plain = _finite(pl, texts.cast(pl.Float64, strict=False))
            if plain.null_count() == texts.null_count():
                return plain
        parts = _parts(pl, texts)
        known = parts["unit"].is_in([self.unit] if self.unit == "%" else [self.unit, ""])
        is_number = known & parts["bare"].str.contains(_NUMBERS[self.decimal]) & parts["bare"].str.contains("[0-9]")
        other = "," if self.decimal == "." else "[.]"
        digits = parts["bare"].str.replace_all(f"{other}|[{_GROUPS}]", "").str.replace(",", ".", literal=True)
        numbers = _finite(pl, digits.cast(pl.Float64, strict=False))
        return parts.select(pl.when(is_number).then(numbers).alias(texts.name)).to_series()

    def to_dict(self) -> dict[str, Any]:
        return {"decimal": self.decimal, "unit": self.unit}

    @classmethod
    def from_dict(cls, data: object) -> Notation:
        fields = Fields(data, "The notation of a column", ("decimal", "unit"))
        return cls(fields.text("decimal", DECIMALS), fields.text("unit"))


def notations_of(texts: polars.Series) -> list[Notation]:
    """Give the notations in which all of N distinct texts are finite numbers: none, one, or one of each decimal mark.

    A column of several units has none.
    """
    pl = polars_module()
    units = set(_parts(pl, texts)["unit"].unique()) or {""}
    named = units - {""}
    # A currency may be left out here and there, but 5 beside 5 % may be 500 %.
    if len(named) > 1 or (named == {"%"} and "" in units):
        return []
    candidates = [Notation(decimal, *named) for decimal in DECIMALS]
    return [notation for notation in candidates if not notation.read(texts).null_count()]


def nearly_numbers(texts: polars.Series) -> polars.Series:
    """Give which of N distinct texts are finite numbers (N,) Boolean, in the notation that most of them have."""
    pl = polars_module()
    units = _parts(pl, texts)["unit"]
    named = units.filter(units != "")
    unit = named.mode().min() if len(named) else ""
    return max(
        (Notation(decimal, unit).read(texts).is_not_null() for decimal in DECIMALS), key=lambda found: found.sum()
    )


def units_in(texts: polars.Series) -> list[str]:
    """Give the units of N distinct texts if all of them are numbers with or without one, else nothing."""
    pl = polars_module()
    parts = _parts(pl, texts)
    if any(not Notation(decimal).read(parts["bare"]).null_count() for decimal in DECIMALS):
        return sorted(parts["unit"].unique())
    return []


def are_infinite(texts: polars.Series) -> bool:
    """Whether all of N texts are numbers by name only: infinite, or nan."""
    pl = polars_module()
    return texts.cast(pl.Float64, strict=False).null_count() == 0


def is_ambiguous(texts: polars.Series) -> str | None:
    """Give a number that depends on the decimal mark, such as "1,234", where all that have a mark are like that."""
    pl = polars_module()
    bare = _parts(pl, texts)["bare"]
    marked, alike = bare.str.contains("[.,]"), bare.str.contains(_AMBIGUOUS)
    return texts.filter(marked).min() if marked.any() and alike.filter(marked).all() else None  # type: ignore[return-value]


def only_decimal_commas(texts: list[str]) -> bool:
    """Whether these are numbers, and one of them has a decimal comma for sure."""
    if "," not in "\n".join(texts):
        return False
    with_comma, with_point = (all(re.match(_NUMBERS[decimal], text) for text in texts) for decimal in (",", "."))
    return with_comma and not with_point


def _parts(pl: Any, texts: Any) -> Any:
    """Split texts into a unit, "" where there is none, and what is left: columns `unit` and `bare`."""
    stripped = texts.str.strip_chars().str.replace("−", "-", literal=True).str.replace(r"^\((.+)\)$", "-${1}")
    frame = pl.DataFrame({"text": stripped})
    before, after = pl.col("text").str.extract(_BEFORE, 2), pl.col("text").str.extract(_AFTER, 1)
    bare = pl.col("text").str.replace(_BEFORE, "${1}").str.replace(_AFTER, "")
    return frame.select(unit=pl.coalesce(before, after, pl.lit("")), bare=bare)


def _finite(pl: Any, numbers: Any) -> Any:
    return numbers.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series()
