"""Samples in Parquet and Arrow files: a block is a row group or a record batch."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.streams.array_files import stamp_of
from fastmlp.streams.packages import missing_package
from fastmlp.streams.source import Block, Columns

__all__ = ["TableSource"]

_OPEN = 64  # files that a thread keeps open: it takes long to read the footer of a wide table


class TableSource:
    """Samples in the rows of one or more files with the same columns.

    The features are numeric columns, or a single one that holds all features of a row: a list of fixed size, or
    fixed-size binary, whose bytes are the features. The latter two lie in memory as a network reads them.

    Parameters
    ----------
    name : str
        Of the file or folder.
    paths : sequence of Path
        The files, in order.
    target, features, weights : str, list of str or None, str or None
        Columns; features: None for all others.

    Raises
    ------
    InputError
        The package pyarrow is missing, a file is none, files have other columns than the first, columns are unknown,
        named twice, or of no numbers.
    """

    def __init__(
        self, name: str, paths: Sequence[Path], target: str, features: list[str] | None, weights: str | None
    ) -> None:
        try:
            with no_fork():
                import pyarrow
                import pyarrow.parquet
        except ImportError as error:
            raise missing_package("pyarrow", paths[0]) from error
        self._arrow, self.name, self._paths, self._files = pyarrow, name, paths, threading.local()
        self._schema = self._file(paths[0]).schema
        names = [target, *([weights] if weights else [])]
        self._target, self._weights = target, weights
        self._features = [one for one in self._schema.names if one not in names] if features is None else features
        self._check_columns([*self._features, *names])
        self._blocks: list[tuple[int, int]] = []  # file, and number of the row group or record batch
        lengths: list[int] = []
        for number, path in enumerate(paths):
            file = self._file(path)
            self._check_schema(file.schema, path)
            lengths += file.lengths(self._columns)
            self._blocks += [(number, group) for group in range(len(lengths) - len(self._blocks))]
        self.lengths, self.is_weighted = np.array(lengths, np.int64), weights is not None
        kinds = [self._schema.field(one).type for one in self._features]
        self.dtype = np.result_type(*map(self._dtype_of, kinds, self._features))
        whole = len(kinds) == 1 and _width(pyarrow, kinds[0])
        self.n_features = whole or len(kinds)
        empty = pyarrow.array([], self._schema.field(target).type)
        self.y_like = self._values(pyarrow.chunked_array([empty]), target)

    @property
    def _columns(self) -> list[str]:
        return [*self._features, self._target, *([self._weights] if self._weights else [])]

    def _file(self, path: Path) -> _File:
        """The file, opened once by each thread: the objects of pyarrow are not for several threads at once."""
        files = self._files.__dict__
        if str(path) not in files:
            while len(files) >= _OPEN:
                files.pop(next(iter(files)))
            try:
                files[str(path)] = (_Arrow if path.suffix in (".arrow", ".feather") else _Parquet)(self._arrow, path)
            except (OSError, self._arrow.ArrowException) as error:
                raise InputError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from None
        return files[str(path)]

    def _check_columns(self, wanted: list[str]) -> None:
        """Pyarrow leaves out columns that it does not find, and those whose name is there twice, without a word."""
        counts, have = Counter(self._schema.names), ", ".join(self._schema.names[:20])
        if len(counts) > 20:
            have += ", …"
        for name in wanted:
            if counts[name] != 1:
                how = "is there more than once" if counts[name] else "is not there"
                raise InputError(f"{self._paths[0]}: the column {name!r} {how}. Columns: {have}.")
        twice = [name for name, count in Counter(wanted).items() if count > 1]
        if twice or not self._features:
            what = f"{twice[0]!r} is named twice" if twice else "no column is left for features"
            raise InputError(f"{self._paths[0]}: {what}. Give features, target and sample_weight columns of their own.")

    def _check_schema(self, schema: Any, path: Path) -> None:
        for name in self._columns:
            wanted, found = self._schema.field(name).type, None
            if schema.names.count(name) == 1:
                found = schema.field(name).type
            if found != wanted:
                raise InputError(
                    f"{path}: the column {name!r} is {found or 'missing, or there twice'}, but {wanted} in "
                    f"{self._paths[0]}. All files of a set need the same columns."
                )

    def _dtype_of(self, kind: Any, name: str) -> np.dtype:
        """The dtype of a column of features."""
        types = self._arrow.types
        if types.is_fixed_size_binary(kind):
            inner = self._arrow.uint8()
        else:
            inner = kind.value_type if types.is_fixed_size_list(kind) else kind
        is_number = types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner)
        if not is_number or (inner is not kind and len(self._features) > 1):
            raise InputError(
                f"{self._paths[0]}: the column {name!r} is {kind}, but features are columns of numbers, or a single "
                "column of fixed-size lists or fixed-size binary. Name the columns to read by features=[…], or encode "
                "it first; fastmlp.TabularClassifier does it for tables with texts and dates."
            )
        return np.dtype(inner.to_pandas_dtype())

    def read(self, block: int) -> Block:
        table = self._read(block, self._columns)
        y, weights = self._values(table.column(self._target), self._target), None
        if self._weights is not None:
            weights = self._values(table.column(self._weights), self._weights)
        columns = [self._values(table.column(name), name) for name in self._features]
        return Block(columns[0] if columns[0].ndim == 2 else Columns(columns), y, weights)

    def read_targets(self, block: int) -> np.ndarray:
        return self._values(self._read(block, [self._target]).column(self._target), self._target)

    def _read(self, block: int, columns: list[str]) -> Any:
        """Columns of a block as a table of pyarrow, in which no value is missing."""
        number, group = self._blocks[block]
        try:
            table = self._file(self._paths[number]).read(group, columns)
        except (OSError, self._arrow.ArrowException) as error:
            raise InputError(f"{self.place(block)} cannot be read: {error}") from None
        for name in columns:
            if missing := table.column(name).null_count:
                raise InputError(
                    f"{self.place(block)}: the column {name!r} lacks {missing} of {len(table)} values. Fill them, or "
                    "leave such rows out, when the file is written."
                )
        return table

    def _values(self, column: Any, name: str) -> np.ndarray:
        """A column (n,), or (n, I) of lists, as NumPy reads it; in place, where it can."""
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        width = _width(self._arrow, array.type)
        if not width:
            return array.to_numpy(zero_copy_only=False)
        if self._arrow.types.is_fixed_size_list(array.type):
            inner = array.flatten()  # of the rows in this slice alone
            if inner.null_count:
                raise InputError(f"{self.name}: lists of the column {name!r} lack {inner.null_count} values.")
            return inner.to_numpy(zero_copy_only=False).reshape(-1, width)
        data = array.buffers()[1]
        values = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        return values[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)

    def place(self, block: int) -> str:
        number, group = self._blocks[block]
        path = self._paths[number]
        return f"{self._file(path).unit} {group} of {path}"

    def identity(self) -> str:
        files = " ".join(f"{path.name} {stamp_of(path)}" for path in self._paths)
        return f"{files} {self._features} {self._target} {self._weights}"


class _Parquet:
    """A Parquet file, mapped: pages that are stored as they are used need no memory of their own."""

    unit = "row group"

    def __init__(self, arrow: Any, path: Path) -> None:
        self._file = arrow.parquet.ParquetFile(path, memory_map=True)
        self.schema = self._file.schema_arrow

    def lengths(self, _columns: list[str]) -> list[int]:
        metadata = self._file.metadata
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def read(self, group: int, columns: list[str]) -> Any:
        # decoding has a thread of its own, or several, already
        return self._file.read_row_group(group, columns, use_threads=False)


class _Arrow:
    """An Arrow file, mapped."""

    unit = "record batch"

    def __init__(self, arrow: Any, path: Path) -> None:
        self._arrow, self._source = arrow, arrow.memory_map(str(path))
        self.schema = arrow.ipc.open_file(self._source).schema

    def _open(self, columns: list[str]) -> Any:
        fields = [self.schema.get_field_index(name) for name in columns]
        options = self._arrow.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        return self._arrow.ipc.open_file(self._source, options=options)

    def lengths(self, columns: list[str]) -> list[int]:
        file = self._open(columns[-1:])  # of a compressed file all columns asked for are decoded
        return [file.get_batch(batch).num_rows for batch in range(file.num_record_batches)]

    def read(self, batch: int, columns: list[str]) -> Any:
        return self._arrow.Table.from_batches([self._open(columns).get_batch(batch)])


_File = _Parquet | _Arrow


def _width(arrow: Any, kind: Any) -> int:
    """How many numbers a value of this type holds; 0 for a plain one."""
    if arrow.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    return int(kind.byte_width) if arrow.types.is_fixed_size_binary(kind) else 0
