"""Packed products, for all layers of a network that has a large one (twins of `NumpyOps`).

The rows that a tile reads of a large B are far apart: each in another page, and, with rows of 2ⁿ bytes, all in the same
few sets of the cache, where they evict one another. So a block of B, as much as fits half of the L2 cache, is packed
panel by panel (copied densely, in the order in which tiles read it), and all tiles of that block follow. Source: Goto &
van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).

The depth is cut into parts, whose sums are added up in C. Where the parts end does not depend on a thread's share, so
results do not depend on the number of threads. Threads split the output by columns wherever they can; split by rows,
each would pack all of W.
"""

from numba import types
from numba.extending import overload

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.large.packing import pack_columns, pack_rows
from fastmlp.kernels.cpu.machine.jitable import JIT_OPTIONS, inlined, jitable
from fastmlp.kernels.cpu.machine.microkernel import BIAS, IN_ORDER, PICKED_ROWS, UPDATE, Product
from fastmlp.kernels.cpu.machine.tiling import INDEX_BYTES, tiled
from fastmlp.kernels.cpu.operations.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.operations.products import add_bias_gradient
from fastmlp.kernels.cpu.operations.sharing import share_gradient, share_output
from fastmlp.kernels.cpu.regimes import A_BLOCK_BYTES, BLOCK_BYTES, DEPTH, PANEL_BYTES
from fastmlp.kernels.cpu.team.signatures import Indices, Matrix, Samples, Vector
from fastmlp.kernels.cpu.team.threads import barrier
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["accumulate", "accumulate_rows", "backward_data", "linear", "linear_rows"]


def _make_rows(access):
    multiply = tiled(BIAS, access)

    @inlined
    def rows_of(a, a_row, picks, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n):
        """out[r0:r1, j : j + n] = max(floor, A B + factor terms), with B (k, n) packed in scratch.

        a is the address of row r0, or, with picks, of the first sample; a_row its stride. The terms are biases, the
        same for each row (term_row = 0), or the sums of the parts before this one, which are in `out` itself.
        """
        columns, size, real = out.shape[1], out.itemsize, out.dtype.type
        multiply(
            Product(
                a=a,
                a_row=a_row,
                a_k=1,
                picks=picks,
                b=address(scratch),
                b_row=PANEL_BYTES // size,
                b_column=k,
                c=address(out) + (r0 * columns + j) * size,
                c_row=columns,
                rows=r1 - r0,
                columns=n,
                k=k,
                aux=term + r0 * term_row * size,
                aux_row=term_row,
                alpha=real(floor),
                beta=real(factor),
            ),
            size,
        )

    return rows_of


_rows_in_order, _picked_rows = _make_rows(IN_ORDER), _make_rows(PICKED_ROWS)


def _multiply(x, picks, p, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n):
    """The same for A = x[picks, p : p + k], picks None for all rows; samples of another dtype are converted."""
    raise NotImplementedError


@overload(_multiply, jit_options=JIT_OPTIONS)
def _multiply_of(x, picks, p, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n):
    def in_order(x, picks, p, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n):
        a = address(x) + (r0 * x.shape[1] + p) * x.itemsize
        _rows_in_order(a, x.shape[1], 0, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n)

    def in_place(x, picks, p, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n):
        a, numbers = address(x) + p * x.itemsize, address(picks) + r0 * INDEX_BYTES
        _picked_rows(a, x.shape[1], numbers, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n)

    def converted(x, picks, p, scratch, k, term, term_row, factor, floor, out, r0, r1, j, n):
        size = out.itemsize
        at, rows = BLOCK_BYTES // size, A_BLOCK_BYTES // (DEPTH * size)
        for first in range(r0, r1, rows):
            end = min(first + rows, r1)
            for i in range(first, end):
                source, target = span(x, picks[i] * x.shape[1] + p, k), span(scratch, at + (i - first) * k, k)
                for c in range(k):
                    target[c] = source[c]
            a = address(scratch) + at * size
            _rows_in_order(a, k, 0, scratch, k, term, term_row, factor, floor, out, first, end, j, n)

    return in_order if isinstance(picks, types.NoneType) else in_place if x.dtype == out.dtype else converted


def _make_layer(pack):
    @jitable
    def layer(x, picks, b, biases, bias_factor, floor, out, r0, r1, c0, c1, depth, scratch):
        """out[r0:r1, c0:c1] = max(floor, x[picks] B + bias_factor biases); B (depth, …) is b or its transpose."""
        size, block = out.itemsize, BLOCK_BYTES // (DEPTH * out.itemsize)
        for j in range(c0, c1, block):
            n = min(block, c1 - j)
            for p in range(0, depth, DEPTH):
                k = min(DEPTH, depth - p)
                pack(b, None, p, k, j, n, scratch, 0)
                term, term_row, factor = biases + j * size, 0, bias_factor
                if p > 0:
                    term, term_row, factor = address(out) + j * size, out.shape[1], 1.0
                lowest = floor if p + k == depth else -codes.INFINITY
                _multiply(x, picks, p, scratch, k, term, term_row, factor, lowest, out, r0, r1, j, n)

    return layer


_forward, _backward = _make_layer(pack_columns), _make_layer(pack_rows)
_update = tiled(UPDATE, IN_ORDER)


@jitable
def _share_layer(team, out, activation):
    return share_output(team, out.shape[0], out.shape[1], activation == codes.SOFTMAX)


@jitable
def _linear(team, x, picks, w, b, activation, slope, out):
    r0, r1, c0, c1 = _share_layer(team, out, activation)
    if r1 > r0 and c1 > c0:
        floor = 0.0 if activation == codes.RELU else -codes.INFINITY
        _forward(x, picks, w, address(b), 1.0, floor, out, r0, r1, c0, c1, w.shape[0], team.scratch)
        if activation != codes.RELU:
            activate(team, activation, out, slope, r0, r1, c0, c1)
    barrier(team)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, None, w, b, activation, slope, out)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, rows, w, b, activation, slope, out)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = _share_layer(ops, out, activation)
    if r1 > r0 and c1 > c0:
        none = address(out)  # not read
        _backward(delta, None, w, none, 0.0, -codes.INFINITY, out, r0, r1, c0, c1, w.shape[1], ops.scratch)
        multiply_by_derivative(ops, activation, a, slope, out, r0, r1, c0, c1)
    barrier(ops)


@jitable
def _gradient(x, picks, delta, alpha, beta, out, r0, r1, c0, c1, scratch):
    """out[r0:r1, c0:c1] = beta out + alpha x[picks]ᵀ δ. Blocks of x are packed like those of δ."""
    size, columns, real, depth = out.itemsize, out.shape[1], out.dtype.type, delta.shape[0]
    width, at = PANEL_BYTES // size, BLOCK_BYTES // size
    inputs, outputs = A_BLOCK_BYTES // (DEPTH * size), BLOCK_BYTES // (DEPTH * size)
    for j in range(c0, c1, outputs):
        n = min(outputs, c1 - j)
        for p in range(0, max(depth, 1), DEPTH):
            k, kept = min(DEPTH, depth - p), real(beta if p == 0 else 1.0)
            pack_columns(delta, None, p, k, j, n, scratch, 0)
            for i in range(r0, r1, width):
                panel = (i - r0) % inputs
                if panel == 0:
                    pack_columns(x, picks, p, k, i, min(inputs, r1 - i), scratch, at)
                product = Product(
                    a=address(scratch) + (at + panel * k) * size,
                    a_row=1,
                    a_k=width,
                    picks=0,
                    b=address(scratch),
                    b_row=width,
                    b_column=k,
                    c=address(out) + (i * columns + j) * size,
                    c_row=columns,
                    rows=min(width, r1 - i),
                    columns=n,
                    k=k,
                    aux=0,
                    aux_row=0,
                    alpha=real(alpha),
                    beta=kept,
                )
                _update(product, size)


@jitable
def _accumulate(team, x, picks, delta, alpha, beta, out, bias_beta, bias):
    r0, r1, c0, c1 = share_gradient(team, delta.shape[0], beta, out, False)
    if r1 > r0 and c1 > c0:
        _gradient(x, picks, delta, alpha, beta, out, r0, r1, c0, c1, team.scratch)
    add_bias_gradient(team, delta, alpha, bias_beta, bias)
    barrier(team)


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    _accumulate(ops, a, None, delta, alpha, beta, out, bias_beta, bias)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    _accumulate(ops, x, rows, delta, alpha, beta, out, bias_beta, bias)
