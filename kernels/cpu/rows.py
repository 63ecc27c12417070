"""Passes over one row of a matrix in whole vectors, the last one masked.

LLVM's own vector loops leave what fills no vector to scalar code, and the rows of an output layer have a few columns.
"""

from fastmlp.kernels.cpu.exponential import emit_exp
from fastmlp.kernels.cpu.simd import Vectors, constant, loop
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["row_exp", "row_max", "row_scale"]


def _over_row(v, n, state, body):
    """The state after state = body(offset, mask, state) for each vector of a row of n elements."""
    builder = v.builder

    def step(inside):
        offset, *state = inside
        return [builder.add(offset, constant(v.lanes)), *body(offset, v.mask(builder.sub(n, offset)), state)]

    vectors = builder.ashr(builder.add(n, constant(v.lanes - 1)), constant(v.lanes.bit_length() - 1))
    return loop(builder, vectors, [constant(0), *state], step)[1:]


@intrinsic
def row_max(typingctx, row, n, like):
    """The largest of n elements of the type of `like` from an address on."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        row, low = v.pointer(args[0]), ir.Constant(v.type, [float("-inf")] * v.lanes)

        def body(offset, mask, state):
            values = builder.select(mask, v.load(row, offset, mask), low)
            return [builder.select(builder.fcmp_unordered(">", values, state[0]), values, state[0])]

        (highest,) = _over_row(v, args[1], [low], body)
        return v.max(highest)

    return like(types.intp, types.intp, like), codegen


@intrinsic
def row_exp(typingctx, source, shift, target, n):
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
