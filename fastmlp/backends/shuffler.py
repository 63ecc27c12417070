"""A compiled `RandomState.shuffle`, in place of NumPy's where samples are many."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p, cast
from typing import Any

import numpy as np

from fastmlp.backends.compile_cache import cached
from fastmlp.kernels import cpu

__all__ = ["make_shuffler"]

MANY = 1000  # samples: for fewer NumPy's takes as long, and nothing has to be compiled or loaded

_shuffle = cached(cpu.shuffle, {"nogil": True})


def make_shuffler(random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray], Any]:
    """A function that shuffles an order (n_samples,) int64 in place: what ``random.shuffle`` would make of it."""
    if n_samples < MANY or type(random) is not np.random.RandomState:
        return random.shuffle
    generator = random._bit_generator  # type: ignore[attr-defined]  # under this name alone
    functions = generator.ctypes  # what NumPy offers compiled code
    next_uint32, state = cast(functions.next_uint32, c_void_p).value, functions.state_address
    places = np.empty(n_samples, np.int64)

    def shuffle(order: np.ndarray) -> None:
        with generator.lock:
            _shuffle(order, places, next_uint32, state)

    return shuffle
