"""State in device memory that advances from step to step, so that one recorded step serves a whole epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.numbers import SCALAR, Number, scalar
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
        self._rates = device.upload(np.zeros((UNROLLED, 3)))  # of the current step and of those after it
        self._step = device.upload(np.zeros(1))  # number of the current step
        # steps done in this run, position in the order, number of the epoch
        self._counters = device.upload(np.zeros(3, np.int64))
        self._losses = device.upload(np.zeros(1))  # of each epoch
        self._order, self._table = device.upload(np.zeros(0, np.int64)), device.upload(np.zeros((0, 3)))
        self.step = device.address(self._step)
        self._done, self._position = (device.address(self._counters[at:]) for at in range(2))

    def start(self, orders: np.ndarray, rates: np.ndarray, first_step: int) -> bool:
        """Set everything for the epochs orders (E, n), rates (E, steps, 3).

        Returns whether something has moved to another address.
        """
        ahead = UNROLLED  # rows of the table that the last steps read
        table = np.concatenate([rates.reshape(-1, 3), np.zeros((ahead, 3))])
        epochs = len(orders)
        moved = orders.size > self._order.size or len(table) > len(self._table) or epochs > self._losses.size
        if moved:
            self._order = self._device.empty(orders.size, np.int64)
            self._table = self._device.empty(table.size, np.float64).reshape(-1, 3)
            self._losses = self._device.empty(epochs, np.float64)
        self._device.write(self._order[: orders.size], orders)
        self._device.write(self._table[: len(table)], table)
        self._device.write(self._rates, table[:ahead])
        self._device.write(self._step, np.array([first_step], np.float64))
        self._device.write(self._counters, np.zeros(3, np.int64))
        self._device.fill(self._losses, 0)
        return moved

    def begin(self, epoch: int) -> None:
        """Let the losses of what is queued from now on be those of an epoch."""
        self._device.write(self._counters[2:], np.array([epoch], np.int64))

    def samples(self, rows: int, moving: bool) -> Samples:
        """Samples of the order: the first `rows`, or, moving, those at the position that `advance` moves."""
        return Samples(self._device.address(self._order), self._position if moving else 0, rows)

    def rates(self, steps: int) -> Rates:
        """Those of the current step and of the next."""
        addresses = self._device.address(self._rates) + 8 * np.arange(3 * steps).reshape(-1, 3)
        return Rates([(Number.at(a), Number.at(b), Number.at(c)) for a, b, c in addresses.tolist()])

    def advance(self, ops: CudaOps, loss: Number | float, rows: int, steps: int = 1) -> Any:
        """Record the end of steps on so many rows with this loss; returns its terms, to be kept as long as the tape."""
        terms = loss.scalars() if isinstance(loss, Number) else [scalar(loss)]
        kept = self._device.upload(np.array(terms, SCALAR))
        moved = {"rates": self._rates, "losses": self._losses, "done": self._done, "position": self._position}
        fixed = {"terms": kept, "n_terms": len(terms), "table": self._table, "batch": rows}
        fixed |= {"steps": steps, "ahead": UNROLLED, "epoch": self._counters[2:]}
        ops.launch("advance", 1, 0, **fixed, **moved, step=self.step)
        return kept

    def losses(self, epochs: int) -> np.ndarray:
        """The sums of the losses of the epochs (E,), once all work is done."""
        return self._device.download(self._losses)[:epochs]
