"""The lazy import of Polars, and frames of other libraries as Polars frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.forks import no_fork

if TYPE_CHECKING:
    import polars

__all__ = ["as_frame", "collected", "is_frame", "polars_module", "readable", "stripped_texts"]

_LIBRARIES = ("polars", "pandas", "pyarrow")


@cache
def polars_module() -> Any:
    """Return the module `polars`, imported on first use: the import takes 0.25 s, which only tables need."""
    with no_fork():
        import numpy.ma  # noqa: F401  # used by Polars when it converts an array
        import polars

    return polars


def is_frame(data: object) -> bool:
    """Whether the data are a frame or table of Polars, pandas or pyarrow."""
    kinds = ("DataFrame", "LazyFrame", "Table", "RecordBatch")
    return type(data).__name__ in kinds and type(data).__module__.split(".")[0] in _LIBRARIES


def collected(data: Any) -> Any:
    """Collect a Polars LazyFrame; return any other data unchanged."""
    return data.collect() if is_frame(data) and type(data).__name__ == "LazyFrame" else data


def as_frame(data: Any) -> polars.DataFrame:
    """Convert a frame of Polars, pandas or pyarrow, or an array (N, K), to a Polars frame.

    Raises
    ------
    InputError : data of any other type, a repeated column name, an unreadable or an empty frame.
    """
    pl = polars_module()
    if isinstance(data, np.ndarray) and data.ndim == 2:
        data = pl.DataFrame({f"column{k}": column for k, column in enumerate(data.T)})
    if not is_frame(data):
        raise InputError(
            f"A table is wanted, not {type(data).__name__}. Give what read_table gives, a data frame of Polars, pandas "
            "or pyarrow, or an array of two dimensions."
        )
    library = type(data).__module__.split(".")[0]
    try:
        if library == "pandas":
            frame = _from_pandas(pl, data)
        elif library == "pyarrow":
            with no_fork():  # Polars imports pyarrow here
                frame = pl.from_arrow(data)
        else:
            frame = collected(data)
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"The frame cannot be read: {reason}. Convert the columns to plain types.") from error
    if not frame.width or not frame.height:
        raise InputError(f"The table has {frame.height} rows and {frame.width} columns. Give one with data.")
    return stripped_texts(frame)


def stripped_texts(frame: Any) -> Any:
    """Convert categorical columns of a DataFrame or LazyFrame to texts, and strip the spaces around texts."""
    pl = polars_module()
    kinds = frame.collect_schema()
    texts = [name for name, kind in kinds.items() if isinstance(kind, (pl.String, pl.Categorical, pl.Enum))]
    return frame.with_columns(pl.col(texts).cast(pl.String).str.strip_chars()) if texts else frame


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn the exceptions of Polars on a damaged file into an InputError about `what`."""
    pl = polars_module()
    try:
        yield
    except InputError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{what[0].upper()}{what[1:]} cannot be read: {reason}. It is damaged, or of another format."
        ) from error


def _from_pandas(pl: Any, data: Any) -> Any:
    """Convert column by column: then only Arrow types need pyarrow, which pandas has imported in that case."""
    names = [str(name) for name in data.columns]
    if len(set(names)) < len(names):
        repeated = next(name for position, name in enumerate(names) if name in names[:position])
        raise InputError(f"The table has two columns {repeated!r}. Give every column a name of its own.")
    columns = []
    for position, name in enumerate(names):
        column = data.iloc[:, position]
        if column.dtype.kind in "biufmM" and type(column.dtype).__module__.split(".")[0] == "numpy":
            columns.append(pl.Series(name, column.to_numpy(), nan_to_null=True))
            continue
        cells = [None if absent else cell for cell, absent in zip(column.tolist(), column.isna().tolist(), strict=True)]
        texts = any(isinstance(cell, str) for cell in cells)
        columns.append(pl.Series(name, [_text(c) for c in cells] if texts else cells, strict=False))
    return pl.DataFrame(columns)


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell)
