"""Dropout of one row by Philox4x32-10, a vector of counters at a time."""

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.machine.vectors import Vectors, blocks, constant, loop
from fastmlp.kernels.philox import KEY_STEP, MULTIPLIER, ROUNDS

__all__ = ["row_dropout"]

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_COUNTERS = VECTOR_BYTES // 8  # in a vector: a word of 32 bits is held in 64, which a product of two needs


def _splat(builder, value):
    """The vector of counters' words that has `value` everywhere."""
    undefined = ir.Constant(ir.VectorType(_I64, _COUNTERS), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, _COUNTERS), None))


def _words(builder, counter, keys):
    """The four words of each counter, four vectors of words; keys: of each round, two vectors."""

    def number(value):
        return ir.Constant(ir.VectorType(_I64, _COUNTERS), [value] * _COUNTERS)

    low, word = number(0xFFFFFFFF), number(32)
    c0, c1, c2, c3 = counter
    for k0, k1 in keys:
        p0, p1 = builder.mul(number(MULTIPLIER[0]), c0), builder.mul(number(MULTIPLIER[1]), c2)
        c0, c2 = (
            builder.xor(builder.xor(builder.lshr(p1, word), c1), k0),
            builder.xor(builder.xor(builder.lshr(p0, word), c3), k1),
        )
        c1, c3 = builder.and_(p1, low), builder.and_(p0, low)
    return c0, c1, c2, c3


def _in_order(builder, words):
    """Vectors w0, w1, w2, w3 as one of 32-bit words: the four of the first counter, of the second, and so on."""

    def join(a, b, order):
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), list(order)))

    n = _COUNTERS
    w0, w1, w2, w3 = (builder.trunc(vector, ir.VectorType(_I32, n)) for vector in words)
    halves = join(w0, w1, range(2 * n)), join(w2, w3, range(2 * n))
    return join(*halves, [word * n + i for i in range(n) for word in range(4)])


@intrinsic
def row_dropout(typingctx, source, target, n, row, step, layer, key0, key1, limit, inverse):
    """Write x * inverse where the mask keeps an element, else 0, for n numbers x from address to address, or in place.

    An element of column j is kept where word j % 4 of counter (j // 4, row, step, layer) under the key is below
    `limit`; all are words of 32 bits in int64. inverse carries the type.
    """

    def codegen(context, builder, signature, args):
        source, target, n, row, step, layer, key0, key1, limit, inverse = args
        v = Vectors(builder, signature.args[-1], 4 * _COUNTERS)
        source, target, inverse = v.pointer(source), v.pointer(target), v.splat(inverse)
        low = constant(0xFFFFFFFF)
        keys = [
            [_splat(builder, builder.and_(builder.add(key, constant(r * by)), low)) for key, by in pairs]
            for r in range(ROUNDS)
            for pairs in [((key0, KEY_STEP[0]), (key1, KEY_STEP[1]))]
        ]
        rest = [_splat(builder, word) for word in (row, step, layer)]
        limit = v.splat(builder.trunc(limit, _I32))

        def step_of(state):
            offset, counters = state
            words = _in_order(builder, _words(builder, (counters, *rest), keys))
            within = v.mask(builder.sub(n, offset))
            kept = builder.select(
                builder.icmp_unsigned("<", words, limit),
                builder.fmul(v.load(source, offset, within), inverse),
                v.zero,
            )
            v.store(kept, target, offset, within)
            following = builder.add(counters, ir.Constant(counters.type, [_COUNTERS] * _COUNTERS))
            return [builder.add(offset, constant(v.lanes)), following]

        first = ir.Constant(ir.VectorType(_I64, _COUNTERS), list(range(_COUNTERS)))
        loop(builder, blocks(builder, n, v.lanes), [constant(0), first], step_of)
        return context.get_dummy_value()

    whole = types.int64
    kinds = types.intp, types.intp, whole, whole, whole, whole, whole, whole, whole, inverse
    return types.void(*kinds), codegen
