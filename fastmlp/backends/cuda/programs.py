"""A tape as a program of the persistent kernel: which blocks do an operation, and where all blocks wait.

Both follow from a model of the time: rounds, in which memory accesses that depend on each other go to the L2 cache and
back; bytes that a block moves; multiply-adds; and barriers. It also says whether a graph would be faster. Its numbers
are an H100's, from data sheets and others' measurements. docs/gpu_model.md has what it gives for some networks, against
which the first times of a GPU will be held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastmlp.backends.cuda.device import Access, Launch
from fastmlp.kernels.cuda import INSTRUCTION, operations

__all__ = ["Plan", "instructions", "plan", "seconds_as_graph", "seconds_of"]

ROUND = 0.35e-6  # seconds from a load's address to its use, if it comes from the L2 cache, with what is around it
BARRIER = 0.55e-6  # of a cluster: fences, the barrier, and an L1 cache that is empty after it
NODE = 2.0e-6  # from the end of a kernel in a graph to the begin of the next one's work
BANDWIDTH = 8e10  # bytes a second between the L2 cache and a multiprocessor
RATE = {4: 1.2e11, 8: 6e10}  # multiply-adds a second of a block, by the bytes of a number
# Memory accesses of an operation that depend on each other: a position, a sample's number, what it leads to, ...
CHAIN = {"gather": 3, "loss_gradient": 4, "mean_scale": 3, "linear_sparse": 4, "accumulate_sparse": 5, "advance": 3}
ALL = -1  # blocks


class Plan(NamedTuple):
    """Of each operation the block that does it, or ALL, and whether all blocks wait after it; the model's seconds."""

    blocks: list[int]
    waits: list[bool]
    seconds: float

    @property
    def single_block(self) -> bool:
        return not any(self.blocks)


def seconds_of(node: Launch, blocks: int, itemsize: int) -> float:
    """The model's time of an operation on so many blocks."""
    moved = node.numbers * itemsize / (blocks * BANDWIDTH)
    return ROUND * CHAIN.get(node.name, 1) + moved + node.work / (blocks * RATE[itemsize])


def seconds_as_graph(tape: Sequence[Launch], multiprocessors: int, itemsize: int) -> float:
    """The model's time of a tape as a graph."""
    return sum(NODE + seconds_of(node, min(node.blocks, multiprocessors), itemsize) for node in tape)


def plan(tape: Sequence[Launch], blocks: int, itemsize: int) -> Plan:
    """The fastest way, by the model, to run a tape on so many blocks."""
    together = [seconds_of(node, blocks, itemsize) for node in tape]
    alone = [seconds_of(node, 1, itemsize) for node in tape]
    shared = [[_share(earlier, later) for earlier in tape[:j]] for j, later in enumerate(tape)]
    kinds: dict[tuple[str, float], list[int]] = {}  # each step of the tape is to be done in the same way
    for i, node in enumerate(tape):
        kinds.setdefault((node.name, node.work), []).append(i)

    def timed(where: list[int]) -> Plan:
        if not any(where):
            return Plan(where, [False] * len(tape), sum(alone))
        waits, seconds = [False] * len(tape), 0.0
        busy, since = [0.0] * 3, 0  # of the first two blocks and of the others, since the last barrier
        for j, block in enumerate(where):
            if any(_conflict(shared[j][i], where[i], block) for i in range(since, j)):
                waits[j - 1], since = True, j
                seconds, busy = seconds + max(busy) + BARRIER, [0.0] * 3
            busy = [
                time + (together[j] if block == ALL else alone[j] * (place == block)) for place, time in enumerate(busy)
            ]
        waits[-1] = True  # the first operations come next
        return Plan(where, waits, seconds + max(busy) + BARRIER)

    light = [0 if one - all_of_them < BARRIER else ALL for one, all_of_them in zip(alone, together, strict=True)]
    starts = [[0] * len(tape)] if blocks == 1 else [light, [ALL] * len(tape), [0] * len(tape)]
    found = []
    for start in starts:
        best = timed(start)
        for places in list(kinds.values()) * 2 * (blocks > 1):
            for block in (ALL, 0, 1):
                where = [block if i in places else at for i, at in enumerate(best.blocks)]
                best = min(best, timed(where), key=_seconds)
        found.append(best)
    return min(found, key=_seconds)


def instructions(tape: Sequence[Launch], planned: Plan, real: np.dtype) -> np.ndarray:
    """The program, as the kernel reads it."""
    program = np.zeros(len(tape), INSTRUCTION)
    room = INSTRUCTION["arguments"].itemsize
    program["number"] = np.arange(len(tape))
    for instruction, node, block, wait in zip(program, tape, planned.blocks, planned.waits, strict=True):
        instruction["code"] = operations(real)[node.name].code
        instruction["block"], instruction["wait"] = block, wait
        instruction["arguments"] = node.arguments.tobytes().ljust(room, b"\0")
    return program


def _seconds(planned: Plan) -> float:
    return planned.seconds


class _Shared(NamedTuple):
    """What two operations have in common, of which at least one writes it."""

    memory: bool
    across: bool  # some of it is read or written by several blocks if all blocks do both operations


def _share(earlier: Launch, later: Launch) -> _Shared:
    pairs = [(a, b) for a in earlier.accesses for b in later.accesses if _meet(a, b)]
    return _Shared(bool(pairs), any(a.own is None or (a.first, a.own) != (b.first, b.own) for a, b in pairs))


def _meet(a: Access, b: Access) -> bool:
    return a.first < b.last and b.first < a.last and (a.written or b.written)


def _conflict(shared: _Shared, earlier: int, later: int) -> bool:
    """Whether a barrier must come between two operations that these blocks do."""
    if earlier == later == ALL:
        return shared.across
    return shared.memory and earlier != later
