"""State in device memory that advances from step to step, so that one recorded step serves a whole epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.numbers import Number, scalar
from fastmlp.backends.cuda.ops import CudaOps
from fastmlp.backends.cuda.tape import Samples
from fastmlp.backends.cuda.workspace import UNROLLED

__all__ = ["Control", "Rates"]


class Rates:
    """The rates of the current step and of those after it, as a table (steps, 3)."""

    def __init__(self, rates: list[tuple[Number, Number, Number]]) -> None:
        self._rates = rates

    def __len__(self) -> int:
        return len(self._rates)

    def __getitem__(self, at: Any) -> Any:
        return self._rates[at[0]][at[1]] if isinstance(at, tuple) else self._rates[at]


class Control:
    """Rates, losses and counters of a run in device memory."""

    def __init__(self, device: Device) -> None:
        self._device = device
        # three rates of each step, the sum of the losses, the number of the first step
        self._numbers = device.upload(np.zeros(3 * UNROLLED + 2))
        self._counters = device.upload(np.zeros(2, np.int64))  # steps done in this run, position in the order
        self._order, self._table = device.upload(np.zeros(0, np.int64)), device.upload(np.zeros((0, 3)))
        at, count = device.address(self._numbers), device.address(self._counters)
        self._rates = np.arange(3 * UNROLLED).reshape(-1, 3) * 8 + at
        self.loss, self.step = at + 24 * UNROLLED, at + 24 * UNROLLED + 8
        self.done, self.position = count, count + 8

    def start(self, order: np.ndarray, rates: np.ndarray, first_step: int) -> bool:
        """Set everything for a run; returns whether the order or the table have moved to other addresses."""
        ahead = UNROLLED  # rows of the table that the last steps read
        moved = len(order) > self._order.size or len(rates) + ahead > len(self._table)
        if moved:
            self._order = self._device.empty(len(order), np.int64)
            self._table = self._device.empty(3 * (len(rates) + ahead), np.float64).reshape(-1, 3)
        self._device.write(self._order[: len(order)], order)
        table = np.concatenate([rates, np.zeros((ahead, 3))])
        self._device.write(self._table[: len(table)], table)
        self._device.write(self._numbers, np.array([*table[:ahead].ravel(), 0.0, first_step]))
        self._device.write(self._counters, np.zeros(2, np.int64))
        return moved

    def samples(self, rows: int, moving: bool) -> Samples:
        """Samples of the order: the first `rows`, or, moving, those at the position that `advance` moves."""
        return Samples(self._device.address(self._order), self.position if moving else 0, rows)

    def rates(self, steps: int) -> Rates:
        """Those of the current step and of the next."""
        return Rates([(Number.at(a), Number.at(b), Number.at(c)) for a, b, c in self._rates[:steps].tolist()])

    def advance(self, ops: CudaOps, loss: Number | float, rows: int, steps: int = 1) -> Any:
        """Record the end of steps on so many rows with this loss; returns its terms, to be kept as long as the tape."""
        terms = loss.scalars() if isinstance(loss, Number) else [scalar(loss)]
        kept = self._device.upload(np.array(terms, _SCALAR))
        moved = {"rates": self._numbers, "loss": self.loss, "done": self.done, "position": self.position}
        fixed = {"terms": kept, "n_terms": len(terms), "table": self._table, "batch": rows}
        fixed |= {"steps": steps, "ahead": UNROLLED}
        ops.launch("advance", 1, 0, **fixed, **moved, step=self.step)
        return kept

    def total(self) -> float:
        """The sum of the losses, once all work is done."""
        return float(self._device.download(self._numbers)[-2])


_SCALAR = np.dtype([("offset", "f8"), ("factor", "f8"), ("first", "u8"), ("second", "u8")])
