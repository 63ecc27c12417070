"""Operations of formulas as functions: those written by hand, and those that `formula_texts` generates."""

import hashlib
import linecache
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.formulas.by_code import BUILT_IN
from fastmlp.kernels import codes
from fastmlp.kernels.cpu.formula_texts import text_of
from fastmlp.kernels.cpu.machine.functions import exp, expm1, log_add_exp, sigmoid, tanh
from fastmlp.kernels.cpu.operations.elementwise import differentiate_softmax, softmax_block, spans_of, threshold_block
from fastmlp.kernels.cpu.operations.losses import (
    clipped_binary,
    clipped_softmax,
    label_of,
    softmax_cross_entropy,
    target_of,
    weigh,
)
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Parameters, Targets, Vector, Weights
from fastmlp.kernels.cpu.team.threads import barrier, share
from fastmlp.kernels.cpu.team.views import row_address, span
from fastmlp.losses import LOSSES
from fastmlp.optimizers import SGD, code_of

__all__ = ["FORMULA_OPERATIONS", "formula_operation"]

_BY_HAND: dict[tuple[str, int], Callable] = {
    ("activate_block", codes.SOFTMAX): softmax_block,
    ("activate_block", codes.THRESHOLD): threshold_block,
    ("differentiate_block", codes.SOFTMAX): differentiate_softmax,
    ("loss_of_rows", codes.SOFTMAX_CROSS_ENTROPY): softmax_cross_entropy,
    ("loss_of_rows", codes.CLIPPED_SOFTMAX_CROSS_ENTROPY): clipped_softmax,
    ("loss_of_rows", codes.CLIPPED_BINARY_CROSS_ENTROPY): clipped_binary,
}

_FUNCTIONS = (
    *(exp, expm1, log_add_exp, sigmoid, tanh),
    *(spans_of, label_of, target_of, weigh, row_address, span, share, barrier),
)
_TYPES = {"Indices": Indices, "Labels": Labels, "Matrix": Matrix, "Parameters": Parameters, "Targets": Targets}
_TYPES |= {"Vector": Vector, "Weights": Weights}
_NAMES: dict[str, Any] = {"__name__": __name__, "math": math, "np": np, **_TYPES}  # that the texts below use
_NAMES |= {function.__name__: function for function in _FUNCTIONS}


def formula_operation(name: str, code: int, text: str) -> Callable:
    """The operation of this name with this text, or, if the text is empty, that written by hand for this code."""
    return _operation_of(text) if text else _BY_HAND[name, code]


def _operation_of(text: str) -> Callable:
    """The function that a text defines. A digest of the text is part of its name, for the disk cache."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = f"<generated {digest}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # for tracebacks
    names = dict(_NAMES)
    exec(compile(text, file, "exec"), names)
    operation = names[text[4 : text.index("(")]]
    operation.__qualname__ = f"{operation.__name__}_{digest}"
    return operation


def _example(name: str, code: int) -> Callable:
    return formula_operation(name, code, text_of(name, code, BUILT_IN))


FORMULA_OPERATIONS: dict[str, Callable] = {
    "activate_block": _example("activate_block", BUILT_IN.code_of("tanh")),
    "differentiate_block": _example("differentiate_block", BUILT_IN.code_of("tanh")),
    "loss_of_rows": _example("loss_of_rows", LOSSES["squared_error"].code),
    "apply_rule": _example("apply_rule", code_of(SGD().rule)),
}
"""The operations of which there is one for each formula, by name: an example that has their parameters."""
