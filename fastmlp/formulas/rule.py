"""An update rule: its formula, and what the parameters of the formula stand for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from fastmlp.errors import InputError
from fastmlp.formulas.numpy_program import Evaluation, evaluation

__all__ = ["Rule"]


class Rule(NamedTuple):
    """The formula of an optimizer, with what its parameters stand for."""

    name: str
    formula: Callable[..., Any]  # of w, g, moments, rates and constants: w and the moments after an update
    parameters: tuple[str, ...]  # of the formula, in their order
    moments: tuple[str, ...]
    rates: tuple[str, ...]  # names of the columns of `Optimizer.rates`
    constants: tuple[str, ...]

    @classmethod
    def of(cls, name: str, formula: Callable[..., Any], rates: tuple[str, ...], constants: tuple[str, ...]) -> Rule:
        """Tell moments from constants: w, g, those named in rates and constants, and moments, in any order."""
        parameters = tuple(inspect.signature(formula).parameters)
        moments = tuple(p for p in parameters if p not in ("w", "g", *rates, *constants))
        used = tuple(p for p in parameters if p in constants)
        return cls(name, formula, parameters, moments, rates, used)

    def updated(self, *values: Any) -> tuple[Any, ...]:
        """What w and the moments become, from values of the formula's parameters in their order."""
        result = self.formula(*values)
        result = result if isinstance(result, tuple) else (result,)
        if len(result) != 1 + len(self.moments):
            raise InputError(
                f"The formula of the optimizer {self.name!r} gives {len(result)} numbers, but must give "
                f"{1 + len(self.moments)}: {', '.join(('w', *self.moments))}."
            )
        return result

    @property
    def evaluation(self) -> Evaluation:
        """The formula for NumPy; it gives w and the moments."""
        return _evaluation_of(self)


@lru_cache
def _evaluation_of(rule: Rule) -> Evaluation:
    arrays, scalars = ("w", *rule.moments, "g"), (*rule.rates, *rule.constants)
    what = f"The formula of the optimizer {rule.name!r}"

    def updated(*values: Any) -> tuple[Any, ...]:
        known = dict(zip((*arrays, *scalars), values, strict=True))
        return rule.updated(*(known[parameter] for parameter in rule.parameters))

    return evaluation(updated, arrays, scalars, arrays[:-1], [what] * (len(arrays) - 1))
