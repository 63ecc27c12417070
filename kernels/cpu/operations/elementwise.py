"""Activations and their derivatives over a block of rows and columns, in place.

ReLU is compiled into the operations that use it, since a call would take longer. Every other activation is an operation
of its own, which they call. Two of these are written here: softmax, which needs whole rows, and threshold, which has no
derivative. The rest are generated (see `fastmlp.kernels.cpu.operations.formulas`).
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.machine.rows import softmax_row
from fastmlp.kernels.cpu.operations.short_rows import are_short, softmax_of_short_rows
from fastmlp.kernels.cpu.regimes import SHORT_ROWS
from fastmlp.kernels.cpu.team.signatures import Matrix
from fastmlp.kernels.cpu.team.threads import barrier, share
from fastmlp.kernels.cpu.team.views import row_address, span

__all__ = [
    *("activate", "activation_backward", "differentiate_softmax", "multiply_by_derivative"),
    *("softmax_block", "spans_of", "threshold_block"),
]


@jitable
def activate(ops, code, z, slope, r0, r1, c0, c1):
    """z[r0:r1, c0:c1] = σ(z), and slope = σ'(z) if the activation stores it. Softmax needs whole rows."""
    if code == codes.RELU:
        zero = z.dtype.type(0)
        spans, width = spans_of(z, r0, r1, c0, c1)
        for i in range(spans):
            row = span(z, (r0 + i) * z.shape[1] + c0, width)
            for j in range(row.shape[0]):
                row[j] = zero if row[j] < zero else row[j]
    elif code != codes.IDENTITY:
        ops.activate_block(code, z, slope, r0, r1, c0, c1)


def softmax_block(ops, code: int, z: Matrix, slope: Matrix, r0: int, r1: int, c0: int, c1: int):
    one, n, size = z.dtype.type(1), z.shape[1], z.itemsize
    if are_short(z.shape[0], n, size):
        for i in range(r0, r1, SHORT_ROWS):
            softmax_of_short_rows(row_address(z, i), min(SHORT_ROWS, r1 - i), n, ops.scratch)
        return
    for i in range(r0, r1):
        softmax_row(row_address(z, i), row_address(z, i), n, one, size)


def threshold_block(ops, code: int, z: Matrix, slope: Matrix, r0: int, r1: int, c0: int, c1: int):
    zero, one = z.dtype.type(0), z.dtype.type(1)
    spans, width = spans_of(z, r0, r1, c0, c1)
    for i in range(spans):
        row = span(z, (r0 + i) * z.shape[1] + c0, width)
        for j in range(row.shape[0]):
            row[j] = one if row[j] >= zero else zero


@jitable
def multiply_by_derivative(ops, code, a, slope, delta, r0, r1, c0, c1):
    """delta[r0:r1, c0:c1] *= σ'(z), from a = σ(z) or the stored slope. Softmax needs whole rows."""
    if code == codes.RELU:
        zero = delta.dtype.type(0)
        spans, width = spans_of(delta, r0, r1, c0, c1)
        for i in range(spans):
            at = (r0 + i) * delta.shape[1] + c0
            row, out = span(delta, at, width), span(a, at, width)
            for j in range(row.shape[0]):
                row[j] = row[j] if out[j] > zero else zero
    elif code != codes.IDENTITY and code != codes.THRESHOLD:
        ops.differentiate_block(code, a, slope, delta, r0, r1, c0, c1)


def differentiate_softmax(ops, code: int, a: Matrix, slope: Matrix, delta: Matrix, r0: int, r1: int, c0: int, c1: int):
    outputs = delta.shape[1]
    for i in range(r0, r1):
        row, out, total = span(delta, i * outputs, outputs), span(a, i * outputs, outputs), delta.dtype.type(0)
        for j in range(outputs):
            total += row[j] * out[j]
        for j in range(outputs):
            row[j] = out[j] * (row[j] - total)


@jitable
def activation_backward(ops, activation: int, a: Matrix, slope: Matrix, delta: Matrix):
    r0, r1 = share(ops, delta.shape[0], 1)
    multiply_by_derivative(ops, activation, a, slope, delta, r0, r1, 0, delta.shape[1])
    barrier(ops)


@jitable
def spans_of(z, r0, r1, c0, c1):
    """Number and length of the contiguous spans that make up z[r0:r1, c0:c1]; whole rows are one span."""
    return (1, (r1 - r0) * (c1 - c0)) if c1 - c0 == z.shape[1] else (r1 - r0, c1 - c0)
