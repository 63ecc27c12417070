"""The operations of the step for Numba: plain functions whose first parameter `ops` is a thread's place in its team.

They have the names and parameters of `fastmlp.backends.numpy_ops.NumpyOps`, where their contract is written; the
Numba backend attaches them to the type `Team` as methods. Views are emitted in place; every other operation is compiled
on its own, once per dtype, and called through the team's table of addresses. What a formula defines, such as an
activation, is generated: one operation for each formula.
"""

from collections.abc import Callable

from fastmlp.kernels.cpu.large import operations as large
from fastmlp.kernels.cpu.large.blocking import LARGE_SCRATCH_BYTES, is_large
from fastmlp.kernels.cpu.machine.denormals import flush_denormals, restore_denormals
from fastmlp.kernels.cpu.machine.vectors import VECTOR_BYTES
from fastmlp.kernels.cpu.one_sample import first_thread
from fastmlp.kernels.cpu.one_sample import operations as one_sample
from fastmlp.kernels.cpu.one_sample.operations import is_shared, update_and_form_sums
from fastmlp.kernels.cpu.operations.batches import announce_next_batch, copy, total_weight
from fastmlp.kernels.cpu.operations.dropout import dropout
from fastmlp.kernels.cpu.operations.elementwise import activation_backward
from fastmlp.kernels.cpu.operations.formulas import FORMULA_OPERATIONS, formula_operation, own_texts
from fastmlp.kernels.cpu.operations.losses import is_labelled_softmax, loss_gradient
from fastmlp.kernels.cpu.operations.products import (
    ROWS,
    accumulate,
    accumulate_rows,
    backward_data,
    linear,
    linear_rows,
)
from fastmlp.kernels.cpu.operations.rules import clip, penalty, regularize, scale
from fastmlp.kernels.cpu.operations.sparse import accumulate_sparse, linear_sparse
from fastmlp.kernels.cpu.shuffling import shuffle
from fastmlp.kernels.cpu.team.signatures import numba_signature
from fastmlp.kernels.cpu.team.slim_arrays import as_slim
from fastmlp.kernels.cpu.team.threads import Team, make_teams
from fastmlp.kernels.cpu.team.views import VIEWS, View
from fastmlp.kernels.cpu.tiny import operations as tiny
from fastmlp.kernels.cpu.tiny.operations import is_tiny, tiny_scratch

OPERATIONS: tuple[Callable, ...] = (
    *(total_weight, announce_next_batch, copy),
    *(linear, linear_rows, linear_sparse, dropout, loss_gradient, activation_backward, backward_data),
    *(accumulate, accumulate_rows, accumulate_sparse),
    *(penalty, regularize, clip, scale),
)

# Called by other operations, in networks with a large first layer and one sample a step
INNER_OPERATIONS: tuple[Callable, ...] = (update_and_form_sums,)

# Replacements for three regimes: one sample a step, a large layer, tiny layers only
SPECIAL_OPERATIONS = {
    kind: tuple(getattr(module, name) for module in modules for name in module.__all__)
    for kind, modules in (("sample", (one_sample, first_thread)), ("large", (large,)), ("tiny", (tiny,)))
}

__all__ = [
    "FORMULA_OPERATIONS",
    "INNER_OPERATIONS",
    "LARGE_SCRATCH_BYTES",
    "OPERATIONS",
    "ROWS",
    "SPECIAL_OPERATIONS",
    "VECTOR_BYTES",
    "VIEWS",
    "Team",
    "View",
    "as_slim",
    "flush_denormals",
    "formula_operation",
    "is_labelled_softmax",
    "is_large",
    "is_shared",
    "is_tiny",
    "make_teams",
    "numba_signature",
    "own_texts",
    "restore_denormals",
    "shuffle",
    "tiny_scratch",
]
