"""Numbers that only the device knows while a step is recorded: learning rates, 1 / Σ weights, losses.

The step's arithmetic on them is recorded too. What a kernel receives is a `Scalar`, offset + factor x y with x and y in
device memory; a sum of several, such as a loss, is taken by the kernel that ends the step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["SCALAR", "Number", "Scalar", "scalar"]


class Scalar(NamedTuple):
    """Struct `Scalar` of the kernels: offset + factor * (number at `first`) * (number at `second`); address 0: 1."""

    offset: float
    factor: float
    first: int = 0
    second: int = 0


SCALAR = np.dtype([("offset", "f8"), ("factor", "f8"), ("first", "u8"), ("second", "u8")])
"""Its memory."""


class Number:
    """A polynomial in numbers on the device, as {sorted addresses of the numbers: factor of their product}."""

    def __init__(self, terms: dict[tuple[int, ...], float]) -> None:
        self._terms = terms

    @classmethod
    def at(cls, address: int) -> Number:
        """The float64 number at an address."""
        return cls({(address,): 1.0})

    def scalars(self) -> list[Scalar]:
        """Terms whose sum this is."""
        if any(len(addresses) > 2 for addresses in self._terms):
            raise NotImplementedError(f"a kernel multiplies no more than two of the device's numbers: {self._terms}")
        return [Scalar(0.0, factor, *addresses) for addresses, factor in self._terms.items()]

    def __add__(self, other: Number | float) -> Number | float:
        terms = dict(self._terms)
        for addresses, factor in _terms(other).items():
            terms[addresses] = terms.get(addresses, 0.0) + factor
        return _simplest(terms)

    def __mul__(self, other: Number | float) -> Number | float:
        terms: dict[tuple[int, ...], float] = {}
        for mine, a in self._terms.items():
            for theirs, b in _terms(other).items():
                addresses = tuple(sorted(mine + theirs))
                terms[addresses] = terms.get(addresses, 0.0) + a * b
        return _simplest(terms)

    def __neg__(self) -> Number | float:
        return self * -1.0

    def __sub__(self, other: Number | float) -> Number | float:
        return self + -other

    def __rsub__(self, other: float) -> Number | float:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


class Divisor(NamedTuple):
    """A number on the device of which only the reciprocal is known."""

    reciprocal: Number

    def __rtruediv__(self, number: float) -> Number | float:
        return self.reciprocal * number


def _simplest(terms: dict[tuple[int, ...], float]) -> Number | float:
    """The polynomial, or a number if that is what it is, as 1 - rate * l2 without a penalty."""
    terms = {addresses: factor for addresses, factor in terms.items() if factor != 0.0 or not addresses}
    return Number(terms) if any(terms) else terms.get((), 0.0)


def _terms(number: Number | float) -> dict[tuple[int, ...], float]:
    return number._terms if isinstance(number, Number) else {(): float(number)}


def scalar(number: Number | float) -> Scalar:
    """A number as one argument of a kernel."""
    terms = dict(_terms(number))
    offset = terms.pop((), 0.0)
    if not terms:
        return Scalar(offset, 0.0)
    (term,) = Number(terms).scalars()
    return term._replace(offset=offset)
