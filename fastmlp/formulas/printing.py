"""Expressions as lines of a program, each distinct part computed once.

Numbers come in two kinds. *Elements* differ from one element of an array to the next and are of the arrays' type,
`real`. *Scalars*, such as a learning rate, are the same for all elements: what depends on nothing else is computed
before the loop, in float64 (1 - β would have four digits in float32), and rounded to `real` where an element meets it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from functools import partial
from typing import ClassVar, NamedTuple

from fastmlp.formulas.expressions import Expression

__all__ = ["Part", "Printer"]

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
}
_LOGICAL = ("logical_and", "logical_or", "logical_not")


class Part(NamedTuple):
    """A name or constant in the program that holds an expression's value."""

    text: str
    is_element: bool = False  # else a scalar or a constant
    is_constant: bool = False
    is_condition: bool = False


class Printer(ABC):
    """Prints expressions as lines of a program; subclasses define what differs from language to language.

    Parameters
    ----------
    scalars : collection of str
        Names of the symbols that are scalars.
    """

    functions: ClassVar[Mapping[str, str]]  # names of the functions of elements
    scalar_functions: ClassVar[Mapping[str, str]]  # and of scalars

    def __init__(self, scalars: Collection[str] = ()) -> None:
        self.head: list[str] = []  # lines before the loop over the elements
        self.body: list[str] = []  # lines in the loop
        self._scalars = scalars
        self._names: dict[tuple[str, bool], str] = {}  # by what they hold, and whether it is an element

    def element(self, expression: Expression) -> str:
        """Add the lines that compute an expression; returns the name of its value, as an element."""
        return self.as_element(self.printed(expression))

    @abstractmethod
    def choice(self, condition: str, this: str, other: str) -> str:
        """The text that chooses between two numbers."""

    @abstractmethod
    def logical(self, operation: str, *operands: str) -> str:
        """The text of a logical operation."""

    @abstractmethod
    def constant(self, value: float) -> str:
        """A constant of elements."""

    @abstractmethod
    def assignment(self, name: str, text: str, kind: str) -> str:
        """A line that gives a value a name; kind is "element", "scalar" or "condition"."""

    def call(self, operation: str, operands: list[str], of_element: bool) -> str:
        """The text that calls a function."""
        return f"{(self.functions if of_element else self.scalar_functions)[operation]}({', '.join(operands)})"

    def rounded(self, scalar: str) -> str:
        """A scalar as an element."""
        return self._name(f"real({scalar})", "element", in_loop=False)

    def printed_element(self, expression: Expression, operands: list[Part]) -> Part:
        """Add the line that computes an expression of elements from its operands."""
        return self._line(expression, operands, is_element=True)

    def printed(self, expression: Expression) -> Part:
        """Add the lines that compute an expression; returns what holds its value."""
        if expression.operation == "symbol":
            name = str(expression.operands[0])
            return Part(name, is_element=name not in self._scalars)
        if expression.operation == "constant":
            return Part(repr(expression.operands[0]), is_constant=True)
        operands = [self.printed(operand) for operand in expression.operands]
        if any(operand.is_element for operand in operands):
            return self.printed_element(expression, operands)
        return self._line(expression, operands, is_element=False)

    def _line(self, expression: Expression, operands: list[Part], is_element: bool) -> Part:
        texts = [self._operand(expression, operand, is_element) for operand in operands]
        text = self._computed(expression, texts, operands, is_element)
        kind = "condition" if expression.is_condition else "element" if is_element else "scalar"
        return Part(self._name(text, kind, is_element), is_element, is_condition=expression.is_condition)

    def _operand(self, expression: Expression, operand: Part, of_element: bool) -> str:
        if operand.is_condition:
            wanted = expression.operation in _LOGICAL or expression.operation == "where"
            return operand.text if wanted else self._number(operand.text, of_element)
        return self.as_element(operand) if of_element else operand.text

    def _number(self, condition: str, of_element: bool) -> str:
        """A condition as a number."""
        return f"({self.choice(condition, self._constant(1.0, of_element), self._constant(0.0, of_element))})"

    def _constant(self, value: float, of_element: bool) -> str:
        return self.constant(value) if of_element else repr(value)

    def as_element(self, part: Part) -> str:
        """A part as an element."""
        if part.is_condition:
            return self._number(part.text, of_element=True)
        if part.is_element:
            return part.text
        return self.constant(float(part.text)) if part.is_constant else self.rounded(part.text)

    def _name(self, text: str, kind: str, in_loop: bool) -> str:
        """The name of what the text computes; adds the line that computes it, if there is none yet."""
        if (text, in_loop) not in self._names:
            name = self._names[text, in_loop] = f"t{len(self._names)}"
            (self.body if in_loop else self.head).append(self.assignment(name, text, kind))
        return self._names[text, in_loop]

    def _computed(self, expression: Expression, texts: list[str], operands: list[Part], is_element: bool) -> str:
        operation, first, second = expression.operation, texts[0], texts[-1]
        if operation in _LOGICAL:
            return self.logical(operation, *map(partial(self._condition, is_element), texts, operands))
        if operation == "where":
            numbers = [
                self._number(text, is_element) if operand.is_condition else text
                for text, operand in zip(texts[1:], operands[1:], strict=True)
            ]
            return self.choice(self._condition(is_element, first, operands[0]), *numbers)
        if operation in _INFIX:
            return f"{first} {_INFIX[operation]} {second}"
        if operation == "square" or (operation == "power" and operands[1].is_constant and float(operands[1].text) == 2):
            return f"{first} * {first}"
        if operation == "negative":
            return f"-{first}"
        if operation == "positive":
            return first
        if operation == "reciprocal":
            return f"{self._constant(1.0, is_element)} / {first}"
        # below, comparisons are written so that a NaN, which fails them, stays a NaN
        if operation in ("maximum", "minimum"):
            sign = ">" if operation == "maximum" else "<"
            if operands[1].is_constant:
                return self.choice(f"{second} {sign} {first}", second, first)
            return self.choice(
                self.logical("logical_or", f"({first} {sign} {second})", f"({first} != {first})"), *texts
            )
        if operation == "sign":
            zero, one = self._constant(0.0, is_element), self._constant(1.0, is_element)
            negative = self.choice(f"{first} < {zero}", f"-{one}", first)
            return self.choice(f"{first} > {zero}", one, f"({negative})")
        return self.call(operation, texts, is_element)

    def _condition(self, of_element: bool, text: str, operand: Part) -> str:
        """A number as a condition: whether it is not 0."""
        return text if operand.is_condition else f"({text} != {self._constant(0.0, of_element)})"
