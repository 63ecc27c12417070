"""Samples on their way from a `Reader` to a run of `fastmlp.trainer.Training`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmlp.engine import Engine
from fastmlp.network import Data
from fastmlp.ranks.group import Group
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

    Of several ranks each reads its lanes, so `Data` has its own rows of the batches. Orders have all rows, as the step
    wants them; a number that stands for another rank's row leads to its weight, and to nothing else.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        engine: Engine,
        convert: Convert,
        random: np.random.RandomState | None,
        epochs: int,
    ) -> None:
        self.samples, self._engine, self._convert, self._random = samples, engine, convert, random
        self._epochs, self._on_host, self._group = epochs, engine.on_host, engine.group
        seed = None if random is None else int(random.randint(1 << 62, dtype=np.int64))
        if self._group is not None:
            seed = self._group.of_first(seed)
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
            lanes = self._lanes_of(self._group.rank if self._group else 0)
            place, real = (int(self.taken[1]), self._epochs, first // shuffle.steps), self._engine.params.dtype
            self._reader = self.samples.reader(shuffle, *place, lanes, real, self._convert)
        while first < shuffle.steps_of_epoch:
            window = next(self._reader)
            assert window.plan.epoch == self.taken[1]
            done, steps, order = first - window.plan.first_step, window.plan.n_steps, window.plan.order
            if self._group is not None:
                window, order = self._of_all_ranks(self._group, window)
            data = self._place(window)
            for begin in range(done, steps, most):
                end = min(begin + most, steps)
                yield data, order[None, begin * shuffle.batch_size : end * shuffle.batch_size], end - begin
            first = window.plan.first_step + steps

    def close(self) -> None:
        if self._reader is not None:
            self._waited = self.waited
            self._reader.close()
            self._reader = None

    def _lanes_of(self, rank: int) -> range:
        """Those whose rows of a batch are the rank's shards (see `AllReduce`)."""
        lanes, size = self._shuffle.lanes, self._group.size if self._group else 1
        return range(lanes * rank // size, lanes * (rank + 1) // size)

    def _of_all_ranks(self, group: Group, window: Window) -> tuple[Window, np.ndarray]:
        """The window with all ranks' weights behind its own, and the order (n,) of all rows."""
        shuffle, plan, (*outcomes, weights) = self._shuffle, window.plan, window.outcomes
        lanes = list(map(self._lanes_of, range(group.size)))
        steps = plan.first_step, plan.first_step + plan.n_steps
        counts = [sum(shuffle.rows(lane, steps[1]) - shuffle.rows(lane, steps[0]) for lane in some) for some in lanes]
        if weights.size:
            every = np.empty(sum(counts), weights.dtype)
            with group.step():
                group.all_gather(weights[plan.order], every, counts)
            weights = np.concatenate([weights, every])
        numbers = np.split(len(plan.order) + np.arange(sum(counts)), np.cumsum(counts)[:-1])
        numbers[group.rank] = plan.order
        order = shuffle.joined(*steps, list(zip(lanes, numbers, strict=True)))
        return window._replace(outcomes=(*outcomes, weights)), order

    def _place(self, window: Window) -> Data:
        """The samples in the memory of the backend; in the same arrays there for all windows."""
        x, real = window.x, self._engine.params.dtype
        outcomes = window.outcomes
        if not self._on_host:  # the arrays there are as long as the longest window, of all ranks
            n = len(x) + (self._shuffle.capacity(range(self._shuffle.lanes)) if self._group else 0)
            outcomes = tuple(_extended(array, n) for array in outcomes)
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
