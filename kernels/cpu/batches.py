"""Views of flat buffers and the gathering of batches (twins of `NumpyOps`)."""

from fastmlp.kernels.cpu.signatures import Indices, Labels, Matrix, Samples, Targets, Vector, Weights
from fastmlp.kernels.cpu.team import barrier, share
from numba.extending import register_jitable

__all__ = ["copy", "gather", "gather_targets", "gather_weights", "weight_sum"]


@register_jitable
def _gather(team, x, rows, out):
    begin, end = share(team, out.shape[0], 1)
    for i in range(begin, end):
        row = rows[i]
        for j in range(out.shape[1]):
            out[i, j] = x[row, j]


def gather(ops, x: Samples, rows: Indices, out: Matrix):
    _gather(ops, x, rows, out)
    barrier(ops)


def gather_targets(ops, labels: Labels, targets: Targets, rows: Indices, out: Matrix):
    if labels.shape[0] > 0:
        begin, end = share(ops, out.shape[0], 1)
        for i in range(begin, end):
            for j in range(out.shape[1]):
                out[i, j] = 0
            out[i, labels[rows[i]]] = 1
    else:
        _gather(ops, targets, rows, out)
    barrier(ops)


def gather_weights(ops, weights: Weights, rows: Indices, out: Vector):
    begin, end = share(ops, out.shape[0], 1)
    for i in range(begin, end):
        out[i] = weights[rows[i]] if weights.shape[0] > 0 else 1
    barrier(ops)


def weight_sum(ops, weights: Weights, rows: Indices) -> float:
    total = float(rows.shape[0])
    if weights.shape[0] > 0:
        total = 0.0
        for i in range(rows.shape[0]):
            total += weights[rows[i]]
    return total


def copy(ops, x: Matrix, out: Matrix):
    begin, end = share(ops, out.shape[0], 1)
    for i in range(begin, end):
        for j in range(out.shape[1]):
            out[i, j] = x[i, j]
    barrier(ops)
