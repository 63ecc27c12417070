"""The ranks that train together, and what they do together."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

import numpy as np

from fastmlp.errors import FastmlpError, InputError, RankError
from fastmlp.ranks.launch import mpi, own_threads, waiting_limit
from fastmlp.ranks.shared_memory import allocate, has_room
from fastmlp.ranks.watchdog import Watchdog

__all__ = ["Group"]

_FINE, _STOPS, _FAILED = range(3)
_LONG = 1 << 19  # bytes: from here on, MPICH's Allgatherv passes on pieces of 32 KiB, and waits for one after each
_SECONDS_TO_ABORT = 5.0  # after which this process ends without MPI's help


class Group:
    """The processes of an MPI communicator, one of which is this one. All ranks call its methods in the same order.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        It is copied, so that the program's own messages do not interfere.

    Attributes
    ----------
    rank, size : int
        Which of the ranks this is, and how many there are.
    threads : int
        How many threads this rank may have, if the ranks on one machine share its cores.
    on_one_machine : bool
        Whether all ranks are.
    stopped : bool
        Whether all know that one of them stops.
    failed : int or None
        The first of those ranks that have left `sharing_fate` with an exception.
    """

    def __init__(self, comm: Any) -> None:
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self._comm, self._bytes = comm, mpi().BYTE
        self._watchdog, self._in_step = Watchdog(waiting_limit(), self.abort), False
        with self._watchdog:
            self._comm = comm.Dup()
            here = self._comm.Split_type(mpi().COMM_TYPE_SHARED)
            self.on_one_machine = here.Get_size() == self.size
            self.threads = own_threads(here)
            here.Free()
        self.failed: int | None = None
        self.stopped = False
        self._windows: list[Any] = []

    def close(self) -> None:
        """Release the copy of the communicator."""
        try:
            with self._watchdog:
                for window in self._windows:
                    window.Free()
                self._comm.Free()
        finally:
            self._watchdog.close()

    # Within a step

    @contextmanager
    def step(self) -> Iterator[None]:
        """Meet, and within the block use `all_gather` and `all_to_all` alone."""
        self._begin()
        self._in_step = True
        yield
        self._in_step = False

    def all_gather(self, sent: np.ndarray, received: np.ndarray, counts: Sequence[int]) -> None:
        """Receive what all ranks send, one after the other; counts: how many elements each sends."""
        lengths = [received.dtype.itemsize * count for count in counts]
        into = [received, lengths, self._bytes]
        with self._watchdog:
            if received.nbytes < _LONG:
                self._comm.Allgatherv([sent, sent.nbytes, self._bytes], into)
            else:
                same = [sent.nbytes] * self.size, [0] * self.size
                self._comm.Alltoallv([sent, *same, self._bytes], into)

    def all_to_all(
        self, sent: np.ndarray | None, counts: Sequence[int], received: np.ndarray, givers: list[int]
    ) -> None:
        """Send each rank its slice of an array, and receive (size, n) from those that have one to send.

        counts: how many elements the slices have, in the ranks' order.
        """
        unit, row = received.dtype.itemsize, received[0].nbytes
        out = [0 if sent is None else unit * count for count in counts]
        into = [row if rank in givers else 0 for rank in range(self.size)]
        with self._watchdog:
            self._comm.Alltoallv(
                [received if sent is None else sent, out, self._bytes],
                [received, into, [row * rank for rank in range(self.size)], self._bytes],
            )

    def barrier(self) -> None:
        """Wait for all ranks."""
        with self._watchdog:
            self._comm.Barrier()

    # Between steps: each begins with `meet`, so that whoever fails or stops between two of them is heard

    def meet(self, stops: bool = False) -> bool:
        """Wait for all ranks; return whether one of them stops.

        Raises
        ------
        RankError
            One has failed.
        """
        return self._exchange_states(_STOPS if stops else _FINE)

    def _begin(self) -> None:
        if self.meet():
            raise KeyboardInterrupt  # of another rank

    def broadcast(self, array: np.ndarray) -> None:
        """Overwrite an array by that of the first rank."""
        self._begin()
        with self._watchdog:
            self._comm.Bcast([array, array.nbytes, self._bytes])

    def of_first(self, value: Any) -> Any:
        """Return the first rank's value, any Python object."""
        self._begin()
        with self._watchdog:
            return self._comm.bcast(value)

    def shared_memory(self, nbytes: int) -> list[np.ndarray]:
        """Allocate bytes for each rank, all of which every rank can read and write: uint8 (nbytes,), in their order.

        They are there until `close`. The list is empty if there is no room for all of them.
        """
        if not self.of_first(self.rank > 0 or has_room(nbytes * self.size)):
            return []
        window, shared = allocate(self._comm, nbytes)
        self._windows.append(window)
        return shared

    def of_all(self, value: Any) -> list[Any]:
        """Return the values of all ranks, any Python objects."""
        self._begin()
        with self._watchdog:
            return self._comm.allgather(value)

    def check_same(self, facts: Mapping[str, object]) -> None:
        """Raise an InputError on all ranks if they do not have the same facts; it names the first that differs."""
        every = self.of_all({name: str(value) for name, value in facts.items()})
        for name in {name: None for one in every for name in one}:
            values = [one.get(name, "nothing") for one in every]
            other = next((rank for rank, value in enumerate(values) if value != values[0]), 0)
            if other:
                raise InputError(
                    f"The ranks differ in {name}: {_short(values[0])} on rank 0, {_short(values[other])} on rank "
                    f"{other}. Give all ranks the same samples and settings, and install the same versions."
                )

    # Failures

    @contextmanager
    def sharing_fate(self) -> Iterator[None]:
        """Within the block an exception on one rank ends the work of all: on the others the next meeting raises.

        Raises
        ------
        RankError
            Another rank has failed.
        """
        try:
            yield
            self.meet()
        except RankError:
            raise  # all know
        except BaseException as error:
            if self._in_step:  # the others are in the middle of a sum, where nothing can be said
                self.abort(f"has failed within a step: {_text(error)}. The job ends.")
            self._exchange_states(_FAILED, _text(error))
            raise

    def abort(self, message: str) -> None:
        """End all ranks at once."""
        print(f"fastmlp: rank {self.rank} of {self.size} {message}", file=sys.__stderr__, flush=True)
        timer = Timer(_SECONDS_TO_ABORT, os._exit, [1])  # a launcher ends the others when one ends like this
        timer.daemon = True
        timer.start()
        self._comm.Abort(1)

    def _exchange_states(self, state: int, message: str = "") -> bool:
        own, states = np.array([state]), np.empty(self.size, np.int64)
        with self._watchdog:
            self._comm.Allgather(own, states)
            if _FAILED not in states:
                self.stopped |= _STOPS in states
                return _STOPS in states
            messages = self._comm.allgather(message)
        self.failed = int(np.argmax(states == _FAILED))
        if state != _FAILED:
            raise RankError(f"Rank {self.failed} of {self.size} has failed: {messages[self.failed]}", self.failed)
        return False


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, FastmlpError) else f"{type(error).__name__}: {error}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"
