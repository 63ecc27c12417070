"""Numbers written as texts: decimal marks, thousands separators, currencies, per cent."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastmlp.tables.fields import Fields
from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = [
    *("DECIMALS", "Notation", "are_infinite", "are_numbers", "is_ambiguous", "is_either", "look_like_numbers"),
    *("may_have_thousands", "nearly_numbers", "notations_of", "only_decimal_commas", "units_in", "without_units"),
]

DECIMALS = (".", ",")
# A thousands separator stands before exactly three digits; in India also before two digits further left. Spaces and
# apostrophes may be separators with either decimal mark. 1E2 may be a code; 1E+2 and 1.0E2 are numbers. These
# expressions mean the same to Python and to Polars, except for _AFTER, which is for Polars.
_GROUPS = " '’\u00a0\u202f\u2009"
_WHOLE = "(?:[0-9]+|[1-9][0-9]{{0,2}}(?:[{other}{groups}][0-9]{{2,3}})*[{other}{groups}][0-9]{{3}})"
_NUMBER = f"^[+-]?(?:{_WHOLE}(?:[eE][+-][0-9]+)?|{_WHOLE}?{{mark}}[0-9]*(?:[eE][+-]?[0-9]+)?)$"
_NUMBERS = {
    ".": _NUMBER.format(mark="[.]", other=",", groups=_GROUPS),
    ",": _NUMBER.format(mark=",", other=".", groups=_GROUPS),
}
_EITHER = "^[+-]?[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}$"
_AMBIGUOUS = _EITHER.format(mark="[.,]")
_LIKE_A_CODE = "^[+-]?[0-9]+[eE][0-9]"
_CURRENCY = "[$€£¥₹]|[A-Z]{1,2}[$]|Rs[.]?|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN"
_BEFORE = f"^([+-]?)\\s*({_CURRENCY})\\s*"
_AFTER = f"\\s*({_CURRENCY}|%|°?[\\p{{L}}]{{1,5}}[²³]?)$"


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : "." or ",".
    unit : the currency, "%" or letters such as "kg" before or after each number; "" for bare numbers.
    grouped : whether some numbers have thousands separators. If not, "1,234" in a later table is not read as 1234,
        since the comma may as well be a decimal mark.
    """

    decimal: str = "."
    unit: str = ""
    grouped: bool = False

    @property
    def allows_bare(self) -> bool:
        """Whether the unit may be omitted: a currency may, but 5 in a column of per cents may mean 500 %."""
        return not self.unit or re.fullmatch(_CURRENCY, self.unit) is not None

    def read(self, texts: polars.Series) -> polars.Series:
        """Convert N texts to Float64 numbers (N,); null for a text that is not a finite number in this notation."""
        pl = polars_module()
        if self.decimal == "." and not self.unit:
            plain = _finite(pl, texts.cast(pl.Float64, strict=False))
            if plain.null_count() == texts.null_count() and not texts.str.contains(_LIKE_A_CODE).any():
                return plain
        parts = _parts(pl, texts)
        known = [self.unit, ""] if self.allows_bare else [self.unit]
        other = "," if self.decimal == "." else "[.]"
        is_number = (
            pl.col("unit").is_in(known)
            & pl.col("bare").str.contains(_NUMBERS[self.decimal])
            & pl.col("bare").str.contains("[0-9]")
        )
        if not self.grouped:
            is_number &= ~pl.col("bare").str.contains(_EITHER.format(mark=other))
        digits = pl.col("bare").str.replace_all(f"{other}|[{_GROUPS}]", "").str.replace(",", ".", literal=True)
        numbers = _finite(pl, parts.select(pl.when(is_number).then(digits)).to_series().cast(pl.Float64, strict=False))
        return numbers.alias(texts.name)

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_dict(cls, data: object) -> Notation:
        fields = Fields(data, "The notation of a column", ("decimal", "unit", "grouped"))
        return cls(fields.text("decimal", DECIMALS), fields.text("unit"), fields.flag("grouped"))


def notations_of(texts: polars.Series) -> list[Notation]:
    """Return the notations in which all of N distinct texts are finite numbers: at most one for each decimal mark.

    There is none for texts with several units.
    """
    pl = polars_module()
    parts = _parts(pl, texts)
    units = set(parts["unit"].unique()) or {""}
    named = units - {""}
    if len(named) > 1 or ("" in units and named and not Notation(unit=min(named)).allows_bare):
        return []
    found = []
    for decimal in DECIMALS:
        notation = Notation(decimal, min(named, default=""), grouped=True)
        if not notation.read(texts).null_count():
            marks = _GROUPS + ("," if decimal == "." else ".")
            found.append(replace(notation, grouped=bool(parts["bare"].str.contains(f"[{marks}]").any())))
    return found


def nearly_numbers(texts: polars.Series) -> polars.Series:
    """Return Boolean (N,): which of N distinct texts are finite numbers, in the notation that fits most of them."""
    pl = polars_module()
    units = _parts(pl, texts)["unit"]
    named = units.filter((units != "") & texts.str.contains("[0-9]"))
    unit = named.mode().min() if len(named) else ""
    every = (Notation(decimal, one, True) for decimal in DECIMALS for one in {unit, ""})
    return max((notation.read(texts).is_not_null() for notation in every), key=lambda found: found.sum())


def look_like_numbers(texts: polars.Series) -> polars.Series:
    """Return Boolean (N,): which of N distinct texts begin like a number, whatever follows."""
    return texts.str.contains(f"^[+-]?\\s*(?:{_CURRENCY})?\\s*[.,]?[0-9]")


def are_numbers(texts: polars.Series) -> polars.Series:
    """Return Boolean (N,): which of N texts are numbers in any notation, with or without a currency or %."""
    pl = polars_module()
    bare = pl.col("bare")
    is_number = bare.str.contains(_NUMBERS["."]) | bare.str.contains(_NUMBERS[","])
    has_unit = pl.col("unit").str.contains(f"^(?:{_CURRENCY}|%|)$")
    return _parts(pl, texts).select(is_number & has_unit & bare.str.contains("[0-9]")).to_series()


def units_in(texts: polars.Series) -> list[str]:
    """Return the units of N distinct texts if all are numbers with or without a currency or %, else an empty list."""
    pl = polars_module()
    parts = _parts(pl, texts)
    units = sorted(parts["unit"].unique())
    if not all(re.fullmatch(f"{_CURRENCY}|%|", unit) for unit in units):
        return []
    is_read = any(not Notation(decimal, grouped=True).read(parts["bare"]).null_count() for decimal in DECIMALS)
    return units if is_read else []


def without_units(texts: polars.Series) -> list[str]:
    """Return N texts without their units."""
    bare: list[str] = _parts(polars_module(), texts)["bare"].to_list()
    return bare


def are_infinite(texts: polars.Series) -> bool:
    """Whether all of N texts are accepted as float64, such as inf and nan, though they are not finite numbers."""
    pl = polars_module()
    return texts.cast(pl.Float64, strict=False).null_count() == 0 and not texts.str.contains(_LIKE_A_CODE).any()


def is_ambiguous(texts: polars.Series) -> str | None:
    """Return a text such as "1,234", whose value depends on the decimal mark, if all with a mark are like that."""
    pl = polars_module()
    bare = _parts(pl, texts)["bare"]
    marked, alike = bare.str.contains("[.,]"), bare.str.contains(_AMBIGUOUS)
    return texts.filter(marked).min() if marked.any() and alike.filter(marked).all() else None  # type: ignore[return-value]


def is_either(text: str) -> bool:
    """Whether the mark of a text such as "1,234" may be a decimal mark or a thousands separator."""
    return re.match(_AMBIGUOUS, text) is not None


def may_have_thousands(texts: list[str], delimiter: str) -> bool:
    """Whether the point in numbers such as 1.250 may be a thousands separator.

    All numbers with a point must have three digits after it; and some have no point, though numbers with three decimals
    would all have one, or the delimiter is the semicolon, as in countries with a decimal comma.
    """
    marked = [text for text in texts if "." in text]
    alike = bool(marked) and all(re.match(_AMBIGUOUS, text) for text in marked)
    return alike and (delimiter == ";" or len(marked) < len(texts))


def only_decimal_commas(texts: list[str]) -> bool:
    """Whether all texts are numbers with a decimal comma and not all are numbers with a decimal point."""
    if "," not in "\n".join(texts):
        return False
    with_comma, with_point = (all(re.match(_NUMBERS[decimal], text) for text in texts) for decimal in (",", "."))
    return with_comma and not with_point


def _parts(pl: Any, texts: Any) -> Any:
    """Split texts into the columns `unit`, "" where there is none, and `bare`, the rest in a uniform spelling."""
    text = (
        pl.col("text")
        .str.strip_chars()
        .str.replace('^="(.*)"$', "${1}")  # protects a number from changes by Excel
        .str.replace("^[−–]", "-")
        .str.replace(r"^\((.+)\)$", "-${1}")  # negative numbers in accounting
        .str.replace(r"^([0-9].*[0-9])-$", "-${1}")  # negative numbers in SAP
        .str.replace(r"^([+-])\s+", "${1}")
        .str.replace(r"([0-9])[.,][-–]+$", "${1}")  # 12.- is 12
    )
    frame = pl.DataFrame({"text": texts}).select(text)
    before, after = pl.col("text").str.extract(_BEFORE, 2), pl.col("text").str.extract(_AFTER, 1)
    bare = pl.col("text").str.replace(_BEFORE, "${1}").str.replace(_AFTER, "").str.replace(r"^\((.+)\)$", "-${1}")
    return frame.select(unit=pl.coalesce(before, after, pl.lit("")), bare=bare)


def _finite(pl: Any, numbers: Any) -> Any:
    return numbers.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series()
