"""NumPy's `RandomState` of a seed, made in a third of the time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

__all__ = ["seeded"]


class _Constant(ISeedSequence):
    """Gives the words that the seed then overwrites."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.zeros(n_words, dtype)


_CONSTANT = _Constant()


def seeded(seed: int) -> np.random.RandomState:
    """Return `numpy.random.RandomState(seed)`.

    That fills the state by a `SeedSequence` of the operating system's randomness before it fills it by the seed. The
    former takes longer than to set up the training of a small network.
    """
    random = np.random.RandomState(np.random.MT19937(_CONSTANT))  # type: ignore[arg-type]  # NumPy documents it
    random.seed(seed)
    return random
