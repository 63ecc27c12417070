"""The update of a layer by one sample and its product with the next, in one pass over the weights.

    W_i += alpha x_i δ        z = b + Σ_i x'_i W_i

Loading and storing the weights is what takes the time, and one pass does it once. Where the same inputs of both samples
are nonzero, as in dense samples, a row of W is read once, into registers; else the product finds it in the L1 cache.
The result is, bit for bit, that of the two operations one after the other.
"""

from numba import types

from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable
from fastmlp.kernels.cpu.machine.vectors import Vectors
from fastmlp.kernels.cpu.one_sample.vector_products import (
    WIDE,
    Rows,
    added,
    for_bits,
    for_blocks,
    nonzeros,
    partial_update,
    wide_update,
)

__all__ = ["update_and_forward"]


def _emit(v, x, next_x, inputs, rows, update, sums, in_registers):
    """Emit the pass; returns the sums."""
    builder = v.builder

    def product(i, sums):
        return added(v, next_x, i, rows.load(rows.pointer(i)), sums)

    def updated(i, state):
        update(i)
        return state

    def both(i, sums):
        return added(v, next_x, i, update(i), sums)

    def one_after_the_other(first, bits, next_bits, sums):
        for_bits(v, bits, first, [], updated)
        return for_bits(v, next_bits, first, sums, product)

    def block(first, sums):
        bits, next_bits = nonzeros(v, x, first, inputs), nonzeros(v, next_x, first, inputs)
        if not in_registers:
            return one_after_the_other(first, bits, next_bits, sums)
        with builder.if_else(builder.icmp_unsigned("==", bits, next_bits)) as (then, otherwise):
            with then:
                alike, end_alike = for_bits(v, bits, first, sums, both), builder.block
            with otherwise:
                apart, end_apart = one_after_the_other(first, bits, next_bits, sums), builder.block
        after = [builder.phi(v.type) for _ in sums]
        for phi, *values in zip(after, alike, apart, strict=True):
            for value, end in zip(values, (end_alike, end_apart), strict=True):
                phi.add_incoming(value, end)
        return after

    return for_blocks(v, inputs, sums, block)


def _pass(vectors: int, full: bool):
    """Intrinsic for `vectors` vectors of columns: all of their lanes, or n columns."""

    @intrinsic
    def kernel(typingctx, x, next_x, inputs, w, w_row, delta, b, z, n, alpha):
        def codegen(context, builder, signature, args):
            v = Vectors(builder, alpha)
            x, next_x, inputs, w, w_row, delta, b, z, n, step = args
            x, next_x, w, delta, out = map(v.pointer, (x, next_x, w, delta, z))
            rows = Rows(v, w, w_row, vectors, None if full else n)
            if full:
                update = wide_update(v, x, rows, delta, step)
            else:
                update = partial_update(v, x, rows, delta, step, n, vectors * v.lanes)
            rows.store(_emit(v, x, next_x, inputs, rows, update, rows.start(b, z), full), out)
            return context.get_dummy_value()

        return types.void(*([types.intp] * 9), alpha), codegen

    return kernel


_wide, _part = _pass(WIDE, True), _pass(WIDE // 2, False)


@jitable
def update_and_forward(x, next_x, inputs, w, delta, b, z, outputs, alpha, itemsize):
    """W_i += alpha x_i δ, then z = b + Σ_i x'_i W_i; all at addresses, b may be 0: no biases."""
    lanes, j = VECTOR_BYTES // itemsize, 0
    while j < outputs:
        left, at = outputs - j, j * itemsize
        biases = b + at if b else 0
        if left >= WIDE * lanes:
            _wide(x, next_x, inputs, w + at, outputs, delta + at, biases, z + at, left, alpha)
            j += WIDE * lanes
        else:
            n = min(left, WIDE // 2 * lanes)
            _part(x, next_x, inputs, w + at, outputs, delta + at, biases, z + at, n, alpha)
            j += n
