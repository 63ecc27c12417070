"""Expressions as text in C, for numbers of a type `real` that the text around it defines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from fastmlp.formulas.expressions import Expression
from fastmlp.formulas.printing import Printer

__all__ = ["FUNCTIONS", "CPrinter", "c_function"]

_TYPES = {"element": "real", "scalar": "double", "condition": "bool"}
FUNCTIONS = {
    "absolute": "fabs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "power": "pow",
    "logaddexp": "log_add_exp",
    "expit": "sigmoid",
    **{name: name for name in ("fabs", "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf")},
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "hypot", "cbrt")},
}


class CPrinter(Printer):
    """Lines of C. The text around them defines `sigmoid` and `log_add_exp`, and has <math.h>."""

    functions: ClassVar[Mapping[str, str]] = FUNCTIONS
    scalar_functions: ClassVar[Mapping[str, str]] = FUNCTIONS
    types: ClassVar[Mapping[str, str]] = _TYPES

    def choice(self, condition: str, this: str, other: str) -> str:
        return f"{condition} ? {this} : {other}"

    def logical(self, operation: str, *operands: str) -> str:
        return f"!{operands[0]}" if operation == "logical_not" else _OPERATORS[operation].join(operands)

    def constant(self, value: float) -> str:
        if math.isfinite(value):
            return f"real({value!r})"
        return "real(0.0 / 0.0)" if math.isnan(value) else f"real({math.copysign(1.0, value)} / 0.0)"

    def assignment(self, name: str, text: str, kind: str) -> str:
        return f"const {self.types[kind]} {name} = {text};"


_OPERATORS = {"logical_and": " && ", "logical_or": " || "}


def c_function(
    name: str, symbols: Sequence[str], expression: Expression, prefix: str = "", printer: CPrinter | None = None
) -> str:
    """The text of a C function of numbers of one type.

    Parameters
    ----------
    name : str
    symbols : sequence of str
        Symbols of the expression, in the order of the function's parameters.
    expression : Expression
        What the function returns. A NaN gives NaN, as in NumPy.
    prefix : str
        What stands before the type, such as "static inline".
    printer : CPrinter, optional
        A new one, which knows the type of the numbers; by default it is `real`.
    """
    printer = printer or CPrinter()
    result, number = printer.element(expression), printer.types["element"]
    parameters = ", ".join(f"{number} {symbol}" for symbol in symbols)
    body = "".join(f"  {line}\n" for line in printer.body)
    return f"{prefix} {number} {name}({parameters}) {{\n{body}  return {result};\n}}\n".lstrip()
