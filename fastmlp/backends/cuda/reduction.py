"""The operation `all_reduce` on a tape: between two graphs, gradient and loss are summed over shards and ranks."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastmlp.backends.base import Reduction
from fastmlp.backends.cuda.device import Device

__all__ = ["Reduce", "Reducer"]


class Reduce(NamedTuple):
    """An entry of a tape: here gradient (P,) and loss (1,) of a shard become those of all shards."""

    shard: int
    rows: int  # of the shard
    gradient: Any
    loss: Any  # float64
    kept: Any  # what must live as long as the tape


class Reducer:
    """Does what the entries say: on the ranks' GPUs, where each rank has one and NCCL, else through the host's memory.

    NCCL adds in an order of its own, so results that shall not depend on the number of ranks are added on the host.
    """

    def __init__(self, device: Device, on_host: Reduction) -> None:
        self._device, self._on_host = device, on_host
        group = None if on_host.reproducible else on_host.group
        self._on_devices = device.sum_over(group) if group is not None else None

    def reduce(self, entry: Reduce) -> None:
        """Sum what an entry names, after all work queued before and before all that is queued later."""
        device, gradient, loss = self._device, entry.gradient, entry.loss
        if self._on_devices is not None:
            if entry.rows == 0:
                device.fill(gradient, 0)
            self._on_devices(gradient)
            self._on_devices(loss)
            return
        on_host, of_shard = device.download(gradient), device.download(loss)
        of_shard[0] = self._on_host(entry.shard, entry.rows, on_host, float(of_shard[0]))
        device.write(gradient, on_host)
        device.write(loss, of_shard)
