"""The matrix-product microkernel: one tile of C, held in vector registers while one loop runs over the depth.

    C (rows, columns) = epilogue(A (rows, k) B (k, columns))      rows <= ROWS, columns <= vectors * lanes

The operands are read where they lie. A has two strides, so one kernel serves x W (strides I, 1) and aᵀ δ (strides
1, I). A list of sample numbers may select the rows of A, or its columns, so that a batch needs no copy. B and C have
unit column stride. As the sums stay in registers, an epilogue (bias, ReLU, ReLU's derivative, beta C + alpha AB)
costs no further pass over memory.

The size of a tile follows from the CPU that Numba compiles for (see `host`).
"""

from contextlib import nullcontext
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastmlp.kernels.cpu.machine.bfloat16 import emit_dot
from fastmlp.kernels.cpu.machine.host import LINE
from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.machine.vectors import Vectors, constant, loop

__all__ = [
    *("BIAS", "PLAIN", "RELU_MASK", "UPDATE"),
    *("AHEAD", "IN_ORDER", "PICKED_DEPTH", "PICKED_ROWS"),
    *("Product", "tile"),
]

PLAIN, BIAS, RELU_MASK, UPDATE = range(4)
"""Epilogues, in this order. C = AB; C = max(alpha, AB + beta aux), for alpha = 0 ReLU; C = AB where the mask aux is
positive, else 0; C = beta C + alpha AB. With beta = 0 neither C nor aux has to hold finite numbers."""

IN_ORDER, PICKED_ROWS, PICKED_DEPTH, AHEAD = range(4)
"""How A is read: all of it, the rows of a list, or the columns of a list; AHEAD: all of it, a copy of some rows of a
list, while those that will be copied next are prefetched."""


class Product(NamedTuple):
    """C (rows, columns) = epilogue(A (rows, k) B (k, columns)), a matrix product or a tile of one.

    Strides count elements; alpha and beta have the type of the elements.
    """

    a: Any  # address
    a_row: Any  # stride from row to row; not used for UPDATE, where the rows of A are adjacent elements
    a_k: Any  # stride along the depth
    picks: Any  # address of the list of A's rows or columns, int64; for AHEAD see `tile`; 0 for IN_ORDER
    b: Any  # address
    b_row: Any
    b_column: (
        Any  # from a column to the next that begins a panel: 1, or where panels are packed b_row / their columns k
    )
    c: Any  # address
    c_row: Any
    rows: Any
    columns: Any
    k: Any  # depth
    aux: Any  # address of what is added for BIAS, such as the columns' biases; of the mask for RELU_MASK; else 0
    aux_row: Any  # its stride from row to row: 0 for biases, that of C for what is laid out as C
    alpha: Any
    beta: Any


class _Kind(NamedTuple):
    """What distinguishes one compiled kernel from another."""

    epilogue: int
    access: int  # IN_ORDER, PICKED_ROWS, PICKED_DEPTH or AHEAD
    rows: int
    vectors: int
    masked: bool  # whether a tile may be smaller than rows x vectors
    pairs: bool  # whether an element of A or B is a pair of bfloat16 numbers


def tile(epilogue: int, access: int, rows: int, vectors: int, masked: bool, pairs: bool = False):
    """Intrinsic for one kind of tile: ``kernel(product, next_picks)``.

    For PICKED_ROWS `next_picks` is the address of the numbers of the rows that the next tile reads, to prefetch them.
    For AHEAD it is that of the addresses of the rows to prefetch, `rows` of them, and of how many of their bytes an
    element of A is made.
    Without `masked` every tile must be full: `rows` rows, vectors * lanes columns. With it, missing rows are computed
    as repetitions of the last one, and not stored. With `pairs` the elements of A and B are pairs of bfloat16 numbers
    in the 32 bits of a float32, whose products are both added.
    """
    kind = _Kind(epilogue, access, rows, vectors, masked, pairs)

    @intrinsic
    def kernel(typingctx, product, next_picks):
        real = product.types[Product._fields.index("alpha")]

        def codegen(context, builder, signature, args):
            fields, next_picks = args
            _emit(kind, Vectors(builder, real), Product(*cgutils.unpack_tuple(builder, fields)), next_picks)
            return context.get_dummy_value()

        return types.void(product, next_picks), codegen

    return kernel


def _emit(kind: _Kind, v: Vectors, p: Product, next_picks: ir.Value) -> None:
    """Emit the kernel of this kind for the tile p."""
    builder, rows, vectors = v.builder, kind.rows, kind.vectors
    multiply_add = partial(emit_dot, v) if kind.pairs else v.fma
    a, b, c, aux = map(v.pointer, (p.a, p.b, p.c, p.aux))
    picks, next_picks = (builder.inttoptr(numbers, ir.IntType(64).as_pointer()) for numbers in (p.picks, next_picks))
    columns = [constant(j * v.lanes) for j in range(vectors)]
    masks = [v.mask(p.columns, j * v.lanes) if kind.masked else None for j in range(vectors)]
    cells = list(product(range(rows), range(vectors)))
    offset = {(i, j): builder.add(builder.mul(constant(i), p.c_row), columns[j]) for i, j in cells}
    aux_offset = {(i, j): builder.add(builder.mul(constant(i), p.aux_row), columns[j]) for i, j in cells}

    a_offset = [constant(i) for i in range(rows)]
    if kind.masked:
        last = builder.sub(p.rows, constant(1))
        a_offset = [builder.select(builder.icmp_signed("<", row, p.rows), row, last) for row in a_offset]
    if kind.access == PICKED_ROWS:
        next_offset = [builder.mul(builder.load(builder.gep(next_picks, [row])), p.a_row) for row in a_offset]
        a_offset = [builder.load(builder.gep(picks, [row])) for row in a_offset]
    if kind.access == AHEAD:
        *next_rows, copied = (builder.load(builder.gep(next_picks, [constant(i)]), align=4) for i in range(rows + 1))
    if kind.epilogue != UPDATE:
        a_offset = [builder.mul(row, p.a_row) for row in a_offset]
    # A large C comes from the L2 cache or beyond: prefetch it while the sums are formed. It is one where weights are
    # updated, and where the terms that are added are not the same for all rows.
    reads_c = builder.icmp_signed("!=", p.aux_row, constant(0)) if kind.epilogue == BIAS else None
    with nullcontext() if reads_c is None else builder.if_then(reads_c, likely=False):
        for cell in cells if kind.epilogue in (BIAS, UPDATE) else ():
            v.prefetch(c, offset[cell], written=True)

    def step(state):
        at, bp, *sums = state
        ap = builder.gep(a, [builder.mul(builder.load(at), p.a_k)]) if kind.access == PICKED_DEPTH else at
        if kind.access == PICKED_DEPTH:
            # what the next tiles read of this sample: the hardware prefetcher cannot predict a jump to another sample
            v.prefetch(ap, constant(LINE // v.itemsize), written=False)
        bs = [v.load(bp, column, mask) for column, mask in zip(columns, masks, strict=True)]
        for i in range(rows):
            ai = v.splat(builder.load(builder.gep(ap, [a_offset[i]]), align=v.itemsize))
            for j in range(vectors):
                sums[i * vectors + j] = multiply_add(ai, bs[j], sums[i * vectors + j])
        advance = constant(1) if kind.access == PICKED_DEPTH else p.a_k
        return [builder.gep(at, [advance]), builder.gep(bp, [p.b_row]), *sums]

    k, state = p.k, [picks if kind.access == PICKED_DEPTH else a, b, *[v.zero] * len(cells)]
    if kind.access in (PICKED_ROWS, AHEAD):
        per_line = LINE // v.itemsize

        def fetch_next(place):  # the hardware prefetcher cannot predict where a sample lies
            if kind.access == PICKED_ROWS:
                for row in next_offset:
                    v.prefetch(place, row, written=False)
                return
            words = builder.sdiv(builder.sub(builder.ptrtoint(place, p.a.type), p.a), constant(v.itemsize))
            there = builder.mul(words, copied)
            for row, line in product(next_rows, range(2 if kind.pairs else 1)):  # a line of pairs copies two of float32
                v.prefetch(v.pointer(builder.add(row, there)), constant(line * per_line), written=False)

        def line(state):
            fetch_next(state[0])
            return loop(builder, constant(per_line), state, step)

        state = loop(builder, builder.sdiv(k, constant(per_line)), state, line)
        fetch_next(state[0])
        k = builder.srem(k, constant(per_line))
    _, _, *sums = loop(builder, k, state, step)
    without = builder.fcmp_ordered("==", p.beta, ir.Constant(v.scalar, 0.0))
    alpha, beta = v.splat(p.alpha), v.splat(p.beta)
    for i in range(rows):
        present = builder.icmp_signed("<", constant(i), p.rows)
        with builder.if_then(present, likely=True) if kind.masked else nullcontext():
            for j in range(vectors):
                value, place, mask = sums[i * vectors + j], offset[i, j], masks[j]
                if kind.epilogue == BIAS:
                    term = builder.fmul(beta, v.load(aux, aux_offset[i, j], mask))
                    value = builder.fadd(value, builder.select(without, v.zero, term))
                    # not maxnum, which would turn NaN into 0 and hide a divergence
                    value = builder.select(builder.fcmp_ordered("<", value, alpha), alpha, value)
                elif kind.epilogue == RELU_MASK:
                    passes = builder.fcmp_ordered(">", v.load(aux, aux_offset[i, j], mask), v.zero)
                    value = builder.select(passes, value, v.zero)
                elif kind.epilogue == UPDATE:
                    old = builder.select(without, v.zero, builder.fmul(beta, v.load(c, place, mask)))
                    value = v.fma(alpha, value, old)
                v.store(value, c, place, mask)
