"""Operations on batches of one sample that the first thread does alone, by the general operations.

No barrier follows: it would take as long as the work. The other threads wait at the next `wait_if_deferred`, where they
have a share of the work again.
"""

from fastmlp.kernels.cpu.operations import dropout as dropouts
from fastmlp.kernels.cpu.operations import elementwise, losses
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Parameters, Targets, Weights
from fastmlp.kernels.cpu.team.threads import defer_barrier, team_of_one

__all__ = ["activation_backward", "dropout", "loss_gradient"]


def loss_gradient(
    ops, loss: int, parameter: Parameters, z: Matrix,
    labels: Labels, targets: Targets, weights: Weights, rows: Indices, out: Matrix,
) -> float:  # fmt: skip
    value = 0.0
    if ops.rank == 0:
        value = losses.loss_gradient(team_of_one(ops), loss, parameter, z, labels, targets, weights, rows, out)
    defer_barrier(ops)
    return value


def activation_backward(ops, activation: int, a: Matrix, slope: Matrix, delta: Matrix):
    if ops.rank == 0:
        elementwise.activation_backward(team_of_one(ops), activation, a, slope, delta)
    defer_barrier(ops)


def dropout(ops, x: Matrix, keep: float, seed: int, step: int, layer: int, first_row: int, out: Matrix):
    if ops.rank == 0:
        dropouts.dropout(team_of_one(ops), x, keep, seed, step, layer, first_row, out)
    defer_barrier(ops)
