"""Moments: dates and times in texts, converted to seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = ["formats_of", "is_time", "moments_in", "nearly_moments", "seconds_of"]

_MONTHS = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAYS = {  # pattern of a date, and the formats it may have
    r"\d{4}-\d\d?-\d\d?": ("%Y-%m-%d",),
    r"\d{4}/\d\d?/\d\d?": ("%Y/%m/%d",),
    r"\d{4}\.\d\d?\.\d\d?": ("%Y.%m.%d",),
    r"\d\d?\.\d\d?\.\d{4}": ("%d.%m.%Y",),
    r"\d\d?/\d\d?/\d{4}": ("%m/%d/%Y", "%d/%m/%Y"),
    r"\d\d?-\d\d?-\d{4}": ("%m-%d-%Y", "%d-%m-%Y"),
    r"\d{4}-\d\d": ("%Y-%m",),
    r"\d{4}/\d\d": ("%Y/%m",),
    r"\d\d?/\d{4}": ("%m/%Y",),
    r"\d\d?\.\d\d?\.\d\d": ("%d.%m.%y",),
    r"\d\d?/\d\d?/\d\d": ("%m/%d/%y", "%d/%m/%y"),
    rf"\d\d?-{_MONTHS}-\d{{4}}": ("%d-%b-%Y", "%d-%B-%Y"),
    rf"\d\d?-{_MONTHS}-\d\d": ("%d-%b-%y",),
    rf"\d\d? {_MONTHS} \d{{4}}": ("%d %b %Y", "%d %B %Y"),
    rf"{_MONTHS} \d\d?, \d{{4}}": ("%b %d, %Y", "%B %d, %Y"),
    r"(?=\d)": ("",),  # a time without a date
}
_TIMES = {
    r"\d\d?:\d\d": "%H:%M",
    r"\d\d?:\d\d:\d\d(?:\.\d+)?": "%H:%M:%S%.f",
    r"\d\d?:\d\d [ap]m": "%I:%M %p",
    r"\d\d?:\d\d:\d\d [ap]m": "%I:%M:%S %p",
    "": "",
}
_ZONE = r"(?:z|utc|[+-]\d\d:?\d\d)"


def formats_of(texts: polars.Series) -> list[str]:
    """Return the formats that fit all of N distinct texts; several where day and month cannot be told apart.

    Where midnight is written as a date without a time, a format has two parts, "with time|date alone".
    """
    lengths = texts.str.len_chars()
    longest, shortest = texts[lengths.arg_max()], texts[lengths.arg_min()]  # type: ignore[index]
    forms = _likely(longest)
    forms += [f"{form}|{day}" for form in forms for day in _likely(shortest) if form != day and form.startswith(day)]
    found = [form for form in forms if not moments_in(texts, form).null_count()]
    # The short and the long name of May are the same, so both formats may fit.
    return found[:1] if "%b" in "".join(found).lower() else found


def nearly_moments(texts: polars.Series) -> polars.Series:
    """Return Boolean (N,): which of N distinct texts fit the one format, of a few samples, that fits most of them."""
    forms = {form for text in texts.sort().gather_every(max(1, len(texts) // 4)) for form in _likely(text)}
    found = [moments_in(texts, form).is_not_null() for form in sorted(forms)]
    return max(found, key=lambda one: one.sum(), default=texts != texts)


def _likely(text: str) -> list[str]:
    """The formats that fit one text."""
    text = text.strip().lower()
    if not (text[:1].isdigit() or text[:3].isalpha()) or len(text) > 40:
        return []
    for day, days in _DAYS.items():
        for time, clock in _TIMES.items():
            gap = "(?P<gap>[ t])" if clock and days[0] else ""
            if (day or time) and (match := re.fullmatch(f"{day}{gap}{time}(?P<zone> ?{_ZONE})?", text, re.ASCII)):
                between = {"t": "T"}.get(match["gap"], match["gap"]) if gap else ""
                zone = "%#z" if match["zone"] else ""
                if zone and not (days[0] and clock):
                    continue
                return [f"{form}{between}{clock}{zone}" for form in days if form or clock]
    return []


def is_time(form: str) -> bool:
    """Whether a format has a time but no date."""
    return "%Y" not in form and "%y" not in form


def moments_in(texts: polars.Series, form: str) -> polars.Series:
    """Convert N texts to Float64 seconds (N,) since 1970, or since midnight; null for a text of another format."""
    pl = polars_module()
    if "|" in form:
        frame = pl.DataFrame([moments_in(texts, one).alias(one) for one in form.split("|")])
        return frame.select(pl.coalesce(pl.all())).to_series()
    if form.endswith("%#z"):
        texts = texts.str.replace("(?i) ?utc$", "Z")
    if "%m" in form and "%d" not in form:  # a month counts as its first day
        texts, form = texts + "/1", form + "/%d"
    zoned, timed = form.endswith("%#z"), "%M" in form
    kind = pl.Time if is_time(form) else pl.Datetime("us", "UTC" if zoned else None) if timed else pl.Date
    seconds = seconds_of(texts.str.strptime(kind, form, strict=False))
    if "%Y" not in form:
        return seconds
    # %Y also accepts a year of two digits, which would be one of antiquity.
    return seconds.to_frame().select(pl.when(pl.first() > -3e10).then(pl.first())).to_series()


def seconds_of(values: polars.Series) -> polars.Series:
    """Convert a column of dates or times to Float64 seconds (N,) since 1970, or since midnight."""
    pl = polars_module()
    if values.dtype == pl.Time:
        return values.cast(pl.Int64).cast(pl.Float64) / 1e9
    return (
        values.cast(pl.Datetime("us", getattr(values.dtype, "time_zone", None))).cast(pl.Int64).cast(pl.Float64) / 1e6
    )
