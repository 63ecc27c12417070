"""Products of a vector with a matrix, row by row of the matrix, in LLVM IR.

    z = b + Σ_i x_i W_i        W_i += alpha x_i δ        δ_below,i = W_i · δ        W_i row i of W

Every weight is used once and the work is that of the memory, so what counts is to leave out rows: those of inputs that
are zero, as are most pixels of an image and half the outputs of a ReLU layer, change nothing.
"""

import functools

from fastmlp.kernels.cpu.jitable import jitable
from fastmlp.kernels.cpu.simd import VECTOR_BYTES, Vectors, blocks, constant, loop, repeat
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["BLOCK", "backward_relu", "dot", "forward", "update"]

BLOCK = 64  # inputs whose zeros are told by the bits of one number
LATENCY = 4  # cycles of a fused multiply-add
WIDE = 8  # vectors of a row at once: a row's sums live in registers while all rows go by


def _emit_dot(v, a, b, n):
    """Σ_j a_j b_j of n elements from two pointers on: as many sums at once as a sum takes cycles, then one."""
    builder, wide = v.builder, LATENCY * v.lanes

    def steps(inside):
        offset, *totals = inside
        at = [builder.add(offset, constant(j * v.lanes)) for j in range(LATENCY)]
        totals = [v.fma(v.load(a, place), v.load(b, place), total) for place, total in zip(at, totals, strict=True)]
        return [builder.add(offset, constant(wide)), *totals]

    def step(inside):
        offset, total = inside
        mask = v.mask(builder.sub(n, offset))
        total = v.fma(v.load(a, offset, mask), v.load(b, offset, mask), total)
        return [builder.add(offset, constant(v.lanes)), total]

    strides = builder.ashr(n, constant(wide.bit_length() - 1))
    offset, *totals = loop(builder, strides, [constant(0), *[v.zero] * LATENCY], steps)
    vectors = blocks(builder, builder.sub(n, offset), v.lanes)
    return v.sum(loop(builder, vectors, [offset, functools.reduce(builder.fadd, totals)], step)[1])


@intrinsic
def dot(typingctx, a, b, n, like):
    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        return _emit_dot(v, v.pointer(args[0]), v.pointer(args[1]), args[2])

    return like(types.intp, types.intp, types.intp, like), codegen


def _rows_of_nonzeros(v, x, n, state, body):
    """The state after state = body(i, x_i, state) for each i < n with x_i != 0.

    They are found 64 at a time: what the branch predictor misses is the end of such a block.
    """
    builder = v.builder
    is_constant = ir.Constant(ir.IntType(1), 1)

    def block(inside):
        first, *state = inside
        left = builder.sub(n, first)

        def nonzeros(lane):
            values = v.load(x, builder.add(first, constant(lane)), v.mask(left, lane))
            bits = v.bits(builder.fcmp_unordered("!=", values, v.zero))  # NaN is no zero
            return builder.shl(bits, constant(lane))

        few, before = nonzeros(0), builder.block
        with builder.if_then(builder.icmp_signed(">", left, constant(v.lanes))):
            all_of_them = functools.reduce(builder.or_, map(nonzeros, range(v.lanes, BLOCK, v.lanes)), few)
            longer = builder.block
        bits = builder.phi(few.type)
        bits.add_incoming(few, before)
        bits.add_incoming(all_of_them, longer)

        def row(inside):
            bits, *state = inside
            i = builder.add(first, v.call("llvm.cttz.i64", bits.type, bits, is_constant))
            rest = builder.and_(bits, builder.sub(bits, constant(1)))
            return [rest, *body(i, builder.load(builder.gep(x, [i]), align=v.itemsize), state)]

        _, *state = repeat(builder, [bits, *state], lambda s: builder.icmp_unsigned("!=", s[0], constant(0)), row)
        return [builder.add(first, constant(BLOCK)), *state]

    return loop(builder, blocks(builder, n, BLOCK), [constant(0), *state], block)[1:]


def _forward(vectors: int, masked: bool):
    """Intrinsic for z = b + Σ x_i W_i, `vectors` vectors of columns."""

    @intrinsic
    def kernel(typingctx, x, inputs, w, w_row, b, z, n, like):
        def codegen(context, builder, signature, args):
            v = Vectors(builder, like)
            x, inputs, w, w_row, b, z, n, _ = args
            x, w, b, z = map(v.pointer, (x, w, b, z))
            columns = [constant(j * v.lanes) for j in range(vectors)]
            masks = [v.mask(n, j * v.lanes) if masked else None for j in range(vectors)]

            def body(i, value, sums):
                row, value = builder.gep(w, [builder.mul(i, w_row)]), v.splat(value)
                places = zip(sums, columns, masks, strict=True)
                return [v.fma(value, v.load(row, column, mask), total) for total, column, mask in places]

            start = [v.load(b, column, mask) for column, mask in zip(columns, masks, strict=True)]
            sums = _rows_of_nonzeros(v, x, inputs, start, body)
            for total, column, mask in zip(sums, columns, masks, strict=True):
                v.store(total, z, column, mask)
            return context.get_dummy_value()

        return types.void(*([types.intp] * 7), like), codegen

    return kernel


_forward_wide, _forward_part, _forward_narrow = _forward(WIDE, False), _forward(WIDE // 2, True), _forward(1, True)


@intrinsic
def _update_wide(typingctx, x, inputs, w, w_row, delta, alpha):
    """W_i += alpha x_i δ for WIDE vectors of columns."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, alpha)
        x, inputs, w, w_row, delta, _ = args
        x, w, delta = map(v.pointer, (x, w, delta))
        columns, step = [constant(j * v.lanes) for j in range(WIDE)], v.splat(args[-1])
        moves = [builder.fmul(step, v.load(delta, column)) for column in columns]

        def body(i, value, state):
            row, value = builder.gep(w, [builder.mul(i, w_row)]), v.splat(value)
            for move, column in zip(moves, columns, strict=True):
                v.store(v.fma(value, move, v.load(row, column)), row, column)
            return state

        _rows_of_nonzeros(v, x, inputs, [], body)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 5), alpha), codegen


@intrinsic
def _update_rest(typingctx, x, inputs, w, w_row, delta, n, alpha):
    """W_i += alpha x_i δ for fewer columns than WIDE vectors have, in pieces of powers of two.

    Not with a mask: where rows are short, a load of the next row that reaches into what a masked store has just left
    out would wait until that store is done.
    """

    def codegen(context, builder, signature, args):
        v = Vectors(builder, alpha)
        x, inputs, w, w_row, delta, n, alpha_value = args
        x, w, delta = map(v.pointer, (x, w, delta))
        lengths = [WIDE // 2 * v.lanes >> k for k in range((WIDE // 2 * v.lanes).bit_length())]

        def body(i, value, state):
            row, offset = builder.gep(w, [builder.mul(i, w_row)]), constant(0)
            step = builder.fmul(value, alpha_value)
            for length in lengths:
                present = builder.and_(n, constant(length))
                piece = Vectors(builder, alpha, min(length, v.lanes))
                with builder.if_then(builder.icmp_signed("!=", present, constant(0))):
                    for j in range(0, length, piece.lanes):
                        place = builder.add(offset, constant(j))
                        old, move = piece.load(row, place), piece.load(delta, place)
                        piece.store(piece.fma(piece.splat(step), move, old), row, place)
                offset = builder.add(offset, present)
            return state

        _rows_of_nonzeros(v, x, inputs, [], body)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 6), alpha), codegen


@intrinsic
def backward_relu(typingctx, delta, outputs, w, a, below, inputs, like):
    """below_i = W_i · δ where a_i is not 0; elsewhere it is left as it is."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        delta, outputs, w, a, below, inputs, _ = args
        delta, w, a, below = map(v.pointer, (delta, w, a, below))

        def body(i, value, state):
            row = builder.gep(w, [builder.mul(i, outputs)])
            builder.store(_emit_dot(v, row, delta, outputs), builder.gep(below, [i]), align=v.itemsize)
            return state

        _rows_of_nonzeros(v, a, inputs, [], body)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 6), like), codegen


@jitable
def forward(x, inputs, w, b, z, outputs, one, itemsize):
    """z = b + Σ_i x_i W_i; all from addresses on, but for `one`, which carries the type."""
    lanes, j = VECTOR_BYTES // itemsize, 0
    while j < outputs:
        left, at = outputs - j, j * itemsize
        if left >= WIDE * lanes:
            _forward_wide(x, inputs, w + at, outputs, b + at, z + at, left, one)
            j += WIDE * lanes
        elif left > lanes:
            _forward_part(x, inputs, w + at, outputs, b + at, z + at, left, one)
            j += WIDE // 2 * lanes
        else:
            _forward_narrow(x, inputs, w + at, outputs, b + at, z + at, left, one)
            j += lanes


@jitable
def update(x, inputs, w, delta, outputs, alpha, itemsize):
    """W_i += alpha x_i δ."""
    wide = WIDE * (VECTOR_BYTES // itemsize)
    rest = outputs % wide
    for j in range(0, outputs - rest, wide):
        _update_wide(x, inputs, w + j * itemsize, outputs, delta + j * itemsize, alpha)
    if rest > 0:
        at = (outputs - rest) * itemsize
        _update_rest(x, inputs, w + at, outputs, delta + at, rest, alpha)
