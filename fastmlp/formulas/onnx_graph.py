"""Expressions as nodes of an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.formulas.expressions import Expression
from fastmlp.formulas.onnx_erf import erf_float64

__all__ = ["onnx_value"]

_OPERATORS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "sqrt": "Sqrt",
    "maximum": "Max",
    "minimum": "Min",
    "negative": "Neg",
    "absolute": "Abs",
    "fabs": "Abs",
    "sign": "Sign",
    "exp": "Exp",
    "log": "Log",
    "expit": "Sigmoid",
    "floor": "Floor",
    "ceil": "Ceil",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "arcsin": "Asin",
    "arccos": "Acos",
    "arctan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "where": "Where",
    "positive": "Identity",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "equal": "Equal",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_not": "Not",
}


def onnx_value(g: Any, expression: Expression, symbols: Mapping[str, Any]) -> Any:
    """Add the nodes that compute an expression to a graph.

    Parameters
    ----------
    g : object
        The graph. ``g(operator, *inputs)`` adds a node and returns its value, where inputs are values or floats;
        ``g.cast(value, g.dtype)`` converts a condition to a number.
    expression : Expression
        What to compute.
    symbols : mapping
        Values by the names of the expression's symbols.

    Raises
    ------
    InputError
        ONNX has no such function.
    """
    known: dict[int, Any] = {}  # by the identity of an expression, so that a shared part is computed once

    def value(part: Expression) -> Any:
        if part.operation == "symbol":
            return symbols[part.operands[0]]
        if part.operation == "constant":
            return float(part.operands[0])
        if id(part) not in known:
            known[id(part)] = _node(g, part, [value(operand) for operand in part.operands])
        return known[id(part)]

    return value(expression)


def _node(g: Any, part: Expression, values: list[Any]) -> Any:
    operation = part.operation
    takes_conditions = operation.startswith("logical")
    for i, operand in enumerate(part.operands):
        if operand.is_condition and not takes_conditions and not (operation == "where" and i == 0):
            values[i] = g.cast(values[i], g.dtype)
        elif not operand.is_condition and (takes_conditions or (operation == "where" and i == 0)):
            values[i] = g("Not", g("Equal", values[i], 0.0))
    first, last = values[0], values[-1]
    if operation == "power" and last == 2:
        operation = "square"
    composed = {
        "square": lambda: g("Mul", first, first),
        "reciprocal": lambda: g("Div", 1.0, first),
        "not_equal": lambda: g("Not", g("Equal", first, last)),
        # onnxruntime has no kernels for these that are accurate near 0, where 1 + x rounds the digits of x away
        "expm1": lambda: g("Sub", g("Exp", first), 1.0),
        "log1p": lambda: g("Log", g("Add", first, 1.0)),
        "exp2": lambda: g("Exp", g("Mul", first, math.log(2))),
        "log2": lambda: g("Div", g("Log", first), math.log(2)),
        "log10": lambda: g("Div", g("Log", first), math.log(10)),
        "erf": lambda: erf_float64(g, first) if g.dtype == np.float64 else g("Erf", first),
        # log(exp(a) + exp(b)) without overflow
        "logaddexp": lambda: g("Add", g("Max", first, last), g("Log", g("Add", g("Exp", _less(g, first, last)), 1.0))),
    }
    if operation in composed:
        return composed[operation]()
    if operation not in _OPERATORS:
        raise InputError(f"The function {operation} has no operator in ONNX.")
    return g(_OPERATORS[operation], *values)


def _less(g: Any, a: Any, b: Any) -> Any:
    """-|a - b|."""
    return g("Neg", g("Abs", a if isinstance(b, float) and b == 0 else g("Sub", a, b)))
