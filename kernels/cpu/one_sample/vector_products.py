"""Products of a vector with a matrix, row by row of the matrix, in LLVM IR.

    z = b + Σ_i x_i W_i        W_i += alpha x_i δ        δ_below,i = W_i · δ        W_i row i of W

Every weight is used once, so loading the weights bounds the speed, and what pays is to skip the rows of zero inputs:
most pixels of an image, half the outputs of a ReLU layer.
"""

import functools

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable
from fastmlp.kernels.cpu.machine.vectors import Vectors, blocks, constant, loop, repeat
from fastmlp.kernels.cpu.regimes import BLOCK

__all__ = ["backward_relu", "dot", "forward", "update"]

LATENCY = 4  # cycles of a fused multiply-add
WIDE = 8  # vectors of columns at once: their sums stay in registers over all rows


def _emit_dot(v, a, b, n):
    """Emit Σ_j a_j b_j of n elements at two pointers: LATENCY independent sums, the remainder in one."""
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


def nonzeros(v, x, first, n):
    """An integer with a bit for each of x[first : first + BLOCK]: set if it is not 0 and its index is below n."""
    builder, left = v.builder, v.builder.sub(n, first)

    def bits_from(lane):
        values = v.load(x, builder.add(first, constant(lane)), v.mask(left, lane))
        bits = v.bits(builder.fcmp_unordered("!=", values, v.zero))  # NaN is no zero
        return builder.shl(bits, constant(lane))

    few, before = bits_from(0), builder.block
    with builder.if_then(builder.icmp_signed(">", left, constant(v.lanes))):
        all_of_them = functools.reduce(builder.or_, map(bits_from, range(v.lanes, BLOCK, v.lanes)), few)
        longer = builder.block
    bits = builder.phi(few.type)
    bits.add_incoming(few, before)
    bits.add_incoming(all_of_them, longer)
    return bits


def for_bits(v, bits, first, state, body):
    """Emit state = body(first + k, state) for each set bit k; returns the final state."""
    builder, is_constant = v.builder, ir.Constant(ir.IntType(1), 1)

    def one(inside):
        bits, *state = inside
        i = builder.add(first, v.call("llvm.cttz.i64", bits.type, bits, is_constant))
        return [builder.and_(bits, builder.sub(bits, constant(1))), *body(i, state)]

    return repeat(builder, [bits, *state], lambda s: builder.icmp_unsigned("!=", s[0], constant(0)), one)[1:]


def for_blocks(v, n, state, body):
    """Emit state = body(first, state) for each block of BLOCK of n inputs, from `first` on; returns the final state.

    A block's zeros are found without branches, so the branch predictor misses once a block, not at every zero.
    """

    def block(inside):
        first, *state = inside
        return [v.builder.add(first, constant(BLOCK)), *body(first, state)]

    return loop(v.builder, blocks(v.builder, n, BLOCK), [constant(0), *state], block)[1:]


def _rows_of_nonzeros(v, x, n, state, body):
    """Emit state = body(i, state) for each i < n with x_i != 0; returns the final state."""
    return for_blocks(v, n, state, lambda first, state: for_bits(v, nonzeros(v, x, first, n), first, state, body))


class Rows:
    """Some columns of the rows of W, as `vectors` vectors: all of their lanes, or masked to n columns."""

    def __init__(self, v, w, length, vectors, n=None):
        self.v, self._w, self._length = v, w, length
        self._columns = [(constant(j * v.lanes), n and v.mask(n, j * v.lanes)) for j in range(vectors)]

    def pointer(self, i):
        return self.v.builder.gep(self._w, [self.v.builder.mul(i, self._length)])

    def start(self, b, z):
        """The biases at the address b, or zeros if b is 0; z is any address of as many elements."""
        builder = self.v.builder
        none = builder.icmp_unsigned("==", b, constant(0))
        place = self.v.pointer(builder.select(none, z, b))
        return [builder.select(none, self.v.zero, value) for value in self.load(place)]

    def load(self, base):
        return [self.v.load(base, column, mask) for column, mask in self._columns]

    def store(self, values, base):
        for value, (column, mask) in zip(values, self._columns, strict=True):
            self.v.store(value, base, column, mask)


def added(v, x, i, row, sums):
    """sums + x_i row."""
    value = v.splat(v.builder.load(v.builder.gep(x, [i]), align=v.itemsize))
    return [v.fma(value, weights, total) for weights, total in zip(row, sums, strict=True)]


def wide_update(v, x, rows, delta, alpha):
    """Function of i that emits W_i += x_i (alpha δ), for full vectors, and returns the new row."""
    step = v.splat(alpha)
    moves = [v.builder.fmul(step, move) for move in rows.load(delta)]

    def update(i):
        row = rows.pointer(i)
        new = added(v, x, i, moves, rows.load(row))
        rows.store(new, row)
        return new

    return update


def partial_update(v, x, rows, delta, alpha, n, most):
    """Function of i that emits W_i += (x_i alpha) δ for n columns, at most `most`, in pieces of 2^k columns.

    A mask would be slower: rows are short, and a load of the next row that overlaps a masked store waits for the store.
    """
    builder, lengths = v.builder, [most >> k for k in range(most.bit_length())]

    def update(i):
        row, offset = rows.pointer(i), constant(0)
        step = builder.fmul(builder.load(builder.gep(x, [i]), align=v.itemsize), alpha)
        for length in lengths:
            present = builder.and_(n, constant(length))
            piece = v.of_lanes(min(length, v.lanes))
            with builder.if_then(builder.icmp_signed("!=", present, constant(0))):
                for j in range(0, length, piece.lanes):
                    place = builder.add(offset, constant(j))
                    old, move = piece.load(row, place), piece.load(delta, place)
                    piece.store(piece.fma(piece.splat(step), move, old), row, place)
            offset = builder.add(offset, present)

    return update


def _forward(vectors: int, masked: bool):
    """Intrinsic for z = b + Σ x_i W_i, `vectors` vectors of columns."""

    @intrinsic
    def kernel(typingctx, x, inputs, w, w_row, b, z, n, like):
        def codegen(context, builder, signature, args):
            v = Vectors(builder, like)
            x, inputs, w, w_row, b, z, n, _ = args
            x, w, out = map(v.pointer, (x, w, z))
            rows = Rows(v, w, w_row, vectors, n if masked else None)

            def body(i, sums):
                return added(v, x, i, rows.load(rows.pointer(i)), sums)

            rows.store(_rows_of_nonzeros(v, x, inputs, rows.start(b, z), body), out)
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
        update = wide_update(v, x, Rows(v, w, w_row, WIDE), delta, args[-1])
        _rows_of_nonzeros(v, x, inputs, [], lambda i, state: (update(i), state)[1])
        return context.get_dummy_value()

    return types.void(*([types.intp] * 5), alpha), codegen


@intrinsic
def _update_rest(typingctx, x, inputs, w, w_row, delta, n, alpha):
    """W_i += alpha x_i δ for fewer columns than WIDE vectors have."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, alpha)
        x, inputs, w, w_row, delta, n, _ = args
        x, w, delta = map(v.pointer, (x, w, delta))
        update = partial_update(v, x, Rows(v, w, w_row, 0), delta, args[-1], n, WIDE // 2 * v.lanes)
        _rows_of_nonzeros(v, x, inputs, [], lambda i, state: (update(i), state)[1])
        return context.get_dummy_value()

    return types.void(*([types.intp] * 6), alpha), codegen


@intrinsic
def backward_relu(typingctx, delta, outputs, w, a, below, inputs, like):
    """below_i = W_i · δ where a_i is not 0; elsewhere it is left as it is."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        delta, outputs, w, a, below, inputs, _ = args
        delta, w, a, below = map(v.pointer, (delta, w, a, below))

        rows = Rows(v, w, outputs, 0)

        def body(i, state):
            value = _emit_dot(v, rows.pointer(i), delta, outputs)
            builder.store(value, builder.gep(below, [i]), align=v.itemsize)
            return state

        _rows_of_nonzeros(v, a, inputs, [], body)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 6), like), codegen


@jitable
def forward(x, inputs, w, b, z, outputs, one, itemsize):
    """z = b + Σ_i x_i W_i; all at addresses; `one` carries the type. b may be 0: no biases."""
    lanes, j = VECTOR_BYTES // itemsize, 0
    while j < outputs:
        left, at = outputs - j, j * itemsize
        biases = b + at if b else 0
        if left >= WIDE * lanes:
            _forward_wide(x, inputs, w + at, outputs, biases, z + at, left, one)
            j += WIDE * lanes
        elif left > lanes:
            _forward_part(x, inputs, w + at, outputs, biases, z + at, left, one)
            j += WIDE // 2 * lanes
        else:
            _forward_narrow(x, inputs, w + at, outputs, biases, z + at, left, one)
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
