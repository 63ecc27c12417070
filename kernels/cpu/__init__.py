"""The operations of the step for Numba: plain functions whose first parameter `ops` is a thread's place in its team.

They have the names and parameters of `fastmlp.backends.numpy_ops.NumpyOps`, where their contract is written; the
Numba backend attaches them to the type `Team` as methods. Views are emitted in place; every other operation is compiled
on its own, once per dtype, and called through the team's table of addresses. What a formula defines, such as an
activation, is generated: one operation for each formula.
"""

from collections.abc import Callable

from fastmlp.kernels.cpu import alone, lanes, large, sample
from fastmlp.kernels.cpu.batches import copy, expect, mean_scale
from fastmlp.kernels.cpu.blocking import ROOM_BYTES, is_large
from fastmlp.kernels.cpu.denormals import flush_denormals, restore_denormals
from fastmlp.kernels.cpu.dropout import dropout
from fastmlp.kernels.cpu.elementwise import activation_backward
from fastmlp.kernels.cpu.generated import FORMULA_OPERATIONS, formula_operation, own_texts
from fastmlp.kernels.cpu.lanes import is_tiny, tiny_room
from fastmlp.kernels.cpu.losses import is_labelled_softmax, loss_gradient
from fastmlp.kernels.cpu.products import ROWS, accumulate, accumulate_rows, backward_data, linear, linear_rows
from fastmlp.kernels.cpu.rules import clip, penalty, regularize, scale
from fastmlp.kernels.cpu.sample import is_shared, update_and_form_sums
from fastmlp.kernels.cpu.shuffling import shuffle
from fastmlp.kernels.cpu.signatures import numba_signature
from fastmlp.kernels.cpu.simd import VECTOR_BYTES
from fastmlp.kernels.cpu.sparse import accumulate_sparse, linear_sparse
from fastmlp.kernels.cpu.team import Team, make_teams
from fastmlp.kernels.cpu.views import VIEWS, View
from fastmlp.kernels.cpu.window import as_windows

OPERATIONS: tuple[Callable, ...] = (
    *(mean_scale, expect, copy),
    *(linear, linear_rows, linear_sparse, dropout, loss_gradient, activation_backward, backward_data),
    *(accumulate, accumulate_rows, accumulate_sparse),
    *(penalty, regularize, clip, scale),
)

# Called by operations, where a network has a large first layer and one sample a step
INNER_OPERATIONS: tuple[Callable, ...] = (update_and_form_sums,)

# Those that are done otherwise where all batches are of one sample, where a layer is large, or all layers are tiny
SPECIAL_OPERATIONS = {
    kind: tuple(getattr(module, name) for module in modules for name in module.__all__)
    for kind, modules in (("sample", (sample, alone)), ("large", (large,)), ("tiny", (lanes,)))
}

__all__ = [
    "FORMULA_OPERATIONS",
    "INNER_OPERATIONS",
    "OPERATIONS",
    "ROOM_BYTES",
    "ROWS",
    "SPECIAL_OPERATIONS",
    "VECTOR_BYTES",
    "VIEWS",
    "Team",
    "View",
    "as_windows",
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
    "tiny_room",
]
