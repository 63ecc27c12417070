"""Storage of tables and arrays: in memory up to a limit, in temporary files beyond it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from weakref import finalize

import numpy as np

from fastmlp.errors import InputError
from fastmlp.files import discard, open_temporary
from fastmlp.tables.frames import polars_module

if TYPE_CHECKING:
    import polars

__all__ = ["Storage"]

_SHARE = 3  # a table, its arrays and intermediate results take about as much memory each
_PIECE = 1 << 28  # bytes of a temporary file
_SMALL = 1 << 22  # bytes that are allocated without asking for the free memory
_UNKNOWN = 1 << 32  # bytes taken as free where the system does not tell
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Storage:
    """Holds tables and arrays in memory up to a limit, and in temporary files beyond it.

    Files of arrays have no names and vanish with the array. Files of tables are removed with this object, at the latest
    when the process ends; if it is killed, by the next process that writes files to the folder.

    Parameters
    ----------
    limit : bytes that one table or array may take in memory; None for a third of the free memory.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._files: list[tuple[BinaryIO, Path]] = []  # of tables; they are kept open, since that locks them
        finalize(self, _remove, self._files, os.getpid())

    @cached_property
    def limit(self) -> int:
        """Bytes that one table or array may take in memory."""
        return _free_memory() // _SHARE if self._limit is None else self._limit

    def frame(self, parts: Iterable[polars.DataFrame]) -> polars.DataFrame | polars.LazyFrame:
        """Concatenate parts of a table, all with the same columns; the result is a LazyFrame if it is on disk.

        Raises
        ------
        InputError : the disk is full.
        """
        pl = polars_module()
        held: list[polars.DataFrame] = []
        size, first = 0, len(self._files)
        for part in parts:
            held.append(part)
            size += int(part.estimated_size())
            if size > (self.limit if len(self._files) == first else min(self.limit, _PIECE)):
                self._write(pl.concat(held))
                held, size = [], 0
        if len(self._files) == first:
            return pl.concat(held) if held else pl.DataFrame()
        if held:
            self._write(pl.concat(held))
        return pl.scan_parquet([path for _, path in self._files[first:]], glob=False)

    def clear(self) -> None:
        """Remove the temporary files of all tables."""
        while self._files:
            discard(*self._files.pop())

    def array(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array of zeros; a memory map if it takes more than the limit.

        Raises
        ------
        InputError : the disk is full.
        """
        size = prod(shape) * np.dtype(dtype).itemsize
        # Asking the system for the free memory would take a good part of the time of a prediction for a few rows.
        if (self._limit is None and size <= _SMALL) or size <= self.limit:
            return np.zeros(shape, dtype)
        with self._explained(size), tempfile.TemporaryFile() as file:
            # The space is allocated now: a full disk would end the process when a page of the map is written.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                for start in range(0, size, _PIECE):
                    file.write(bytes(min(_PIECE, size - start)))
                file.flush()
            return np.memmap(file, dtype, "r+", shape=shape)

    def _write(self, frame: polars.DataFrame) -> None:
        with self._explained(int(frame.estimated_size())):
            file, path = open_temporary(Path(tempfile.gettempdir()), private=True)
            self._files.append((file, path))
            frame.write_parquet(path, compression="uncompressed", statistics=False)

    @contextmanager
    def _explained(self, size: int) -> Iterator[None]:
        try:
            yield
        except (OSError, polars_module().exceptions.PolarsError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
            raise InputError(
                f"{size / 2**20:,.0f} MiB cannot be put into the folder for temporary files {tempfile.gettempdir()}: "
                f"{reason}. Name another one in the variable TMPDIR, or allow more than {self.limit / 2**20:,.0f} MiB "
                "of memory."
            ) from error


def _remove(files: list[tuple[BinaryIO, Path]], process: int) -> None:
    """Remove the files if this process has made them; after a fork they belong to the parent."""
    if os.getpid() == process:
        for file, path in files:
            discard(file, path)


def _free_memory() -> int:
    """Bytes of memory that are available to this process, within the limits of its control group."""
    free = _UNKNOWN
    with suppress(AttributeError, OSError, ValueError):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            free = min(free, int(Path(path).read_text()))
    return free
