"""Which functions to compile ahead of time, for a machine or an image that shall compile nothing later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from fastmlp.activations import activation_of
from fastmlp.backends.compiled.jobs import SHUFFLE, Job, entry_job, operation_job
from fastmlp.formulas.by_code import BUILT_IN
from fastmlp.kernels.cpu.formula_texts import BY_HAND
from fastmlp.kernels.cpu.table import FORMULA_TABLES, INNER, OPERATIONS, REPLACED
from fastmlp.losses import LOSSES
from fastmlp.optimizers import SGD, Adam, code_of

__all__ = ["selected_jobs"]

_ACTIVATIONS = "tanh", "sigmoid", "softmax"
_LOSSES = "softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error", "squared_error"
_RULES = SGD(momentum=0.9).rule, Adam().rule
_OTHER_SAMPLES = "float32", "float64", "uint8"


def selected_jobs(dtypes: list[str], everything: bool) -> list[Job]:
    """Jobs for networks of these dtypes, each once.

    Parameters
    ----------
    dtypes
        "float32", "float64" or both.
    everything
        All activations, losses and update rules, and samples that are float32, float64 or bytes; else the usual ones,
        and samples of the network's dtype. Formulas of the user's own are never kept on disk.
    """
    formulas = list(_every_formula() if everything else _usual_formulas())
    jobs = {SHUFFLE: None}
    for real in map(np.dtype, dtypes):
        for samples in map(np.dtype, _OTHER_SAMPLES if everything else (real.name,)):
            jobs |= dict.fromkeys(entry_job(name, real, samples) for name in ("train_epoch", "predict", "gradient"))
            for name, code, regime in [*_operations(real), *((*formula, "") for formula in formulas)]:
                jobs[operation_job(name, code, real, samples, regime, BUILT_IN)] = None
    return list(jobs)


def _operations(real: np.dtype) -> Iterator[tuple]:
    yield from ((name, 0, "") for name in (*OPERATIONS, *INNER))
    regimes = {regime: names for regime, names in REPLACED.items() if regime != "bf16" or real == np.float32}
    yield from ((name, 0, regime) for regime, names in regimes.items() for name in names)


def _usual_formulas() -> Iterator[tuple[str, int]]:
    activations = [BUILT_IN.activations.index(activation_of(name)) for name in _ACTIVATIONS]
    yield from product(("activate_block", "differentiate_block"), activations)
    yield from (("loss_of_rows", LOSSES[name].code) for name in _LOSSES)
    yield from (("apply_rule", code_of(rule)) for rule in _RULES)


def _every_formula() -> Iterator[tuple[str, int]]:
    for name, table in FORMULA_TABLES.items():
        for code, formula in enumerate(getattr(BUILT_IN, table)):
            generated = formula is not None and getattr(formula, "value", formula) is not None
            if generated or (name, code) in BY_HAND:
                yield name, code
