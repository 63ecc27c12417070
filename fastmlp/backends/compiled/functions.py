"""The compiled functions of this process, by job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from ctypes import CFUNCTYPE, PYFUNCTYPE, c_double, c_int64
from functools import lru_cache
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from fastmlp.backends.compiled.building import compile_all
from fastmlp.backends.compiled.cache import load, settings_changed, store
from fastmlp.backends.compiled.jobs import Job, operation_job
from fastmlp.backends.compiled.loading import Linker
from fastmlp.forks import hold_at_forks, no_fork
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels.cpu.formula_texts import own_texts
from fastmlp.kernels.cpu.regimes import Regime
from fastmlp.kernels.cpu.table import FORMULA_TABLES, place_of, table_length

__all__ = ["COMMON", "Library", "Needed", "Run", "c_function", "compiling", "library_of"]

Needed = tuple[str, int]
"""An operation and the code of its formula, 0 if it has none."""

_COMPILING = RLock()


class _CompilerLock:
    """Numba's own, under which functions of the user's are compiled; nothing as long as Numba is not imported."""

    def acquire(self) -> None:
        module = sys.modules.get("numba.core.compiler_lock")
        self._acquired = getattr(module, "global_compiler_lock", nullcontext())
        self._acquired.__enter__()

    def release(self) -> None:
        self._acquired.__exit__(None, None, None)


hold_at_forks(_CompilerLock())

Function = Callable[[int], float]
c_function: Callable[[int], Function] = CFUNCTYPE(c_double, c_int64)
"""An entry point at an address, as a function of its arguments' address. It runs without the interpreter's lock."""

# The same with the lock, which takes longer to pass from thread to thread than a short run does
_with_lock: Callable[[int], Function] = PYFUNCTYPE(c_double, c_int64)


@contextmanager
def compiling() -> Iterator[None]:
    """Within, no other thread compiles or loads, and none forks the process."""
    with no_fork(), _COMPILING:
        yield


class Run(NamedTuple):
    """An entry point of the step, compiled for certain types of arguments."""

    table: np.ndarray  # (operations,) int64: addresses of those that it calls
    # Of the address of its arguments. Nothing checks their types, which must follow from the job.
    function: Function
    with_lock: Function  # the same without giving up the interpreter's lock, for short runs


class Library:
    """Functions that are compiled or loaded at first use, for networks with the same formulas of the user's own.

    Parameters
    ----------
    common : Library or None
        Has all that the user's formulas are no part of. Without one, this library is the common one, and the only one
        that is kept on disk, where a search over the constants of a loss would leave hundreds.
    """

    def __init__(self, common: Library | None = None) -> None:
        self.runs: dict[tuple, Any] = {}  # see `numba_backend._compiled_run`
        self.compilations = 0  # functions that this process has compiled rather than found on disk
        self._common, self._linker = common, Linker()
        self._addresses: dict[Job, int] = {}
        self._tables: dict[tuple, np.ndarray] = {}

    def addresses(self, jobs: Collection[Job]) -> dict[Job, int]:
        """Where the functions lie in memory, at least of these jobs."""
        with compiling():
            missing = [job for job in jobs if job not in self._addresses]
            codes = {} if self._common else {job: code for job in missing if (code := load(job))}
            built = compile_all([job for job in missing if job not in codes])
            self.compilations += len(built)
            for job, code in built.items():
                if self._common is None and not settings_changed():
                    store(job, code)
            for job, code in (codes | built).items():
                self._addresses[job] = self._linker.address(job.symbol, code)
        return self._addresses

    def find(self, job: Job) -> int | None:
        """Where a function lies in memory if it is there or on disk; None if it would have to be compiled."""
        with compiling():
            if job not in self._addresses:
                code = load(job)
                if code is None:
                    return None
                self._addresses[job] = self._linker.address(job.symbol, code)
            return self._addresses[job]

    def run(
        self, entry: Job, needed: Collection[Needed], regime: Regime, formulas: Formulas, besides: Sequence[Job] = ()
    ) -> Run:
        """An entry point of the step, with the operations that it needs, for networks of this regime.

        Jobs besides these are compiled along with them.
        """
        real, samples = np.dtype(entry.real), np.dtype(entry.samples)
        table = self.table(needed, real, samples, regime, formulas, [entry, *besides])
        address = (self._common or self).addresses([entry])[entry]
        return Run(table, c_function(address), _with_lock(address))

    def table(
        self,
        needed: Collection[Needed],
        real: np.dtype,
        samples: np.dtype,
        regime: Regime,
        formulas: Formulas,
        besides: Sequence[Job] = (),
    ) -> np.ndarray:
        """The table of addresses (see `kernels.cpu.table`) for networks of these dtypes and this regime.

        It has at least the needed operations. There is one table for each kind, which grows in place. Jobs besides
        these are compiled along with them.
        """
        length = table_length(max(map(len, formulas)))
        table = self._tables.setdefault((real, samples, regime), np.zeros(length, np.int64))
        jobs = {one: operation_job(*one, real, samples, regime, formulas) for one in needed}  # an unknown code raises
        jobs = {one: job for one, job in jobs.items() if not table[place_of(*one)]}
        own = {job for (name, code), job in jobs.items() if self._is_own(name, code)}
        addresses = dict(self.addresses(own)) if self._common else {}
        addresses |= (self._common or self).addresses([*{*jobs.values(), *besides} - (own if self._common else set())])
        for (name, code), job in jobs.items():
            table[place_of(name, code)] = addresses[job]
        return table

    def _is_own(self, name: str, code: int) -> bool:
        """Whether this library, rather than the common one, compiles the operation."""
        return self._common is None or (name in FORMULA_TABLES and code >= len(getattr(BUILT_IN, FORMULA_TABLES[name])))


COMMON = Library()


def library_of(formulas: Formulas) -> Library:
    """The library for these formulas.

    Equal formulas of the user's own, such as pickling makes, share it. It is freed with the last network that uses it,
    except for the last few: a search over the constants of a loss makes hundreds.
    """
    own = own_texts(formulas)
    return _library_of_own(own) if own else COMMON


@lru_cache(maxsize=8)
def _library_of_own(texts: tuple[str, ...]) -> Library:
    return Library(COMMON)
