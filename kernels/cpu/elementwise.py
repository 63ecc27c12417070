"""Activations and their derivatives over a block of rows and columns, in place (twins of `fastmlp.activations`)."""

import math

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.signatures import Matrix
from fastmlp.kernels.cpu.team import barrier, share
from numba.extending import register_jitable

__all__ = ["activate", "activation_backward", "multiply_by_derivative"]

_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBE = 0.044715


@register_jitable
def activate(code, z, slope, r0, r1, c0, c1):
    """z[r0:r1, c0:c1] = σ(z); for the GELUs and SiLU slope = σ'(z). Softmax needs whole rows."""
    real = z.dtype.type
    zero, one, half = real(0), real(1), real(0.5)
    if code == codes.IDENTITY:
        return
    if code == codes.SOFTMAX:
        for i in range(r0, r1):
            softmax_row(z, i)
        return
    for i in range(r0, r1):
        if code == codes.RELU:
            for j in range(c0, c1):
                z[i, j] = zero if z[i, j] < zero else z[i, j]
        elif code == codes.LEAKY_RELU:
            for j in range(c0, c1):
                z[i, j] = real(codes.LEAK) * z[i, j] if z[i, j] < zero else z[i, j]
        elif code == codes.ELU:
            for j in range(c0, c1):
                z[i, j] = math.expm1(z[i, j]) if z[i, j] < zero else z[i, j]
        elif code == codes.SIGMOID:
            for j in range(c0, c1):
                z[i, j] = sigmoid(z[i, j], one)
        elif code == codes.TANH:
            for j in range(c0, c1):
                z[i, j] = math.tanh(z[i, j])
        elif code == codes.SOFTPLUS:
            for j in range(c0, c1):
                z[i, j] = softplus(z[i, j], zero)
        elif code == codes.GELU:
            for j in range(c0, c1):
                x = z[i, j]
                cdf = half * (one + real(math.erf(x * real(_SQRT_HALF))))
                slope[i, j] = cdf + x * real(_DENSITY) * math.exp(-half * x * x)
                z[i, j] = x * cdf
        elif code == codes.GELU_TANH:
            for j in range(c0, c1):
                x = z[i, j]
                scale, cube = real(_TANH_SCALE), real(_TANH_CUBE)
                t = math.tanh(scale * (x + cube * x * x * x))
                inner = scale * (one + real(3) * cube * x * x)
                slope[i, j] = half * (one + t) + half * x * (one - t * t) * inner
                z[i, j] = half * x * (one + t)
        elif code == codes.SILU:
            for j in range(c0, c1):
                s = sigmoid(z[i, j], one)
                x = z[i, j] * s
                slope[i, j] = s + x - x * s
                z[i, j] = x
        elif code == codes.THRESHOLD:
            for j in range(c0, c1):
                z[i, j] = one if z[i, j] >= zero else zero


@register_jitable
def multiply_by_derivative(code, a, slope, delta, r0, r1, c0, c1):
    """delta[r0:r1, c0:c1] *= σ'(z), from a = σ(z) or the stored slope. Softmax needs whole rows."""
    real = delta.dtype.type
    zero, one = real(0), real(1)
    if code == codes.IDENTITY or code == codes.THRESHOLD:
        return
    for i in range(r0, r1):
        if code == codes.RELU:
            for j in range(c0, c1):
                delta[i, j] = delta[i, j] if a[i, j] > zero else zero
        elif code == codes.LEAKY_RELU:
            for j in range(c0, c1):
                delta[i, j] = delta[i, j] if a[i, j] > zero else real(codes.LEAK) * delta[i, j]
        elif code == codes.ELU:
            for j in range(c0, c1):
                delta[i, j] = delta[i, j] if a[i, j] > zero else delta[i, j] * (a[i, j] + one)
        elif code == codes.SIGMOID:
            for j in range(c0, c1):
                delta[i, j] *= a[i, j] * (one - a[i, j])
        elif code == codes.TANH:
            for j in range(c0, c1):
                delta[i, j] *= one - a[i, j] * a[i, j]
        elif code == codes.SOFTPLUS:
            for j in range(c0, c1):
                delta[i, j] *= -math.expm1(-a[i, j])
        elif code == codes.SOFTMAX:
            total = zero
            for j in range(c0, c1):
                total += delta[i, j] * a[i, j]
            for j in range(c0, c1):
                delta[i, j] = a[i, j] * (delta[i, j] - total)
        else:
            for j in range(c0, c1):
                delta[i, j] *= slope[i, j]


def activation_backward(ops, activation: int, a: Matrix, slope: Matrix, delta: Matrix):
    r0, r1 = share(ops, delta.shape[0], 1)
    multiply_by_derivative(activation, a, slope, delta, r0, r1, 0, delta.shape[1])
    barrier(ops)


@register_jitable
def softmax_row(z, i):
    """z[i] = softmax(z[i]); returns log Σ exp(z[i]) of the row as it was."""
    highest = z[i, 0]
    for j in range(1, z.shape[1]):
        highest = max(highest, z[i, j])
    total = z.dtype.type(0)
    for j in range(z.shape[1]):
        z[i, j] = math.exp(z[i, j] - highest)
        total += z[i, j]
    inverse = z.dtype.type(1) / total
    for j in range(z.shape[1]):
        z[i, j] *= inverse
    return float(highest) + math.log(float(total))


@register_jitable
def sigmoid(z, one):
    """1 / (1 + exp(-z)); `one` carries the type. exp overflows to infinity where the result is 0 anyway."""
    return one / (one + math.exp(-z))


@register_jitable
def softplus(z, zero):
    """log(1 + exp(z)) without overflow; `zero` carries the type."""
    return max(z, zero) + math.log1p(math.exp(-abs(z)))
