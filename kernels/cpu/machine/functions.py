"""The functions that formulas use, in forms that vectorise."""

import math

from fastmlp.kernels.cpu.machine.exponential import exp, expm1
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable

__all__ = ["exp", "expm1", "like", "log_add_exp", "sigmoid", "tanh"]


@intrinsic
def like(typingctx, x, value):
    """`value` as a number of x's type; a Python constant would be a float64."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[1], value, x)

    return x(x, value), codegen


@jitable
def sigmoid(z):
    """1 / (1 + exp(-z)). exp overflows to infinity where the result is 0 anyway."""
    return like(z, 1.0) / (like(z, 1.0) + exp(-z))


@jitable
def tanh(z):
    """(exp(2z) - 1) / (exp(2z) + 1). Beyond 20 the result is 1."""
    double, most = z + z, like(z, 40.0)
    double = most if double > most else double  # NaN fails both comparisons and stays NaN
    double = expm1(-most if double < -most else double)
    return double / (double + like(z, 2.0))


@jitable
def log_add_exp(a, b):
    """log(exp(a) + exp(b)) without overflow; log(1 + exp(a)) where b is 0."""
    return (a if a > b else b) + math.log1p(exp(-abs(a - b)))
