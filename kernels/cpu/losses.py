"""Losses fused with their gradients, a row at a time (twin of `fastmlp.losses.loss_and_gradient`)."""

import math
from collections.abc import Callable

import numba
import numpy as np
from fastmlp.kernels import codes
from fastmlp.kernels.cpu.elementwise import sigmoid, softmax_rows, softplus
from fastmlp.kernels.cpu.exponential import exp
from fastmlp.kernels.cpu.signatures import Matrix, Parameters, Vector
from fastmlp.kernels.cpu.team import barrier, part_length, share, sum_of_parts
from numba import types
from numba.extending import register_jitable

from fastmlp.errors import InputError

__all__ = ["custom_loss_gradient", "loss_gradient"]


@register_jitable
def _clipped_log(p, eps, one):
    # comparisons that NaN fails leave it visible
    if p < eps:
        return math.log(eps)
    return math.log(one - eps if p > one - eps else p)


@register_jitable
def _add(team, row, length, value):
    """Add a row's value to the sum of its part; the first row of a part begins it."""
    part = row // length
    team.partial[part] = value if row == part * length else team.partial[part] + value


def loss_gradient(
    ops, loss: int, parameter: Parameters, z: Matrix, target: Matrix, weight: Vector, out: Matrix
) -> float:
    real = out.dtype.type
    eps = np.finfo(out.dtype).eps
    zero, one = real(0), real(1)
    outputs = out.shape[1]
    length = part_length(out.shape[0], 1)
    r0, r1 = share(ops, out.shape[0], length)
    if loss == codes.SOFTMAX_CROSS_ENTROPY or loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY:
        for i in range(r0, r1):
            for j in range(outputs):
                out[i, j] = z[i, j]
        softmax_rows(out, r0, r1)
    for i in range(r0, r1):
        value = 0.0
        if loss == codes.SOFTMAX_CROSS_ENTROPY:
            # -Σ y (z - log Σ exp z), with soft targets of any mass; the largest p is exp(its z) / Σ exp z
            mass, most, highest = zero, out[i, 0], z[i, 0]
            for j in range(outputs):
                mass += target[i, j]
                most, highest = max(most, out[i, j]), max(highest, z[i, j])
            log_total = float(highest) - math.log(float(most))
            for j in range(outputs):
                if target[i, j] != zero:
                    value += target[i, j] * (log_total - z[i, j])
                out[i, j] = mass * out[i, j] - target[i, j]
        elif loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY:
            for j in range(outputs):
                if target[i, j] != zero:
                    value -= target[i, j] * _clipped_log(out[i, j], eps, one)
                out[i, j] -= target[i, j]
        elif loss == codes.CLIPPED_BINARY_CROSS_ENTROPY:
            for j in range(outputs):
                p, y = sigmoid(z[i, j], one), target[i, j]
                # y a + (1-y) b would be regrouped as b + y (a-b), which loses the small a of a right answer
                if y != zero:
                    value -= y * _clipped_log(p, eps, one)
                if y != one:
                    value -= (one - y) * _clipped_log(one - p, eps, one)
                out[i, j] = p - y
        elif loss == codes.BINARY_CROSS_ENTROPY:
            for j in range(outputs):
                value += softplus(z[i, j], zero) - target[i, j] * z[i, j]
                out[i, j] = sigmoid(z[i, j], one) - target[i, j]
        elif loss == codes.POISSON:
            for j in range(outputs):
                y, rate = target[i, j], exp(z[i, j])
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
        _add(ops, i, length, weight[i] * value)
    barrier(ops)
    return sum_of_parts(ops, out.shape[0], length)


def custom_loss_gradient(value: Callable, gradient: Callable) -> Callable:
    """`loss_gradient` for the loss Σ value(z, y) of `fastmlp.losses.custom_loss`."""
    value_of, gradient_of = _compiled("value", value), _compiled("gradient", gradient)

    def kernel(ops, loss: int, parameter: Parameters, z: Matrix, target: Matrix, weight: Vector, out: Matrix) -> float:
        length = part_length(out.shape[0], 1)
        r0, r1 = share(ops, out.shape[0], length)
        try:
            for i in range(r0, r1):
                total = 0.0
                for j in range(out.shape[1]):
                    total += float(value_of(z[i, j], target[i, j]))
                    out[i, j] = weight[i] * gradient_of(z[i, j], target[i, j])
                _add(ops, i, length, weight[i] * total)
        except Exception:
            # a thread that left here would have the others wait at the barrier for ever
            ops.partial[r0 // length] = np.nan
        barrier(ops)
        return sum_of_parts(ops, out.shape[0], length)

    return kernel


def _compiled(role, function):
    """The user's function of two numbers compiled, once it is known to give one."""
    advice = (
        "Write it with operators, NumPy functions of numbers (np.where, np.exp, ...) and constants, or use "
        "backend='numpy'."
    )
    numbers = types.float64, types.float64
    try:
        compiled = numba.njit(error_model="numpy")(getattr(function, "py_func", function))
        compiled.compile(numbers)
    except Exception as error:  # Numba's own, and whatever else it meets in a text that is not meant for it
        lines = [line.strip() for line in str(error).splitlines()]
        told = [line for line in lines if line and not line.startswith("Failed in nopython")] or [repr(error)]
        reason = told[0].rstrip(".: ")
        raise InputError(f"custom_loss {role} cannot be compiled by Numba: {reason}. {advice}") from error
    result = compiled.overloads[numbers].signature.return_type
    if isinstance(result, types.Array) and result.ndim == 0:
        return numba.njit(lambda z, y: compiled(z, y)[()])  # np.where of numbers is an array without dimensions
    if not isinstance(result, (types.Float, types.Integer, types.Boolean)):
        raise InputError(f"custom_loss {role} of two numbers is {result}, but must be a real number. {advice}")
    return compiled
