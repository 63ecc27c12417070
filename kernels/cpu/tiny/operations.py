"""The operations on tiny networks, with vectors along the batch (twins of `NumpyOps`).

A layer of three outputs would fill three of sixteen lanes. So outputs and deltas, which the step takes for matrices
(B, O), are stored by columns, as (O, B): products, activations and losses work on whole vectors of samples. Samples and
parameters keep their layout.
"""

import math

import numpy as np

from fastmlp.kernels import codes
from fastmlp.kernels.codes import is_labelled_softmax
from fastmlp.kernels.cpu.machine.dots import dots
from fastmlp.kernels.cpu.machine.exponential import exp
from fastmlp.kernels.cpu.machine.jitable import inlined, jitable
from fastmlp.kernels.cpu.machine.microkernel import IN_ORDER, PLAIN, RELU_MASK, UPDATE, Product
from fastmlp.kernels.cpu.machine.tiling import tiled
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.operations.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.operations.losses import add_log_loss, is_far_from_clipping
from fastmlp.kernels.cpu.regimes import DOTS
from fastmlp.kernels.cpu.regimes import TINY_BLOCK as BLOCK
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Parameters, Samples, Targets, Vector, Weights
from fastmlp.kernels.cpu.team.threads import barrier, part_length, share, sum_of_parts
from fastmlp.kernels.cpu.team.views import address, element, grid, span

__all__ = [
    *("accumulate", "accumulate_rows", "activation_backward", "backward_data", "copy"),
    *("linear", "linear_rows", "loss_gradient"),
]

_add_product = tiled(UPDATE, IN_ORDER, flat=True)
_product, _masked_product = tiled(PLAIN, IN_ORDER, flat=True), tiled(RELU_MASK, IN_ORDER, flat=True)


@jitable
def _by_columns(matrix):
    """The matrix (O, B) that is stored where the step sees a matrix (B, O)."""
    return grid(matrix, 0, matrix.shape[1], matrix.shape[0])


@inlined
def _gather(x, rows, r0, r1, c0, c1, out):
    """out (c1-c0, r1-r0) = x[rows[r0:r1], c0:c1]ᵀ, densely."""
    inputs, n = x.shape[1], r1 - r0
    picks = span(rows, r0, n)
    for j in range(c1 - c0):
        target = span(out, j * n, n)
        for i in range(n):
            target[i] = element(x, picks[i] * inputs + c0 + j)


@inlined
def _layer(team, x, x_row, w, b, activation, slope, out, r0, r1, scratch):
    """out[r0:r1] = σ(x W + b) of inputs (I, r1-r0) at address x, x_row elements from row to row."""
    z, n = _by_columns(out), r1 - r0
    (outputs, rows), size, one = z.shape, out.itemsize, out.dtype.type(1)
    for j in range(outputs):
        row, bias = span(z, j * rows + r0, n), b[j]
        for i in range(row.shape[0]):
            row[i] = bias
    transposed = Product(
        a=address(w),
        a_row=1,
        a_k=outputs,
        picks=0,
        b=x,
        b_row=x_row,
        b_column=1,
        c=address(z) + r0 * size,
        c_row=rows,
        rows=outputs,
        columns=n,
        k=w.shape[0],
        aux=0,
        aux_row=0,
        alpha=one,
        beta=one,
    )
    _add_product(transposed, size)
    if activation == codes.SOFTMAX:
        for begin in range(r0, r1, BLOCK):
            end = min(begin + BLOCK, r1)
            _, total = _exponentials(z, z, begin, end, scratch)
            _divide(z, begin, end, total)
    else:
        activate(team, activation, z, _by_columns(slope), 0, outputs, r0, r1)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    r0, r1 = share(ops, out.shape[0], BLOCK)
    if r1 > r0:
        _layer(ops, address(x) + r0 * out.itemsize, out.shape[0], w, b, activation, slope, out, r0, r1, ops.scratch)
    barrier(ops)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    r0, r1 = share(ops, out.shape[0], BLOCK)
    if r1 > r0:
        inputs, n = x.shape[1], r1 - r0
        _gather(x, rows, r0, r1, 0, inputs, ops.scratch)
        rest = span(ops.scratch, inputs * n, 2 * BLOCK)
        _layer(ops, address(ops.scratch), n, w, b, activation, slope, out, r0, r1, rest)
    barrier(ops)


@inlined
def _exponentials(z, out, begin, end, scratch):
    """out = exp(z - highest) for columns begin … end of z and out (O, B); returns each column's highest and the sum."""
    outputs, rows = z.shape
    n, zero = end - begin, z.dtype.type(0)
    highest, total = span(scratch, 0, n), span(scratch, BLOCK, n)
    first = span(z, begin, n)
    for i in range(n):
        highest[i], total[i] = first[i], zero
    for j in range(1, outputs):
        row = span(z, j * rows + begin, n)
        for i in range(n):
            highest[i] = row[i] if row[i] > highest[i] else highest[i]
    for j in range(outputs):
        row, target = span(z, j * rows + begin, n), span(out, j * rows + begin, n)
        for i in range(n):
            target[i] = exp(row[i] - highest[i])
            total[i] += target[i]
    return highest, total


@inlined
def _divide(out, begin, end, total):
    """out[:, begin:end] /= total."""
    for j in range(out.shape[0]):
        row = span(out, j * out.shape[1] + begin, end - begin)
        for i in range(row.shape[0]):
            row[i] /= total[i]


@inlined
def _labelled_softmax(clipped, z, labels, weights, rows, out, begin, end, scratch):
    """Either loss of softmax, for labels: Σ s ℓ of columns begin … end of z (O, B), gradients in out (O, B)."""
    n, samples, real, weighted = end - begin, out.shape[1], out.dtype.type, weights.shape[0] > 0
    picks, label, below = span(rows, begin, n), span(scratch, 2 * BLOCK, n), span(scratch, 3 * BLOCK, n)
    for i in range(n):
        label[i] = element(labels, picks[i])  # a small number, so exact
    highest, total = _exponentials(z, out, begin, end, scratch)
    for j in range(out.shape[0]):
        source, row, number = span(z, j * samples + begin, n), span(out, j * samples + begin, n), real(j)
        for i in range(n):
            p = row[i] / total[i]
            row[i] = p - real(1) if label[i] == number else p
            below[i] = highest[i] - source[i] if label[i] == number else below[i]
    if weighted:
        for j in range(out.shape[0]):
            row = span(out, j * samples + begin, n)
            for i in range(n):
                row[i] *= element(weights, picks[i])
    elif not clipped or is_far_from_clipping(below, total):
        value, product = 0.0, 1.0  # of at most BLOCK totals, each at most WIDTH: no overflow
        for i in range(n):
            value += np.float64(below[i])
            product *= np.float64(total[i])
        return value + math.log(product)
    value, product, eps = 0.0, 1.0, np.float64(np.finfo(out.dtype).eps)
    for i in range(n):
        weight = element(weights, picks[i]) if weighted else real(1)
        sample = np.float64(below[i]), np.float64(total[i])
        value, product = add_log_loss(value, product, weight, weighted, clipped, *sample, eps)
    return value + math.log(product)


@jitable
def _loss_by_rows(team, loss, parameter, z, labels, targets, weights, rows, out, begin, end, scratch):
    """Any other loss, on a copy of the outputs by rows."""
    (outputs, samples), n, size, one = z.shape, end - begin, out.itemsize, out.dtype.type(1)
    values, gradients = grid(scratch, 0, n, outputs), grid(scratch, n * outputs, n, outputs)
    transpose(address(z) + begin * size, samples, outputs, n, address(values), outputs, one, size)
    picked = span(rows, begin, n)
    total = team.loss_of_rows(loss, parameter, values, labels, targets, weights, picked, gradients, 0, n)
    transpose(address(gradients), outputs, n, outputs, address(out) + begin * size, samples, one, size)
    return total


def loss_gradient(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix,
) -> float:  # fmt: skip
    n, values, gradients = out.shape[0], _by_columns(z), _by_columns(out)
    labelled = is_labelled_softmax(loss, labels.shape[0])
    length = part_length(n, BLOCK)
    r0, r1 = share(ops, n, length)
    for first in range(r0, r1, length):
        total = 0.0
        for begin in range(first, min(first + length, r1), BLOCK):
            end = min(begin + BLOCK, first + length, r1)
            place = weights, rows, gradients, begin, end, ops.scratch
            if labelled:
                total += _labelled_softmax(loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, values, labels, *place)
            else:
                total += _loss_by_rows(ops, loss, parameter, values, labels, targets, *place)
        ops.partial[first // length] = total
    barrier(ops)
    return sum_of_parts(ops, n, length)


def activation_backward(ops, activation: int, a: Matrix, slope: Matrix, delta: Matrix):
    r0, r1 = share(ops, delta.shape[0], BLOCK)
    _derivative(ops, activation, _by_columns(a), _by_columns(slope), _by_columns(delta), r0, r1)
    barrier(ops)


@inlined
def _derivative(team, activation, a, slope, delta, r0, r1):
    """delta[:, r0:r1] times the derivative; all (O, B)."""
    if activation != codes.SOFTMAX:
        multiply_by_derivative(team, activation, a, slope, delta, 0, delta.shape[0], r0, r1)
        return
    for i in range(r0, r1):
        total = delta.dtype.type(0)
        for j in range(delta.shape[0]):
            total += delta[j, i] * a[j, i]
        for j in range(delta.shape[0]):
            delta[j, i] = a[j, i] * (delta[j, i] - total)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    r0, r1 = share(ops, out.shape[0], BLOCK)
    (inputs, outputs), rows, size, real = w.shape, out.shape[0], out.itemsize, out.dtype.type
    if r1 > r0:
        at = r0 * size
        transposed = Product(
            a=address(w),
            a_row=outputs,
            a_k=1,
            picks=0,
            b=address(delta) + at,
            b_row=rows,
            b_column=1,
            c=address(out) + at,
            c_row=rows,
            rows=inputs,
            columns=r1 - r0,
            k=outputs,
            aux=address(a) + at,
            aux_row=rows,
            alpha=real(1),
            beta=real(0),
        )
        if activation == codes.RELU:
            _masked_product(transposed, size)
        else:
            _product(transposed, size)
            _derivative(ops, activation, _by_columns(a), _by_columns(slope), _by_columns(out), r0, r1)
    barrier(ops)


@inlined
def _gradient(team, x, delta, alpha, beta, out, bias_beta, bias, i0, i1, scratch):
    """out[i0:i1] = beta out + alpha xᵀ δ, and this thread's part of the biases; x the address of (i1-i0, B) inputs."""
    (outputs, rows), size, real = (out.shape[1], delta.shape[0]), out.itemsize, out.dtype.type
    sums = span(scratch, 0, (i1 - i0) * outputs)
    for j in range(outputs):
        column = address(delta) + j * rows * size
        for i in range(0, i1 - i0, DOTS):
            place = x + i * rows * size, rows, min(DOTS, i1 - i0 - i), column, rows
            dots(*place, address(sums) + (i * outputs + j) * size, outputs, real(0))
    weights = span(out, i0 * outputs, sums.shape[0])
    _accumulate(sums, alpha, beta, weights)
    j0, j1 = share(team, outputs, 1)
    for j in range(j0, j1):
        column, total = span(delta, j * rows, rows), real(0)
        for i in range(rows):
            total += column[i]
        sums[0] = total
        _accumulate(span(sums, 0, 1), alpha, bias_beta, span(bias, j, 1))


@jitable
def _accumulate(sums, alpha, beta, out):
    real = out.dtype.type
    for i in range(out.shape[0]):
        out[i] = (real(beta) * out[i] if beta != 0.0 else real(0)) + real(alpha) * sums[i]


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    i0, i1 = share(ops, out.shape[0], DOTS)
    source = address(a) + i0 * delta.shape[0] * a.itemsize
    _gradient(ops, source, delta, alpha, beta, out, bias_beta, bias, i0, i1, ops.scratch)
    barrier(ops)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    i0, i1 = share(ops, out.shape[0], DOTS)
    n = (i1 - i0) * delta.shape[0]
    _gather(x, rows, 0, delta.shape[0], i0, i1, ops.scratch)
    rest = span(ops.scratch, n, ops.scratch.shape[0] - n)
    _gradient(ops, address(ops.scratch), delta, alpha, beta, out, bias_beta, bias, i0, i1, rest)
    barrier(ops)


def copy(ops, x: Matrix, out: Matrix):
    r0, r1 = share(ops, out.shape[0], BLOCK)
    outputs, size = out.shape[1], out.itemsize
    source, target = address(x) + r0 * size, address(out) + r0 * outputs * size
    transpose(source, out.shape[0], outputs, r1 - r0, target, outputs, out.dtype.type(0), size)
    barrier(ops)
