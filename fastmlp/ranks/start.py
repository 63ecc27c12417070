"""What ranks do before their first step: see that they are about to do the same, and begin from the same state."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.checkpoint import digests_of
from fastmlp.engine import Engine
from fastmlp.network import Data
from fastmlp.ranks.group import Group
from fastmlp.resume import generator_of, settings_of

if TYPE_CHECKING:
    from fastmlp.trainer import Training

__all__ = ["share_generator", "start_equal", "start_together"]


def start_together(training: Training, group: Group) -> None:
    """Give all ranks the first one's parameters and random numbers.

    Raises
    ------
    InputError
        The ranks have different samples, settings or versions.
    """
    facts = {"epochs": training.epochs, **settings_of(training)}
    facts |= digests_of(training.held_out, "validation ") if training.held_out else {}
    facts |= {"callbacks": len(training.callbacks), "checkpoint": training.checkpoint is not None}
    start_equal(group, training.engine, training.data, facts)
    random = generator_of(training)
    if random is not None:
        share_generator(random, group)


def start_equal(group: Group, engine: Engine, data: Data | None, settings: Mapping[str, Any]) -> None:
    """Give all ranks the first one's parameters, after samples, settings and versions were seen to be equal."""
    group.stopped = False
    versions = {f"the version of {name}": version(name) for name in ("fastmlp", "numpy")}
    digests = {} if data is None else digests_of(data, "")
    group.check_same({**versions, "backend": engine.backend.name, **settings, **digests})
    group.broadcast(engine.params)


def share_generator(random: np.random.RandomState, group: Group) -> None:
    """Give all ranks the state of the first one's generator."""
    random.set_state(group.of_first(random.get_state(legacy=False)))
