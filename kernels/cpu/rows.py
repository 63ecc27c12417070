"""Passes over one row of a matrix in whole vectors, the last one masked.

LLVM's own vector loops leave what fills no vector to scalar code, and the rows of an output layer have a few columns.
"""

from fastmlp.kernels.cpu.exponential import emit_exp
from fastmlp.kernels.cpu.simd import VECTOR_BYTES, Vectors, blocks, constant, loop
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

__all__ = ["row_scale", "softmax_row"]


def _over_row(v, n, state, body):
    """The state after state = body(offset, mask, state) for each vector of a row of n elements."""
    builder = v.builder

    def step(inside):
        offset, *state = inside
        return [builder.add(offset, constant(v.lanes)), *body(offset, v.mask(builder.sub(n, offset)), state)]

    return loop(builder, blocks(builder, n, v.lanes), [constant(0), *state], step)[1:]


@register_jitable
def softmax_row(source, target, n, one, itemsize):
    """softmax of n numbers from one address to another, or in place; returns the largest and the sum of exp(z - it).

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


@intrinsic
def _softmax_of_a_vector(typingctx, source, target, n, like):
    """All at once in registers: what a masked store has written a load must wait for."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        source, target, mask, none = v.pointer(args[0]), v.pointer(args[1]), v.mask(args[2]), constant(0)
        values = builder.select(mask, v.load(source, none, mask), _lowest(v))
        highest = v.max(values)
        exponentials = emit_exp(builder, like, builder.fsub(values, v.splat(highest)))
        total = v.sum(builder.select(mask, exponentials, v.zero))
        scale = v.splat(builder.fdiv(ir.Constant(v.scalar, 1.0), total))
        v.store(builder.fmul(exponentials, scale), target, none, mask)
        return context.make_tuple(builder, signature.return_type, (highest, total))

    return types.UniTuple(like, 2)(types.intp, types.intp, types.intp, like), codegen


@intrinsic
def _row_max(typingctx, row, n, like):
    """The largest of n elements of the type of `like` from an address on."""

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
