"""Formulas as NumPy calls on blocks of arrays, for the backend that interprets them.

Called with whole arrays, a formula would allocate an array and pass over memory for each of its operations. Here it is
printed as calls that write to a few buffers of a block's size, which stay in the cache, and the last calls to the
results.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastmlp.errors import InputError
from fastmlp.formulas.expressions import Expression, special, trace
from fastmlp.formulas.printing import Part, Printer

__all__ = ["Evaluation", "evaluation"]

_BLOCK = 1 << 16  # bytes of each array in a block


class Evaluation(Protocol):
    """A way to evaluate a formula."""

    def run(self, arrays: Sequence[np.ndarray], scalars: Sequence[Any], results: Sequence[np.ndarray]) -> None:
        """Evaluate the formula for all elements.

        Parameters
        ----------
        arrays : sequence of arrays
            Of one shape, for the first of the formula's parameters.
        scalars : sequence of float, or of array
            For the other parameters; an array is for the last axis.
        results : sequence of arrays
            Of that shape, which receive what the formula computes; they may be among the arrays.
        """


def evaluation(
    function: Callable,
    arrays: Sequence[str],
    scalars: Sequence[str],
    targets: Sequence[str],
    what: Sequence[str],
) -> Evaluation:
    """The fastest way to evaluate a formula.

    Parameters
    ----------
    function : callable
        The formula: a function of arrays and scalars, in this order, that returns one result or a tuple.
    arrays, scalars : sequences of str
        Names for its parameters.
    targets : sequence of str
        For each result the array that receives it, "" if that is none of the parameters.
    what : sequence of str
        For each result, what to call it in error messages.
    """
    try:
        expressions = trace(function, (*arrays, *scalars), what[0])
    except InputError:  # it may still be called with arrays
        return _Direct(function, what)
    return _Program(expressions, arrays, scalars, targets)


class _Call(NamedTuple):
    """A call that computes one part of a formula."""

    function: str
    operands: tuple[str, ...]
    result: str
    is_condition: bool


class _NumpyPrinter(Printer):
    """Scalars as Python's arithmetic in `head`; elements as calls of ufuncs."""

    def __init__(self, scalars: Sequence[str]) -> None:
        super().__init__(scalars)
        self.calls: list[_Call] = []

    def choice(self, condition: str, this: str, other: str) -> str:
        return f"plain(np.where({condition}, {this}, {other}))"

    def logical(self, operation: str, *operands: str) -> str:
        return f"np.{operation}({', '.join(operands)})"

    def constant(self, value: float) -> str:
        return repr(value) if np.isfinite(value) else f"float({str(value)!r})"

    def call(self, operation: str, operands: list[str], of_element: bool) -> str:
        return f"plain({operation}({', '.join(operands)}))"

    def rounded(self, scalar: str) -> str:
        return scalar  # a Python float takes the type of the array it is combined with

    def assignment(self, name: str, text: str, kind: str) -> str:
        return f"{name} = {text}"

    def printed_element(self, expression: Expression, operands: list[Part]) -> Part:
        operation, texts = expression.operation, [self.as_element(operand) for operand in operands]
        if operation == "where":
            texts[0] = operands[0].text if operands[0].is_condition else self._call("not_equal", texts[0], "0.0")
        elif operation.startswith("logical"):
            texts = [
                operand.text if operand.is_condition else text for operand, text in zip(operands, texts, strict=True)
            ]
        if operation == "power" and texts[1] == "2.0":
            operation, texts = "square", texts[:1]
        return Part(self._call(operation, *texts), True, is_condition=expression.is_condition)

    def as_element(self, part: Part) -> str:
        return self.copied(part.text) if part.is_condition else super().as_element(part)

    def copied(self, name: str) -> str:
        """A copy as elements, of the conditions or elements of that name."""
        return self._call("copied", name)

    def _call(self, operation: str, *operands: str) -> str:
        """Add a call; the name of its result. The same call is added once."""
        for call in self.calls:
            if (call.function, call.operands) == (operation, operands):
                return call.result
        is_condition = operation.startswith("logical") or operation in _COMPARISONS
        self.calls.append(_Call(operation, operands, f"e{len(self.calls)}", is_condition))
        return self.calls[-1].result


_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


class _Program:
    """A traced formula as a function of a block of each array, the scalars, the results and a few buffers."""

    def __init__(
        self, expressions: Sequence[Expression], arrays: Sequence[str], scalars: Sequence[str], targets: Sequence[str]
    ) -> None:
        printer = _NumpyPrinter(scalars)
        # a parameter that is returned unchanged is copied first, since another result may overwrite it
        copies = {name: printer.copied(name) for name in _symbols_among(expressions) if name in arrays}
        results = [printer.as_element(printer.printed(expression)) for expression in expressions]
        results = [copies.get(result, result) for result in results]
        outputs = [f"out{k}" for k in range(len(results))]
        calls = _write_outputs(printer.calls, results, outputs, targets)
        names_of_buffers, lines = _with_buffers(calls, set(outputs))
        self._hold_conditions = [name[0] == "c" for name in names_of_buffers]
        parameters = ", ".join((*arrays, *scalars, *outputs, *names_of_buffers))
        text = f"def block({parameters}):\n" + "".join(f"    {line}\n" for line in [*printer.head, *lines])
        names = {name: _function(name) for name in re.findall(r"(\w+)\(", text)}
        exec(compile(text, "<a formula for NumPy>", "exec"), names)
        self._block, self.text = names["block"], text

    def run(self, arrays, scalars, results):
        shape, dtype = results[0].shape, results[0].dtype
        rows = max(1, _BLOCK * shape[0] // max(results[0].nbytes, 1))
        whole = (min(rows, shape[0]), *shape[1:])
        kinds = [_BOOL if holds_conditions else dtype for holds_conditions in self._hold_conditions]
        buffers = [_buffer(number, whole, kind) for number, kind in enumerate(kinds)]
        if rows >= shape[0]:
            self._block(*arrays, *scalars, *results, *buffers)
            return
        for first in range(0, shape[0], rows):
            block, n = slice(first, first + rows), min(rows, shape[0] - first)
            of_block = [array[block] for array in (*arrays, *results)]
            read, written = of_block[: len(arrays)], of_block[len(arrays) :]
            self._block(*read, *scalars, *written, *(buffer[:n] for buffer in buffers))


def _symbols_among(expressions: Sequence[Expression]) -> list[str]:
    return [expression.operands[0] for expression in expressions if expression.operation == "symbol"]


_BOOL = np.dtype(bool)
_BUFFERS = threading.local()  # `numbered`, which all formulas of a thread share: nothing in them outlives a call


def _buffer(number: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """One of this thread's buffers; a new array where a row is longer than a block."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes > _BLOCK:
        return np.empty(shape, dtype)
    numbered: list[np.ndarray] = _BUFFERS.__dict__.setdefault("numbered", [])
    while number >= len(numbered):
        numbered.append(np.empty(_BLOCK, np.uint8))
    return numbered[number][:nbytes].view(dtype).reshape(shape)


def _write_outputs(calls: list[_Call], results: list[str], outputs: list[str], targets: Sequence[str]) -> list[_Call]:
    """The calls, with results written to the outputs: directly, or by a copy at the end where that is not possible.

    An output may be the memory of the array named as its target, which must not be read once the output is written.
    """
    renamed: dict[str, str] = {}
    copies: list[_Call] = []
    for result, output, target in zip(results, outputs, targets, strict=True):
        at = next((i for i, call in enumerate(calls) if call.result == result), len(calls))
        after = calls[at + 1 :]
        if at < len(calls) and calls[at].function == "where":  # it writes before it has read all
            after = calls[at:]
        if at == len(calls) or result in renamed or any(target in call.operands for call in after):
            copies.append(_Call("copied", (result,), output, is_condition=False))
        else:
            renamed[result] = output

    def name(old: str) -> str:
        return renamed.get(old, old)

    calls = [*calls, *copies]
    return [call._replace(operands=tuple(map(name, call.operands)), result=name(call.result)) for call in calls]


def _with_buffers(calls: list[_Call], outputs: set[str]) -> tuple[list[str], list[str]]:
    """Names of the buffers, as few as suffice, "c…" for conditions and "b…" for numbers; the calls as lines."""
    last_read = {name: i for i, call in enumerate(calls) for name in call.operands}
    held: dict[str, str] = {}  # buffers by the results that they hold
    free: dict[str, list[str]] = {"b": [], "c": []}
    buffers: list[str] = []
    lines: list[str] = []
    for i, call in enumerate(calls):
        operands = [held.get(name, name) for name in call.operands]
        done = [name for name in set(call.operands) & held.keys() if last_read[name] == i]
        if call.function == "where":  # it writes before it has read all
            done, after = [], done
        else:
            after = []
        for name in sorted(done):
            free[held[name][0]].append(held.pop(name))
        if call.result in outputs:
            place = call.result
        else:
            kind = "c" if call.is_condition else "b"
            if not free[kind]:
                buffers.append(f"{kind}{len(buffers)}")
                free[kind].append(buffers[-1])
            place = held[call.result] = free[kind].pop()
        lines.append(f"{call.function}({', '.join(operands)}, out={place})")
        for name in sorted(after):
            free[held[name][0]].append(held.pop(name))
    return buffers, lines


def _function(name: str) -> Callable[..., Any]:
    own: dict[str, Any] = {"where": _where, "copied": _copied, "plain": _plain, "float": float}
    return own.get(name) or getattr(np, name, None) or getattr(special(), name)


def _where(condition: Any, this: Any, other: Any, out: np.ndarray) -> None:
    np.copyto(out, other)
    np.copyto(out, this, where=condition)


def _copied(value: Any, out: np.ndarray) -> None:
    np.copyto(out, value)


def _plain(value: Any) -> Any:
    """A Python float: numpy.float64 would turn float32 into float64."""
    return value if np.ndim(value) else float(value)


class _Direct(NamedTuple):
    """A formula that is more than operators and known functions, called with blocks of the arrays."""

    function: Callable
    what: Sequence[str]

    def run(self, arrays, scalars, results):
        rows = max(1, _BLOCK * len(results[0]) // max(results[0].nbytes, 1))
        for first in range(0, len(results[0]), rows):
            block = slice(first, first + rows)
            given = self.function(*(array[block] for array in arrays), *scalars)
            given = given if isinstance(given, tuple) else (given,)
            for result, values, what in zip(results, given, self.what, strict=True):
                result[block] = self._checked(values, result[block], what)

    @staticmethod
    def _checked(values: Any, like: np.ndarray, what: str) -> np.ndarray:
        values = np.asarray(values)
        if values.shape != like.shape or values.dtype.kind not in "biuf":
            raise InputError(
                f"{what} gives {values.dtype} of shape {values.shape} for arrays of shape {like.shape}, but must "
                "give real numbers of that shape: one for each element, no sum or mean over them."
            )
        return values
