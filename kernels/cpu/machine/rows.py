"""Passes over one row of a matrix in whole vectors, the last one masked.

LLVM's own vector loops process the remainder in scalar code, and an output layer's row may be no longer than that.
"""

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.exponential import emit_exp
from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable
from fastmlp.kernels.cpu.machine.vectors import Vectors, blocks, constant, loop

__all__ = ["row_scale", "row_zero_times", "softmax_minus_label", "softmax_row"]

SUMS = 4  # independent, as many as a fused multiply-add has cycles of latency


def _over_row(v, n, state, body):
    """Emit state = body(offset, mask, state) for each vector of a row of n elements; returns the final state."""
    builder = v.builder

    def step(inside):
        offset, *state = inside
        return [builder.add(offset, constant(v.lanes)), *body(offset, v.mask(builder.sub(n, offset)), state)]

    return loop(builder, blocks(builder, n, v.lanes), [constant(0), *state], step)[1:]


@jitable
def softmax_row(source, target, n, one, itemsize):
    """softmax of n numbers z from address to address, or in place; returns the largest and Σ exp(z - largest).

    `one` carries the type.
    """
    if n <= VECTOR_BYTES // itemsize:
        return _softmax_of_a_vector(source, target, n, one)
    highest = _row_max(source, n, one)
    total = _row_exp(source, highest, target, n)
    row_scale(target, one / total, n)
    return highest, total


def _lowest(v):
    return ir.Constant(v.type, [float("-inf")] * v.lanes)


def _exponentials(v, kind, values, highest, mask):
    """exp(values - highest), and its sum over the mask.

    Other lanes compute exp(0): on its way to 0, exp(-infinity) meets denormal numbers, which double the time.
    """
    builder = v.builder
    shifted = builder.select(mask, builder.fsub(values, v.splat(highest)), v.zero)
    exponentials = emit_exp(builder, kind, shifted)
    return exponentials, v.sum(builder.select(mask, exponentials, v.zero))


@intrinsic
def _softmax_of_a_vector(typingctx, source, target, n, like):
    """`softmax_row` of one vector, in registers throughout: a load after a masked store waits for the store."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        source, target, mask, none = v.pointer(args[0]), v.pointer(args[1]), v.mask(args[2]), constant(0)
        values = builder.select(mask, v.load(source, none, mask), _lowest(v))
        highest = v.max(values)
        exponentials, total = _exponentials(v, like, values, highest, mask)
        scale = v.splat(builder.fdiv(ir.Constant(v.scalar, 1.0), total))
        v.store(builder.fmul(exponentials, scale), target, none, mask)
        return context.make_tuple(builder, signature.return_type, (highest, total))

    return types.UniTuple(like, 2)(types.intp, types.intp, types.intp, like), codegen


def _labelled(fraction):
    """`softmax_minus_label` for rows that fit 1 / fraction of a vector."""

    @intrinsic
    def kernel(typingctx, source, target, n, label, scale):
        def codegen(context, builder, signature, args):
            v = Vectors(builder, scale, max(VECTOR_BYTES * 8 // scale.bitwidth // fraction, 1))
            source, target, mask, none = v.pointer(args[0]), v.pointer(args[1]), v.mask(args[2]), constant(0)
            values = builder.select(mask, v.load(source, none, mask), _lowest(v))
            highest = v.max(values)
            exponentials, total = _exponentials(v, scale, values, highest, mask)
            share = v.splat(builder.fdiv(args[4], total))
            hit = builder.select(v.lane(args[3]), v.splat(args[4]), v.zero)
            v.store(builder.fsub(builder.fmul(exponentials, share), hit), target, none, mask)
            return context.make_tuple(builder, signature.return_type, (highest, total))

        return types.UniTuple(scale, 2)(types.intp, types.intp, types.intp, types.intp, scale), codegen

    return kernel


_in_a_vector, _in_half_a_vector = map(_labelled, (1, 2))


@jitable
def softmax_minus_label(source, target, n, label, scale, itemsize):
    """scale (softmax - onehot(label)) of n numbers z; returns the largest and Σ exp(z - largest).

    Rows that fit half a vector have a kernel of their own: half of the work is the maximum and the sum over the lanes.
    """
    if 2 * n * itemsize <= VECTOR_BYTES:
        return _in_half_a_vector(source, target, n, label, scale)
    if n * itemsize <= VECTOR_BYTES:
        return _in_a_vector(source, target, n, label, scale)
    highest = _row_max(source, n, scale)
    total = _row_exp(source, highest, target, n)
    row_scale(target, scale / total, n)
    _row_add(target, label, -scale)
    return highest, total


@intrinsic
def _row_max(typingctx, row, n, like):
    """The largest of n elements at an address; `like` carries the type."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        row = v.pointer(args[0])

        def body(offset, mask, state):
            values = builder.select(mask, v.load(row, offset, mask), _lowest(v))
            return [builder.select(builder.fcmp_unordered(">", values, state[0]), values, state[0])]

        (highest,) = _over_row(v, args[1], [_lowest(v)], body)
        return v.max(highest)

    return like(types.intp, types.intp, like), codegen


@intrinsic
def _row_exp(typingctx, source, shift, target, n):
    """target = exp(source - shift), n elements each; returns their sum."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, shift)
        source, target, subtract = v.pointer(args[0]), v.pointer(args[2]), v.splat(args[1])

        def body(offset, mask, state):
            values = emit_exp(builder, shift, builder.fsub(v.load(source, offset, mask), subtract))
            v.store(values, target, offset, mask)
            return [builder.fadd(state[0], builder.select(mask, values, v.zero))]

        (total,) = _over_row(v, args[3], [v.zero], body)
        return v.sum(total)

    return shift(types.intp, shift, types.intp, types.intp), codegen


@intrinsic
def row_scale(typingctx, row, factor, n):
    """row *= factor."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, factor)
        row, by = v.pointer(args[0]), v.splat(args[1])

        def body(offset, mask, state):
            v.store(builder.fmul(v.load(row, offset, mask), by), row, offset, mask)
            return state

        _over_row(v, args[2], [], body)
        return context.get_dummy_value()

    return types.void(types.intp, factor, types.intp), codegen


@intrinsic
def row_zero_times(typingctx, row, n, like):
    """0 times the sum of n elements at an address: NaN if one is infinite or NaN, else 0; `like` carries the type."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        row, n = v.pointer(args[0]), args[1]

        def step(inside):
            offset, *sums = inside
            places = [builder.add(offset, constant(i * v.lanes)) for i in range(SUMS)]
            sums = [v.fma(v.load(row, place), v.zero, total) for place, total in zip(places, sums, strict=True)]
            return [builder.add(offset, constant(SUMS * v.lanes)), *sums]

        whole = builder.sdiv(n, constant(SUMS * v.lanes))
        begin, *sums = loop(builder, whole, [constant(0), *[v.zero] * SUMS], step)

        def body(offset, mask, state):
            return [v.fma(v.load(row, builder.add(begin, offset), mask), v.zero, state[0])]

        (total,) = _over_row(v, builder.sub(n, begin), sums[:1], body)
        for other in sums[1:]:
            total = builder.fadd(total, other)
        return v.sum(total)

    return like(types.intp, types.intp, like), codegen


@intrinsic
def _row_add(typingctx, row, i, value):
    """row[i] += value."""

    def codegen(context, builder, signature, args):
        place = builder.gep(Vectors(builder, value).pointer(args[0]), [args[1]])
        builder.store(builder.fadd(builder.load(place), args[2]), place)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, value), codegen
