"""exp and expm1 in a form that the compiler can vectorise; it cannot vectorise calls of the C library.

x = n ln 2 + r with |r| <= ½ ln 2, so exp(x) = 2ⁿ (1 + q), q = exp(r) - 1 by its Taylor series. x / ln 2 is rounded to n
by adding a number so large that its last bit stands for 1. 2ⁿ is put together from bits, as two factors so that neither
end of the range is lost. All this is LLVM IR, its sums inside fused multiply-adds: Numba's fast-math flags allow
reassociation, which would undo the rounding and the two-part ln 2.

Error: below 1.5 units in the last place of exp, 2.5 of expm1 (tested); infinities and NaN as by the C library.
Source: Muller et al., Handbook of Floating-Point Arithmetic, section 10.
"""

from math import factorial, log

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.machine.vectors import STRICT, emit_fma

__all__ = ["emit_exp", "exp", "expm1"]


class _Format:
    """Constants of a floating-point format."""

    def __init__(self, bits: int, mantissa: int, terms: int, low: float, high: float, ln2_high: float) -> None:
        self.real = ir.DoubleType() if bits == 64 else ir.FloatType()
        self.integer, self.suffix = ir.IntType(bits), f"f{bits}"
        self.mantissa, self.bias = mantissa, 2 ** (bits - mantissa - 2) - 1
        self.low, self.high = low, high  # beyond them exp is 0 and infinity
        self.coefficients = [1 / factorial(k) for k in range(terms, 0, -1)]
        # ln 2 in two parts, the first with so few digits that its product with n is exact
        self.ln2 = ln2_high, log(2) - ln2_high if bits == 32 else 1.90821492927058770002e-10
        self.rounder = 1.5 * 2.0**mantissa


_FORMATS = {
    types.float32: _Format(32, 23, 7, -104.0, 89.0, 0.693359375),
    types.float64: _Format(64, 52, 13, -746.0, 710.0, 6.93147180369123816490e-01),
}


def _emit(builder, kind, x):
    """Emit q, the two factors of 2ⁿ and 1 for x, a number or a vector; also returns the fma for its type."""
    f, lanes = _FORMATS[kind], getattr(x.type, "count", None)
    integers = ir.VectorType(f.integer, lanes) if lanes else f.integer
    suffix = f"v{lanes}{f.suffix}" if lanes else f.suffix

    def real(value):
        return ir.Constant(x.type, [value] * lanes if lanes else value)

    def integer(value):
        return ir.Constant(integers, [value] * lanes if lanes else value)

    def fma(a, b, c):
        return emit_fma(builder, suffix, a, b, c)

    # NaN fails both comparisons and passes through
    y = builder.select(builder.fcmp_ordered("<", x, real(f.low)), real(f.low), x)
    y = builder.select(builder.fcmp_ordered(">", y, real(f.high)), real(f.high), y)
    shifted = fma(y, real(1 / log(2)), real(f.rounder))
    n = builder.fsub(shifted, real(f.rounder), flags=STRICT)
    r = fma(n, real(-f.ln2[1]), fma(n, real(-f.ln2[0]), y))
    q = real(f.coefficients[0])
    for coefficient in f.coefficients[1:]:
        q = fma(q, r, real(coefficient))
    q = builder.fmul(q, r)
    count = builder.sub(builder.bitcast(shifted, integers), builder.bitcast(real(f.rounder), integers))
    half = builder.ashr(count, integer(1))

    def power(k):
        return builder.bitcast(builder.shl(builder.add(k, integer(f.bias)), integer(f.mantissa)), x.type)

    return q, power(half), power(builder.sub(count, half)), real(1.0), fma


def emit_exp(builder, kind, x):
    """Emit exp(x) of a number or a vector whose elements are of Numba's type `kind`."""
    q, first, second, _, fma = _emit(builder, kind, x)
    return builder.fmul(fma(q, first, first), second)


@intrinsic
def exp(typingctx, x):
    """exp(x) of a float32 or float64."""

    return x(x), lambda context, builder, signature, args: emit_exp(builder, x, args[0])


@intrinsic
def expm1(typingctx, x):
    """exp(x) - 1 of a float32 or float64, exact to its last digits near 0."""

    def codegen(context, builder, signature, args):
        q, first, second, one, fma = _emit(builder, x, args[0])
        power = builder.fmul(first, second)
        result = fma(power, q, builder.fsub(power, one))
        # where the power overflows, its product with a negative q would be -infinity
        return builder.select(builder.fcmp_ordered("==", power, ir.Constant(power.type, float("inf"))), power, result)

    return x(x), codegen
