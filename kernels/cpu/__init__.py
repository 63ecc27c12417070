"""The operations of the step for Numba: plain functions whose first parameter `ops` is a thread's place in its team.

They have the names and parameters of `fastmlp.backends.numpy_ops.NumpyOps`, where their contract is written; the
Numba backend attaches them to the type `Team` as methods. Views are emitted in place; every other operation is compiled
on its own, once per dtype, and called through the team's table of addresses.
"""

from fastmlp.kernels.cpu.batches import copy, gather, gather_targets, gather_weights, weight_sum
from fastmlp.kernels.cpu.dropout import dropout
from fastmlp.kernels.cpu.elementwise import activation_backward
from fastmlp.kernels.cpu.losses import loss_gradient
from fastmlp.kernels.cpu.microkernel import VECTOR_BYTES
from fastmlp.kernels.cpu.products import (
    accumulate,
    accumulate_bias,
    accumulate_sparse,
    backward_data,
    linear,
    linear_sparse,
)
from fastmlp.kernels.cpu.rules import adam, clip, penalty, regularize, rmsprop, scale, sgd
from fastmlp.kernels.cpu.signatures import numba_signature
from fastmlp.kernels.cpu.team import Team, make_teams
from fastmlp.kernels.cpu.views import VIEWS, View

OPERATIONS = (
    *(gather, gather_targets, gather_weights, weight_sum, copy),
    *(linear, linear_sparse, dropout, loss_gradient, activation_backward, backward_data),
    *(accumulate, accumulate_sparse, accumulate_bias),
    *(penalty, regularize, clip, scale, sgd, adam, rmsprop),
)

__all__ = ["OPERATIONS", "VECTOR_BYTES", "VIEWS", "Team", "View", "make_teams", "numba_signature"]
