"""Square roots of vectors, for which a CPU's own instruction takes as long as all the rest of an update by Adam.

Where there is AVX-512, an estimate y of 1/sqrt(x) with a relative error of 2⁻¹⁴ is at hand. With s = xy and h = y/2 one
step of Newton's method gives sqrt(x) = s + s (½ - sh), with an error of 1.5 2⁻²⁸ before rounding, and leaves the
divider to a division beside it.
Source: Markstein, IBM J. Res. Dev. 34 (1990).
"""

from fastmlp.kernels.cpu.simd import STRICT, VECTOR_BYTES, Vectors
from llvmlite import ir

__all__ = ["emit_root"]

_SMALLEST, _LARGEST = 2.0**-126, 2.0**128 - 2.0**104  # normal numbers of float32


def emit_root(v: Vectors, x):
    """sqrt(x) for x >= 0 or NaN, within one unit of the last place; but where it is estimated at least 2⁻⁶³."""
    if v.itemsize != 4 or VECTOR_BYTES != 64:
        return v.call(f"llvm.sqrt.{v.suffix}", v.type, x)
    builder = v.builder
    least = v.number(_SMALLEST)
    x = builder.select(builder.fcmp_ordered("<", x, least), least, x)  # a comparison that NaN fails
    everywhere, half = ir.Constant(ir.IntType(16), -1), v.number(0.5)
    y = v.call("llvm.x86.avx512.rsqrt14.ps.512", v.type, x, v.zero, everywhere)
    s, h = builder.fmul(x, y, flags=STRICT), builder.fmul(y, half, flags=STRICT)
    root = v.fma(s, v.fma(builder.fneg(s, flags=STRICT), h, half), s)
    return builder.select(builder.fcmp_ordered(">", x, v.number(_LARGEST)), x, root)  # infinity, whose s is none
