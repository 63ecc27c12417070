"""Tracing: a plain function of numbers is called once with symbols, which record what it does as a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastmlp.errors import InputError
from fastmlp.forks import no_fork

__all__ = ["Expression", "erf", "sigmoid", "special", "trace"]

_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_LOGICAL = ("logical_and", "logical_or", "logical_not")
_NUMBERS = {  # ufuncs and their numbers of operands
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "logaddexp"), 2),
    **dict.fromkeys(("arctan2", "hypot"), 2),
    **dict.fromkeys(("negative", "positive", "absolute", "fabs", "sign", "square", "reciprocal", "sqrt"), 1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan"), 1),
    **dict.fromkeys(("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "floor", "ceil", "cbrt"), 1),
    **dict.fromkeys(("erf", "expit"), 1),  # of scipy.special
}
_REMEDY = "Or use backend='numpy', which calls it as it is."
_SAME = {"true_divide": "divide", "bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not"}


class Expression(NDArrayOperatorsMixin):
    """What a formula computes from its symbols: a tree of operations, parts of which may be shared.

    Attributes
    ----------
    operation : str
        "symbol", "constant", "where", or the name of a NumPy function.
    operands : tuple
        Expressions; for a symbol its name, for a constant its value.
    is_condition : bool
        Whether it is true or false, not a number.
    """

    def __init__(self, operation: str, *operands: Any) -> None:
        self.operation, self.operands = operation, operands
        self.is_condition = operation in (*_COMPARISONS, *_LOGICAL)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Expression:
        name = _SAME.get(ufunc.__name__, ufunc.__name__)
        wanted = _NUMBERS.get(name) or (1 if name == "logical_not" else 2 if name in _COMPARISONS + _LOGICAL else 0)
        if method != "__call__" or options or not wanted:
            raise InputError(f"{_called(ufunc)} is not among the functions that can be translated: {_known()}.")
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


def erf(x: Any) -> Any:
    """The error function of a number, an array or a symbol."""
    return Expression("erf", x) if isinstance(x, Expression) else special().erf(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of a number, an array or a symbol."""
    return Expression("expit", x) if isinstance(x, Expression) else special().expit(x)


@cache
def special() -> ModuleType:
    """scipy.special, imported when it is first needed."""
    with no_fork():
        from scipy import special
    return special


def trace(function: Callable[..., Any], symbols: Sequence[str], what: str) -> tuple[Expression, ...]:
    """Call a function once with symbols; what it returns, a number or a tuple of them, as expressions.

    Parameters
    ----------
    function : callable
        A function of numbers; it may use operators, NumPy functions and constants.
    symbols : sequence of str
        A name for each of its parameters.
    what : str
        What to call the function in error messages.

    Raises
    ------
    InputError
        The function does something that cannot be translated.
    """
    try:
        result = function(*(Expression("symbol", name) for name in symbols))
        return tuple(map(_lifted, result if isinstance(result, tuple) else (result,)))
    except InputError as error:
        raise InputError(f"{what} cannot be translated: {error} {_REMEDY}") from error
    except Exception as error:  # whatever code for numbers raises when it gets symbols
        reason = f"{type(error).__name__}: {error}. Use {_known()}."
        raise InputError(f"{what} cannot be translated: {reason} {_REMEDY}") from error


def _lifted(value: Any) -> Expression:
    if isinstance(value, Expression):
        return value
    try:
        return Expression("constant", float(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"{value!r:.100} in it is no number.") from error


def _called(ufunc: np.ufunc) -> str:
    return f"np.{ufunc.__name__}" if hasattr(np, ufunc.__name__) else f"the function {ufunc.__name__}"


def _known() -> str:
    numpys = (f"np.{name}" for name in _NUMBERS if hasattr(np, name))
    return f"operators, np.where, np.clip, {', '.join(numpys)}, and erf and expit of scipy.special"
