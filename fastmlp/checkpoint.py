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
from queue import SimpleQueue
from threading import Event, Thread
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastmlp.checks import check_flag, check_integer
from fastmlp.errors import FastmlpError, InputError
from fastmlp.files import check_writable
from fastmlp.network import Data
from fastmlp.tensor_files import Kind, digest_of, read_tensors, write_tensors

__all__ = ["DEFAULT_INTERVAL", "Checkpoint", "State", "check_interval", "open_checkpoint", "read_state"]

DEFAULT_INTERVAL = "30s"
_KIND = Kind(name="checkpoint", key="fastmlp.checkpoint", remedy="remove it and train from the beginning")
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

    settings and data are what must be the same in a run that goes on, by names for messages. The data are read, for
    their digests, when the first file is read or written.
    """

    path: str
    epochs: int | None  # between two files; None: they follow the clock
    seconds: float
    resume: bool
    settings: dict[str, Any] = field(default_factory=dict)  # what JSON can hold
    data: dict[str, Data] = field(default_factory=dict)  # by what goes before the names of its parts
    _digests: dict[str, str] | None = field(default=None, init=False)
    _buffers: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    _writer: _Writer | None = field(default=None, init=False)
    _last: float = field(default_factory=perf_counter, init=False)
    _is_new: bool = field(default=True, init=False)  # whether there is no file of this run yet

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
        then, now = state.facts.get("identity", {}), json.loads(json.dumps(self._identity()))  # tuples become lists
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
        self._is_new = False
        return state

    def is_due(self, epoch: int | None) -> bool:
        """Whether to write now; epoch is the number of those done, None in the middle of one."""
        if self.epochs is not None:
            return epoch is not None and epoch % self.epochs == 0
        return perf_counter() - self._last >= self.seconds

    def begin(self, state: State) -> None:
        """Start the thread. It takes the digests, and memory for copies of such a state.

        Taking new memory costs three times as much as the copying.
        """
        buffers = [self._buffer(name, array) for name, array in state.arrays.items() if array.nbytes >= _LARGE]

        def prepare() -> None:
            self._identity()
            for buffer in buffers:
                buffer[...] = 0

        self._writer = _Writer()
        self._writer.do(prepare)

    def write(self, state: State, *, last: bool = False) -> None:
        """Begin to write a state, whose arrays may change once this returns; the last one is on the disk by then.

        What cannot be written is said on the logger "fastmlp", and training goes on.
        """
        assert self._writer is not None
        if not last and self._writer.is_busy:
            return
        self._writer.wait()
        self._last = perf_counter()
        copies = {name: self._buffer(name, array) for name, array in state.arrays.items()}
        for name, copy in copies.items():
            np.copyto(copy, state.arrays[name])
        self._writer.do(lambda: self._write(State(copies, state.facts)))
        if last:
            self._writer.wait()

    def close(self) -> None:
        """Wait until nothing is being written, and end the thread."""
        if self._writer is not None:
            self._writer.end()

    def _identity(self) -> dict[str, Any]:
        if self._digests is None:
            self._digests = {}
            for prefix, data in self.data.items():
                self._digests |= _digests_of(data, prefix)
        return self.settings | self._digests

    def _buffer(self, name: str, array: np.ndarray) -> np.ndarray:
        """Memory for a copy, the same from file to file."""
        buffer = self._buffers.get(name)
        if buffer is None or (buffer.shape, buffer.dtype) != (array.shape, array.dtype):
            buffer = self._buffers[name] = np.empty_like(array, order="C", subok=False)
        return buffer

    def _write(self, state: State) -> None:
        try:
            facts = {**state.facts, "identity": self._identity()}
            write_tensors(self.path, state.arrays, facts, _KIND, new=self._is_new)
            self._is_new = False
        except (FastmlpError, OSError, MemoryError) as error:
            _log.warning("No checkpoint was written, training goes on: %s", error)


class _Writer:
    """A thread that does one thing after another; where none can be had, or after a fork, the caller does it."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], object], Event] | None] = SimpleQueue()
        self._ended, self._done, self._process = Event(), Event(), os.getpid()
        self._done.set()
        try:
            # waited for by `end`, not at the end of the interpreter
            Thread(target=self._run, name="fastmlp-checkpoint", daemon=True).start()
        except RuntimeError:
            self._process = -1

    def do(self, work: Callable[[], object]) -> None:
        if self._process != os.getpid():
            work()
            return
        done = Event()
        self._work.put((work, done))
        self._done = done

    @property
    def is_busy(self) -> bool:
        return self._process == os.getpid() and not self._done.is_set()

    def wait(self) -> None:
        if self._process == os.getpid():
            self._done.wait()

    def end(self) -> None:
        """Let it finish what it was given. May be called again, after Ctrl-C for example."""
        if self._process == os.getpid():
            self._work.put(None)
            self._ended.wait()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, done = item
            try:
                work()
            except Exception:
                _log.exception("No checkpoint was written, training goes on.")
            done.set()
        self._ended.set()


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
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fspath(path):
        raise InputError(f"checkpoint={path!r} must be the path of a file.")
    path = os.path.abspath(path)  # a callback may change the folder
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


def _digests_of(data: Data, prefix: str) -> dict[str, str]:
    """Type, shape and digest of features, targets and weights. Reads all of them."""
    parts = {
        "features": ("x", "values", "columns", "starts"),
        "targets": ("labels", "targets"),
        "sample weights": ("weights",),
    }
    digests = {}
    for what, names in parts.items():
        arrays = {name: getattr(data, name) for name in names}
        first = next((array for array in arrays.values() if array.size), arrays[names[0]])
        digests[prefix + what] = f"{first.dtype}{list(first.shape)} {digest_of(arrays)[:32]}"
    return digests


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
