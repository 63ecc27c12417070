"""Losses fused with their gradients, a row at a time (twin of `fastmlp.losses.loss_and_gradient`)."""

import math

import numpy as np
from fastmlp.kernels import codes
from fastmlp.kernels.cpu.elementwise import sigmoid, softmax_row, softplus
from fastmlp.kernels.cpu.signatures import Matrix, Parameters, Vector
from fastmlp.kernels.cpu.team import barrier, share
from numba.extending import register_jitable

__all__ = ["loss_gradient"]


@register_jitable
def _clipped_log(p, eps, one):
    # comparisons that NaN fails leave it visible
    if p < eps:
        return math.log(eps)
    return math.log(one - eps if p > one - eps else p)


def loss_gradient(
    ops, loss: int, parameter: Parameters, z: Matrix, target: Matrix, weight: Vector, out: Matrix
) -> float:
    real = out.dtype.type
    eps = np.finfo(out.dtype).eps
    zero, one = real(0), real(1)
    outputs = out.shape[1]
    r0, r1 = share(ops, out.shape[0], 1)
    total = 0.0
    for i in range(r0, r1):
        value = 0.0
        if loss == codes.SOFTMAX_CROSS_ENTROPY:
            # -Σ y (z - log Σ exp z), with soft targets of any mass
            mass = zero
            for j in range(outputs):
                out[i, j] = z[i, j]
                mass += target[i, j]
            log_total = softmax_row(out, i)
            for j in range(outputs):
                if target[i, j] != zero:
                    value += target[i, j] * (log_total - z[i, j])
                out[i, j] = mass * out[i, j] - target[i, j]
        elif loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY:
            for j in range(outputs):
                out[i, j] = z[i, j]
            softmax_row(out, i)
            for j in range(outputs):
                if target[i, j] != zero:
                    value -= target[i, j] * _clipped_log(out[i, j], eps, one)
                out[i, j] -= target[i, j]
        elif loss == codes.CLIPPED_BINARY_CROSS_ENTROPY:
            for j in range(outputs):
                p, y = sigmoid(z[i, j], one), target[i, j]
                value -= y * _clipped_log(p, eps, one) + (one - y) * _clipped_log(one - p, eps, one)
                out[i, j] = p - y
        elif loss == codes.BINARY_CROSS_ENTROPY:
            for j in range(outputs):
                value += softplus(z[i, j], zero) - target[i, j] * z[i, j]
                out[i, j] = sigmoid(z[i, j], one) - target[i, j]
        elif loss == codes.POISSON:
            for j in range(outputs):
                y, rate = target[i, j], math.exp(z[i, j])
                value += rate - y
                if y > zero:
                    value += y * (math.log(y) - z[i, j])
                out[i, j] = rate - y
        else:
            for j in range(outputs):
                r = z[i, j] - target[i, j]
                if loss == codes.ABSOLUTE_ERROR:
                    value += abs(r) / outputs
                    # r where it is neither positive nor negative: 0, or NaN kept visible
                    out[i, j] = one / outputs if r > zero else -one / outputs if r < zero else r
                elif loss == codes.HUBER:
                    delta = real(parameter[0])
                    inside = min(abs(r), delta)
                    value += inside * (abs(r) - real(0.5) * inside) / outputs
                    out[i, j] = max(min(r, delta), -delta) / outputs
                elif loss == codes.QUANTILE:
                    q = real(parameter[j % parameter.shape[0]])
                    value += ((one - q) * r if r > zero else -q * r) / outputs
                    out[i, j] = (one - q) / outputs if r > zero else -q / outputs if r < zero else r
                elif loss == codes.HALF_MEAN_SQUARED_ERROR:
                    value += 0.5 * r * r / outputs
                    out[i, j] = r
                elif loss == codes.SQUARED_ERROR:
                    value += r * r
                    out[i, j] = 2 * r
                elif loss == codes.HALF_SQUARED_ERROR:
                    value += 0.5 * r * r
                    out[i, j] = r
                else:
                    value += r * r / outputs
                    out[i, j] = 2 * r / outputs
        for j in range(outputs):
            out[i, j] *= weight[i]
        total += weight[i] * value
    barrier(ops)
    return total
