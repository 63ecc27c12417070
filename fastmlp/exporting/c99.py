"""Formulas as C99, for numbers of the type float or double."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from fastmlp.formulas.c_text import FUNCTIONS, CPrinter

__all__ = ["DoublePrinter", "FloatPrinter", "constant"]

_TAKEN = {"expit": "sigmoid", "logaddexp": "log_add_exp"}  # not of <math.h>: the text around has them


class DoublePrinter(CPrinter):
    """Lines of C99 for doubles."""

    types: ClassVar[Mapping[str, str]] = {"element": "double", "scalar": "double", "condition": "int"}

    def constant(self, value: float) -> str:
        return constant(value, "double")

    def rounded(self, scalar: str) -> str:
        return scalar


class FloatPrinter(DoublePrinter):
    """Lines of C99 for floats: no operation is carried out in double."""

    functions: ClassVar[Mapping[str, str]] = {name: f"{of_c}f" for name, of_c in FUNCTIONS.items()} | _TAKEN
    types: ClassVar[Mapping[str, str]] = {"element": "float", "scalar": "float", "condition": "int"}

    def constant(self, value: float) -> str:
        return constant(value, "float")


def constant(value: float, number: str) -> str:
    """A constant of the type float or double that is read as exactly this number, rounded to the type."""
    if not math.isfinite(value):
        return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    return f"{np.float32(value)!s}f" if number == "float" else repr(float(value))
