"""Losses fused with their gradients, a row at a time.

Written by hand are the losses of softmax, which needs whole rows, and scikit-learn's clipped losses. They take one
logarithm of a product of several probabilities, in place of several logarithms. The others are generated (see
`fastmlp.kernels.cpu.operations.formulas`).
"""

import math

import numpy as np

from fastmlp.kernels import codes
from fastmlp.kernels.codes import is_labelled_softmax
from fastmlp.kernels.cpu.machine.functions import sigmoid
from fastmlp.kernels.cpu.machine.jitable import inlined, jitable
from fastmlp.kernels.cpu.machine.rows import row_scale, softmax_minus_label, softmax_row
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Parameters, Targets, Weights
from fastmlp.kernels.cpu.team.threads import barrier, part_length, share, sum_of_parts
from fastmlp.kernels.cpu.team.views import element, row_address

__all__ = [
    *("BLOCK", "label_of", "target_of", "weigh"),
    *("add_log_loss", "is_far_from_clipping", "loss_gradient"),
    *("clipped_binary", "clipped_softmax", "softmax_cross_entropy"),
]

jitable(is_labelled_softmax)

BLOCK = 16  # rows in a part of the sum, at least
# p is between eps and 1 - eps, in both dtypes, if largest - z <= _FAR and _LOW <= Σ exp(z - largest) <= _HIGH:
# exp(12) 50 < 1/eps
_FAR, _LOW, _HIGH = 12.0, 1.0 + 1e-6, 50.0


@jitable
def _clip(p, eps, one):
    # NaN fails both comparisons and stays NaN
    return eps if p < eps else one - eps if p > one - eps else p


@jitable
def label_of(labels, row):
    return labels[row] if labels.shape[0] > 0 else -1


@jitable
def target_of(targets, row, label, j, one):
    """Target of output j; `one` carries the type."""
    return (one if j == label else one - one) if label >= 0 else targets[row, j]


# The losses below return Σ s ℓ over the rows begin to end. Each loops over the rows itself, since a call with arrays
# costs as much as a short row.


@jitable
def is_far_from_clipping(below, total):
    """Whether no p = exp(-below) / total of these samples is outside of eps … 1 - eps; False if one is NaN."""
    far = True
    for i in range(below.shape[0]):
        far &= (below[i] <= _FAR) & (total[i] >= _LOW) & (total[i] <= _HIGH)
    return far


@jitable
def add_log_loss(value, product, weight, weighted, clipped, below, total, eps):
    """(value, product) with -log p of a sample's label added to value - log(product), p = exp(-below) / total.

    -log p = below + log total, and the logarithms of several totals are that of their product. scikit-learn's loss
    clips p to eps … 1 - eps, which takes a logarithm of its own where p may be outside.
    """
    if weighted or (clipped and (below > _FAR or total < _LOW or total > _HIGH)):
        loss = below + math.log(total)
        if clipped:  # NaN fails both comparisons and stays NaN
            least, most = -math.log(1.0 - eps), -math.log(eps)
            loss = least if loss < least else most if loss > most else loss
        return value + weight * loss, product
    if product > 1e200:
        return value + math.log(product) + below, total
    return value + below, product * total


@inlined
def _labelled_softmax(clipped, z, labels, weights, rows, out, begin, end):
    """Either of the two losses of softmax below, for labels in place of targets."""
    outputs, size, one, eps = out.shape[1], out.itemsize, out.dtype.type(1), np.float64(np.finfo(out.dtype).eps)
    value, product, weighted = 0.0, 1.0, weights.shape[0] > 0
    for i in range(begin, end):
        row = element(rows, i)
        label, weight = element(labels, row), element(weights, row) if weighted else one
        place = row_address(z, i), row_address(out, i), outputs
        highest, total = softmax_minus_label(*place, label, weight, size)
        below = np.float64(highest) - np.float64(element(z, i * outputs + label))
        value, product = add_log_loss(value, product, weight, weighted, clipped, below, np.float64(total), eps)
    return value + math.log(product)


def softmax_cross_entropy(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix, begin: int, end: int,
) -> float:  # fmt: skip
    """ℓ = -Σ y (z - log Σ exp z), with soft targets of any mass; out = s (mass softmax(z) - y)."""
    outputs, one, sum_of_rows = out.shape[1], out.dtype.type(1), 0.0
    for i in range(begin, end):
        row, value, mass = rows[i], 0.0, one - one
        highest, total = softmax_row(row_address(z, i), row_address(out, i), outputs, one, out.itemsize)
        log_total = np.float64(highest) + math.log(np.float64(total))
        for j in range(outputs):
            mass += targets[row, j]
        for j in range(outputs):
            y = targets[row, j]
            if y != 0:
                value += y * (log_total - z[i, j])
            out[i, j] = mass * out[i, j] - y
        sum_of_rows += weigh(weights, row, row_address(out, i), outputs, value)
    return sum_of_rows


def clipped_softmax(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix, begin: int, end: int,
) -> float:  # fmt: skip
    """scikit-learn's ℓ = -Σ y log clip(p); out = s (p - y), the gradient without clipping."""
    outputs, eps, one, sum_of_rows = out.shape[1], np.finfo(out.dtype).eps, out.dtype.type(1), 0.0
    for i in range(begin, end):
        row, value = rows[i], 0.0
        softmax_row(row_address(z, i), row_address(out, i), outputs, one, out.itemsize)
        for j in range(outputs):
            p, y = out[i, j], targets[row, j]
            if y != 0:
                value -= y * math.log(_clip(p, eps, one))
            out[i, j] = p - y
        sum_of_rows += weigh(weights, row, row_address(out, i), outputs, value)
    return sum_of_rows


def clipped_binary(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix, begin: int, end: int,
) -> float:  # fmt: skip
    """The same for independent outputs; one logarithm of a product serves several outputs whose y is 0 or 1."""
    outputs, eps, one, sum_of_rows, product = out.shape[1], np.finfo(out.dtype).eps, out.dtype.type(1), 0.0, 1.0
    for i in range(begin, end):
        row, value = rows[i], 0.0
        label = label_of(labels, row)
        for j in range(outputs):
            p, y = sigmoid(z[i, j]), target_of(targets, row, label, j, one)
            if weights.shape[0] == 0 and (y == 0 or y == one):
                product *= np.float64(_clip(p if y == one else one - p, eps, one))
                if product < 1e-200:
                    sum_of_rows -= math.log(product)
                    product = 1.0
            else:
                # y a + (1-y) b would be regrouped as b + y (a-b), which loses the small a of a right answer
                if y != 0:
                    value -= y * math.log(_clip(p, eps, one))
                if y != one:
                    value -= (one - y) * math.log(_clip(one - p, eps, one))
            out[i, j] = p - y
        sum_of_rows += weigh(weights, row, row_address(out, i), outputs, value)
    return sum_of_rows - math.log(product)


@jitable
def loss_gradient(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix,
) -> float:  # fmt: skip
    length = part_length(out.shape[0], BLOCK)
    r0, r1 = share(ops, out.shape[0], length)
    for begin in range(r0, r1, length):
        end = min(begin + length, r1)
        if is_labelled_softmax(loss, labels.shape[0]):
            clipped = loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY
            total = _labelled_softmax(clipped, z, labels, weights, rows, out, begin, end)
        else:
            total = ops.loss_of_rows(loss, parameter, z, labels, targets, weights, rows, out, begin, end)
        ops.partial[begin // length] = total
    barrier(ops)
    return sum_of_parts(ops, out.shape[0], length)


@jitable
def weigh(weights, row, gradient, n, value):
    """s ℓ, with ℓ = value; multiplies the n numbers at the address `gradient` by s."""
    if weights.shape[0] == 0:
        return value
    row_scale(gradient, weights[row], n)
    return weights[row] * value
