"""A compiled `RandomState.shuffle`, in place of NumPy's where samples are many."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p, cast
from typing import Any

import numpy as np

from fastmlp.backends.compile_cache import COMPILING, cached
from fastmlp.kernels import cpu

__all__ = ["make_shuffler"]

COMPILED_FROM = 1000  # samples: below, NumPy's takes as long, and nothing has to be compiled or loaded

_shuffle = cached(cpu.shuffle, {"nogil": True})


def make_shuffler(random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray], Any]:
    """A function that shuffles an order (n_samples,) int64 in place: what ``random.shuffle`` would make of it."""
    plain = type(random) is np.random.RandomState
    if not plain or not COMPILED_FROM <= n_samples < 1 << 32:  # beyond, NumPy draws 64 bits
        return random.shuffle
    generator = random._bit_generator  # type: ignore[attr-defined]  # under this name alone
    functions = generator.ctypes  # what NumPy offers compiled code
    next_uint32, state = cast(functions.next_uint32, c_void_p).value, functions.state_address
    places = np.empty(n_samples, np.int64)
    with COMPILING:  # not while the generator is locked, for which others wait
        _shuffle(places[:0], places[:0], next_uint32, state)

    def shuffle(order: np.ndarray) -> None:
        with generator.lock:
            _shuffle(order, places, next_uint32, state)

    return shuffle
