"""Measurements after each epoch of `MLP.fit`: validation loss, metrics, gradient norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.engine import Engine
from fastmlp.network import Data

__all__ = ["epoch_measure"]


def epoch_measure(
    engine: Engine, data: Data | None, held_out: Data | None, names: list[str], on_both: bool, gradient_norms: bool
) -> Callable[[], dict[str, Any]] | None:
    """Return a function that measures the current parameters, giving columns of the history; None if none are needed.

    `names` are metrics on the validation data, and with `on_both` on the training data; `gradient_norms` adds the norm
    of each layer's weight gradient. Without `data`, as training samples are larger than memory, nothing is measured on
    them.
    """
    if not (held_out or (names and on_both) or gradient_norms):
        return None

    def measure() -> dict[str, Any]:
        row: dict[str, Any] = {}
        if held_out:
            row |= {f"val_{name}": value for name, value in engine.measure(held_out, names).items()}
        if names and on_both and data is not None:
            scores = engine.measure(data, names)
            row |= {name: scores[name] for name in names}
        if gradient_norms and data is not None:
            row["gradient_norms"] = [float(np.linalg.norm(g)) for g in engine.gradients(data).weights]
        return row

    return measure
