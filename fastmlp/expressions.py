"""Formulas as expressions: a plain function of numbers is called once, with symbols, which record what it does.

A function that NumPy calls with arrays and Numba with numbers is so had as a text in another language
(`fastmlp.c_text`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastmlp.errors import InputError

__all__ = ["Expression", "expression_of"]

_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_LOGICAL = ("logical_and", "logical_or", "logical_not")
_NUMBERS = {  # ufuncs and their numbers of operands
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "logaddexp"), 2),
    **dict.fromkeys(("negative", "positive", "absolute", "fabs", "sign", "square", "reciprocal", "sqrt"), 1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan"), 1),
    **dict.fromkeys(("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "floor", "ceil"), 1),
}
_SAME = {"true_divide": "divide", "bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not"}


class Expression(NDArrayOperatorsMixin):
    """What a formula gives, in terms of what it was given: a tree, parts of which may be shared.

    Attributes
    ----------
    operation : "symbol", "constant", "where", or the name of a NumPy function.
    operands : expressions; the name of a symbol, the value of a constant.
    is_condition : whether it is true or false, not a number.
    """

    def __init__(self, operation: str, *operands: Any) -> None:
        self.operation, self.operands = operation, operands
        self.is_condition = operation in (*_COMPARISONS, *_LOGICAL)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Expression:
        name = _SAME.get(ufunc.__name__, ufunc.__name__)
        wanted = _NUMBERS.get(name) or (1 if name == "logical_not" else 2 if name in _COMPARISONS + _LOGICAL else 0)
        if method != "__call__" or options or not wanted:
            raise InputError(f"np.{ufunc.__name__} is not among the functions that can be translated: {_known()}.")
        return Expression(name, *map(_lifted, inputs))

    def __array_function__(self, function: Callable, types: Any, args: tuple, kwargs: dict) -> Expression:
        if function is np.where and len(args) == 3 and not kwargs:
            condition, this, other = map(_lifted, args)
            return Expression("where", condition, this, other)
        if function is np.clip and len(args) == 3 and not kwargs:
            value, low, high = map(_lifted, args)
            return Expression("minimum", Expression("maximum", value, low), high)
        raise InputError(f"np.{function.__name__} is not among the functions that can be translated: {_known()}.")

    def __bool__(self) -> NoReturn:
        raise InputError("it asks whether a number is true, as `if` does. Choose between numbers by np.where.")

    def __float__(self) -> NoReturn:
        raise InputError("it asks for a Python number, as functions of the module math do. Use those of NumPy.")

    __int__ = __index__ = __float__


def expression_of(function: Callable[..., Any], symbols: str, what: str) -> Expression:
    """Call a function with a symbol for each of some letters; what it does with them is the expression.

    Parameters
    ----------
    function : of numbers; of operators, NumPy functions and constants.
    symbols : one letter for each of its parameters.
    what : its name for the errors.

    Raises
    ------
    InputError : something that has no translation.
    """
    try:
        result = function(*(Expression("symbol", letter) for letter in symbols))
    except InputError as error:
        raise InputError(f"{what} cannot be translated: {error}") from error
    except Exception as error:  # whatever a text does that is meant for numbers alone
        raise InputError(f"{what} cannot be translated: {type(error).__name__}: {error}. Use {_known()}.") from error
    return _lifted(result, what)


def _lifted(value: Any, what: str = "A formula") -> Expression:
    if isinstance(value, Expression):
        return value
    try:
        return Expression("constant", float(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} holds {value!r:.100}, which is no number.") from error


def _known() -> str:
    return f"operators, np.where, np.clip, {', '.join(f'np.{name}' for name in _NUMBERS)}"
