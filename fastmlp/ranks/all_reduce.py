"""The operation `all_reduce` of the step: the sum of gradients over the shards of a batch, here and on other ranks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fastmlp.errors import InputError
from fastmlp.network import aligned_zeros
from fastmlp.ranks.group import Group
from fastmlp.ranks.pairwise import Node, push, remaining, total

__all__ = ["AllReduce", "reduction_of"]

_REPRODUCIBLE = 16  # shards, for results that do not depend on the number of ranks: the most ranks there may be
_SMALL = 1 << 14  # bytes: below, one exchange of everything is faster than two of slices


class AllReduce:
    """Adds up the gradients of a batch's shards, in this process and over a group of them.

    A rank adds what lies within its own shards, and passes on the few sums that remain (see `pairwise`). So with a
    fixed number of shards the result is the same, bit for bit, on any number of ranks. MPI's own sum depends on their
    number, and on the length of the buffer in ways that differ from library to library.

    Parameters
    ----------
    group : Group or None
        The ranks; None: this process alone.
    reproducible : bool
        Whether the sum shall not depend on the number of ranks: then each batch has 16 shards, whose gradients are
        formed and added one by one.
    lanes : int, optional
        Equal parts of a batch at whose bounds it is cut for the ranks: those of `fastmlp.streams`. By default one for
        each rank.

    Attributes
    ----------
    group : Group or None
    reproducible : bool
    shards : (int, int, int, int)
        As in `Update`.
    """

    def __init__(self, group: Group | None, reproducible: bool = False, lanes: int | None = None) -> None:
        rank, size = (group.rank, group.size) if group else (0, 1)
        parts = _REPRODUCIBLE if reproducible else lanes or size
        bounds = [parts * r // size for r in range(size + 1)]
        first, end = bounds[rank : rank + 2]
        self.reproducible, self._rank = reproducible, rank
        self.group, self.shards = group, (parts, first, end, 1 if reproducible else end - first)
        self._places = [remaining(*(cut if reproducible else (r, r + 1))) for r, cut in enumerate(pairwise(bounds))]
        self._shared: list[np.ndarray] = []  # each rank's gradient, in memory that all see
        self._stack: list[Node] = []  # sums of this process's shards so far
        self._buffers: dict[object, np.ndarray] = {}

    def gradient(self, n: int, real: np.dtype) -> np.ndarray:
        """Memory (n,) for the gradients to come; on one machine, ranks see one another's. For all to call."""
        group, nbytes = self.group, n * real.itemsize
        if group is None or not group.on_one_machine or any(len(nodes) > 1 for nodes in self._places):
            return aligned_zeros(n, real)
        self._shared = [memory.view(real) for memory in group.shared_memory(nbytes)]
        return self._shared[group.rank] if self._shared else aligned_zeros(n, real)

    def __call__(self, shard: int, rows: int, gradient: np.ndarray, loss: float) -> float:
        """See `NumpyOps.all_reduce`."""
        if rows == 0:
            gradient[...] = 0
        stack = self._stack
        push(stack, Node(shard if self.reproducible else self._rank, 1, gradient, loss))
        if shard + self.shards[3] < self.shards[2]:
            if stack[-1].gradient is gradient:  # which the next shard overwrites
                kept = self._buffer(len(stack), gradient.shape, gradient.dtype)
                kept[...] = gradient
                stack[-1] = stack[-1]._replace(gradient=kept)
            return 0.0
        self._stack = []
        try:
            return self._over_ranks(stack, gradient)
        except BaseException as error:
            if self.group is not None:  # the others wait in the same sum
                self.group.abort(f"has failed within a step: {type(error).__name__}: {error}. The job ends.")
            raise

    def _over_ranks(self, own: Sequence[Node], gradient: np.ndarray) -> float:
        """Write the sum over all ranks to gradient; return that of the losses."""
        group = self.group
        if group is None or group.size == 1:
            whole = total(own)
            if whole.gradient is not gradient:
                gradient[...] = whole.gradient
            return whole.loss
        if self._shared and gradient.ctypes.data == self._shared[group.rank].ctypes.data:
            if own[0].gradient is not gradient:
                gradient[...] = own[0].gradient
            return self._in_shared_memory(group, own[0].loss)
        if gradient.nbytes * len(own) <= _SMALL:
            return self._gathered(group, own, gradient)
        return self._in_slices(group, own, gradient)

    def _in_shared_memory(self, group: Group, loss: float) -> float:
        """Every rank adds its slice of all gradients, and writes the sum to all."""
        losses = self._buffer("losses", (group.size,), np.float64)
        group.all_gather(np.array([loss]), losses, [1] * group.size)  # when all are here, so are the gradients
        n = len(self._shared[0])
        own = slice(n * group.rank // group.size, n * (group.rank + 1) // group.size)
        slices = [gradient[own] for gradient in self._shared]
        nodes = zip(self._places, slices, losses.tolist(), strict=True)
        whole = total(Node(*place, gradient, loss) for (place,), gradient, loss in nodes)
        for other in slices[1:]:
            other[...] = whole.gradient  # which is the first of them
        group.barrier()
        return whole.loss

    def _gathered(self, group: Group, own: Sequence[Node], gradient: np.ndarray) -> float:
        """Every rank takes the nodes of all, and adds them."""
        record = np.dtype([("loss", np.float64), ("gradient", gradient.dtype, gradient.shape)])
        sent = self._buffer("sent", (len(own),), record)
        for at, node in zip(sent, own, strict=True):
            at["loss"], at["gradient"][...] = node.loss, node.gradient
        counts = [len(nodes) for nodes in self._places]
        received = self._buffer("received", (sum(counts),), record)
        group.all_gather(sent, received, counts)
        found = zip((place for places in self._places for place in places), received, strict=True)
        whole = total(Node(*place, at["gradient"], float(at["loss"])) for place, at in found)
        gradient[...] = whole.gradient
        return whole.loss

    def _in_slices(self, group: Group, own: Sequence[Node], gradient: np.ndarray) -> float:
        """Every rank takes its slice of all nodes, adds them, and gives the sum to all."""
        n, size, most = gradient.size, group.size, max(map(len, self._places))
        counts = [n * (r + 1) // size - n * r // size for r in range(size)]
        losses = self._buffer("losses", (size, most), np.float64)
        group.all_gather(np.array([node.loss for node in own] + [0.0] * (most - len(own))), losses, [most] * size)
        received = self._buffer("received", (most, size, counts[group.rank]), gradient.dtype)
        for i in range(most):
            givers = [rank for rank, places in enumerate(self._places) if i < len(places)]
            group.all_to_all(own[i].gradient if i < len(own) else None, counts, received[i], givers)
        places = [(rank, i, *place) for rank, places in enumerate(self._places) for i, place in enumerate(places)]
        whole = total(
            Node(first, length, received[i, rank], float(losses[rank, i])) for rank, i, first, length in places
        )
        group.all_gather(whole.gradient, gradient, counts)
        return whole.loss

    def _buffer(self, purpose: object, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        buffer = self._buffers.get(purpose)
        if buffer is None or (buffer.shape, buffer.dtype) != (shape, dtype):
            buffer = self._buffers[purpose] = np.zeros(shape, dtype)
        return buffer


def reduction_of(group: Group | None, reproducible: bool, lanes: int | None = None) -> AllReduce | None:
    """The sum for a training by a group of ranks; None if one process trains as always.

    Raises
    ------
    InputError
        There are more ranks than a batch has parts: shards of a reproducible result, or lanes of a stream.
    """
    if not reproducible and (group is None or group.size == 1):
        return None
    if group is not None and reproducible and group.size > _REPRODUCIBLE:
        raise InputError(
            f"reproducible=True is for up to {_REPRODUCIBLE} ranks, here are {group.size}: every batch is taken in "
            f"{_REPRODUCIBLE} parts, whatever the number of ranks. Start fewer ranks, or leave reproducible out."
        )
    if group is not None and lanes is not None:
        if group.size > lanes:
            raise InputError(
                f"The samples have lanes={lanes}, but there are {group.size} ranks, each of which needs one: give "
                "fastmlp.open_samples more lanes. A shuffle=False has one."
            )
        if reproducible and lanes != _REPRODUCIBLE:
            raise InputError(
                f"reproducible=True takes every batch in {_REPRODUCIBLE} parts, but the samples have lanes={lanes}. "
                f"Open them with lanes={_REPRODUCIBLE}."
            )
    return AllReduce(group, reproducible, lanes)
