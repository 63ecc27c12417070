"""Dropout by Philox4x32-10 (twin of `fastmlp.dropout`, which explains it)."""

import numpy as np

from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.team.signatures import Matrix
from fastmlp.kernels.cpu.team.threads import barrier, share
from fastmlp.kernels.philox import KEY_STEP, MULTIPLIER, ROUNDS

__all__ = ["dropout"]

_M0, _M1 = np.uint64(MULTIPLIER[0]), np.uint64(MULTIPLIER[1])
_K0, _K1 = np.uint64(KEY_STEP[0]), np.uint64(KEY_STEP[1])
_LOW, _WORD = np.uint64(0xFFFFFFFF), np.uint64(32)


@jitable
def _philox(c0, c1, c2, c3, k0, k1):
    # 32-bit words held in uint64, which is what Numba makes of them anyway
    for _ in range(ROUNDS):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _WORD) ^ c1 ^ k0, p1 & _LOW, (p0 >> _WORD) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _K0) & _LOW, (k1 + _K1) & _LOW
    return c0, c1, c2, c3


@jitable
def dropout(ops, x: Matrix, keep: float, seed: int, step: int, layer: int, first_row: int, out: Matrix):
    begin, end = share(ops, out.shape[0], 1)
    columns = out.shape[1]
    inverse, zero = out.dtype.type(1 / keep), out.dtype.type(0)
    limit = np.uint64(keep * 2.0**32)
    key0, key1 = np.uint64(seed) & _LOW, np.uint64(seed) >> _WORD
    step32, layer32 = np.uint64(step) & _LOW, np.uint64(layer)
    for i in range(begin, end):
        for block in range((columns + 3) // 4):
            words = _philox(np.uint64(block), np.uint64(first_row + i), step32, layer32, key0, key1)
            for lane in range(min(4, columns - 4 * block)):
                j = 4 * block + lane
                out[i, j] = x[i, j] * inverse if words[lane] < limit else zero
    barrier(ops)
