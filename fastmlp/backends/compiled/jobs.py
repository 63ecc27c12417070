"""What there is to compile: operations and entry points, each for certain types."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels.cpu.formula_texts import BY_HAND, text_of
from fastmlp.kernels.cpu.regimes import Regime
from fastmlp.kernels.cpu.table import FORMULA_TABLES, OF_SAMPLES, REPLACED

__all__ = ["ENTRIES", "SHUFFLE", "Job", "entry_job", "operation_job"]

ENTRIES = ("gradient", "predict", "train_epoch", "shuffle")
"""Functions that Python calls: those of `fastmlp.step`, and the shuffle of an order."""


class Job(NamedTuple):
    """One function to compile, and by this all that its machine code depends on besides the sources and the CPU."""

    name: str  # of an operation or an entry point
    real: str  # dtype of the network
    samples: str  # dtype of the samples; "" if the function reads none
    regime: Regime = ""  # whose version of the operation
    code: int = 0  # of the formula for which the operation is written by hand
    text: str = ""  # of an operation that is generated

    @property
    def symbol(self) -> str:
        """A name of its own for the function."""
        return f"fastmlp_{self.name}_{hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:32]}"


SHUFFLE = Job("shuffle", "", "")


def entry_job(name: str, real: np.dtype, samples: np.dtype) -> Job:
    """An entry point of the step, for networks and samples of these dtypes."""
    return Job(name, real.name, samples.str)


def operation_job(name: str, code: int, real: np.dtype, samples: np.dtype, regime: Regime, formulas: Formulas) -> Job:
    """An operation as networks of these dtypes and this regime call it; code is that of its formula.

    Raises
    ------
    InputError
        No formula has the code, or the formula cannot be translated.
    """
    if name in FORMULA_TABLES:
        by_hand = (name, code) in BY_HAND
        return Job(name, real.name, "", code=code if by_hand else 0, text=text_of(name, code, formulas))
    own: Regime = regime if regime and name in REPLACED[regime] else ""
    return Job(name, real.name, samples.str if name in OF_SAMPLES else "", own)
