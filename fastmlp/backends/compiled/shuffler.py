"""A compiled `RandomState.shuffle`, in place of NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p, cast

import numpy as np

from fastmlp.backends.compiled.arguments import Block, words_of
from fastmlp.backends.compiled.functions import COMMON, c_function
from fastmlp.backends.compiled.jobs import SHUFFLE

__all__ = ["make_shuffler"]


def make_shuffler(random: np.random.RandomState, n_samples: int) -> Callable[[np.ndarray, np.ndarray], None] | None:
    """See `Backend.shuffler`; None where NumPy's own must be used, or will do until this one is compiled."""
    if type(random) is not np.random.RandomState or n_samples >= 1 << 32:  # for more samples NumPy draws 64 bits
        return None
    address = COMMON.find(SHUFFLE)
    if address is None:  # the first training on this machine, with which it is compiled
        return None
    generator = random._bit_generator  # type: ignore[attr-defined]  # it has no public name
    functions = generator.ctypes  # what NumPy offers compiled code
    places = np.empty(n_samples, np.int64)
    rest = *words_of(places), cast(functions.next_uint32, c_void_p).value or 0, functions.state_address
    compiled = c_function(address)

    def shuffle(orders: np.ndarray, last: np.ndarray) -> None:
        block = Block([*words_of(orders), *words_of(last), *rest], (orders, last, places))
        with generator.lock:
            compiled(block.address)

    return shuffle
