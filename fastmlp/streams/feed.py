"""Samples on their way from a `Reader` to a run of `fastmlp.trainer.Training`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmlp.engine import Engine
from fastmlp.network import Data
from fastmlp.streams.reader import Convert, Reader, Window
from fastmlp.streams.samples import Samples

__all__ = ["Feed"]


class Feed:
    """Takes the place of the samples of a run and of their orders (`fastmlp.orders.Orders`).

    Parameters
    ----------
    samples : Samples
        What to train on.
    batch_size : int
        Samples of a step, over all lanes.
    engine : Engine
        What trains.
    convert : function
        From targets and weights to labels (n,), targets (n, O) and weights (n,), as `Data` has them.
    random : RandomState or None
        What the seed of all orders is drawn from; None for the order of the data.
    epochs : int
        How many there will be at most, which is how far the thread reads ahead.
    lanes : (int, int), optional
        From and to which lane this process reads; by default all.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        engine: Engine,
        convert: Convert,
        random: np.random.RandomState | None,
        epochs: int,
        lanes: tuple[int, int] | None = None,
    ) -> None:
        self.samples, self._engine, self._convert, self._random = samples, engine, convert, random
        self._epochs, self._given_lanes, self._on_host = epochs, lanes, engine.on_host
        seed = None if random is None else int(random.randint(1 << 62, dtype=np.int64))
        self._shuffle = samples.shuffled(batch_size, engine.params.dtype, seed)
        self._reader: Reader | None = None
        self._placed: Data | None = None  # in the memory of a device
        self._waited = 0.0  # of readers that are closed
        self.taken = np.array([-1 if seed is None else seed, -1])  # seed, and the epoch in progress

    @property
    def n_samples(self) -> int:
        return self.samples.n_samples

    @property
    def waited(self) -> float:
        """Seconds, so far, that the training has waited for samples."""
        return self._waited + (self._reader.waited if self._reader else 0.0)

    def settings(self) -> dict[str, Any]:
        """What must be equal in a run that goes on from a checkpoint; the samples themselves are not compared."""
        samples = self.samples
        return {
            "samples": f"{samples.source.identity()} {samples.n_samples} x {samples.n_features} {samples.dtype}",
            "lanes": self._shuffle.lanes,
            "steps of a window": self._shuffle.steps,
        }

    def restore(self, taken: np.ndarray) -> None:
        """Go on in the epoch of a checkpoint, with its seed."""
        self.taken = taken
        if self._shuffle.seed is not None:
            self._shuffle = self.samples.shuffled(self._shuffle.batch_size, self._engine.params.dtype, int(taken[0]))

    def take(self, _count: int, _left: int) -> np.ndarray:
        """Begin the next epoch; what stands for its order, (1, 2)."""
        self.taken = self.taken + np.array([0, 1])
        return self.taken[None]

    def generator(self) -> dict[str, Any] | None:
        """The state of the generator, from which nothing is drawn during the run; None without one."""
        return None if self._random is None else self._random.get_state(legacy=False)

    def spans(self, first: int, most: int) -> Iterator[tuple[Data, np.ndarray, int]]:
        """Samples of the epoch in progress from step `first` on, by up to `most` steps: data, orders (1, n), steps."""
        shuffle = self._shuffle
        if self._reader is None:
            lanes = range(*(self._given_lanes or (0, shuffle.lanes)))
            place, real = (int(self.taken[1]), self._epochs, first // shuffle.steps), self._engine.params.dtype
            self._reader = self.samples.reader(shuffle, *place, lanes, real, self._convert)
            self._rows = sum(shuffle.rows(lane, 1) for lane in lanes)  # of a step
        while first < shuffle.steps_of_epoch:
            window = next(self._reader)
            assert window.plan.epoch == self.taken[1]
            data, done, steps = self._place(window), first - window.plan.first_step, window.plan.n_steps
            for begin in range(done, steps, most):
                end = min(begin + most, steps)
                yield data, window.plan.order[None, begin * self._rows : end * self._rows], end - begin
            first = window.plan.first_step + steps

    def close(self) -> None:
        if self._reader is not None:
            self._waited = self.waited
            self._reader.close()
            self._reader = None

    def _place(self, window: Window) -> Data:
        """The samples in the memory of the backend; in the same arrays there for all windows."""
        x, real = window.x, self._engine.params.dtype
        outcomes = window.outcomes
        if not self._on_host:  # the arrays there are as long as the longest window
            outcomes = tuple(_extended(array, len(x)) for array in outcomes)
        data = Data.of(x, real, *outcomes)
        if self._on_host:
            return data
        if self._placed is None:
            self._placed = self._engine.on_device(data)
        else:
            for there, here in zip(self._placed, data, strict=True):
                self._engine.backend.write(there, here)
        return self._placed


def _extended(array: np.ndarray, n: int) -> np.ndarray:
    """The array with zeros behind it, n in all; an empty one stays empty."""
    if not len(array) or len(array) == n:
        return array
    return np.concatenate([array, np.zeros((n - len(array), *array.shape[1:]), array.dtype)])
