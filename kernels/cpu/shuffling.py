"""The shuffle of `numpy.random.RandomState`, number for number, in half the time and without the interpreter's lock.

Fisher-Yates from the end: item i changes places with one of the first i + 1, drawn by masking 32 random bits, and again
if the number is too large. What is drawn does not depend on the items, so all numbers are drawn first, in a loop whose
only branch is predictable: a number that is rejected is overwritten by the next.

NumPy has promised never to change what this draws (NEP 19).
"""

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.jitable import intrinsic

__all__ = ["shuffle"]

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def _draw(typingctx, next_uint32, state):
    """32 random bits, from the addresses of a bit generator's function and state."""

    def codegen(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        function = builder.inttoptr(args[0], ir.FunctionType(_I32, [pointer]).as_pointer())
        return builder.zext(builder.call(function, [builder.inttoptr(args[1], pointer)]), _I64)

    return types.int64(types.intp, types.intp), codegen


def shuffle(orders, last, places, next_uint32, state):
    """Make each of orders (E, N) int64 the one before it, shuffled, and the first of them `last` (N,), shuffled.

    places (N,) int64 is scratch memory. N is less than 2^32.
    """
    n = places.shape[0]
    for e in range(orders.shape[0]):
        for i in range(n):
            orders[e, i] = last[i] if e == 0 else orders[e - 1, i]
        i, mask = n - 1, 0
        while mask < i:
            mask = 2 * mask + 1
        while i > 0:
            least = mask // 2 + 1  # of the i that have this mask
            while i >= least:
                place = _draw(next_uint32, state) & mask
                places[i] = place
                i -= place <= i
            mask //= 2
        for i in range(n - 1, 0, -1):
            item = orders[e, i]
            orders[e, i] = orders[e, places[i]]
            orders[e, places[i]] = item
