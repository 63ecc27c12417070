"""Losses fused with their gradients, a row at a time (twin of `fastmlp.losses.loss_and_gradient`)."""

import math

import numpy as np

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.elementwise import sigmoid, softplus
from fastmlp.kernels.cpu.exponential import exp
from fastmlp.kernels.cpu.jitable import inlined, jitable
from fastmlp.kernels.cpu.rows import row_scale, softmax_minus_label, softmax_row
from fastmlp.kernels.cpu.signatures import Indices, Labels, Matrix, Parameters, Targets, Weights
from fastmlp.kernels.cpu.team import barrier, part_length, share, sum_of_parts
from fastmlp.kernels.cpu.views import element, row_address

__all__ = [
    *("BLOCK", "label_of", "target_of", "weigh"),
    *("add_log_loss", "is_far_from_clipping", "is_labelled_softmax", "loss_gradient", "loss_of_rows"),
]

BLOCK = 16  # rows in a part of the sum, or more
# p may be below eps where z is that far below the largest or Σ exp(z - largest) that high (exp(12) 50 < 1/eps), and
# above 1 - eps where the sum is that low
_FAR, _LOW, _HIGH = 12.0, 1.0 + 1e-6, 50.0


@jitable
def _clip(p, eps, one):
    # comparisons that NaN fails leave it visible
    return eps if p < eps else one - eps if p > one - eps else p


@jitable
def label_of(labels, row):
    return labels[row] if labels.shape[0] > 0 else -1


@jitable
def target_of(targets, row, label, j, one):
    """Target of output j; `one` carries the type."""
    return (one if j == label else one - one) if label >= 0 else targets[row, j]


# Each sums s ℓ over the rows begin … end. The loops over rows are inside of what is chosen by the loss, since a call
# with arrays costs as much as a short row.


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
        if clipped:  # by comparisons that NaN fails
            least, most = -math.log(1.0 - eps), -math.log(eps)
            loss = least if loss < least else most if loss > most else loss
        return value + weight * loss, product
    if product > 1e200:
        return value + math.log(product) + below, total
    return value + below, product * total


@inlined
def _labelled_softmax(clipped, z, labels, weights, rows, out, begin, end):
    """The two losses of softmax below for labels."""
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


@jitable
def _softmax_cross_entropy(z, targets, weights, rows, out, begin, end):
    """ℓ = -Σ y (z - log Σ exp z), with soft targets of any mass; out = s (mass softmax(z) - y)."""
    outputs, one, loss = out.shape[1], out.dtype.type(1), 0.0
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
        loss += weigh(weights, row, row_address(out, i), outputs, value)
    return loss


@jitable
def _clipped_softmax(z, targets, weights, rows, out, begin, end):
    """scikit-learn's ℓ = -Σ y log clip(p); out = s (p - y), the gradient of what is not clipped."""
    outputs, eps, one, loss = out.shape[1], np.finfo(out.dtype).eps, out.dtype.type(1), 0.0
    for i in range(begin, end):
        row, value = rows[i], 0.0
        softmax_row(row_address(z, i), row_address(out, i), outputs, one, out.itemsize)
        for j in range(outputs):
            p, y = out[i, j], targets[row, j]
            if y != 0:
                value -= y * math.log(_clip(p, eps, one))
            out[i, j] = p - y
        loss += weigh(weights, row, row_address(out, i), outputs, value)
    return loss


@jitable
def _clipped_binary(z, labels, targets, weights, rows, out, begin, end):
    """The same for outputs on their own; the logarithms of several p of labels are that of their product."""
    outputs, eps, one, loss, product = out.shape[1], np.finfo(out.dtype).eps, out.dtype.type(1), 0.0, 1.0
    for i in range(begin, end):
        row, value = rows[i], 0.0
        label = label_of(labels, row)
        for j in range(outputs):
            p, y = sigmoid(z[i, j], one), target_of(targets, row, label, j, one)
            if weights.shape[0] == 0 and (y == 0 or y == one):
                product *= np.float64(_clip(p if y == one else one - p, eps, one))
                if product < 1e-200:
                    loss -= math.log(product)
                    product = 1.0
            else:
                # y a + (1-y) b would be regrouped as b + y (a-b), which loses the small a of a right answer
                if y != 0:
                    value -= y * math.log(_clip(p, eps, one))
                if y != one:
                    value -= (one - y) * math.log(_clip(one - p, eps, one))
            out[i, j] = p - y
        loss += weigh(weights, row, row_address(out, i), outputs, value)
    return loss - math.log(product)


@jitable
def _by_output(loss, parameter, z, labels, targets, weights, rows, out, begin, end):
    """The losses that are sums or means over the outputs."""
    outputs, real = out.shape[1], out.dtype.type
    zero, one, total = real(0), real(1), 0.0
    for i in range(begin, end):
        row, value = rows[i], 0.0
        label = label_of(labels, row)
        for j in range(outputs):
            y = target_of(targets, row, label, j, one)
            r = z[i, j] - y
            if loss == codes.BINARY_CROSS_ENTROPY:
                value += softplus(z[i, j], zero) - y * z[i, j]
                out[i, j] = sigmoid(z[i, j], one) - y
            elif loss == codes.POISSON:
                rate = exp(z[i, j])
                value += rate - y
                if y > zero:
                    value += y * (math.log(y) - z[i, j])
                out[i, j] = rate - y
            elif loss == codes.ABSOLUTE_ERROR:
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
        total += weigh(weights, row, row_address(out, i), outputs, value)
    return total


@jitable
def is_labelled_softmax(loss, labels):
    return labels > 0 and (loss == codes.SOFTMAX_CROSS_ENTROPY or loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY)


def loss_of_rows(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix, begin: int, end: int,
) -> float:  # fmt: skip
    """Σ s ℓ of the rows begin … end of z (B, O), whose samples are `rows` (B,); their gradients in out (B, O).

    Any loss but softmax of labels, which is part of whoever asks for it: networks of classifiers need no other.
    """
    if loss == codes.SOFTMAX_CROSS_ENTROPY:
        return _softmax_cross_entropy(z, targets, weights, rows, out, begin, end)
    if loss == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY:
        return _clipped_softmax(z, targets, weights, rows, out, begin, end)
    if loss == codes.CLIPPED_BINARY_CROSS_ENTROPY:
        return _clipped_binary(z, labels, targets, weights, rows, out, begin, end)
    return _by_output(loss, parameter, z, labels, targets, weights, rows, out, begin, end)


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
    """s ℓ; the n numbers from the address `gradient` on are multiplied by s."""
    if weights.shape[0] == 0:
        return value
    row_scale(gradient, weights[row], n)
    return weights[row] * value
