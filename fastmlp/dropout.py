"""Dropout masks by a counter-based generator: the same for every backend, thread count and chunk size.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) maps a 128-bit counter and a
64-bit key to four 32-bit words. Counter (column // 4, row, step, layer) under the seed as the key gives the words of
four neighbouring columns; an output is kept where its word is below keep * 2**32. No mask is stored: the backward pass
computes it again from the same counters.
"""

import numpy as np

from fastmlp.kernels.philox import KEY_STEP, MULTIPLIER, ROUNDS

__all__ = ["drop"]

_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_BLOCK = 4096  # elements


def philox(counter: tuple[np.ndarray, ...], seed: int) -> tuple[np.ndarray, ...]:
    """Return four arrays of 32-bit words (as uint64) for four broadcastable counter arrays (uint64), a 64-bit seed."""
    c0, c1, c2, c3 = counter
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    for _ in range(ROUNDS):
        p0, p1 = np.uint64(MULTIPLIER[0]) * c0, np.uint64(MULTIPLIER[1]) * c2
        c0, c1, c2, c3 = (p1 >> _WORD) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _WORD) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + KEY_STEP[0]) & 0xFFFFFFFF, (k1 + KEY_STEP[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def drop(x: np.ndarray, keep: float, seed: int, step: int, layer: int, first_row: int, out: np.ndarray) -> None:
    """Write x / keep where the mask keeps an element, else 0, to out (B, O); out may be x (B, O).

    Row i of x is row first_row + i of its batch. Dropout is linear, so the backward pass is the same call on δ.
    """
    rows, columns = x.shape
    few = max(1, _BLOCK // columns)
    if rows > few:
        # a few rows at a time, so that the words of the mask take little memory
        for i in range(0, rows, few):
            drop(x[i : i + few], keep, seed, step, layer, first_row + i, out[i : i + few])
        return
    blocks = np.arange(-(-columns // 4), dtype=np.uint64)[None, :]
    row = np.arange(first_row, first_row + rows, dtype=np.uint64)[:, None]
    constant = [np.full((1, 1), value & 0xFFFFFFFF, np.uint64) for value in (step, layer)]
    words = np.stack(np.broadcast_arrays(*philox((blocks, row, *constant), seed)), axis=-1)
    kept = words.reshape(rows, -1)[:, :columns] < np.uint64(keep * 2.0**32)
    np.multiply(x, 1 / keep, out=out)
    np.copyto(out, 0, where=~kept)
