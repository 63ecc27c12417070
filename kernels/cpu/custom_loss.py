"""`loss_gradient` with two Python functions of the user's, compiled."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

from fastmlp.errors import InputError
from fastmlp.kernels.cpu.losses import BLOCK, label_of, target_of, weigh
from fastmlp.kernels.cpu.signatures import Indices, Labels, Matrix, Parameters, Targets, Weights
from fastmlp.kernels.cpu.team import barrier, part_length, settle, share, sum_of_parts
from fastmlp.kernels.cpu.views import row_address

__all__ = ["custom_loss_gradient"]

# Called by compiled code alone. Each wrapper would stay in LLVM's memory, a megabyte a loss.
_OPTIONS: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def custom_loss_gradient(value: Callable, gradient: Callable) -> Callable:
    """`loss_gradient` for the loss Σ value(z, y) of `fastmlp.losses.custom_loss`."""
    value_of, gradient_of = _compiled("value", value), _compiled("gradient", gradient)

    def kernel(
        ops, loss: int, parameter: Parameters, z: Matrix,
        labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix,
    ) -> float:  # fmt: skip
        n, outputs, one = out.shape[0], out.shape[1], out.dtype.type(1)
        settle(ops)  # a batch of one sample may still be the first thread's alone
        length = part_length(n, BLOCK)
        r0, r1 = share(ops, n, length)
        try:
            for begin in range(r0, r1, length):
                loss_of_part = 0.0
                for i in range(begin, min(begin + length, r1)):
                    row, total = rows[i], 0.0
                    label = label_of(labels, row)
                    for j in range(outputs):
                        y = target_of(targets, row, label, j, one)
                        total += float(value_of(z[i, j], y))
                        out[i, j] = gradient_of(z[i, j], y)
                    loss_of_part += weigh(weights, row, row_address(out, i), outputs, total)
                ops.partial[begin // length] = loss_of_part
        except Exception:
            # a thread that left here would have the others wait at the barrier for ever
            ops.partial[r0 // length] = np.nan
        barrier(ops)
        return sum_of_parts(ops, n, length)

    return kernel


def _compiled(role, function):
    """The user's function of two numbers compiled, once it is known to give one."""
    advice = (
        "Write it with operators, NumPy functions of numbers (np.where, np.exp, ...) and constants, or use "
        "backend='numpy'."
    )
    numbers = types.float64, types.float64
    try:
        compiled = numba.njit(error_model="numpy", **_OPTIONS)(getattr(function, "py_func", function))
        compiled.compile(numbers)
    except Exception as error:  # Numba's own, and whatever else it meets in a text that is not meant for it
        lines = [line.strip() for line in str(error).splitlines()]
        told = [line for line in lines if line and not line.startswith("Failed in nopython")] or [repr(error)]
        reason = told[0].rstrip(".: ")
        raise InputError(f"custom_loss {role} cannot be compiled by Numba: {reason}. {advice}") from error
    result = compiled.overloads[numbers].signature.return_type
    if isinstance(result, types.Array) and result.ndim == 0:
        # np.where of numbers is an array without dimensions
        return numba.njit(**_OPTIONS)(lambda z, y: compiled(z, y)[()])
    if not isinstance(result, (types.Float, types.Integer, types.Boolean)):
        raise InputError(f"custom_loss {role} of two numbers is {result}, but must be a real number. {advice}")
    return compiled
