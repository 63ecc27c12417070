"""SIMD vectors in LLVM IR, as wide as the registers of the CPU that Numba compiles for; Numba itself has none."""

import functools
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastmlp.kernels.cpu.machine.host import FUSED, LINE, VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable

__all__ = [
    *("STRICT", "Vectors"),
    *("blocks", "constant", "emit_fma", "loop", "prefetch", "repeat"),
]

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
STRICT = ("nsz",)  # flags for an instruction that must not get Numba's own, which allow reassociation


def emit_fma(builder, suffix, a, b, c):
    """a b + c, fused; on a CPU without FMA rounded twice, since LLVM would call the C library instead."""
    if not FUSED:
        return builder.fadd(builder.fmul(a, b, flags=STRICT), c, flags=STRICT)
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.{suffix}"), [a, b, c])


constant = functools.partial(ir.Constant, _I64)


class Vectors:
    """Emits operations on vectors of one element type, float32 or float64.

    Addresses are integers, offsets count elements, a mask is a vector of truth values. No address need be aligned.
    """

    def __init__(self, builder: ir.IRBuilder, real: types.Float, lanes: int | None = None) -> None:
        self.builder, self._real = builder, real
        self.scalar = ir.FloatType() if real == types.float32 else ir.DoubleType()
        self.itemsize = real.bitwidth // 8
        self.lanes = lanes or VECTOR_BYTES // self.itemsize
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.suffix = f"v{self.lanes}f{real.bitwidth}"
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)

    def of_lanes(self, lanes: int) -> "Vectors":
        """The same with another number of lanes."""
        return Vectors(self.builder, self._real, lanes)

    def pointer(self, address):
        return self.builder.inttoptr(address, self.scalar.as_pointer())

    def call(self, name: str, result, *arguments, fastmath: tuple[str, ...] = ()):
        """Call an LLVM intrinsic."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments, fastmath=fastmath)

    def splat(self, value):
        """The vector that has `value` everywhere."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, self.lanes), None))

    def fma(self, a, b, c):
        return emit_fma(self.builder, self.suffix, a, b, c)

    def sum(self, vector):
        """Sum of the elements, in whatever order is fastest."""
        zero, name = ir.Constant(self.scalar, 0.0), f"llvm.vector.reduce.fadd.{self.suffix}"
        return self.call(name, self.scalar, zero, vector, fastmath=("reassoc",))

    def max(self, vector):
        """The largest element, or any if one is NaN; LLVM's own reduction handles NaN and takes three times as long."""
        lanes, half = self.lanes, self.lanes // 2
        while half:
            order = [(i + half) % lanes for i in range(lanes)]
            other = self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_I32, lanes), order))
            vector = self.builder.select(self.builder.fcmp_ordered(">", vector, other), vector, other)
            half //= 2
        return self.builder.extract_element(vector, ir.Constant(_I32, 0))

    def bits(self, mask):
        """The mask as a number, its lowest bit for the first lane."""
        bits = self.builder.bitcast(mask, ir.IntType(self.lanes))
        return self.builder.zext(bits, _I64)

    def mask(self, n, first: int = 0):
        """The mask of lanes whose index, counted from `first`, is below n."""
        lanes = ir.Constant(ir.VectorType(_I64, self.lanes), [first + i for i in range(self.lanes)])
        return self.builder.icmp_signed("<", lanes, self.splat(n))

    def lane(self, number):
        """The mask of one lane."""
        lanes = ir.Constant(ir.VectorType(_I64, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("==", lanes, self.splat(number))

    def load(self, base, offset, mask=None):
        """The vector at an offset from a pointer; 0 in lanes outside the mask."""
        place = self._place(base, offset)
        if mask is None:
            return self.builder.load(place, align=self.itemsize)
        align = ir.Constant(_I32, self.itemsize)
        return self.call(f"llvm.masked.load.{self.suffix}.p0", self.type, place, align, mask, self.zero)

    def store(self, value, base, offset, mask=None) -> None:
        place = self._place(base, offset)
        if mask is None:
            self.builder.store(value, place, align=self.itemsize)
        else:
            align = ir.Constant(_I32, self.itemsize)
            self.call(f"llvm.masked.store.{self.suffix}.p0", ir.VoidType(), value, place, align, mask)

    def prefetch(self, base, offset, written: bool) -> None:
        """Prefetch a cache line that will be read or, if `written`, read and written."""
        _emit_prefetch(self.builder, self.builder.gep(base, [offset]), written)

    def _place(self, base, offset):
        return self.builder.bitcast(self.builder.gep(base, [offset]), self.type.as_pointer())


def blocks(builder, n, size: int):
    """⌈n / size⌉, for a `size` that is a power of two."""
    return builder.ashr(builder.add(n, constant(size - 1)), constant(size.bit_length() - 1))


def repeat(builder: ir.IRBuilder, state: list, go: Callable[[list], ir.Value], body: Callable[[list], list]) -> list:
    """Emit ``while go(state): state = body(state)``; returns the final state, values in registers."""
    entry = builder.block
    again, done = (builder.append_basic_block(name) for name in ("again", "done"))
    builder.cbranch(go(state), again, done)
    builder.position_at_end(again)
    inside = [builder.phi(value.type) for value in state]
    new = body(inside)
    more, end = go(new), builder.block
    builder.cbranch(more, again, done)
    builder.position_at_end(done)
    after = [builder.phi(value.type) for value in state]
    for phis, sources in ((inside, (entry, end)), (after, (entry, end))):
        for phi, *values in zip(phis, state, new, strict=True):
            for value, source in zip(values, sources, strict=True):
                phi.add_incoming(value, source)
    return after


def loop(builder: ir.IRBuilder, count, state: list, body: Callable[[list], list]) -> list:
    """Emit ``for _ in range(count): state = body(state)``; returns the final state."""
    return repeat(
        builder,
        [count, *state],
        lambda counted: builder.icmp_signed(">", counted[0], constant(0)),
        lambda counted: [builder.sub(counted[0], constant(1)), *body(counted[1:])],
    )[1:]


def _emit_prefetch(builder, place, written):
    place = builder.bitcast(place, _I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32])
    hint = [ir.Constant(_I32, x) for x in (int(written), 3, 1)]  # into all caches; data
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), [place, *hint])


@intrinsic
def _prefetch_line(typingctx, address):
    def codegen(context, builder, signature, args):
        _emit_prefetch(builder, builder.inttoptr(args[0], _I8.as_pointer()), written=False)
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@jitable
def prefetch(address, length):
    """Prefetch the cache lines of `length` bytes that will be read."""
    for line in range(address & ~(LINE - 1), address + length, LINE):
        _prefetch_line(line)
