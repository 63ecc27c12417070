"""A compiled `RandomState.shuffle`, in place of NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p, cast

import numpy as np

from fastmlp.backends.compile_cache import cached, compiling
from fastmlp.kernels import cpu

__all__ = ["make_shuffler"]

_shuffle = cached(cpu.shuffle, {"nogil": True, "_nrt": False})


def make_shuffler(random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray, np.ndarray], None] | None:
    """See `Backend.shuffler`; None where NumPy's own must be used."""
    if type(random) is not np.random.RandomState or n_samples >= 1 << 32:  # for more samples NumPy draws 64 bits
        return None
    generator = random._bit_generator  # type: ignore[attr-defined]  # it has no public name
    functions = generator.ctypes  # what NumPy offers compiled code
    next_uint32, state = cast(functions.next_uint32, c_void_p).value, functions.state_address
    places = np.empty(n_samples, np.int64)
    with compiling():  # not while the generator is locked, for which others wait
        _shuffle(np.empty((0, 0), np.int64), places, places, next_uint32, state)

    def shuffle(orders: np.ndarray, last: np.ndarray) -> None:
        with generator.lock:
            _shuffle(orders, last, places, next_uint32, state)

    return shuffle
