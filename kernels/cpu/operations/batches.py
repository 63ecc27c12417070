"""Operations on a batch as a whole (twins of `NumpyOps`)."""

import math

import numpy as np
from numba import types
from numba.extending import overload

from fastmlp.kernels.cpu.machine.host import HALF_L2, LINE
from fastmlp.kernels.cpu.machine.jitable import JIT_OPTIONS
from fastmlp.kernels.cpu.machine.rows import row_zero_times
from fastmlp.kernels.cpu.machine.vectors import prefetch
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Samples, Weights
from fastmlp.kernels.cpu.team.threads import barrier, share, wait_if_deferred
from fastmlp.kernels.cpu.team.views import address, row_address, span

__all__ = ["announce_next_batch", "copy", "total_weight", "zero_if_finite"]

PREFETCHED = 1 << 17  # bytes a thread, at most: more would evict the weights from its L2 cache
MANY = 16  # rows shorter than a cache line: reading so many keeps as many loads in flight as prefetching does


def announce_next_batch(ops, x: Samples, labels: Labels, rows: Indices):
    size = x.shape[1] * x.itemsize
    if x.shape[0] * size <= HALF_L2 or (size < LINE and rows.shape[0] >= MANY):
        return
    begin, end = share(ops, rows.shape[0], 1)
    for i in range(begin, min(end, begin + PREFETCHED // size)):
        prefetch(address(x) + rows[i] * size, size)
        if labels.shape[0] > 0:
            prefetch(address(labels) + rows[i] * labels.itemsize, 1)


def total_weight(ops, weights: Weights, rows: Indices) -> float:
    total = float(rows.shape[0])
    if weights.shape[0] > 0:
        total = 0.0
        for i in range(rows.shape[0]):
            total += weights[rows[i]]
    return total if total != 0.0 else math.inf


def zero_if_finite(ops, x: Samples, rows: Indices) -> float:
    begin, end = share(ops, rows.shape[0], 1)
    return _zero_times(x, rows, begin, end)


def _zero_times(x, rows, begin, end):
    """0 times the sum of the rows: 0, or NaN where a number is infinite or NaN; integers are neither."""
    raise NotImplementedError


@overload(_zero_times, jit_options=JIT_OPTIONS)
def _zero_times_of(x, rows, begin, end):
    def of_reals(x, rows, begin, end):
        zero, n, apart = x.dtype.type(0), x.shape[1], 0
        for i in range(begin, end):
            apart |= rows[i] - rows[begin] - (i - begin)
        if end > begin and apart == 0:  # one stretch of memory, as in any prediction of all samples
            return np.float64(row_zero_times(row_address(x, rows[begin]), (end - begin) * n, zero))
        total = zero
        for i in range(begin, end):
            total += row_zero_times(row_address(x, rows[i]), n, zero)
        return np.float64(total)

    def of_integers(x, rows, begin, end):
        return 0.0

    return of_reals if isinstance(x.dtype, types.Float) else of_integers


def copy(ops, x: Matrix, out: Matrix):
    wait_if_deferred(ops)  # with one sample, the first thread may have written x alone
    begin, end = share(ops, out.shape[0] * out.shape[1], 1)
    source, target = span(x, begin, end - begin), span(out, begin, end - begin)
    for i in range(target.shape[0]):
        target[i] = source[i]
    barrier(ops)
