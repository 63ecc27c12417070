"""The members of a team of threads, and the memory they share. Without Numba, as `machine.host`."""

from typing import NamedTuple

import numpy as np

__all__ = ["FREE", "ON_HOST", "PARTS", "PLACES", "RECORD", "Team", "make_teams"]

PLACES = 8  # of int64 in a cache line: what threads write again and again must not share one
PARTS = 64  # partial sums at most; threads beyond that many would have no part
FREE = 3  # in a thread's line of `sync`: 0 its arrivals, 1 its core, 2 deferred barriers; from here the operations'
ON_HOST = 1  # place in `sync`, after the counter of arrivals: the address of the host's `all_reduce`
RECORD = 12  # words of a team's record: two numbers, and address and length of five arrays


class Team(NamedTuple):
    """One thread's place in its team, and the memory the team shares. As `ops` it carries the operations."""

    rank: int
    size: int
    sync: np.ndarray  # (PLACES * (size + 1),) int64: arrivals at the barrier and ON_HOST, then each thread's line
    partial: np.ndarray  # (PARTS,) float64: partial sums
    scratch: np.ndarray  # real, the thread's own: a transposed weight matrix, converted samples, packed parts of either
    table: np.ndarray  # (operations,) int64: addresses of the compiled operations
    record: np.ndarray  # (2 * RECORD,) int64: all this as words, then as those of a team of one (see `SlimTuple`)


def make_teams(size: int, scratch: np.ndarray, table: np.ndarray) -> list[Team]:
    """The members of one team that calls the operations in `table`, each with its part of the scratch memory."""
    sync, partial, own = np.zeros(PLACES * (size + 1), np.int64), np.zeros(PARTS), len(scratch) // size
    return [_member(rank, size, sync, partial, scratch[rank * own :][:own], table) for rank in range(size)]


def _member(rank: int, size: int, *arrays: np.ndarray) -> Team:
    record = np.zeros(2 * RECORD, np.int64)
    for own, members in ((record, size), (record[RECORD:], 1)):
        own[:RECORD] = [rank, members, *(word for array in (*arrays, own) for word in (array.ctypes.data, array.size))]
    return Team(rank, size, *arrays, record)  # type: ignore[call-arg]  # four arrays
