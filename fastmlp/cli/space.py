"""The space of a search: the values of each setting, and the trials that are drawn from them."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from sklearn.model_selection import ParameterGrid, ParameterSampler

from fastmlp.cli.optimizer import chosen_optimizer
from fastmlp.cli.span import Span
from fastmlp.cli.text import option_text
from fastmlp.recipes import Recipe

__all__ = ["SETTINGS", "Settings", "Space", "as_options", "drawn", "recipe_settings", "space_of", "space_text"]

Space = Mapping[str, "list[Any] | Span"]
Settings = dict[str, Any]  # JSON values by the options' names

SETTINGS = {
    "hidden": "hidden",
    "batch_size": "batch size",
    "lr": "learning rate",
    "decay": "decay",
    "dropout": "dropout",
}
"""What is varied: the options, which have the names of a recipe's fields, and their names in tables."""

_WIDTHS, _DEPTHS = (64, 128, 256), (1, 2, 3)
_BATCHES = 1, 2, 4  # times that of the recipe, which is the smallest batch worth its time
_DROPOUTS = [0.0, 0.1, 0.2, 0.4]
_MOST = 1 << 16  # trials


def recipe_settings(arguments: Namespace, recipe: Recipe) -> Settings:
    """Return the settings with which `fastmlp train` would train by this recipe; a rule without decay has none."""
    settings = {
        "hidden": list(recipe.hidden),
        "batch_size": recipe.batch_size,
        "lr": chosen_optimizer(arguments, recipe).lr,
        "decay": recipe.decay,
        "dropout": recipe.dropout,
    }
    if arguments.optimizer != "adamw":
        del settings["decay"]
    return settings


def space_of(arguments: Namespace, own: Settings) -> Space:
    """Return the values that options state, and for other settings some around the recipe's own."""
    lr, decay = own["lr"], own.get("decay", 0.0)
    usual: dict[str, list[Any] | Span] = {
        "hidden": [[width] * depth for depth in _DEPTHS for width in _WIDTHS],
        "batch_size": [factor * own["batch_size"] for factor in _BATCHES],
        "lr": Span(_short(lr / 10), _short(lr * 3), log=True),
        "decay": Span(_short(decay / 10), _short(decay * 10), log=True),
        "dropout": _DROPOUTS,
    }
    stated = {name: getattr(arguments, name) for name in SETTINGS}
    return {name: usual[name] if stated[name] is None else stated[name] for name in own}


def drawn(space: Space, first: Settings, seed: int) -> Iterator[Settings]:
    """Draw trials, all different, in an order that depends on the seed alone, until none is left.

    The settings `first` are those of the first trial; others of it are drawn.
    """
    is_finite = all(isinstance(values, list) for values in space.values())
    count = min(len(ParameterGrid(space)), _MOST) if is_finite else _MOST
    draws = iter(ParameterSampler(space, count, random_state=seed))
    second = next(draws)
    seen = set()
    for draw in chain([second | first, second], draws):
        settings = {name: draw[name] for name in space}
        key = json.dumps(settings)
        if key not in seen:
            seen.add(key)
            yield settings


def space_text(space: Space) -> str:
    """Return the space as options: ``--hidden 64 64,64 --lr 0.001:0.03``."""
    return " ".join(f"--{name.replace('_', '-')} {_values_text(name, values)}" for name, values in space.items())


def as_options(settings: Settings) -> str:
    """Return settings as the options of train: ``--hidden 64,64 --lr 0.003``."""
    return " ".join(f"--{name.replace('_', '-')} {option_text(value)}" for name, value in settings.items())


def _values_text(name: str, values: list[Any] | Span) -> str:
    if isinstance(values, Span):
        return str(values)
    return (" " if name == "hidden" else ",").join(map(option_text, values))


def _short(number: float) -> float:
    return float(f"{number:.3g}")
