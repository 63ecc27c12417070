"""Products of factors rounded to bfloat16, with sums in float32 (twins of `NumpyOps` for `precision="bf16"`).

Weights, outputs and δ themselves stay float32. Of a product A B, a block of B is packed in panels of pairs, as much as
half of the L2 cache takes, then rows of A, a few at a time. Threads that split a product by rows pack B together; those
that split it by columns pack their own.

The depth is cut into parts, whose sums are added up in C, in a wide layer with few rows first in halves (see
`operations.sharing`). Where these end follows from the sizes of the layer and its batch, and each sum goes along the
depth pair by pair. So a product is the same, bit for bit, with any number of threads and on every CPU.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.bf16.packing import (
    PANEL,
    note_rows,
    pack_pairs,
    pack_rows,
    pack_transposed,
    panel_rows,
    row_words,
    words,
)
from fastmlp.kernels.cpu.machine.host import PAIRS, ROWS
from fastmlp.kernels.cpu.machine.jitable import inlined, jitable
from fastmlp.kernels.cpu.machine.microkernel import AHEAD, BIAS, IN_ORDER, UPDATE, Product
from fastmlp.kernels.cpu.machine.tiling import tiled
from fastmlp.kernels.cpu.operations.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.operations.products import add_bias_gradient
from fastmlp.kernels.cpu.operations.sharing import is_in_halves, share_gradient, share_layer
from fastmlp.kernels.cpu.regimes import BF16_A_BLOCK, BF16_BLOCK, BF16_DEPTH, BF16_OWN
from fastmlp.kernels.cpu.team.signatures import Indices, Matrix, Samples, Vector
from fastmlp.kernels.cpu.team.threads import barrier, share
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["accumulate", "accumulate_rows", "backward_data", "linear", "linear_rows"]

SIZE = 4  # bytes of a word, and of a float32
BLOCK = BF16_BLOCK // panel_rows(BF16_DEPTH)  # columns of B
TOGETHER = 1 << 15  # factors in B: to pack fewer takes a thread less time than a barrier


@inlined
def _pack_together(team, depth, columns, c0, c1):
    """Whether threads pack B (depth, columns) together; this one reads its columns c0 to c1."""
    return team.size > 1 and c1 - c0 == columns and depth * columns > TOGETHER


@inlined
def _room(team, together):
    """The addresses of room for B, which threads may share, and A, and an array for rows in float32."""
    own = address(team.scratch) + BF16_OWN * SIZE
    b = own - team.rank * team.scratch.shape[0] * SIZE if together else own
    return b, own + BF16_BLOCK * SIZE, span(team.scratch, BF16_OWN + BF16_BLOCK + BF16_A_BLOCK, 2 * BF16_DEPTH)


@inlined
def _share_packing(team, together, parts):
    """Begin and end of the parts of a block of B that this thread packs."""
    if not together:
        return 0, parts
    barrier(team)  # the block before is no longer read
    return share(team, parts, 1)


_ahead_tiles = tiled(BIAS, AHEAD, pairs=PAIRS)
_layer_tiles, _update_tiles = tiled(BIAS, IN_ORDER, pairs=PAIRS), tiled(UPDATE, IN_ORDER, pairs=PAIRS)


def _make_layer(transposed):
    @jitable
    def layer(team, together, x, picks, w, biases, bias_factor, floor, out, r0, r1, c0, c1, k0, k1):
        """out[r0:r1, c0:c1] = max(floor, x[picks] B + bias_factor biases), of the depth k0 to k1 alone.

        B (depth, …) is w or its transpose. Whether threads pack it together must be the same for all of them.
        """
        columns, real = out.shape[1], out.dtype.type
        b, a, spare = _room(team, together)
        for j in range(c0, c1, BLOCK):
            n = min(BLOCK, c1 - j)
            for p in range(k0, k1, BF16_DEPTH):
                k = min(BF16_DEPTH, k1 - p)
                parts = (n + PANEL - 1) // PANEL if transposed else (k + 1) // 2
                first, last = _share_packing(team, together, parts)
                if transposed:
                    pack_transposed(w, p, k, j, n, b, spare, first, last, a)
                else:
                    pack_pairs(w, None, p, k, j, n, b, first, last, spare)
                if together:
                    barrier(team)
                lowest = real(floor if p + k == k1 else -codes.INFINITY)
                terms, terms_row, factor = biases + j * SIZE, 0, bias_factor
                if p > k0:
                    terms, terms_row, factor = address(out) + j * SIZE, columns, 1.0
                for i in range(r0, r1, ROWS):
                    rows = min(ROWS, r1 - i)
                    pack_rows(x, picks, i, i + rows, p, k, a, spare)
                    following = address(spare)
                    if picks is not None:
                        note_rows(x, picks, i + ROWS, r1, p, following)
                    product = Product(
                        a=a,
                        a_row=row_words(k),
                        a_k=1,
                        picks=following,
                        b=b,
                        b_row=PANEL,
                        b_column=panel_rows(k),
                        c=address(out) + (i * columns + j) * SIZE,
                        c_row=columns,
                        rows=rows,
                        columns=n,
                        k=words(k),
                        aux=terms + i * terms_row * SIZE,
                        aux_row=terms_row,
                        alpha=lowest,
                        beta=real(factor),
                    )
                    if picks is None:
                        _layer_tiles(product, SIZE)
                    else:
                        _ahead_tiles(product, SIZE)

    return layer


_forward, _backward = _make_layer(False), _make_layer(True)


@jitable
def _linear(team, x, picks, w, b, activation, slope, out):
    inputs, columns, in_halves = w.shape[0], w.shape[1], is_in_halves(out.shape[0], w.shape[0], w.shape[1])
    half_each, half = in_halves and team.size == 2, (inputs + 3) // 4 * 2 if in_halves else inputs
    floor = out.dtype.type(0.0 if activation == codes.RELU else -codes.INFINITY)
    r0, r1, c0, c1 = (0, out.shape[0], 0, columns) if half_each else share_layer(team, out, activation)
    together = not half_each and _pack_together(team, inputs, columns, c0, c1)
    for h in range(2 if in_halves else 1):
        if h == team.rank or not half_each:
            # `slope` is not needed before the activation: it holds the second half's sums
            target, factor = (out, 1.0) if h == 0 else (slope, 0.0)
            lowest, k0, k1 = -codes.INFINITY if in_halves else floor, h * half, min((h + 1) * half, inputs)
            _forward(team, together, x, picks, w, address(b), factor, lowest, target, r0, r1, c0, c1, k0, k1)
    if half_each:
        barrier(team)  # each thread has one of the two sums of every row
        r0, r1 = share(team, out.shape[0], 1)
    if in_halves:
        for i in range(r0, r1):
            at = i * columns + c0
            sums, others = span(out, at, c1 - c0), span(slope, at, c1 - c0)
            for j in range(sums.shape[0]):
                total = sums[j] + others[j]
                sums[j] = floor if total < floor else total
    if r1 > r0 and c1 > c0 and activation != codes.RELU:
        activate(team, activation, out, slope, r0, r1, c0, c1)
    barrier(team)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, None, w, b, activation, slope, out)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, rows, w, b, activation, slope, out)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = share_layer(ops, out, activation)
    none = address(out)  # not read
    depth, together = w.shape[1], _pack_together(ops, w.shape[1], out.shape[1], c0, c1)
    _backward(ops, together, delta, None, w, none, 0.0, -codes.INFINITY, out, r0, r1, c0, c1, 0, depth)
    if r1 > r0 and c1 > c0:
        multiply_by_derivative(ops, activation, a, slope, out, r0, r1, c0, c1)
    barrier(ops)


@jitable
def _gradient(team, x, picks, delta, alpha, beta, out, r0, r1, c0, c1):
    """out[r0:r1, c0:c1] = beta out + alpha x[picks]ᵀ δ. The transpose of x is packed in panels, as δ is."""
    columns, real, depth = out.shape[1], out.dtype.type, delta.shape[0]
    together = _pack_together(team, depth, columns, c0, c1)
    b, a, spare = _room(team, together)
    for j in range(c0, c1, BLOCK):
        n = min(BLOCK, c1 - j)
        for p in range(0, max(depth, 1), BF16_DEPTH):
            k, kept = min(BF16_DEPTH, depth - p), real(beta if p == 0 else 1.0)
            first, last = _share_packing(team, together, (k + 1) // 2)
            pack_pairs(delta, None, p, k, j, n, b, first, last, spare)
            if together:
                barrier(team)
            inputs = min(BF16_DEPTH, BF16_A_BLOCK // panel_rows(k)) // PANEL * PANEL
            for i in range(r0, r1, inputs):
                end = min(i + inputs, r1)
                pack_pairs(x, picks, p, k, i, end - i, a, 0, (k + 1) // 2, spare)
                for row in range(i, end, PANEL):
                    rows = min(PANEL, end - row)
                    product = Product(
                        a=a + (row - i) * panel_rows(k) * SIZE,
                        a_row=1,
                        a_k=PANEL,
                        picks=0,
                        b=b,
                        b_row=PANEL,
                        b_column=panel_rows(k),
                        c=address(out) + (row * columns + j) * SIZE,
                        c_row=columns,
                        rows=rows,
                        columns=n,
                        k=words(k),
                        aux=0,
                        aux_row=0,
                        alpha=real(alpha),
                        beta=kept,
                    )
                    _update_tiles(product, SIZE)


@jitable
def _accumulate(team, x, picks, delta, alpha, beta, out, bias_beta, bias):
    samples = delta.shape[0]
    in_halves = is_in_halves(samples, out.shape[0], out.shape[1])
    r0, r1, c0, c1 = share_gradient(team, samples, beta, out, in_halves)
    _gradient(team, x, picks, delta, alpha, beta, out, r0, r1, c0, c1)
    add_bias_gradient(team, delta, alpha, bias_beta, bias)
    barrier(team)


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    _accumulate(ops, a, None, delta, alpha, beta, out, bias_beta, bias)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    _accumulate(ops, x, rows, delta, alpha, beta, out, bias_beta, bias)
