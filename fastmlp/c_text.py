"""Expressions as text in C."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastmlp.expressions import Expression

__all__ = ["c_function"]

_INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "logical_and": "&&",
    "logical_or": "||",
}
_FUNCTIONS = {
    "absolute": "fabs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "power": "pow",
    **{name: name for name in ("fabs", "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p")},
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil")},
}
_CONDITIONS = ("logical_and", "logical_or", "logical_not")


def c_function(name: str, symbols: Sequence[str], expression: Expression, prefix: str = "") -> str:
    """Give a function of numbers of the type `real`, which the text around it defines.

    Parameters
    ----------
    name : of the function.
    symbols : of the expression, in the order of the parameters.
    expression : what it returns.
    prefix : what stands before the type, such as "static inline".

    What is shared in the expression is computed once. A NaN gives NaN, as in NumPy.
    """
    lines: list[str] = []
    names: dict[int, str] = {}  # what has been computed, by the identity of its expression
    result = _number(expression, _printed(expression, names, lines))
    parameters = ", ".join(f"real {symbol}" for symbol in symbols)
    body = "".join(f"  {line}\n" for line in lines)
    return f"{prefix} real {name}({parameters}) {{\n{body}  return {result};\n}}\n".lstrip()


def _printed(expression: Expression, names: dict[int, str], lines: list[str]) -> str:
    """The name that holds an expression, after lines that compute it."""
    if expression.operation == "symbol":
        return str(expression.operands[0])
    if expression.operation == "constant":
        return _constant(expression.operands[0])
    known = names.get(id(expression))
    if known is None:
        known = names[id(expression)] = f"t{len(names)}"
        operands = [(operand, _printed(operand, names, lines)) for operand in expression.operands]
        kind = "bool" if expression.is_condition else "real"
        lines.append(f"const {kind} {known} = {_computed(expression.operation, operands)};")
    return known


def _computed(operation: str, operands: list[tuple[Expression, str]]) -> str:
    if operation in _CONDITIONS:
        texts = [name if operand.is_condition else f"({name} != 0)" for operand, name in operands]
        return f"!{texts[0]}" if operation == "logical_not" else f" {_INFIX[operation]} ".join(texts)
    if operation == "where":
        (condition, name), *chosen = operands
        this, other = (_number(*one) for one in chosen)
        return f"{name if condition.is_condition else f'{name} != 0'} ? {this} : {other}"
    texts = [_number(*one) for one in operands]
    first, second = texts[0], texts[-1]
    if operation in _INFIX:
        return f"{first} {_INFIX[operation]} {second}"
    # fmax and sign of C leave NaN out
    forms = {
        "negative": f"-{first}",
        "positive": first,
        "square": f"{first} * {first}",
        "reciprocal": f"real(1) / {first}",
        "sign": f"{first} > 0 ? real(1) : {first} < 0 ? real(-1) : {first}",
        "maximum": f"{first} > {second} || {first} != {first} ? {first} : {second}",
        "minimum": f"{first} < {second} || {first} != {first} ? {first} : {second}",
        "logaddexp": f"({first} > {second} ? {first} : {second}) + log1p(exp(-fabs({first} - {second})))",
    }
    if operation == "power" and operands[1][0].operation == "constant" and operands[1][0].operands[0] == 2:
        return forms["square"]
    return forms.get(operation) or f"{_FUNCTIONS[operation]}({', '.join(texts)})"


def _number(expression: Expression, name: str) -> str:
    return f"real({name})" if expression.is_condition else name


def _constant(value: float) -> str:
    if math.isnan(value):
        return "real(0.0 / 0.0)"
    if math.isinf(value):
        return f"real({'-' if value < 0 else ''}1.0 / 0.0)"
    return f"real({value!r})"
