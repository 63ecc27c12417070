"""The first layer's products with compressed rows (twins of `NumpyOps`; `fastmlp.network.Data` has the format)."""

import numpy as np

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.operations.elementwise import activate
from fastmlp.kernels.cpu.operations.products import add_bias_gradient
from fastmlp.kernels.cpu.operations.sharing import share_output
from fastmlp.kernels.cpu.team.signatures import Columns, Indices, Labels, Matrix, Vector, Weights
from fastmlp.kernels.cpu.team.threads import barrier, share, wait_if_deferred

__all__ = ["accumulate_sparse", "linear_sparse"]


def linear_sparse(
    ops, values: Weights, columns: Columns, starts: Labels, rows: Indices,
    w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix,
):  # fmt: skip
    # by rows if there is one for each thread: by columns, threads write to shared cache lines once per entry
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= ops.size
    r0, r1, c0, c1 = share_output(ops, out.shape[0], out.shape[1], by_rows)
    # an unsigned index needs no check for negative ones, which would keep the loop over it from being vectorised
    first, end = np.uint64(c0), np.uint64(c1)
    for i in range(r0, r1):
        for o in range(first, end):
            out[i, o] = b[o]
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            j, value = columns[k], values[k]
            for o in range(first, end):
                out[i, o] += value * w[j, o]
    if r1 > r0 and c1 > c0:
        activate(ops, activation, out, slope, r0, r1, c0, c1)
    barrier(ops)


def accumulate_sparse(
    ops, values: Weights, columns: Columns, starts: Labels, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    wait_if_deferred(ops)  # with one sample, the first thread may have written δ alone
    # Several samples add to one row of the output. Each thread owns some rows and skips the entries of others, so every
    # sum is taken in the order of the samples, whatever the team. By columns it would be slower: where a row does not
    # end on a cache line, two threads would write to the line in its middle in turn.
    j0, j1 = share(ops, out.shape[0], 1)
    outputs, real = np.uint64(out.shape[1]), out.dtype.type
    if beta != 1.0:
        for j in range(j0, j1):
            for o in range(outputs):
                out[j, o] = real(beta) * out[j, o] if beta != 0.0 else real(0)
    for i in range(rows.shape[0]):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            j, value = columns[k], real(alpha) * values[k]
            if j0 <= j < j1:
                for o in range(outputs):
                    out[j, o] += value * delta[i, o]
    add_bias_gradient(ops, delta, alpha, bias_beta, bias)
    barrier(ops)
