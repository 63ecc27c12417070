"""The three matrix products of a layer: x W + b forward, δ Wᵀ backward, aᵀ δ for the gradient.

Each is cut into tiles and shared out over the team. Small batches go by columns of the output: a core then meets the
same columns of W in the forward product and in the update, in its own L2 cache. Large ones go by rows: there the
products outweigh the way of W from core to core, and threads that write to the same rows would contend for the cache
lines in which their columns meet.

The samples of a batch are read where they are. Those of another dtype are converted a few at a time, in scratch memory
that stays in the L1 cache.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.jitable import inlined
from fastmlp.kernels.cpu.microkernel import (
    BIAS,
    IN_ORDER,
    PICKED_DEPTH,
    PICKED_ROWS,
    PLAIN,
    RELU_MASK,
    ROWS,
    UPDATE,
    tile,
)
from fastmlp.kernels.cpu.narrow import is_narrow, is_worth_transposing, narrow_gradient, narrow_product
from fastmlp.kernels.cpu.signatures import Indices, Matrix, Samples, Vector
from fastmlp.kernels.cpu.simd import VECTOR_BYTES
from fastmlp.kernels.cpu.team import barrier, share
from fastmlp.kernels.cpu.tiling import INDEX_BYTES, tiled
from fastmlp.kernels.cpu.transposition import transpose
from fastmlp.kernels.cpu.views import address, span
from numba.extending import overload

__all__ = [
    *("ROWS", "accumulate", "accumulate_rows", "backward_data", "linear", "linear_rows"),
    *("add_bias_gradient", "share_gradient", "share_output"),
]

COLUMNS = 16  # threads split columns at multiples of a cache line of float32
MANY_ROWS = 64  # of the batch, for each thread: then by rows


@inlined
def share_output(team, rows, columns, by_rows):
    """This thread's rows and columns of an output (rows, columns)."""
    if team.size == 1:
        return 0, rows, 0, columns
    if by_rows or columns < COLUMNS * team.size:
        r0, r1 = share(team, rows, ROWS if rows >= ROWS * team.size else 1)
        return r0, r1, 0, columns
    c0, c1 = share(team, columns, COLUMNS)
    return 0, rows, c0, c1


@inlined
def _share_layer(team, out, activation):
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= MANY_ROWS * team.size
    return share_output(team, out.shape[0], out.shape[1], by_rows)


def _layer(way):
    biased = tiled(BIAS, way)

    @inlined
    def layer(team, a, picks, w, b, activation, slope, out, r0, r1, c0, c1):
        """out[r0:r1, c0:c1] of inputs from address a on."""
        inputs, outputs, size, real = w.shape[0], w.shape[1], out.itemsize, out.dtype.type
        wj, bj, c = address(w) + c0 * size, address(b) + c0 * size, address(out) + (r0 * outputs + c0) * size
        floor = real(0) if activation == codes.RELU else real(-codes.INFINITY)
        place = a, inputs, 1, picks, wj, outputs, c, outputs, r1 - r0, c1 - c0, inputs
        biased(*place, bj, floor, real(0), size)
        if activation != codes.RELU:
            activate(team, activation, out, slope, r0, r1, c0, c1)

    return layer


_layer_in_order, _layer_of_rows = _layer(IN_ORDER), _layer(PICKED_ROWS)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = _share_layer(ops, out, activation)
    if is_narrow(w.shape[0], w.shape[1], out.itemsize):
        narrow_product(x, w, b, out, r0, r1, ops.scratch)
        activate(ops, activation, out, slope, r0, r1, 0, out.shape[1])
    elif r1 > r0 and c1 > c0:
        a = address(x) + r0 * w.shape[0] * x.itemsize
        _layer_in_order(ops, a, 0, w, b, activation, slope, out, r0, r1, c0, c1)
    barrier(ops)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = _share_layer(ops, out, activation)
    if r1 > r0 and c1 > c0:
        _linear_rows(ops, x, rows, w, b, activation, slope, out, r0, r1, c0, c1)
    barrier(ops)


def _linear_rows(team, x, rows, w, b, activation, slope, out, r0, r1, c0, c1):
    """out[r0:r1, c0:c1], in place if the samples have its dtype, else with some of them converted at a time."""
    raise NotImplementedError


@overload(_linear_rows)
def _linear_rows_of(team, x, rows, w, b, activation, slope, out, r0, r1, c0, c1):
    def in_place(team, x, rows, w, b, activation, slope, out, r0, r1, c0, c1):
        _layer_of_rows(team, address(x), address(rows) + r0 * INDEX_BYTES, w, b, activation, slope, out, r0, r1, c0, c1)

    def converted(team, x, rows, w, b, activation, slope, out, r0, r1, c0, c1):
        for first in range(r0, r1, ROWS):
            end = min(first + ROWS, r1)
            _convert(x, rows, first, end, 0, x.shape[1], team.scratch)
            _layer_in_order(team, address(team.scratch), 0, w, b, activation, slope, out, first, end, c0, c1)

    return in_place if x.dtype == out.dtype else converted


@inlined
def _convert(x, rows, r0, r1, c0, c1, out):
    """out = x[rows[r0:r1], c0:c1] in out's dtype, densely."""
    width = c1 - c0
    for i in range(r0, r1):
        source, target = span(x, rows[i] * x.shape[1] + c0, width), span(out, (i - r0) * width, width)
        for j in range(width):
            target[j] = source[j]


_product, _masked_product = tiled(PLAIN, IN_ORDER), tiled(RELU_MASK, IN_ORDER)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = _share_layer(ops, out, activation)
    inputs, outputs, size, real = w.shape[0], w.shape[1], out.itemsize, out.dtype.type
    if r1 > r0 and c1 > c0:
        columns, wt = c1 - c0, address(ops.scratch)
        transpose(address(w) + c0 * outputs * size, outputs, columns, outputs, wt, columns, real(0), size)
        source, c = address(delta) + r0 * outputs * size, (r0 * inputs + c0) * size
        place = source, outputs, 1, 0, wt, columns, address(out) + c, inputs, r1 - r0, columns, outputs
        if activation == codes.RELU:
            _masked_product(*place, address(a) + c, real(1), real(0), size)
        else:
            _product(*place, wt, real(1), real(0), size)
            multiply_by_derivative(ops, activation, a, slope, out, r0, r1, c0, c1)
    barrier(ops)


def _gradient(way):
    updated = tiled(UPDATE, way, flat=True)

    @inlined
    def gradient(a, a_k, picks, delta, alpha, beta, out, r0, r1, c0, c1):
        """out[r0:r1, c0:c1] from the columns of inputs from address a on, a_k elements from sample to sample."""
        size, real = out.itemsize, out.dtype.type
        d, c = address(delta) + c0 * size, address(out) + (r0 * out.shape[1] + c0) * size
        place = a, 1, a_k, picks, d, out.shape[1], c, out.shape[1], r1 - r0, c1 - c0, delta.shape[0]
        updated(*place, d, real(alpha), real(beta), size)

    return gradient


_gradient_in_order, _gradient_of_rows = _gradient(IN_ORDER), _gradient(PICKED_DEPTH)


@inlined
def share_gradient(team, samples, beta, out):
    # a fresh gradient is for an update rule, whose threads share out the flat buffer: in other words, the rows
    by_rows = (samples >= MANY_ROWS * team.size or beta == 0.0) and out.shape[0] >= ROWS * team.size
    return share_output(team, out.shape[0], out.shape[1], by_rows)


_SUMS = 4  # vectors of columns whose sums are formed at once
_sums, _narrow_sums = tile(UPDATE, IN_ORDER, 1, _SUMS, True), tile(UPDATE, IN_ORDER, 1, 1, True)


@inlined
def add_bias_gradient(team, delta, alpha, beta, bias):
    """bias = beta bias + alpha Σ_i delta[i], this thread's part: the gradient of the weights of an input that is 1."""
    size, real, row = bias.itemsize, bias.dtype.type, delta.shape[1]
    c0, c1 = share(team, bias.shape[0], COLUMNS)
    team.scratch[0] = 1
    one, lanes = address(team.scratch), VECTOR_BYTES // size
    for j in range(c0, c1, _SUMS * lanes):
        d, c = address(delta) + j * size, address(bias) + j * size
        place = one, 0, 0, 0, 0, d, row, c, 0, delta.shape[0], 1, c1 - j, d
        if c1 - j > lanes:
            _sums(*place, real(alpha), real(beta))
        else:
            _narrow_sums(*place, real(alpha), real(beta))


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    if is_worth_transposing(delta.shape[0], out.shape[0], out.shape[1], out.itemsize):
        r0, r1, _, _ = share_output(ops, out.shape[0], out.shape[1], True)
        narrow_gradient(a, delta, alpha, beta, out, r0, r1, ops.scratch)
    else:
        r0, r1, c0, c1 = share_gradient(ops, delta.shape[0], beta, out)
        if r1 > r0 and c1 > c0:
            source = address(a) + r0 * a.itemsize
            _gradient_in_order(source, out.shape[0], 0, delta, alpha, beta, out, r0, r1, c0, c1)
    add_bias_gradient(ops, delta, alpha, bias_beta, bias)
    barrier(ops)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    r0, r1, c0, c1 = share_gradient(ops, delta.shape[0], beta, out)
    if r1 > r0 and c1 > c0:
        _gradient_rows(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, ops.scratch)
    add_bias_gradient(ops, delta, alpha, bias_beta, bias)
    barrier(ops)


def _gradient_rows(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, scratch):
    """The same for out[r0:r1, c0:c1] of a gradient."""
    raise NotImplementedError


@overload(_gradient_rows)
def _gradient_rows_of(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, scratch):
    def in_place(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, scratch):
        source = address(x) + r0 * x.itemsize
        _gradient_of_rows(source, x.shape[1], address(rows), delta, alpha, beta, out, r0, r1, c0, c1)

    def converted(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, scratch):
        for first in range(r0, r1, ROWS):
            end = min(first + ROWS, r1)
            _convert(x, rows, 0, rows.shape[0], first, end, scratch)
            _gradient_in_order(address(scratch), end - first, 0, delta, alpha, beta, out, first, end, c0, c1)

    return in_place if x.dtype == out.dtype else converted
