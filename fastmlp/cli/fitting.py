"""The arguments of a network's fit that follow from recipe and options."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from fastmlp.cli.optimizer import chosen_optimizer
from fastmlp.recipes import Recipe

__all__ = ["fit_options"]


def fit_options(arguments: Namespace, recipe: Recipe) -> dict[str, Any]:
    """Arguments of `MLP.fit`: how long it trains, and by which steps; not when it stops earlier."""
    return {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "optimizer": chosen_optimizer(arguments, recipe),
        "schedule": arguments.schedule,
        "class_weight": arguments.class_weight,
        "max_norm": arguments.max_norm,
    }
