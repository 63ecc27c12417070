"""Checkpoints: one file with all that a run of training needs to go on as if it had never stopped.

The training thread copies the arrays of a state; digests, the file and its way to the disk are another thread's. That
one writes a single checkpoint at a time: those that fall due meanwhile are left out.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastmlp.checks import check_flag, check_integer
from fastmlp.errors import FastmlpError, InputError
from fastmlp.files import check_writable
from fastmlp.tensor_files import Kind, read_tensors, write_tensors

__all__ = ["DEFAULT_INTERVAL", "Checkpoint", "State", "check_interval", "open_checkpoint", "read_state"]

_KIND = Kind(name="checkpoint", key="fastmlp.checkpoint", remedy="remove it and train from the beginning")
DEFAULT_INTERVAL = "30s"
_LARGE = 1 << 20  # bytes
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_log = logging.getLogger("fastmlp")


class State(NamedTuple):
    """Where a run is."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]  # what JSON can hold


@dataclass
class Checkpoint:
    """A file that is written every so many epochs or seconds, and at the end.

    `identity` gives what must be the same in a run that goes on, by names for messages; it may take long (digests of
    the data), and is called once, when the first file is read or written.
    """

    path: str
    epochs: int | None  # between two files; None: they follow the clock
    seconds: float
    resume: bool
    identity: Callable[[], dict[str, Any]] = dict
    _known: dict[str, Any] | None = field(default=None, init=False)
    _buffers: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    _writer: Thread | None = field(default=None, init=False)
    _last: float = field(default_factory=perf_counter, init=False)

    def read(self) -> State | None:
        """The state to go on from; None if there is no file, or none is wanted.

        Raises
        ------
        InputError
            It is the state of another run; the message says what differs.
        ModelFileError
            The file is damaged, or no checkpoint.
        """
        if not self.resume or not os.path.exists(self.path):
            return None
        state = read_state(self.path)
        then, now = state.facts["identity"], json.loads(json.dumps(self._identity()))  # tuples become lists
        differences = [
            f"{name} {_short(then.get(name))} then, {_short(now.get(name))} now"
            for name in (then | now)
            if then.get(name) != now.get(name)
        ]
        if differences:
            raise InputError(
                f"The checkpoint {self.path} is of another run: {'; '.join(differences)}. Give the same data and "
                "settings, or train from the beginning with another checkpoint."
            )
        return state

    def reserve(self, state: State) -> None:
        """Take memory for copies of such a state beside the training: taking it costs three times the copying."""
        large = {name: array for name, array in state.arrays.items() if array.nbytes >= _LARGE}

        def touch() -> None:
            for name, array in large.items():
                self._buffer(name, array)[...] = 0

        if large:
            self._start(touch)

    def is_due(self, epoch: int | None) -> bool:
        """Whether to write now; epoch is the number of those done, None in the middle of one."""
        if self.epochs is not None:
            return epoch is not None and epoch % self.epochs == 0
        return perf_counter() - self._last >= self.seconds

    def write(self, state: State, *, last: bool = False) -> None:
        """Begin to write a state, whose arrays may change once this returns; the last one is on the disk by then.

        What cannot be written is said on the logger "fastmlp", and training goes on.
        """
        if self._writer is not None and self._writer.is_alive():
            if not last:
                return
            self._writer.join()
        self._last = perf_counter()
        copies = {name: self._buffer(name, array) for name, array in state.arrays.items()}
        for name, copy in copies.items():
            np.copyto(copy, state.arrays[name])
        self._start(lambda: self._write(State(copies, state.facts)))
        if last:
            self.close()

    def close(self) -> None:
        """Wait until nothing is being written."""
        if self._writer is not None:
            self._writer.join()

    def _identity(self) -> dict[str, Any]:
        if self._known is None:
            self._known = self.identity()
        return self._known

    def _buffer(self, name: str, array: np.ndarray) -> np.ndarray:
        """Memory for a copy, the same from file to file."""
        buffer = self._buffers.get(name)
        if buffer is None or (buffer.shape, buffer.dtype) != (array.shape, array.dtype):
            buffer = self._buffers[name] = np.empty_like(array, order="C", subok=False)
        return buffer

    def _start(self, work: Callable[[], object]) -> None:
        """Do it in a thread, if one can be had."""
        self._writer = Thread(target=work, name="fastmlp-checkpoint")
        try:
            self._writer.start()
        except RuntimeError:
            self._writer = None
            work()

    def _write(self, state: State) -> None:
        try:
            write_tensors(self.path, state.arrays, {**state.facts, "identity": self._identity()}, _KIND)
        except (FastmlpError, OSError, MemoryError) as error:
            _log.warning("No checkpoint was written, training goes on: %s", error)


def open_checkpoint(path: Any, every: Any, resume: Any) -> Checkpoint | None:
    """A checkpoint from the arguments of a `fit`, checked before any work; None if no path is given.

    Raises
    ------
    InputError
        `every` is no number of epochs and no time, the file cannot be written, or it is there and not to be resumed.
    """
    epochs, seconds = check_interval(every)
    resume = check_flag("resume", resume)
    if path is None:
        if resume:
            raise InputError("resume=True is given without a checkpoint. Give its path: checkpoint='run.checkpoint'.")
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"checkpoint={path!r} must be the path of a file.")
    path = os.fspath(path)
    if not resume and os.path.lexists(path):
        raise InputError(
            f"The checkpoint {path} is there already. Go on from it with resume=True, remove it, or give another path."
        )
    check_writable(path)
    return Checkpoint(path, epochs, seconds, resume)


def read_state(path: str | os.PathLike[str]) -> State:
    """The state in a checkpoint; ModelFileError if the file is damaged, or no checkpoint."""
    return State(*read_tensors(path, _KIND))


def check_interval(every: Any) -> tuple[int | None, float]:
    """Epochs and 0, or None and seconds, of a `checkpoint_every`."""
    if not isinstance(every, str):
        return check_integer("checkpoint_every", every), 0.0
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", every.strip())
    if parts is None:
        raise InputError(
            f"checkpoint_every={every!r} must be a number of epochs, such as 5, or a time, such as '30s', '10min' or "
            "'2h'."
        )
    return None, float(parts[1]) * _SECONDS[parts[2]]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
