"""The matrix-product microkernel: a tile of C in vector registers, one loop over the depth, operands read in place.

    C[m, n] = epilogue(A[m, k] B[k, n])      m <= ROWS, n <= vectors * lanes

A is read through two strides, so the same kernel serves x W (strides I, 1) and aᵀ δ (strides 1, I); its rows, or the
steps through its depth, may be picked by a list of numbers, so that a batch is read where its samples are. B and C have
unit column stride. The tile's accumulators live in registers for the whole loop, hence bias, ReLU, ReLU's derivative or
beta C + alpha AB cost nothing.

Tile sizes follow the vector width of the CPU that Numba compiles for (AVX-512, AVX, else 128 bit).
"""

import functools
from contextlib import nullcontext
from itertools import product

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.machine.vectors import LINE, VECTOR_BYTES, Vectors, constant, loop

__all__ = [
    *("BIAS", "PLAIN", "RELU_MASK", "UPDATE"),
    *("IN_ORDER", "PICKED_DEPTH", "PICKED_ROWS"),
    *("ROWS", "tile"),
]

PLAIN, BIAS, RELU_MASK, UPDATE = range(4)  # epilogues
IN_ORDER, PICKED_ROWS, PICKED_DEPTH = range(3)  # ways through A

# ROWS x 2 accumulators, 2 vectors of B and a broadcast of A: within 32 registers (AVX-512), within 16 otherwise.
ROWS = 8 if VECTOR_BYTES == 64 else 4


def tile(epilogue: int, way: int, rows: int, vectors: int, masked: bool):
    """Intrinsic for one kind of tile.

    Called as ``kernel(a, a_row, a_k, picks, soon, b, b_k, c, c_row, k, m, n, aside, alpha, beta)``: a, picks, soon, b,
    c and aside are addresses, the strides count elements, alpha and beta have the element type. picks are int64: which
    rows of A, or which steps through its depth; soon, for PICKED_ROWS, the m rows that are read next. aside is the bias
    of the tile's columns, or, for RELU_MASK, the tile's place in a matrix like C whose positive entries let those of C
    pass. A bias is added beta times, and nothing is stored below alpha: 0 is ReLU, and minus infinity no bound. For
    UPDATE the rows of A are adjacent, whatever a_row.
    Without `masked` the tile must be full, m = rows and n = vectors * lanes; else rows m and beyond are computed, as
    repetitions of row m-1, and not stored.
    """

    @intrinsic
    def kernel(typingctx, a, a_row, a_k, picks, soon, b, b_k, c, c_row, k, m, n, aside, alpha, beta):
        signature = types.void(*([types.intp] * 13), alpha, beta)
        emit = functools.partial(_emit, alpha, epilogue, way, rows, vectors, masked)
        return signature, lambda context, builder, sig, args: (emit(builder, *args), context.get_dummy_value())[1]

    return kernel


def _emit(real, epilogue, way, rows, vectors, masked, builder, *arguments):
    a, a_row, a_k, picks, soon, b, b_k, c, c_row, k, m, n, aside, alpha, beta = arguments
    v = Vectors(builder, real)
    a, b, c, aside = map(v.pointer, (a, b, c, aside))
    picks, soon = (builder.inttoptr(numbers, ir.IntType(64).as_pointer()) for numbers in (picks, soon))
    columns = [constant(j * v.lanes) for j in range(vectors)]
    masks = [v.mask(n, j * v.lanes) if masked else None for j in range(vectors)]
    cells = list(product(range(rows), range(vectors)))
    offset = {(i, j): builder.add(builder.mul(constant(i), c_row), columns[j]) for i, j in cells}

    a_offset = [constant(i) for i in range(rows)]
    if masked:
        last = builder.sub(m, constant(1))
        a_offset = [builder.select(builder.icmp_signed("<", row, m), row, last) for row in a_offset]
    if way == PICKED_ROWS:
        next_offset = [builder.mul(builder.load(builder.gep(soon, [row])), a_row) for row in a_offset]
        a_offset = [builder.load(builder.gep(picks, [row])) for row in a_offset]
    if epilogue != UPDATE:
        a_offset = [builder.mul(row, a_row) for row in a_offset]
    if epilogue == UPDATE:
        # C is as large as the weights and comes from the L2 cache or beyond: on its way while the sums are formed
        for cell in cells:
            v.prefetch(c, offset[cell], written=True)

    def step(state):
        at, bp, *sums = state
        ap = builder.gep(a, [builder.mul(builder.load(at), a_k)]) if way == PICKED_DEPTH else at
        if way == PICKED_DEPTH:  # what the next tiles read of this sample: no hardware foresees a leap to another
            v.prefetch(ap, constant(LINE // v.itemsize), written=False)
        bs = [v.load(bp, column, mask) for column, mask in zip(columns, masks, strict=True)]
        for i in range(rows):
            ai = v.splat(builder.load(builder.gep(ap, [a_offset[i]]), align=v.itemsize))
            for j in range(vectors):
                sums[i * vectors + j] = v.fma(ai, bs[j], sums[i * vectors + j])
        return [builder.gep(at, [constant(1) if way == PICKED_DEPTH else a_k]), builder.gep(bp, [b_k]), *sums]

    state = [picks if way == PICKED_DEPTH else a, b, *[v.zero] * len(cells)]
    if way == PICKED_ROWS:
        per_line = LINE // v.itemsize

        def fetch_next(place):  # no hardware foresees where a sample lies
            for row in next_offset:
                v.prefetch(place, row, written=False)

        def line(state):
            fetch_next(state[0])
            return loop(builder, constant(per_line), state, step)

        state = loop(builder, builder.sdiv(k, constant(per_line)), state, line)
        fetch_next(state[0])
        k = builder.srem(k, constant(per_line))
    _, _, *sums = loop(builder, k, state, step)
    # beta = 0 means without C or the bias, which need not hold finite numbers
    without = builder.fcmp_ordered("==", beta, ir.Constant(v.scalar, 0.0))
    alpha, beta = v.splat(alpha), v.splat(beta)
    if epilogue == BIAS:
        biases = [v.load(aside, column, mask) for column, mask in zip(columns, masks, strict=True)]
        biases = [builder.select(without, v.zero, builder.fmul(beta, bias)) for bias in biases]
    for i in range(rows):
        with builder.if_then(builder.icmp_signed("<", constant(i), m), likely=True) if masked else nullcontext():
            for j in range(vectors):
                value, place, mask = sums[i * vectors + j], offset[i, j], masks[j]
                if epilogue == BIAS:
                    value = builder.fadd(value, biases[j])
                    # not maxnum, which would turn NaN into 0 and hide a divergence
                    value = builder.select(builder.fcmp_ordered("<", value, alpha), alpha, value)
                elif epilogue == RELU_MASK:
                    passes = builder.fcmp_ordered(">", v.load(aside, place, mask), v.zero)
                    value = builder.select(passes, value, v.zero)
                elif epilogue == UPDATE:
                    old = builder.select(without, v.zero, builder.fmul(beta, v.load(c, place, mask)))
                    value = v.fma(alpha, value, old)
                v.store(value, c, place, mask)
