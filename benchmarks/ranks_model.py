"""A model of the time of a step on ranks that a network connects, fitted to what `ranks_network.py` has recorded.

A step of n ranks takes what 1/n of the batch takes one core, and a sum of b bytes:

    trips (ℓ + d) + volume (1/R + γ)

with the network's delay d one way and its rate R. Fitted are ℓ, the seconds that the ends of a connection add to each
message, and γ, those that copying adds to each byte. Trips are messages that wait for one another, by MPICH's
algorithms; the volume is the bytes that a rank sends (see `AllReduce`):

    up to 16 KiB      everything to all, in ⌈log₂ n⌉ trips                              (n - 1) b
    up to 512 KiB     losses ⌈log₂ n⌉, slices 1, sums ⌈log₂ n⌉                          2 (n - 1)/n b
    above             losses ⌈log₂ n⌉, slices 1, sums 1                                 2 (n - 1)/n b
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log2
from typing import Any, NamedTuple

import numpy as np
from ranks_cases import CASES

__all__ = ["Model", "fit", "hidden", "parameter_bytes", "shape"]

Row = dict[str, Any]


def shape(ranks: int, size: int) -> tuple[int, float]:
    """Trips and volume of a sum."""
    if ranks == 1:
        return 0, 0.0
    doubling = ceil(log2(ranks))
    if size <= 1 << 14:
        return doubling, (ranks - 1.0) * size
    return doubling + 1 + (doubling if size < 1 << 19 else 1), 2 * (ranks - 1) / ranks * size


class Model(NamedTuple):
    """Seconds that are added to each trip, and to each byte."""

    latency: float
    copying: float

    def sum(self, ranks: int, size: int, delay: float, rate: float) -> float:
        """Seconds of a sum of so many bytes."""
        trips, volume = shape(ranks, size)
        return trips * (self.latency + delay) + volume * (1 / rate + self.copying)


def fit(rows: list[Row]) -> Model:
    """The model with the least sum of squared relative errors over all recorded sums."""
    known, wanted = [], []
    for row in rows:
        for size, seconds in row.get("sums", {}).items():
            trips, volume = shape(row["ranks"], int(size))
            measured = float(np.median(seconds))
            known.append([trips / measured, volume / measured])
            wanted.append(1 - (trips * row["delay"] + volume / row["rate"]) / measured)
    return Model(*np.linalg.lstsq(np.array(known), np.array(wanted), rcond=None)[0].tolist())


def parameter_bytes(case: str) -> int:
    """The gradient's, in float32."""
    return 4 * sum((i + 1) * o for i, o in pairwise(CASES[case].sizes))


def hidden(model: Model, case: str, ranks: int, delay: float, rate: float, computing: float) -> float:
    """Seconds that overlapping sum and backward pass could save of a step at best; negative if it costs time.

    All gradients but the first layer's, which is formed last, would be summed while that one is formed. A rank's only
    core copies meanwhile what it sends, so that nothing but time on the wire is saved, and a second sum has its own
    messages.
    """
    sizes = CASES[case].sizes
    products = [i * o for i, o in pairwise(sizes)]
    window = computing * products[0] / (3 * sum(products) - products[0])
    trips, volume = shape(ranks, parameter_bytes(case) - 4 * (sizes[0] + 1) * sizes[1])
    return min(window, trips * delay + volume / rate) - trips * (model.latency + delay)
