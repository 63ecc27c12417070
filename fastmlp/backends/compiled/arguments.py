"""Arguments of compiled entry points, as words of 64 bits in memory.

An integer, a truth value or a float is one word. An array is its address and its shape. A record (a named tuple) is the
address of its own words, so that those of a network are written once and serve every call. `unpacking` in
`fastmlp.backends.compiled.entries` reads them.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Block", "words_of"]

_BITS = struct.Struct("d"), struct.Struct("q")


class Block:
    """Words in memory, which keeps alive what they refer to.

    Attributes
    ----------
    address : int
        Where they lie. A function of ctypes takes the block itself for it.
    """

    __slots__ = ("_as_parameter_", "_kept", "_words", "address")

    def __init__(self, words: Sequence[int], kept: Any) -> None:
        self._words, self._kept = array("q", words), kept
        self.address = self._as_parameter_ = self._words.buffer_info()[0]

    @classmethod
    def of(cls, record: tuple) -> Block:
        """The words of a record's fields."""
        return cls([word for value in record for word in words_of(value)], record)


def words_of(value: Any) -> list[int]:
    """The words of an argument that is no record. An array must be C-ordered, and outlive what is made of them."""
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous, "compiled code takes C-ordered arrays"
        # an empty one is never read; to ask NumPy for an address takes longer than all else here
        return [value.ctypes.data if value.size else 0, *value.shape]
    if isinstance(value, float):
        return [_BITS[1].unpack(_BITS[0].pack(value))[0]]
    return [int(value)]
