"""The three matrix products of a layer: x W + b forward, δ Wᵀ backward, aᵀ δ for the gradient.

Each is split among the threads (see `sharing`) and cut into tiles. The samples of a batch are read where they lie;
those of another dtype are converted a few at a time, into scratch memory that stays in the L1 cache.
"""

from numba import types
from numba.extending import overload

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.host import ROWS, UNEVEN, VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import JIT_OPTIONS, inlined
from fastmlp.kernels.cpu.machine.microkernel import (
    BIAS,
    IN_ORDER,
    PICKED_DEPTH,
    PICKED_ROWS,
    PLAIN,
    RELU_MASK,
    UPDATE,
    Product,
    tile,
)
from fastmlp.kernels.cpu.machine.tiling import INDEX_BYTES, tiled
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.operations.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.operations.narrow import is_narrow, is_worth_transposing, narrow_gradient, narrow_product
from fastmlp.kernels.cpu.operations.sharing import COLUMNS, is_in_halves, share_gradient, share_layer, share_output
from fastmlp.kernels.cpu.team.signatures import Indices, Matrix, Samples, Vector
from fastmlp.kernels.cpu.team.threads import barrier, share
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["accumulate", "accumulate_rows", "add_bias_gradient", "backward_data", "linear", "linear_rows"]


def _make_layer(access):
    multiply = tiled(BIAS, access, flat=UNEVEN)

    @inlined
    def layer(a, a_row, picks, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
        """out[r0:r1, c0:c1] = max(floor, a W + bias_factor b), of the inputs k0 to k1 alone.

        a is the address of input k0 of row r0, or, with picks, of the first sample; a_row its stride.
        """
        outputs, size, real = w.shape[1], out.itemsize, out.dtype.type
        multiply(
            Product(
                a=a,
                a_row=a_row,
                a_k=1,
                picks=picks,
                b=address(w) + (k0 * outputs + c0) * size,
                b_row=outputs,
                b_column=1,
                c=address(out) + (r0 * outputs + c0) * size,
                c_row=outputs,
                rows=r1 - r0,
                columns=c1 - c0,
                k=k1 - k0,
                aux=address(b) + c0 * size,
                aux_row=0,
                alpha=real(floor),
                beta=real(bias_factor),
            ),
            size,
        )

    return layer


_layer_in_order, _layer_of_rows = _make_layer(IN_ORDER), _make_layer(PICKED_ROWS)


def _layer(team, x, rows, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
    """The same for the samples `rows` of x, None for all; samples of another dtype are converted, ROWS at a time."""
    raise NotImplementedError


@overload(_layer, jit_options=JIT_OPTIONS)
def _layer_of(team, x, rows, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
    def in_order(team, x, rows, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
        a = address(x) + (r0 * x.shape[1] + k0) * x.itemsize
        _layer_in_order(a, x.shape[1], 0, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1)

    def in_place(team, x, rows, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
        a, picks = address(x) + k0 * x.itemsize, address(rows) + r0 * INDEX_BYTES
        _layer_of_rows(a, x.shape[1], picks, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1)

    def converted(team, x, rows, w, b, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
        for first in range(r0, r1, ROWS):
            a, end = address(team.scratch), min(first + ROWS, r1)
            _convert(x, rows, first, end, k0, k1, team.scratch)
            _layer_in_order(a, k1 - k0, 0, w, b, bias_factor, floor, out, first, end, c0, c1, k0, k1)

    return in_order if isinstance(rows, types.NoneType) else in_place if x.dtype == out.dtype else converted


@inlined
def _forward(team, x, rows, w, b, activation, slope, out):
    """out = σ(x W + b), this thread's share, without the barrier at the end."""
    inputs, in_halves = w.shape[0], is_in_halves(out.shape[0], w.shape[0], w.shape[1])
    half_each, half = in_halves and team.size == 2, (inputs + 1) // 2 if in_halves else inputs
    fused_relu = activation == codes.RELU and not in_halves
    r0, r1, c0, c1 = (0, out.shape[0], 0, out.shape[1]) if half_each else share_layer(team, out, activation)
    for h in range(2 if in_halves else 1):
        if r1 > r0 and c1 > c0 and (h == team.rank or not half_each):
            # `slope` is not needed before the activation: it holds the second half's sums
            target, bias_factor = (out, 1.0) if h == 0 else (slope, 0.0)
            floor, k0, k1 = 0.0 if fused_relu else -codes.INFINITY, h * half, min((h + 1) * half, inputs)
            _layer(team, x, rows, w, b, bias_factor, floor, target, r0, r1, c0, c1, k0, k1)
    if half_each:
        barrier(team)  # each thread has one of the two sums of every row
        r0, r1 = share(team, out.shape[0], 1)
    if in_halves:
        for i in range(r0, r1):
            at = i * out.shape[1] + c0
            sums, others = span(out, at, c1 - c0), span(slope, at, c1 - c0)
            for j in range(sums.shape[0]):
                sums[j] += others[j]
    if r1 > r0 and c1 > c0 and not fused_relu:
        activate(team, activation, out, slope, r0, r1, c0, c1)


@inlined
def _linear(team, x, rows, w, b, activation, slope, out):
    if is_narrow(w.shape[0], w.shape[1], out.itemsize):
        r0, r1, _, _ = share_layer(team, out, activation)
        narrow_product(x, rows, w, b, out, r0, r1, team.scratch)
        activate(team, activation, out, slope, r0, r1, 0, out.shape[1])
    else:
        _forward(team, x, rows, w, b, activation, slope, out)
    barrier(team)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, None, w, b, activation, slope, out)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, rows, w, b, activation, slope, out)


@inlined
def _convert(x, rows, r0, r1, c0, c1, out):
    """out = x[rows[r0:r1], c0:c1] in out's dtype, densely."""
    width = c1 - c0
    for i in range(r0, r1):
        source, target = span(x, rows[i] * x.shape[1] + c0, width), span(out, (i - r0) * width, width)
        for j in range(width):
            target[j] = source[j]


_product, _masked_product = tiled(PLAIN, IN_ORDER, flat=UNEVEN), tiled(RELU_MASK, IN_ORDER, flat=UNEVEN)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = share_layer(ops, out, activation)
    inputs, outputs, size, real = w.shape[0], w.shape[1], out.itemsize, out.dtype.type
    if r1 > r0 and c1 > c0:
        columns, wt = c1 - c0, address(ops.scratch)
        transpose(address(w) + c0 * outputs * size, outputs, columns, outputs, wt, columns, real(0), size)
        at = (r0 * inputs + c0) * size
        product = Product(
            a=address(delta) + r0 * outputs * size,
            a_row=outputs,
            a_k=1,
            picks=0,
            b=wt,
            b_row=columns,
            b_column=1,
            c=address(out) + at,
            c_row=inputs,
            rows=r1 - r0,
            columns=columns,
            k=outputs,
            aux=address(a) + at,
            aux_row=inputs,
            alpha=real(1),
            beta=real(0),
        )
        if activation == codes.RELU:
            _masked_product(product, size)
        else:
            _product(product, size)
            multiply_by_derivative(ops, activation, a, slope, out, r0, r1, c0, c1)
    barrier(ops)


def _make_gradient(access):
    multiply = tiled(UPDATE, access, flat=True)

    @inlined
    def gradient(a, a_k, picks, delta, alpha, beta, out, r0, r1, c0, c1):
        """out[r0:r1, c0:c1] = beta out + alpha aᵀ δ; a is the address of input r0, a_k its stride between samples."""
        outputs, size, real = out.shape[1], out.itemsize, out.dtype.type
        multiply(
            Product(
                a=a,
                a_row=1,
                a_k=a_k,
                picks=picks,
                b=address(delta) + c0 * size,
                b_row=outputs,
                b_column=1,
                c=address(out) + (r0 * outputs + c0) * size,
                c_row=outputs,
                rows=r1 - r0,
                columns=c1 - c0,
                k=delta.shape[0],
                aux=0,
                aux_row=0,
                alpha=real(alpha),
                beta=real(beta),
            ),
            size,
        )

    return gradient


_gradient_in_order, _gradient_of_rows = _make_gradient(IN_ORDER), _make_gradient(PICKED_DEPTH)


_SUMS = 4  # vectors of columns whose sums are formed at once
_sums, _narrow_sums = tile(UPDATE, IN_ORDER, 1, _SUMS, True), tile(UPDATE, IN_ORDER, 1, 1, True)


@inlined
def add_bias_gradient(team, delta, alpha, beta, bias):
    """bias = beta bias + alpha Σ_i delta[i], this thread's part: a product with one row of A, all of it 1."""
    size, real, row = bias.itemsize, bias.dtype.type, delta.shape[1]
    c0, c1 = share(team, bias.shape[0], COLUMNS)
    team.scratch[0] = 1
    one, lanes = address(team.scratch), VECTOR_BYTES // size
    for j in range(c0, c1, _SUMS * lanes):
        product = Product(
            a=one,
            a_row=0,
            a_k=0,
            picks=0,
            b=address(delta) + j * size,
            b_row=row,
            b_column=1,
            c=address(bias) + j * size,
            c_row=0,
            rows=1,
            columns=c1 - j,
            k=delta.shape[0],
            aux=0,
            aux_row=0,
            alpha=real(alpha),
            beta=real(beta),
        )
        if c1 - j > lanes:
            _sums(product, 0)
        else:
            _narrow_sums(product, 0)


@inlined
def _share_gradient(team, delta, beta, out):
    samples = delta.shape[0]
    return share_gradient(team, samples, beta, out, is_in_halves(samples, out.shape[0], out.shape[1]))


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    if is_worth_transposing(delta.shape[0], out.shape[0], out.shape[1], out.itemsize):
        r0, r1, _, _ = share_output(ops, out.shape[0], out.shape[1], True)
        narrow_gradient(a, delta, alpha, beta, out, r0, r1, ops.scratch)
    else:
        r0, r1, c0, c1 = _share_gradient(ops, delta, beta, out)
        if r1 > r0 and c1 > c0:
            source = address(a) + r0 * a.itemsize
            _gradient_in_order(source, out.shape[0], 0, delta, alpha, beta, out, r0, r1, c0, c1)
    add_bias_gradient(ops, delta, alpha, bias_beta, bias)
    barrier(ops)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    r0, r1, c0, c1 = _share_gradient(ops, delta, beta, out)
    if r1 > r0 and c1 > c0:
        _gradient_rows(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, ops.scratch)
    add_bias_gradient(ops, delta, alpha, bias_beta, bias)
    barrier(ops)


def _gradient_rows(x, rows, delta, alpha, beta, out, r0, r1, c0, c1, scratch):
    """out[r0:r1, c0:c1] = beta out + alpha x[rows]ᵀ δ; inputs of another dtype are converted, ROWS at a time."""
    raise NotImplementedError


@overload(_gradient_rows, jit_options=JIT_OPTIONS)
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
