"""The three matrix products of a layer: x W + b forward, δ Wᵀ backward, aᵀ δ for the gradient.

Each is cut into tiles for the microkernel and shared out over the team. Small batches go by columns of the output: a
core then meets the same columns of W in the forward product and in the update, in its own L2 cache. Large ones go by
rows: there the products outweigh the way of W from core to core, and threads that write to the same rows would contend
for the cache lines in which their columns meet.
"""

import numpy as np
from fastmlp.kernels import codes
from fastmlp.kernels.cpu import microkernel
from fastmlp.kernels.cpu.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.microkernel import BIAS, BIAS_RELU, PLAIN, ROWS, UPDATE, VECTOR_BYTES
from fastmlp.kernels.cpu.signatures import Columns, Indices, Labels, Matrix, Vector, Weights
from fastmlp.kernels.cpu.team import barrier, share
from numba import types
from numba.extending import intrinsic, register_jitable

__all__ = ["accumulate", "accumulate_bias", "accumulate_sparse", "backward_data", "linear", "linear_sparse"]

COLUMNS = 16  # threads split columns at multiples of a cache line of float32
MANY_ROWS = 64  # of the batch, for each thread: then by rows
FEW_ROWS = 16  # below this many rows, δ Wᵀ by dot products is cheaper than transposing W


@intrinsic
def _address(typingctx, array):
    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), codegen


def _tiled(epilogue):
    """Product of whole matrices: C (rows, columns) = epilogue(A (rows, k) B (k, columns)), in tiles."""
    wide = microkernel.tile(epilogue, ROWS, 2, False)
    narrow = microkernel.tile(epilogue, ROWS, 1, True)
    wide_row = microkernel.tile(epilogue, 1, 4, False)
    narrow_row = microkernel.tile(epilogue, 1, 1, True)

    @register_jitable
    def product(a, a_row, a_k, b, b_k, c, c_row, rows, columns, k, bias, alpha, beta, itemsize):
        lanes = VECTOR_BYTES // itemsize
        j = 0
        while j < columns:
            left = columns - j
            bj, biasj = b + j * itemsize, bias + j * itemsize
            if rows == 1:
                cj = c + j * itemsize
                if left >= 4 * lanes:
                    wide_row(a, a_row, a_k, bj, b_k, cj, c_row, k, 1, 4 * lanes, biasj, alpha, beta)
                    j += 4 * lanes
                else:
                    narrow_row(a, a_row, a_k, bj, b_k, cj, c_row, k, 1, min(left, lanes), biasj, alpha, beta)
                    j += lanes
                continue
            for i in range(0, rows, ROWS):
                ai, cij = a + i * a_row * itemsize, c + (i * c_row + j) * itemsize
                m = min(ROWS, rows - i)
                if left >= 2 * lanes:
                    wide(ai, a_row, a_k, bj, b_k, cij, c_row, k, m, 2 * lanes, biasj, alpha, beta)
                else:
                    narrow(ai, a_row, a_k, bj, b_k, cij, c_row, k, m, min(left, lanes), biasj, alpha, beta)
            j += 2 * lanes if left >= 2 * lanes else lanes

    return product


_plain, _biased, _biased_relu, _updated = (_tiled(epilogue) for epilogue in (PLAIN, BIAS, BIAS_RELU, UPDATE))


@register_jitable
def _ranges(team, rows, columns, by_rows):
    """This thread's rows and columns of an output (rows, columns)."""
    if by_rows or columns < COLUMNS * team.size:
        r0, r1 = share(team, rows, ROWS if rows >= ROWS * team.size else 1)
        return r0, r1, 0, columns
    c0, c1 = share(team, columns, COLUMNS)
    return 0, rows, c0, c1


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= MANY_ROWS * ops.size
    r0, r1, c0, c1 = _ranges(ops, out.shape[0], out.shape[1], by_rows)
    inputs, outputs, size = w.shape[0], w.shape[1], out.itemsize
    if r1 > r0 and c1 > c0:
        real = out.dtype.type
        a = _address(x) + r0 * inputs * size
        c = _address(out) + (r0 * outputs + c0) * size
        bj, biasj = _address(w) + c0 * size, _address(b) + c0 * size
        rows, columns = r1 - r0, c1 - c0
        if activation == codes.RELU:
            _biased_relu(a, inputs, 1, bj, outputs, c, outputs, rows, columns, inputs, biasj, real(1), real(0), size)
        else:
            _biased(a, inputs, 1, bj, outputs, c, outputs, rows, columns, inputs, biasj, real(1), real(0), size)
            activate(activation, out, slope, r0, r1, c0, c1)
    barrier(ops)


def linear_sparse(
    ops,
    values: Weights,
    columns: Columns,
    starts: Labels,
    rows: Indices,
    w: Matrix,
    b: Vector,
    activation: int,
    slope: Matrix,
    out: Matrix,
):
    # by rows if each thread gets one: lines of the output that two threads share are written once per entry
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= ops.size
    r0, r1, c0, c1 = _ranges(ops, out.shape[0], out.shape[1], by_rows)
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
        activate(activation, out, slope, r0, r1, c0, c1)
    barrier(ops)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= MANY_ROWS * ops.size
    r0, r1, c0, c1 = _ranges(ops, out.shape[0], out.shape[1], by_rows)
    inputs, outputs, size = w.shape[0], w.shape[1], out.itemsize
    if out.shape[0] < FEW_ROWS:
        for i in range(r0, r1):
            for k in range(c0, c1):
                total = out.dtype.type(0)
                for o in range(outputs):
                    total += delta[i, o] * w[k, o]
                out[i, k] = total
    elif r1 > r0 and c1 > c0:
        # each thread transposes the rows of w that become its columns, in its own part of the scratch memory
        columns = c1 - c0
        own = (ops.rank if columns == inputs else 0) * inputs * outputs + c0 * outputs
        for k in range(columns):
            for o in range(outputs):
                ops.scratch[own + o * columns + k] = w[c0 + k, o]
        real = out.dtype.type
        source = _address(delta) + r0 * outputs * size
        target = _address(out) + (r0 * inputs + c0) * size
        wt = _address(ops.scratch) + own * size
        _plain(source, outputs, 1, wt, columns, target, inputs, r1 - r0, columns, outputs, wt, real(1), real(0), size)
    multiply_by_derivative(activation, a, slope, out, r0, r1, c0, c1)
    barrier(ops)


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix):
    by_rows = a.shape[0] >= MANY_ROWS * ops.size and out.shape[0] >= ROWS * ops.size
    r0, r1, c0, c1 = _ranges(ops, out.shape[0], out.shape[1], by_rows)
    inputs, outputs, size = out.shape[0], out.shape[1], out.itemsize
    if r1 > r0 and c1 > c0:
        real = out.dtype.type
        source, b = _address(a) + r0 * size, _address(delta) + c0 * size
        target = _address(out) + (r0 * outputs + c0) * size
        rows, columns, k = r1 - r0, c1 - c0, a.shape[0]
        _updated(source, 1, inputs, b, outputs, target, outputs, rows, columns, k, b, real(alpha), real(beta), size)
    barrier(ops)


def accumulate_sparse(
    ops,
    values: Weights,
    columns: Columns,
    starts: Labels,
    rows: Indices,
    delta: Matrix,
    alpha: float,
    beta: float,
    out: Matrix,
):
    # Several samples write to one row of the output. Each thread owns some of these rows and passes over the entries of
    # the others', so every sum is taken in the order of the samples, by any team. Not by columns: rows that do not end
    # on a cache line would have their middle lines written by two threads in turn.
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
    barrier(ops)


def accumulate_bias(ops, delta: Matrix, alpha: float, beta: float, out: Vector):
    c0, c1 = share(ops, out.shape[0], COLUMNS)
    factor, kept = out.dtype.type(alpha), out.dtype.type(beta)
    own = out[c0:c1]
    for o in range(own.shape[0]):
        own[o] = kept * own[o] if beta != 0.0 else kept
    for i in range(delta.shape[0]):
        row = delta[i, c0:c1]
        for o in range(own.shape[0]):
            own[o] += factor * row[o]
    barrier(ops)
