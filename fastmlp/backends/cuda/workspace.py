"""Device memory of a run, besides the network's buffers: numbers of its steps, and room for a gathered batch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from fastmlp.backends.cuda.device import Device, Staging, mask_width
from fastmlp.backends.cuda.numbers import Number, Scalar
from fastmlp.kernels.cuda import FEW, MAX_BLOCKS
from fastmlp.network import Network

__all__ = ["UNROLLED", "Workspace"]

UNROLLED = 4  # steps that one tape may have
_STORED = 8 * UNROLLED  # numbers: factors of the gradient and of the old weights


class Workspace:
    """Buffers for steps of so many shards of up to `rows` rows on a network.

    Each sum of a tape has a place, by the order of requests.
    """

    def __init__(self, device: Device, net: Network, rows: int, shards: int) -> None:
        self._device = device
        self._chunk, self._inputs = net.chunk, int(net.fan_in[0])
        self._batches: dict[tuple[int, int], Any] = {}
        self._real = net.params.dtype
        chunks = -(-rows // net.chunk)
        self._sums = device.empty(((chunks + 1) * shards + 8) * UNROLLED, np.float64)
        self._partial = device.empty(MAX_BLOCKS, np.float64)
        self._ticket = device.upload(np.zeros(1, np.uint32))
        self._numbers = device.empty(_STORED, self._real)
        self.loss_parameter = device.upload(net.loss_parameter)
        self._places: dict[Scalar, int] = {}
        self._constants: dict[bytes, Any] = {}
        self._companions: dict[tuple[str, int, int], Any] = {}
        self.restart()

    def restart(self) -> None:
        """Begin to record another step, for which all places are free."""
        self._n_sums, self._places = 0, {}

    def reduction(self) -> tuple[tuple[int, int, int], Number]:
        """Struct `Reduction` for one sum of the step, and the sum."""
        place = self._device.address(self._sums[self._n_sums : self._n_sums + 1])
        self._n_sums += 1
        return (self._device.address(self._partial), self._device.address(self._ticket), place), Number.at(place)

    def sum(self) -> tuple[Any, Number]:
        """Room (1,) for one sum of the step, float64, and the sum."""
        room = self._sums[self._n_sums : self._n_sums + 1]
        return room, self.reduction()[1]

    def partial(self) -> tuple[int, int, int]:
        """Struct `Reduction` for an operation that keeps its result itself."""
        return self._device.address(self._partial), self._device.address(self._ticket), 0

    def stored(self, number: Scalar) -> Any:
        """Room (1,) for a number in the step's dtype, always the same within a step."""
        at = self._places.setdefault(number, len(self._places))
        return self._numbers[at : at + 1]

    def constants(self, values: np.ndarray) -> Any:
        """Numbers (K,) of the host in device memory; None if there are none."""
        key = values.tobytes()
        if key and key not in self._constants:
            self._constants[key] = self._device.upload(values)
        return self._constants.get(key)

    def companion(self, what: str, array: Any, n: int, dtype: np.dtype | type) -> Any:
        """An array (n,) that belongs to another array, the same at every call."""
        key = what, self._device.address(array), n
        if key not in self._companions:
            self._companions[key] = self._device.empty(n, dtype)
        return self._companions[key]

    def mask(self, out: Any) -> Any:
        """Room for the mask of a product's result."""
        rows, width = out.shape[0], mask_width(out.shape[1])
        return self.companion("mask", out, rows * width, np.uint8).reshape(rows, width)

    @cached_property
    def staging(self) -> list[Staging]:
        """Two buffers for the samples of a chunk that come from the host: one is filled while the other is in use."""
        return [self._device.staging(self._chunk * self._inputs, self._real) for _ in range(2)]

    def batch(self, slot: int, rows: int = 0) -> Any:
        """Room for the samples of a chunk, (rows * I,), or of more rows; in slot 1 for those of a small batch alone."""
        rows = min(self._chunk, FEW) if slot else max(self._chunk, rows)
        if (slot, rows) not in self._batches:
            self._batches[slot, rows] = self._device.empty(rows * self._inputs, self._real)
        return self._batches[slot, rows]
