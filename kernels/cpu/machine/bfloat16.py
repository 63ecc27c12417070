"""Factors rounded to bfloat16, two by two, in the order in which VDPBF16PS multiplies them.

A bfloat16 number is a float32 without the lower 16 of its bits, so a product of two is exact in float32. The
instruction (AVX512_BF16) reads words of two numbers each and adds to every sum the product of the second numbers, then
that of the first ones; either addition is rounded to float32. Without it a pair is two words, float32 numbers with 16
zero bits, the second number first: fused multiply-adds of one word after the other form the same sums, bit for bit.

Numbers below 1.2e-38 count as 0, as they do for the instructions.
"""

from llvmlite import ir

from fastmlp.kernels.cpu.machine.host import PAIRS
from fastmlp.kernels.cpu.machine.vectors import Vectors

__all__ = ["emit_adjacent", "emit_dot", "emit_interleaved"]

_I32 = ir.IntType(32)


def emit_dot(v: Vectors, a, b, sums):
    """Sums plus both products of each pair of a and b; only where `PAIRS`."""
    words = ir.VectorType(_I32, v.lanes)
    factors = [v.builder.bitcast(pairs, words) for pairs in (a, b)]
    return v.call("llvm.x86.avx512bf16.dpbf16ps.512", v.type, sums, *factors)


def emit_interleaved(v: Vectors, first, second) -> list:
    """The words of the pairs (first[j], second[j]): one vector or two."""
    if not PAIRS:
        return [_rounded(v, second), _rounded(v, first)]
    lanes = [lane for j in range(v.lanes) for lane in (j, v.lanes + j)]
    both = _narrowed(v, first, second)
    order = ir.Constant(ir.VectorType(_I32, 2 * v.lanes), lanes)
    return [v.builder.bitcast(v.builder.shuffle_vector(both, both, order), v.type)]


def emit_adjacent(v: Vectors, low, high) -> list:
    """The words of the pairs of adjacent numbers in low, then high: one vector or two."""
    if PAIRS:
        return [v.builder.bitcast(_narrowed(v, low, high), v.type)]
    swapped = ir.Constant(ir.VectorType(_I32, v.lanes), [j ^ 1 for j in range(v.lanes)])
    rounded = [_rounded(v, part) for part in (low, high)]
    return [v.builder.shuffle_vector(part, part, swapped) for part in rounded]


def _narrowed(v: Vectors, low, high):
    """The numbers in low, then high, as bfloat16, to nearest, ties to even."""
    # LLVM 16 and later have vectors of bfloat in place of integers, and accept these
    return v.call("llvm.x86.avx512bf16.cvtne2ps2bf16.512", ir.VectorType(ir.IntType(16), 2 * v.lanes), high, low)


def _rounded(v: Vectors, x):
    """x rounded to bfloat16 as a float32, as the instruction rounds it."""
    builder, words = v.builder, ir.VectorType(_I32, v.lanes)

    def number(value):
        return ir.Constant(words, [value] * v.lanes)

    bits = builder.bitcast(x, words)
    odd = builder.and_(builder.lshr(bits, number(16)), number(1))
    nearest = builder.add(builder.add(bits, number(0x7FFF)), odd)
    denormal = builder.icmp_unsigned("==", builder.and_(bits, number(0x7F800000)), number(0))
    nearest = builder.select(denormal, builder.and_(bits, number(0x80000000)), nearest)
    nan = builder.fcmp_unordered("uno", x, x)
    nearest = builder.select(nan, builder.or_(bits, number(0x400000)), nearest)
    return builder.bitcast(builder.and_(nearest, number(0xFFFF0000)), v.type)
