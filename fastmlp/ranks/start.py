"""What ranks do before their first step: see that they are about to do the same, and begin from the same state."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from fastmlp.checkpoint import digests_of
from fastmlp.ranks.group import Group
from fastmlp.resume import generator_of, settings_of

if TYPE_CHECKING:
    from fastmlp.trainer import Training

__all__ = ["start_together"]


def start_together(training: Training, group: Group) -> None:
    """Give all ranks the first one's parameters and random numbers.

    Raises
    ------
    InputError
        The ranks have different samples, settings or versions.
    """
    group.check_same(
        {
            "the version of fastmlp": version("fastmlp"),
            "the version of NumPy": version("numpy"),
            "backend": training.engine.backend.name,
            "epochs": training.epochs,
            **settings_of(training),
            **digests_of(training.data, ""),
            **(digests_of(training.held_out, "validation ") if training.held_out else {}),
            "callbacks": len(training.callbacks),
            "checkpoint": training.checkpoint is not None,
        }
    )
    group.broadcast(training.engine.params)
    random = generator_of(training)
    if random is not None:
        random.set_state(group.of_first(random.get_state(legacy=False)))
