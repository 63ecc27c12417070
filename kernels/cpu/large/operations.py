"""Packed products, for all layers of a network that has a large one (twins of `NumpyOps`).

Threads split the output by columns wherever they can; split by rows, each would pack all of W.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.large.blocking import DEPTH, make_product
from fastmlp.kernels.cpu.large.packing import pack_columns, pack_rows
from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.operations.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.operations.products import add_bias_gradient
from fastmlp.kernels.cpu.operations.sharing import share_gradient, share_output
from fastmlp.kernels.cpu.regimes import LONG_DEPTH
from fastmlp.kernels.cpu.team.signatures import Indices, Matrix, Samples, Vector
from fastmlp.kernels.cpu.team.threads import barrier
from fastmlp.kernels.cpu.team.views import span

__all__ = ["accumulate", "accumulate_rows", "backward_data", "linear", "linear_rows"]

FEW_ROWS = 64  # with fewer, a forward product is too short for packed weights to pay

_forward = make_product(pack_rows, pack_columns, DEPTH)
_backward = make_product(pack_rows, pack_rows, LONG_DEPTH)
_gradient = make_product(pack_columns, pack_columns, DEPTH)


@jitable
def _share_layer(team, out, activation):
    return share_output(team, out.shape[0], out.shape[1], activation == codes.SOFTMAX)


@jitable
def _linear(team, x, picks, w, b, activation, slope, out):
    r0, r1, c0, c1 = _share_layer(team, out, activation)
    if r1 > r0 and c1 > c0:
        for i in range(r0, r1):
            row, biases = span(out, i * out.shape[1] + c0, c1 - c0), span(b, c0, c1 - c0)
            for j in range(row.shape[0]):
                row[j] = biases[j]
        packed = out.shape[0] >= FEW_ROWS
        _forward(x, picks, w, out, r0, r1, c0, c1, w.shape[0], 1.0, 1.0, packed, team.scratch)
        activate(team, activation, out, slope, r0, r1, c0, c1)
    barrier(team)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, None, w, b, activation, slope, out)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _linear(ops, x, rows, w, b, activation, slope, out)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    r0, r1, c0, c1 = _share_layer(ops, out, activation)
    if r1 > r0 and c1 > c0:
        _backward(delta, None, w, out, r0, r1, c0, c1, w.shape[1], 1.0, 0.0, True, ops.scratch)
        multiply_by_derivative(ops, activation, a, slope, out, r0, r1, c0, c1)
    barrier(ops)


@jitable
def _accumulate(team, x, picks, delta, alpha, beta, out, bias_beta, bias):
    r0, r1, c0, c1 = share_gradient(team, delta.shape[0], beta, out, False)
    if r1 > r0 and c1 > c0:
        _gradient(x, picks, delta, out, r0, r1, c0, c1, delta.shape[0], alpha, beta, True, team.scratch)
    add_bias_gradient(team, delta, alpha, bias_beta, bias)
    barrier(team)


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    _accumulate(ops, a, None, delta, alpha, beta, out, bias_beta, bias)


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    _accumulate(ops, x, rows, delta, alpha, beta, out, bias_beta, bias)
