"""The operations on batches of one sample (twins of `NumpyOps`).

They have no tiles to fill: each is a pass over the rows of a matrix, of which those of zero inputs are left out.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.jitable import inlined, jitable
from fastmlp.kernels.cpu.signatures import Indices, Matrix, Samples, Vector
from fastmlp.kernels.cpu.team import barrier
from fastmlp.kernels.cpu.vector_products import BLOCK, backward_relu, dot, forward, update
from fastmlp.kernels.cpu.views import address, span

__all__ = ["accumulate", "accumulate_rows", "backward_data", "linear", "linear_rows"]

LARGE = 1 << 14  # weights of a layer that is worth two threads


@inlined
def _sample(ops, x, row, out):
    """Address of a sample, converted if it is of another dtype than out."""
    inputs = x.shape[1]
    if x.dtype == out.dtype:
        return address(x) + row * inputs * x.itemsize
    source, target = span(x, row * inputs, inputs), span(ops.scratch, 0, inputs)
    for j in range(inputs):
        target[j] = source[j]
    return address(ops.scratch)


@jitable
def _first_part(inputs, outputs):
    """How many of the inputs are in the first of two parts; all of them in a small or narrow layer.

    A sum over the inputs is that of its parts whatever the team, so results do not depend on the number of threads.
    And each thread has the rows of one part to itself: a core meets the same weights in every product and update.
    """
    large = inputs >= 2 * BLOCK and inputs * outputs >= LARGE
    return inputs // (2 * BLOCK) * BLOCK if large else inputs


@jitable
def _own_inputs(team, inputs, outputs):
    """Begin and end of the inputs whose rows this thread takes."""
    middle = _first_part(inputs, outputs)
    if team.size == 1:
        return 0, inputs
    return (0, middle) if team.rank == 0 else (middle, inputs) if team.rank == 1 else (inputs, inputs)


@inlined
def _linear(team, x, w, b, activation, slope, out):
    inputs, outputs, size, one = w.shape[0], w.shape[1], out.itemsize, out.dtype.type(1)
    middle = _first_part(inputs, outputs)
    if team.rank == 0:
        forward(x, middle, address(w), address(b), address(out), outputs, one, size)
    if middle == inputs:
        if team.rank == 0:
            activate(team, activation, out, slope, 0, 1, 0, outputs)
        barrier(team)
        return
    if team.rank == min(1, team.size - 1):
        second = span(slope, 0, outputs)
        for j in range(outputs):
            second[j] = 0
        rest, rows = x + middle * size, address(w) + middle * outputs * size
        forward(rest, inputs - middle, rows, address(slope), address(slope), outputs, one, size)
    barrier(team)
    if team.rank == 0:
        second, total = span(slope, 0, outputs), span(out, 0, outputs)
        for j in range(outputs):
            total[j] += second[j]
        activate(team, activation, out, slope, 0, 1, 0, outputs)
    barrier(team)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, address(x), w, b, activation, slope, out)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, _sample(ops, x, rows[0], out), w, b, activation, slope, out)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    inputs, outputs, size = w.shape[0], w.shape[1], out.itemsize
    begin, end = _own_inputs(ops, inputs, outputs)
    zero, below, rows = out.dtype.type(0), span(out, begin, end - begin), address(w) + begin * outputs * size
    if activation == codes.RELU:
        for i in range(below.shape[0]):
            below[i] = zero
        source = address(a) + begin * size
        backward_relu(address(delta), outputs, rows, source, address(below), below.shape[0], zero)
    else:
        for i in range(below.shape[0]):
            below[i] = dot(rows + i * outputs * size, address(delta), outputs, zero)
        if activation == codes.SOFTMAX:
            barrier(ops)
            if ops.rank == 0:
                multiply_by_derivative(ops, activation, a, slope, out, 0, 1, 0, inputs)
        else:
            multiply_by_derivative(ops, activation, a, slope, out, 0, 1, begin, end)
    barrier(ops)


@inlined
def _accumulate(team, x, delta, alpha, beta, out, bias_beta, bias):
    inputs, outputs, size, real = out.shape[0], out.shape[1], out.itemsize, out.dtype.type
    begin, end = _own_inputs(team, inputs, outputs)
    if beta != 1.0:
        own = span(out, begin * outputs, (end - begin) * outputs)
        for k in range(own.shape[0]):
            own[k] = real(beta) * own[k] if beta != 0.0 else real(0)
    source, rows = x + begin * size, address(out) + begin * outputs * size
    update(source, end - begin, rows, address(delta), outputs, real(alpha), size)
    if team.rank == 0:
        move = span(delta, 0, outputs)
        for j in range(outputs):
            kept = real(bias_beta) * bias[j] if bias_beta != 0.0 else real(0)
            bias[j] = kept + real(alpha) * move[j]
    barrier(team)


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    _accumulate(ops, address(a), delta, alpha, beta, out, bias_beta, bias)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    _accumulate(ops, _sample(ops, x, rows[0], out), delta, alpha, beta, out, bias_beta, bias)
