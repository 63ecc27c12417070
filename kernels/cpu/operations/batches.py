"""Operations on a batch as a whole (twins of `NumpyOps`)."""

import math

from fastmlp.kernels.cpu.machine.host import HALF_L2, LINE
from fastmlp.kernels.cpu.machine.vectors import prefetch
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Samples, Weights
from fastmlp.kernels.cpu.team.threads import barrier, share, wait_if_deferred
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["announce_next_batch", "copy", "total_weight"]

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


def copy(ops, x: Matrix, out: Matrix):
    wait_if_deferred(ops)  # with one sample, the first thread may have written x alone
    begin, end = share(ops, out.shape[0] * out.shape[1], 1)
    source, target = span(x, begin, end - begin), span(out, begin, end - begin)
    for i in range(target.shape[0]):
        target[i] = source[i]
    barrier(ops)
