"""The optimizer of recipe and options."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from fastmlp.errors import InputError
from fastmlp.optimizers import SGD, AdamW, Optimizer, get_optimizer
from fastmlp.recipes import Recipe

__all__ = ["check_optimizers", "chosen_optimizer"]


def check_optimizers(arguments: Namespace, names: Sequence[str]) -> None:
    """InputError if an option is given that none of these optimizers takes."""
    for option, rule in (("momentum", "sgd"), ("decay", "adamw")):
        if getattr(arguments, option) is not None and rule not in names:
            some = f"{', '.join(names)} {'does' if len(names) == 1 else 'do'}"
            raise InputError(f"--{option} is for --optimizer {rule}; {some} not take it.")


def chosen_optimizer(arguments: Namespace, recipe: Recipe) -> Optimizer:
    """The optimizer that the options name, with the recipe's rate and decay where they name none."""
    # the peak rate of one_cycle can be well above the constant rate that is the optimizer's default
    cycle = arguments.schedule == "one_cycle" and arguments.optimizer in ("adam", "adamw")
    rule = get_optimizer(arguments.optimizer, recipe.lr if cycle else arguments.lr)
    if isinstance(rule, AdamW):
        return replace(rule, decay=recipe.decay)
    if isinstance(rule, SGD) and arguments.momentum is not None:
        return replace(rule, momentum=arguments.momentum)
    return rule
