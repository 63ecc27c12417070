"""The Numba backend: the text of `fastmlp.step` compiled with its epoch loop, run by a team of threads."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.metadata import version
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import register_jitable

from fastmlp import step
from fastmlp.backends.base import Backend
from fastmlp.backends.call_table import CallTable
from fastmlp.backends.compile_cache import cached
from fastmlp.backends.threads import choose_threads
from fastmlp.kernels import cpu
from fastmlp.losses import Loss
from fastmlp.network import Network, aligned_zeros

__all__ = ["NumbaBackend"]

# No "nnan" and "ninf": a diverged loss must be seen. Division by zero gives infinity, as in NumPy.
OPTIONS = {"fastmath": {"contract", "reassoc", "nsz", "arcp"}, "error_model": "numpy", "nogil": True}

TABLE = CallTable(OPTIONS)
_COMPILING = threading.Lock()


def _compile_entries() -> dict:
    for _, function in inspect.getmembers(step, inspect.isfunction):
        if function.__module__ == step.__name__:
            register_jitable(**OPTIONS)(function)
    return {name: cached(getattr(step, name), OPTIONS) for name in step.__all__}


_ENTRIES = _compile_entries()


class _Crew(NamedTuple):
    """A team for one network, and what is compiled for it: the entry points that are ready to run."""

    teams: list[cpu.Team]
    pool: ThreadPoolExecutor | None
    ready: set[str]


class _Recorder:
    """Operations that do nothing but note their names: running the step on them tells which ones it needs."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def operation(*_arguments):
            self.names.append(name)
            return 1.0

        return operation


class NumbaBackend(Backend):
    """Compiled for the host's CPU; nothing returns to Python between the steps of an epoch."""

    name = "numba"

    @classmethod
    def problem(cls) -> str | None:
        return None

    def describe(self) -> str:
        threads, bits = choose_threads(None), 8 * cpu.VECTOR_BYTES
        return f"Numba {version('numba')}, {bits}-bit vectors, up to {threads} thread{'s' * (threads > 1)}"

    def zeros(self, n: int, dtype: np.dtype | type) -> np.ndarray:
        return aligned_zeros(n, dtype)

    def asarray(self, host: np.ndarray) -> np.ndarray:
        return host

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def operations(self, net: Network, rows: int, n_threads: int | None, loss: Loss | None = None) -> _Crew:
        products = net.fan_in * net.fan_out
        work = int(products.sum()) * min(rows, net.chunk)
        size = choose_threads(n_threads, rows, work)
        scratch = aligned_zeros(size * int(products[1:].max(initial=0)), net.params.dtype)
        pool = ThreadPoolExecutor(size) if size > 1 else None
        return _Crew(cpu.make_teams(size, scratch, len(cpu.OPERATIONS)), pool, set())

    def prepare(self, entry, operations, *arguments):
        team, ready = operations.teams[0], operations.ready
        if entry in ready:
            return
        with _COMPILING:
            recorder, function = _Recorder(), getattr(step, entry)
            call = inspect.signature(function).bind(recorder, *arguments).arguments
            # one sample and one update pass the same branches as all of them
            function(**call | {name: call[name][:1] for name in ("order", "rates") if name in call})
            TABLE.fill(team, recorder.names, call["data"].x)
            _ENTRIES[entry].compile(tuple(numba.typeof(argument) for argument in (team, *arguments)))
        ready.add(entry)

    def run(self, entry, operations, *arguments):
        # One thread that fails or is interrupted before it joins would leave the others waiting at the barrier for
        # ever. So compilation is over before any starts, and with a pool this thread only waits for Ctrl-C.
        self.prepare(entry, operations, *arguments)
        teams, pool, _ = operations
        if pool is None:
            return _ENTRIES[entry](teams[0], *arguments)
        teams[0].sync[:] = 0
        futures = [pool.submit(_ENTRIES[entry], team, *arguments) for team in teams]
        try:
            wait(futures)
        except BaseException:
            wait(futures)
            raise
        return sum(future.result() for future in futures)

    @staticmethod
    def compilations() -> int:
        """How many functions this process has compiled rather than found in the disk cache."""
        dispatchers = [*TABLE.dispatchers.values(), *_ENTRIES.values()]
        return sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in dispatchers)
