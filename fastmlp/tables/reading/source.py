"""Text files of any encoding, compressed or not, as chunks of UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.tables.frames import polars_module

__all__ = ["text_length", "utf8_chunks"]

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_LINE_END = re.compile(rb"\r\n|\r|\n")


def utf8_chunks(
    path: str | os.PathLike[str], encoding: str | None, skip_lines: int = 0, size: int = 1 << 23
) -> Iterator[bytes]:
    """Yield a text file as chunks of UTF-8.

    Parameters
    ----------
    path : file; gzip and Zstandard are recognised by their first bytes.
    encoding : of the text; None for UTF-8, or the encoding of the byte order mark.
    skip_lines : number of lines to skip at the start.
    size : approximate bytes of a chunk.

    Raises
    ------
    InputError : the file cannot be read, the encoding is unknown, or bytes are invalid in it.
    """
    chunks = _decoded(path, encoding, size)
    return _after(chunks, skip_lines) if skip_lines else chunks


def _after(chunks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """Skip the first lines of the chunks."""
    head = b""
    for chunk in chunks:
        head += chunk
        ends = list(islice(_LINE_END.finditer(head), lines))
        # A carriage return at the end of a chunk may be followed by its line feed in the next one.
        if len(ends) == lines and ends[-1].end() < len(head):
            yield head[ends[-1].end() :]
            break
    yield from chunks


def _decoded(path: str | os.PathLike[str], encoding: str | None, size: int) -> Iterator[bytes]:
    try:
        file = _open(path)
        with file:
            first = file.read(size)
            name = encoding or next((name for bom, name in _BOMS.items() if first.startswith(bom)), "utf-8")
            if encoding is None and name == "utf-8" and b"\0" in first[:1000]:
                raise InputError(
                    f"The file {path} holds bytes that are zero: it is no text, or in another encoding than UTF-8. "
                    "Give that, such as encoding='utf-16-le', or a text file."
                )
            # There may be a byte order mark whether or not an encoding was given.
            with no_fork():  # looking up a codec imports a module
                name = "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name
                decoder = codecs.getincrementaldecoder(name)()
            yield from _transcoded(path, file, first, decoder, name, size)
    except LookupError as error:
        raise InputError(f"encoding={encoding!r} is unknown. Give utf-8, cp1252, utf-16 or another one.") from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read {path}: {reason}. Name a file with a table.") from error


def _transcoded(
    path: str | os.PathLike[str], file: BinaryIO, chunk: bytes, decoder: Any, name: str, size: int
) -> Iterator[bytes]:
    is_utf8, is_first, done = name == "utf-8-sig", True, 0
    while True:
        if is_utf8 and chunk and chunk.isascii() and not is_first and not decoder.getstate()[0]:
            text = chunk
        else:
            try:
                text = decoder.decode(chunk, not chunk).encode()
            except UnicodeDecodeError as error:
                at = done + len(chunk) - len(error.object) + error.start
                known = "UTF-8" if is_utf8 else name
                raise InputError(
                    f"The file {path} is not {known}: byte {error.object[error.start]:#04x} in line "
                    f"{_line_at(path, name, at)}. Give its encoding, such as encoding='cp1252', or save it as UTF-8."
                ) from error
            except UnicodeError as error:
                raise InputError(f"The file {path} is not {name}: {error}. Give its encoding.") from error
        if text:
            is_first = False
            yield text
        if not chunk:
            return
        done += len(chunk)
        chunk = file.read(size)


def _line_at(path: str | os.PathLike[str], name: str, position: int, size: int = 1 << 20) -> int:
    """Number of the line that contains a byte of a file."""
    decoder, line = codecs.getincrementaldecoder(name)("replace"), 1
    with _open(path) as file:
        for start in range(0, position, size):
            line += decoder.decode(file.read(min(size, position - start))).count("\n")
    return line


def text_length(path: str | os.PathLike[str]) -> int | None:
    """Return the bytes of a text file; None if it is compressed."""
    return os.path.getsize(path) if _opener(path) is open else None


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    return _opener(path)(path, "rb")


def _opener(path: str | os.PathLike[str]) -> Callable[[str | os.PathLike[str], str], Any]:
    with open(path, "rb") as file:
        first = file.read(4)
    if first.startswith(b"\x1f\x8b"):
        return gzip.open
    return _open_zstandard if first == b"\x28\xb5\x2f\xfd" else open


def _open_zstandard(path: str | os.PathLike[str], mode: str) -> BinaryIO:
    try:
        with no_fork():
            from compression import zstd  # type: ignore[import-not-found]  # from Python 3.14 on
        return zstd.open(path, mode)  # type: ignore[no-any-return]
    except ImportError:
        pl = polars_module()
        # No text contains this separator, so each row is a line.
        lines = pl.read_csv(path, has_header=False, separator="\x1f", quote_char=None, infer_schema=False)
        return io.BytesIO(lines.to_series().fill_null("").str.join("\n").item().encode() + b"\n")
