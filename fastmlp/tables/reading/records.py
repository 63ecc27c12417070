"""Records of a CSV file: the delimiter, blocks of whole records for Polars, and line numbers."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from fastmlp.errors import InputError
from fastmlp.tables.reading.source import utf8_chunks

__all__ = ["Layout", "blocks", "check_records", "find_layout", "line_of"]

_DELIMITERS = "\t;|,"  # in order of preference: a comma may be part of a number
_SAMPLED = 1000  # records from which the layout is inferred
_BLOCK = 1 << 23  # bytes
_REWRITTEN = 10_000  # records of a block that is rewritten for Polars


@dataclass(frozen=True)
class Layout:
    """How a CSV file is laid out.

    Attributes
    ----------
    path, encoding : of the file; encoding is None for UTF-8 or the encoding of the byte order mark.
    delimiter : character between fields.
    skip_lines : number of lines before the header or, without one, the first row.
    names : column names as in the header; None without a header.
    width : number of fields of a record.
    start : number of lines before the first row.
    """

    path: str | os.PathLike[str]
    encoding: str | None
    delimiter: str
    skip_lines: int
    names: tuple[str, ...] | None
    width: int
    start: int


def find_layout(
    path: str | os.PathLike[str], *, header: bool, delimiter: str | None, skip_lines: int, encoding: str | None
) -> tuple[Layout, list[list[str]]]:
    """Infer the layout from the first records, which are the second result, whatever their number of fields.

    If `delimiter` is None, the one is taken that fits most rows.

    Raises
    ------
    InputError : the file cannot be read, or holds no rows.
    """
    chunks = utf8_chunks(path, encoding, skip_lines, size=1 << 20)
    text = next(chunks, b"").decode()
    declared = re.match("(?:sep=(.))\r?\n", text)  # the first line of some of Excel's files
    if declared and delimiter in (None, declared[1]):
        return find_layout(path, header=header, delimiter=declared[1], skip_lines=skip_lines + 1, encoding=encoding)
    text += next(chunks, b"").decode()  # the first chunk may end within the header
    is_whole = next(chunks, None) is None
    separator = delimiter or _delimiter(text)
    rows = _records(path, io.StringIO(text, newline=""), separator, skip_lines, ragged=True)
    try:
        sampled = list(islice(rows, _SAMPLED + 1))
    except InputError:
        if is_whole:
            raise
        sampled = []
    if not is_whole and len(sampled) <= _SAMPLED and len(sampled) > 1:
        sampled.pop()  # may be cut off by the end of the chunk
    if not sampled:
        after = f" after {skip_lines} skipped lines" if skip_lines else ""
        raise InputError(f"The file {path} holds no rows{after}. Name a file with data.")
    (first, line), *rest = sampled
    if header and not rest:
        raise InputError(
            f"The file {path} holds column names, but no rows. Add rows, or pass header=False if the first line is one."
        )
    values = [fields for fields, _ in (rest if header else sampled)]
    width = len(first)
    if header and all(len(row) == width + 1 for row in values):
        width += 1
        # Every row but the header ends with a delimiter; or the column of row names has no name, as in files of R.
        first = first if all(not row[-1] for row in values) else ["", *first]
    start = line if header else skip_lines
    return Layout(path, encoding, separator, skip_lines, tuple(first) if header else None, width, start), values


def _delimiter(text: str) -> str:
    """The delimiter with which most rows have as many fields as the first, or one more, and at least two."""

    def agreement(delimiter: str) -> float:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            widths = [len(row) for row in islice(reader, _SAMPLED) if row]
        except csv.Error:
            return 0.0
        first, *others = widths or [0]
        most = max(others.count(first), others.count(first + 1)) if others else 1
        return most / max(1, len(others)) if first > 1 else 0.0

    best = max(_DELIMITERS, key=agreement)
    return best if agreement(best) > 0.5 else ","


def blocks(layout: Layout) -> Iterator[bytes]:
    """Yield the rows of a file in blocks of CSV that Polars reads correctly: no blank lines, regular quotes and widths.

    Regular blocks are passed on unchanged. From the first irregular block on, the file goes through Python's `csv`,
    which accepts more and names the line of an error.
    """
    size = max(
        _BLOCK, layout.width << 11
    )  # Polars needs time for each column of a block, so wide tables get larger ones
    chunks = utf8_chunks(layout.path, layout.encoding, layout.start, size)
    rest, line = b"", layout.start
    for chunk in chain(chunks, [b""]):
        if chunk:
            block, rest = _cut(rest, chunk)
        else:
            last = rest.rstrip(b"\r\n")
            block, rest = last and last + b"\n", b""
        if not block:
            continue
        feeds = _count(block, "\n")
        if not _is_regular(block, feeds, layout):
            lines = _lines(chain([block, rest], chunks))
            yield from _rewritten(_records(layout.path, lines, layout.delimiter, line, layout.width), layout.delimiter)
            return
        yield block
        line += feeds


def _cut(rest: bytes, chunk: bytes) -> tuple[bytes, bytes]:
    """Split a rest and the chunk after it into whole records and a new rest.

    A record ends with a line feed outside of quotes, that is, after an even number of quotes.
    """
    if b'"' not in chunk and b'"' not in rest:
        end = chunk.rfind(b"\n") + 1
        if not end:
            return b"", rest + chunk
        return b"".join([rest, memoryview(chunk)[:end]]), chunk[end:]
    data = rest + chunk
    quotes, feeds = _positions(data, '"'), _positions(data, "\n")
    outside = feeds[np.searchsorted(quotes, feeds) % 2 == 0]
    end = int(outside[-1]) + 1 if outside.size else 0
    return data[:end], data[end:]


def _positions(data: bytes, character: str) -> np.ndarray:
    return np.flatnonzero(np.frombuffer(data, np.uint8) == ord(character))


def _count(data: bytes, character: str) -> int:
    """Count a character; faster than `bytes.count` for a frequent one."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord(character)))


def _is_regular(block: bytes, feeds: int, layout: Layout) -> bool:
    r"""Whether Polars reads these whole records correctly, or refuses them for a row that is too long.

    `feeds` is the number of line feeds in the block.
    """
    if not layout.delimiter.isascii():
        return False
    # In a wider table, blank lines lack delimiters.
    if layout.width == 1 and (block[:1] in b"\r\n" or b"\n\n" in block or b"\n\r" in block):
        return False
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return False
    fields = layout.delimiter.encode()
    delimiters = _count(block, layout.delimiter)
    if b'"' in block:
        quotes = _positions(block, '"')
        if quotes.size % 2:
            return False
        content = np.frombuffer(b"\n" + block + b"\n", np.uint8)
        edges = np.frombuffer(fields + b'\r\n"', np.uint8)
        # Quotes open and close a field in turn; a doubled quote closes and opens again.
        if not (np.isin(content[quotes[::2]], edges).all() and np.isin(content[quotes[1::2] + 2], edges).all()):
            return False
        feeds -= int((np.searchsorted(quotes, _positions(block, "\n")) % 2).sum())
        delimiters -= int((np.searchsorted(quotes, _positions(block, layout.delimiter)) % 2).sum())
    return delimiters == feeds * (layout.width - 1)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines with their line ends, as `csv` needs them."""
    rest = ""
    for chunk in chunks:
        text = rest + chunk.decode()
        held = 1 if text.endswith("\r") else 0  # the next chunk may begin with its line feed
        lines = io.StringIO(text[: len(text) - held], newline="").readlines()
        rest = (lines.pop() if lines and not lines[-1].endswith(("\n", "\r")) else "") + text[len(text) - held :]
        yield from lines
    if rest:
        yield rest


def _rewritten(records: Iterator[tuple[list[str], int]], delimiter: str) -> Iterator[bytes]:
    while part := [fields for fields, _ in islice(records, _REWRITTEN)]:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(part)
        yield text.getvalue().encode()


def _records(
    path: str | os.PathLike[str],
    lines: Iterable[str],
    delimiter: str,
    skipped: int,
    width: int = 0,
    *,
    ragged: bool = False,
) -> Iterator[tuple[list[str], int]]:
    """Yield the fields of each record that is not blank, and the number of the line in which it ends.

    Raises
    ------
    InputError : bad quotes, or another number of fields than `width` (0: than the first record) unless `ragged`.
    """
    # With skipinitialspace, a quote after a space opens a quoted field.
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if fields in ([], [""]):
                continue
            width = width or len(fields)
            if len(fields) != width and not ragged:
                raise InputError(
                    f"Line {reader.line_num + skipped} of {path} has {len(fields)} fields; the first row has "
                    f"{width}. Repair the line, or check delimiter={delimiter!r} and whether lines before the table "
                    "are to be skipped (skip_lines)."
                )
            yield fields, reader.line_num + skipped
    except csv.Error as error:
        raise InputError(
            f"Line {reader.line_num + skipped} of {path} is not CSV: {error}. Repair its quotes, or check "
            f"delimiter={delimiter!r}."
        ) from error


def line_of(layout: Layout, row: int) -> int:
    """Return the line of the file in which a row, counted from 0, ends; the file is read up to that row."""
    lines = _lines(utf8_chunks(layout.path, layout.encoding, layout.start))
    records = _records(layout.path, lines, layout.delimiter, layout.start, layout.width)
    return next(islice(records, row, None))[1]


def check_records(layout: Layout) -> None:
    """Raise InputError for the first line with too few or too many fields, or bad quotes."""
    lines = _lines(utf8_chunks(layout.path, layout.encoding, layout.start))
    for _ in _records(layout.path, lines, layout.delimiter, layout.start, layout.width):
        pass
