"""Expressions as text in Python for Numba, with constants of the arrays' type.

To Numba a Python constant is a float64, and so is its product with a float32: vectors of half as many elements. So
constants are rounded to the arrays' type, once, before the loop.
"""

from __future__ import annotations

import math

from fastmlp.formulas.printing import Printer

__all__ = ["NumbaPrinter"]

# Our own functions, which vectorise (`fastmlp.kernels.cpu.machine.functions`); then those that map float32 to float32
_OWN = {"exp": "exp", "expm1": "expm1", "tanh": "tanh", "expit": "sigmoid", "logaddexp": "log_add_exp"}
_FUNCTIONS = {
    "absolute": "abs",
    "fabs": "abs",
    "power": "math.pow",
    **{name: f"math.{name}" for name in ("sqrt", "log", "log1p", "erf", "hypot")},
    **{name: f"np.{name}" for name in ("exp2", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh")},
    **{name: f"np.{name}" for name in ("arcsin", "arccos", "arctan", "arctan2", "floor", "ceil", "cbrt")},
}


class NumbaPrinter(Printer):
    """Lines of Python. The text around them defines `real`, the type of the elements, and the functions."""

    functions = scalar_functions = _OWN | _FUNCTIONS

    def choice(self, condition: str, this: str, other: str) -> str:
        return f"{this} if {condition} else {other}"

    def logical(self, operation: str, *operands: str) -> str:
        return f"not {operands[0]}" if operation == "logical_not" else _OPERATORS[operation].join(operands)

    def constant(self, value: float) -> str:
        return self._name(f"real({_number(value)})", "element", in_loop=False)

    def assignment(self, name: str, text: str, kind: str) -> str:
        return f"{name} = {text}"


_OPERATORS = {"logical_and": " & ", "logical_or": " | "}


def _number(value: float) -> str:
    return (
        repr(value)
        if math.isfinite(value)
        else f"math.copysign(math.{'nan' if math.isnan(value) else 'inf'}, {math.copysign(1.0, value)})"
    )
