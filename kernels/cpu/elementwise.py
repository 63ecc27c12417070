"""Activations and their derivatives over a block of rows and columns, in place (twins of `fastmlp.activations`).

ReLU is part of whoever asks for it. The others are operations that operations call: a network without them does not
have them compiled.
"""

import math

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.exponential import exp, expm1
from fastmlp.kernels.cpu.jitable import jitable
from fastmlp.kernels.cpu.rows import softmax_row
from fastmlp.kernels.cpu.signatures import Matrix
from fastmlp.kernels.cpu.team import barrier, share
from fastmlp.kernels.cpu.views import row_address, span

__all__ = ["activate", "activate_block", "activation_backward", "differentiate_block", "multiply_by_derivative"]

_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBE = 0.044715


@jitable
def activate(ops, code, z, slope, r0, r1, c0, c1):
    """z[r0:r1, c0:c1] = σ(z); for the GELUs and SiLU slope = σ'(z). Softmax needs whole rows."""
    if code == codes.RELU:
        zero = z.dtype.type(0)
        spans, width = _spans(z, r0, r1, c0, c1)
        for i in range(spans):
            row = span(z, (r0 + i) * z.shape[1] + c0, width)
            for j in range(row.shape[0]):
                row[j] = zero if row[j] < zero else row[j]
    elif code != codes.IDENTITY:
        ops.activate_block(code, z, slope, r0, r1, c0, c1)


def activate_block(ops, code: int, z: Matrix, slope: Matrix, r0: int, r1: int, c0: int, c1: int):
    real = z.dtype.type
    zero, one, half = real(0), real(1), real(0.5)
    if code == codes.SOFTMAX:
        for i in range(r0, r1):
            softmax_row(row_address(z, i), row_address(z, i), z.shape[1], one, z.itemsize)
        return
    spans, width = _spans(z, r0, r1, c0, c1)
    for i in range(spans):
        at = (r0 + i) * z.shape[1] + c0
        row, slopes = span(z, at, width), span(slope, at, width)
        if code == codes.LEAKY_RELU:
            for j in range(row.shape[0]):
                row[j] = real(codes.LEAK) * row[j] if row[j] < zero else row[j]
        elif code == codes.ELU:
            for j in range(row.shape[0]):
                row[j] = expm1(row[j]) if row[j] < zero else row[j]
        elif code == codes.SIGMOID:
            for j in range(row.shape[0]):
                row[j] = sigmoid(row[j], one)
        elif code == codes.TANH:
            for j in range(row.shape[0]):
                row[j] = tanh(row[j], one)
        elif code == codes.SOFTPLUS:
            for j in range(row.shape[0]):
                row[j] = softplus(row[j], zero)
        elif code == codes.GELU:
            for j in range(row.shape[0]):
                x = row[j]
                cdf = half * (one + real(math.erf(x * real(_SQRT_HALF))))
                slopes[j] = cdf + x * real(_DENSITY) * exp(-half * x * x)
                row[j] = x * cdf
        elif code == codes.GELU_TANH:
            for j in range(row.shape[0]):
                x = row[j]
                scale, cube = real(_TANH_SCALE), real(_TANH_CUBE)
                t = tanh(scale * (x + cube * x * x * x), one)
                inner = scale * (one + real(3) * cube * x * x)
                slopes[j] = half * (one + t) + half * x * (one - t * t) * inner
                row[j] = half * x * (one + t)
        elif code == codes.SILU:
            for j in range(row.shape[0]):
                s = sigmoid(row[j], one)
                x = row[j] * s
                slopes[j] = s + x - x * s
                row[j] = x
        elif code == codes.THRESHOLD:
            for j in range(row.shape[0]):
                row[j] = one if row[j] >= zero else zero


@jitable
def multiply_by_derivative(ops, code, a, slope, delta, r0, r1, c0, c1):
    """delta[r0:r1, c0:c1] *= σ'(z), from a = σ(z) or the stored slope. Softmax needs whole rows."""
    if code == codes.RELU:
        zero = delta.dtype.type(0)
        spans, width = _spans(delta, r0, r1, c0, c1)
        for i in range(spans):
            at = (r0 + i) * delta.shape[1] + c0
            row, out = span(delta, at, width), span(a, at, width)
            for j in range(row.shape[0]):
                row[j] = row[j] if out[j] > zero else zero
    elif code != codes.IDENTITY and code != codes.THRESHOLD:
        ops.differentiate_block(code, a, slope, delta, r0, r1, c0, c1)


def differentiate_block(ops, code: int, a: Matrix, slope: Matrix, delta: Matrix, r0: int, r1: int, c0: int, c1: int):
    real = delta.dtype.type
    zero, one = real(0), real(1)
    if code == codes.SOFTMAX:
        for i in range(r0, r1):
            at, outputs = i * delta.shape[1], delta.shape[1]
            row, out, total = span(delta, at, outputs), span(a, at, outputs), zero
            for j in range(outputs):
                total += row[j] * out[j]
            for j in range(outputs):
                row[j] = out[j] * (row[j] - total)
        return
    spans, width = _spans(delta, r0, r1, c0, c1)
    for i in range(spans):
        at = (r0 + i) * delta.shape[1] + c0
        row, out, slopes = span(delta, at, width), span(a, at, width), span(slope, at, width)
        if code == codes.LEAKY_RELU:
            for j in range(row.shape[0]):
                row[j] = row[j] if out[j] > zero else real(codes.LEAK) * row[j]
        elif code == codes.ELU:
            for j in range(row.shape[0]):
                row[j] = row[j] if out[j] > zero else row[j] * (out[j] + one)
        elif code == codes.SIGMOID:
            for j in range(row.shape[0]):
                row[j] *= out[j] * (one - out[j])
        elif code == codes.TANH:
            for j in range(row.shape[0]):
                row[j] *= one - out[j] * out[j]
        elif code == codes.SOFTPLUS:
            for j in range(row.shape[0]):
                row[j] *= -expm1(-out[j])
        else:
            for j in range(row.shape[0]):
                row[j] *= slopes[j]


@jitable
def activation_backward(ops, activation: int, a: Matrix, slope: Matrix, delta: Matrix):
    r0, r1 = share(ops, delta.shape[0], 1)
    multiply_by_derivative(ops, activation, a, slope, delta, r0, r1, 0, delta.shape[1])
    barrier(ops)


@jitable
def _spans(z, r0, r1, c0, c1):
    """How many spans of memory the block z[r0:r1, c0:c1] is made of, and their length: whole rows are one."""
    return (1, (r1 - r0) * (c1 - c0)) if c1 - c0 == z.shape[1] else (r1 - r0, c1 - c0)


@jitable
def sigmoid(z, one):
    """1 / (1 + exp(-z)); `one` carries the type. exp overflows to infinity where the result is 0 anyway."""
    return one / (one + exp(-z))


@jitable
def tanh(z, one):
    """(exp(2z) - 1) / (exp(2z) + 1); `one` carries the type. Beyond 20 the result is 1."""
    double = z + z
    double = one * 40 if double > 40 else double  # comparisons that NaN fails leave it visible
    double = expm1(-one * 40 if double < -40 else double)
    return double / (double + one + one)


@jitable
def softplus(z, zero):
    """log(1 + exp(z)) without overflow; `zero` carries the type."""
    return max(z, zero) + math.log1p(exp(-abs(z)))
