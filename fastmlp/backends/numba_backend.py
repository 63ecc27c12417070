"""The Numba backend: the text of `fastmlp.step` compiled with its epoch loop and the kernels, run by a team of threads."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.metadata import version
from typing import NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import overload_method, register_jitable

from fastmlp import step
from fastmlp.backends.base import Backend
from fastmlp.backends.compile_cache import cached
from fastmlp.backends.threads import choose_threads
from fastmlp.kernels import cpu
from fastmlp.network import Network, aligned_zeros

__all__ = ["NumbaBackend"]

# No "nnan" and "ninf": a diverged loss must be seen. Division by zero gives infinity, as in NumPy.
OPTIONS = {"fastmath": {"contract", "reassoc", "nsz", "arcp"}, "error_model": "numpy", "nogil": True}


def _attach(operation) -> None:
    """Make `operation` a method of the compiled type of `Team`, under its own name and parameters."""

    def implementation(ops, *_args):
        return operation if ops.instance_class is cpu.Team else None

    # Numba matches the parameters of the two by name
    implementation.__signature__ = inspect.signature(operation)
    overload_method(types.NamedTuple, operation.__name__, jit_options=OPTIONS)(implementation)


def _compile_entries() -> dict:
    for operation in cpu.OPERATIONS:
        _attach(operation)
    for _, function in inspect.getmembers(step, inspect.isfunction):
        if function.__module__ == step.__name__:
            register_jitable(**OPTIONS)(function)
    return {name: cached(getattr(step, name), OPTIONS) for name in step.__all__}


_ENTRIES = _compile_entries()


class _Crew(NamedTuple):
    teams: list[cpu.Team]
    pool: ThreadPoolExecutor | None


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

    def operations(self, net: Network, rows: int, n_threads: int | None) -> _Crew:
        products = net.fan_in * net.fan_out
        work = int(products.sum()) * min(rows, net.chunk)
        size = choose_threads(n_threads, rows, work)
        scratch = aligned_zeros(size * int(products[1:].max(initial=0)), net.params.dtype)
        return _Crew(cpu.make_teams(size, scratch), ThreadPoolExecutor(size) if size > 1 else None)

    def run(self, entry, operations, *arguments):
        dispatcher = _ENTRIES[entry]
        teams, pool = operations
        if pool is None:
            return dispatcher(teams[0], *arguments)
        # One thread that fails or is interrupted before it joins would leave the others waiting at the barrier for
        # ever. So compilation is over before any starts, and this thread only waits, where a Ctrl-C may reach it.
        signature = tuple(numba.typeof(argument) for argument in (teams[0], *arguments))
        if signature not in dispatcher.overloads:
            with _COMPILING:
                dispatcher.compile(signature)
        teams[0].sync[:] = 0
        futures = [pool.submit(dispatcher, team, *arguments) for team in teams]
        try:
            wait(futures)
        except BaseException:
            wait(futures)
            raise
        return sum(future.result() for future in futures)

    @staticmethod
    def compilations() -> int:
        """How many functions this process has compiled rather than found in the disk cache."""
        return sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in _ENTRIES.values())


_COMPILING = threading.Lock()
