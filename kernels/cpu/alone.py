"""Operations on batches of one sample that the first thread does alone, by the twins for whole batches.

No barrier follows: it would take as long as the work. The others wait where they have a share again, at `settle`.
"""

from fastmlp.kernels.cpu import dropout as dropouts
from fastmlp.kernels.cpu import elementwise, losses
from fastmlp.kernels.cpu.signatures import Indices, Labels, Matrix, Parameters, Targets, Weights
from fastmlp.kernels.cpu.team import alone, put_off

__all__ = ["activation_backward", "dropout", "loss_gradient"]


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
        elementwise.activation_backward(alone(ops), activation, a, slope, delta)
    put_off(ops)


def dropout(ops, x: Matrix, keep: float, seed: int, step: int, layer: int, first_row: int, out: Matrix):
    if ops.rank == 0:
        dropouts.dropout(alone(ops), x, keep, seed, step, layer, first_row, out)
    put_off(ops)
