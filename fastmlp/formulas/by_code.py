"""The formulas of a network by their codes: those of the library, then the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import fastmlp.activations as activations
import fastmlp.losses as losses
import fastmlp.optimizers as optimizers
from fastmlp.activations import Activation, activation_of
from fastmlp.errors import InputError
from fastmlp.formulas.rule import Rule
from fastmlp.losses import Loss

__all__ = ["BUILT_IN", "Formulas"]


class Formulas(NamedTuple):
    """The formulas that the codes of a network and an update stand for."""

    activations: tuple[Activation, ...] = activations.BY_CODE
    losses: tuple[Loss, ...] = losses.BY_CODE
    rules: tuple[Rule | None, ...] = optimizers.BY_CODE

    @classmethod
    def of(cls, used: Sequence[str | Activation], loss: Loss | None = None, rule: Rule | None = None) -> Formulas:
        """The library's formulas, and the user's own among those that are used."""
        own = dict.fromkeys(one for one in map(activation_of, used) if one not in BUILT_IN.activations)
        return cls(
            activations=(*BUILT_IN.activations, *own),
            losses=(*BUILT_IN.losses, loss) if loss and loss.is_own else BUILT_IN.losses,
            rules=(*BUILT_IN.rules, rule) if rule and rule not in BUILT_IN.rules else BUILT_IN.rules,
        )

    def own(self) -> tuple[tuple[Activation, ...], tuple[Loss, ...], tuple[Rule | None, ...]]:
        """The user's own activations, losses and rules."""
        return (
            self.activations[len(BUILT_IN.activations) :],
            self.losses[len(BUILT_IN.losses) :],
            self.rules[len(BUILT_IN.rules) :],
        )

    def activation(self, code: int) -> Activation:
        """The activation of a code; InputError if none has it."""
        return _known(self.activations, "activation", code)

    def loss(self, code: int) -> Loss:
        """The loss of a code; InputError if none has it."""
        return _known(self.losses, "loss", code)

    def rule(self, code: int) -> Rule:
        """The update rule of a code; InputError if none has it."""
        return _known(self.rules, "update rule", code)

    def code_of(self, activation: str | Activation) -> int:
        """The code of an activation that is used."""
        return self.activations.index(activation_of(activation))


BUILT_IN = Formulas()


def _known(table: tuple, what: str, code: int):
    found = table[code] if 0 <= code < len(table) else None
    if found is None:
        raise InputError(f"{code} is the code of no {what}. Those known are 0 to {len(table) - 1}.")
    return found
