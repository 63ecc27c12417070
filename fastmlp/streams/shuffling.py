"""The order of the samples of an epoch, drawn in two stages: of the blocks, then of the samples of a window.

The blocks are put in a random order, so the samples form one sequence. Batch s has B of them (the last batch may have
fewer), and B (p + 1) // L - B p // L of these come from *lane* p, 0 ≤ p < L: the sequence is cut into L ranges, one for
each lane, which are just as long as the lane's share of all batches. So every sample is in exactly one batch, though a
block at a cut is read for both lanes. A *window* is some steps in a row; of what a lane contributes to a window the
order is random.

All of it follows from seed and epoch. A process that has some of the lanes forms its rows of each batch and reads no
other blocks, so batches are the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

__all__ = ["Piece", "Plan", "Shuffle"]


class Piece(NamedTuple):
    """Samples of a block, from first to last."""

    block: int
    first: int
    last: int


class Plan(NamedTuple):
    """What a window reads, and in which order it trains."""

    epoch: int
    first_step: int
    n_steps: int
    pieces: list[list[Piece]]  # by lane: what is read, one after the other
    order: np.ndarray  # (n,) int64: numbers of the samples, counted as they are read, batch after batch


@dataclass(frozen=True)
class Shuffle:
    """The orders of all epochs for batches of one size.

    Raises
    ------
    ValueError
        Without a seed there must be one lane: only then are samples in the order of the data.
    """

    lengths: np.ndarray  # (K,) int64: of the blocks
    batch_size: int
    steps: int  # of a window
    lanes: int
    seed: int | None  # None: the order of the data

    def __post_init__(self) -> None:
        if self.seed is None and self.lanes != 1:
            raise ValueError(f"lanes={self.lanes} mix samples, which an order without a seed does not.")

    @cached_property
    def n_samples(self) -> int:
        return int(self.lengths.sum())

    @property
    def steps_of_epoch(self) -> int:
        return -(-self.n_samples // self.batch_size)

    def rows(self, lane: int, steps: int) -> int:
        """How many samples a lane has contributed when so many steps of an epoch are done."""
        whole, rest = divmod(self.n_samples, self.batch_size)
        count = min(steps, whole) * self._share(self.batch_size, lane)
        return count + (self._share(rest, lane) if steps > whole else 0)

    def _share(self, rows: int, lane: int) -> int:
        return rows * (lane + 1) // self.lanes - rows * lane // self.lanes

    def capacity(self, lanes: range) -> int:
        """Samples that a window of these lanes has, at most."""
        return self.steps * sum(max(self._share(self.batch_size, lane), 1) for lane in lanes)

    def windows(self, epoch: int, first: int, lanes: range) -> Iterator[Plan]:
        """The windows of an epoch, from number first on, as these lanes see them."""
        blocks = np.arange(len(self.lengths))
        if self.seed is not None:
            self._random(epoch).shuffle(blocks)
        begins = np.cumsum([0, *(self.rows(lane, self.steps_of_epoch) for lane in range(self.lanes))])
        for step in range(first * self.steps, self.steps_of_epoch, self.steps):
            end = min(step + self.steps, self.steps_of_epoch)
            pieces, parts, read = [], list[tuple[range, np.ndarray]](), 0
            for lane in lanes:
                some = self.rows(lane, step), self.rows(lane, end)
                pieces.append(list(self._pieces(blocks, *(int(begins[lane]) + row for row in some))))
                order = np.arange(read, read := read + some[1] - some[0])
                if self.seed is not None:
                    self._random(epoch, step, lane).shuffle(order)
                parts.append((range(lane, lane + 1), order))
            yield Plan(epoch, step, end - step, pieces, self.joined(step, end, parts))

    def joined(self, first: int, end: int, parts: Sequence[tuple[range, np.ndarray]]) -> np.ndarray:
        """Numbers of samples, batch after batch, of some lanes' parts, each of which has them so.

        The batches are those of steps first to end; the last of an epoch may have fewer samples than the others.
        """
        whole = self.n_samples // self.batch_size
        count, batches, rest = min(end, whole) - min(first, whole), list[np.ndarray](), list[np.ndarray]()
        for lanes, numbers in parts:
            share = sum(self._share(self.batch_size, lane) for lane in lanes)
            batches.append(numbers[: count * share].reshape(count, share))
            rest.append(numbers[count * share :])
        return np.concatenate([np.concatenate(batches, axis=1).reshape(-1), *rest])

    def _pieces(self, blocks: np.ndarray, begin: int, end: int) -> Iterator[Piece]:
        """The pieces of blocks, in this order, that are the samples from begin to end of the sequence."""
        ends = np.cumsum(self.lengths[blocks])
        for place in range(int(np.searchsorted(ends, begin, "right")), len(ends)):
            block, last = int(blocks[place]), int(ends[place])
            first = last - int(self.lengths[block])
            if first >= end:
                return
            if first < last:
                yield Piece(block, max(begin, first) - first, min(end, last) - first)

    def _random(self, *numbers: int) -> np.random.RandomState:
        """A generator of its own for each purpose."""
        assert self.seed is not None
        return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([self.seed, *numbers])))
