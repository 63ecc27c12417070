"""Operations on batches of one sample that the first thread does alone, by the twins for whole batches.

No barrier follows: it would take as long as the work. The others wait where they have a share again, at `settle`.
"""

from fastmlp.kernels.cpu import batches, losses, sparse
from fastmlp.kernels.cpu import dropout as dropouts
from fastmlp.kernels.cpu.elementwise import multiply_by_derivative
from fastmlp.kernels.cpu.signatures import (
    Columns,
    Indices,
    Labels,
    Matrix,
    Parameters,
    Targets,
    Vector,
    Weights,
)
from fastmlp.kernels.cpu.team import alone, put_off, settle

__all__ = ["accumulate_sparse", "activation_backward", "copy", "dropout", "loss_gradient"]


def loss_gradient(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix,
) -> float:  # fmt: skip
    value = 0.0
    if ops.rank == 0:
        value = losses.loss_gradient(alone(ops), loss, parameter, z, labels, targets, weights, rows, out)
    put_off(ops)
    return value


def activation_backward(ops, activation: int, a: Matrix, slope: Matrix, delta: Matrix):
    if ops.rank == 0:
        multiply_by_derivative(ops, activation, a, slope, delta, 0, 1, 0, delta.shape[1])
    put_off(ops)


def dropout(ops, x: Matrix, keep: float, seed: int, step: int, layer: int, first_row: int, out: Matrix):
    if ops.rank == 0:
        dropouts.dropout(alone(ops), x, keep, seed, step, layer, first_row, out)
    put_off(ops)


def accumulate_sparse(
    ops, values: Weights, columns: Columns, starts: Labels, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    settle(ops)
    sparse.accumulate_sparse(ops, values, columns, starts, rows, delta, alpha, beta, out, bias_beta, bias)


def copy(ops, x: Matrix, out: Matrix):
    settle(ops)
    batches.copy(ops, x, out)
