"""State in device memory that advances from step to step, so that one recorded step serves a whole epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.numbers import Number, scalar
from fastmlp.backends.cuda.ops import CudaOps
from fastmlp.backends.cuda.tape import Samples

__all__ = ["Control", "Rates"]


class Rates:
    """The rates of the current step, as a table (1, 3)."""

    def __init__(self, rates: tuple[Number, Number, Number]) -> None:
        self._rates = rates

    def __len__(self) -> int:
        return 1

    def __getitem__(self, at: Any) -> Any:
        return self._rates[at[1]] if isinstance(at, tuple) else self._rates


class Control:
    """Rates, losses and counters of a run in device memory."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._numbers = device.upload(np.zeros(5))  # three rates, the sum of the losses, the number of the step
        self._counters = device.upload(np.zeros(2, np.int64))  # steps done in this run, position in the order
        self._order, self._table = device.upload(np.zeros(0, np.int64)), device.upload(np.zeros((0, 3)))
        at, count = device.address(self._numbers), device.address(self._counters)
        self.rates = Number.at(at), Number.at(at + 8), Number.at(at + 16)
        self.loss, self.step = at + 24, at + 32
        self.done, self.position = count, count + 8

    def start(self, order: np.ndarray, rates: np.ndarray, first_step: int) -> bool:
        """Set everything for a run; returns whether the order or the table have moved to other addresses."""
        moved = len(order) > self._order.size or len(rates) + 1 > len(self._table)
        if moved:
            self._order = self._device.empty(len(order), np.int64)
            self._table = self._device.empty(3 * (len(rates) + 1), np.float64).reshape(-1, 3)
        first = rates[0] if len(rates) else np.zeros(3)
        self._device.write(self._order[: len(order)], order)
        table = np.concatenate([rates, np.zeros((1, 3))])  # the last step reads one row more
        self._device.write(self._table[: len(table)], table)
        self._device.write(self._numbers, np.array([*first, 0.0, first_step]))
        self._device.write(self._counters, np.zeros(2, np.int64))
        return moved

    def samples(self, rows: int, moving: bool) -> Samples:
        """Samples of the order: the first `rows`, or, moving, those at the position that `advance` moves."""
        return Samples(self._device.address(self._order), self.position if moving else 0, rows)

    def advance(self, ops: CudaOps, loss: Number | float, rows: int) -> Any:
        """Record the end of a step with this loss; returns its terms, to be kept as long as the tape."""
        terms = loss.scalars() if isinstance(loss, Number) else [scalar(loss)]
        kept = self._device.upload(np.array(terms, _SCALAR))
        moved = {"rates": self._numbers, "loss": self.loss, "done": self.done, "position": self.position}
        fixed = {"terms": kept, "n_terms": len(terms), "table": self._table, "batch": rows}
        ops.launch("advance", 1, 0, **fixed, **moved, step=self.step)
        return kept

    def total(self) -> float:
        """The sum of the losses, once all work is done."""
        return float(self._device.download(self._numbers)[3])


_SCALAR = np.dtype([("offset", "f8"), ("factor", "f8"), ("first", "u8"), ("second", "u8")])
