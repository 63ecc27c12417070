"""Checkpoints: a file with the state of a training run, from which it continues as if it had never stopped.

The training thread only copies the arrays of a state; a second thread computes digests and writes the file. It writes
one checkpoint at a time; those that fall due meanwhile are skipped.
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

__all__ = ["DEFAULT_INTERVAL", "Checkpoint", "State", "check_interval", "digests_of", "open_checkpoint", "read_state"]

DEFAULT_INTERVAL = "30s"
_KIND = Kind(name="checkpoint", key="fastmlp.checkpoint", remedy="remove it and train from the beginning")
_LARGE = 1 << 20  # bytes
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_log = logging.getLogger("fastmlp")


class State(NamedTuple):
    """The state of a run."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]  # JSON values


@dataclass
class Checkpoint:
    """A checkpoint file, written at an interval of epochs or seconds, and at the end.

    `settings` and `data` must be equal in a resumed run; their names appear in messages. Digests of the data are
    computed when the first checkpoint is read or written.
    """

    path: str
    epochs: int | None  # interval; None: `seconds` is the interval
    seconds: float
    resume: bool
    writes: bool = True  # and reads; False on a rank that leaves this to the first one
    settings: dict[str, Any] = field(default_factory=dict)  # JSON values
    data: dict[str, Data] = field(default_factory=dict)  # by the prefix of its parts' names
    _digests: dict[str, str] | None = field(default=None, init=False)
    _buffers: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    _writer: _Writer | None = field(default=None, init=False)
    _last: float = field(default_factory=perf_counter, init=False)
    _is_new: bool = field(default=True, init=False)  # whether there is no file of this run yet

    def read(self) -> State | None:
        """Read the state to resume from; None if there is no file or `resume` is False.

        Raises
        ------
        InputError
            The checkpoint is of another run; the message says what differs.
        ModelFileError
            The file is damaged, or is not a checkpoint.
        """
        if not (self.writes and self.resume and os.path.exists(self.path)):
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
        """Whether a checkpoint is due; epoch is the number of finished epochs, None within an epoch."""
        if self.epochs is not None:
            return epoch is not None and epoch % self.epochs == 0
        return perf_counter() - self._last >= self.seconds

    def begin(self, state: State) -> None:
        """Start the thread, which computes the digests and allocates memory for copies of this state.

        It is allocated now because the first use of new memory takes three times as long as the copying.
        """
        if not self.writes:
            return
        buffers = [self._buffer(name, array) for name, array in state.arrays.items() if array.nbytes >= _LARGE]

        def prepare() -> None:
            self._identity()
            for buffer in buffers:
                buffer[...] = 0

        self._writer = _Writer()
        self._writer.do(prepare)

    def write(self, state: State, *, last: bool = False) -> None:
        """Start writing a state, whose arrays may change after this returns; wait for the last one to be on disk.

        A failure is a warning on the logger "fastmlp", and training continues.
        """
        if self._writer is None or (not last and self._writer.is_busy):
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
        """Wait for the writing to end, and end the thread."""
        if self._writer is not None:
            self._writer.end()

    def _identity(self) -> dict[str, Any]:
        if self._digests is None:
            self._digests = {}
            for prefix, data in self.data.items():
                self._digests |= digests_of(data, prefix)
        return self.settings | self._digests

    def _buffer(self, name: str, array: np.ndarray) -> np.ndarray:
        """Memory for a copy of an array, reused for every checkpoint."""
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
    """A thread that runs tasks in order; if it cannot be started, or after a fork, the caller runs them."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], object], Event] | None] = SimpleQueue()
        self._ended, self._done, self._process = Event(), Event(), os.getpid()
        self._done.set()
        try:
            # a daemon, since `end` waits for it, not the end of the interpreter
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
        """Wait for the thread to finish its tasks. May be called again, for example after Ctrl-C."""
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


def open_checkpoint(path: Any, every: Any, resume: Any, writes: bool = True) -> Checkpoint | None:
    """Check the checkpoint arguments of a `fit` before any work; return the checkpoint, None if no path is given.

    writes is False on those of several ranks that leave reading and writing to the first.

    Raises
    ------
    InputError
        `every` is neither a number of epochs nor a time, the file cannot be written, or it exists and `resume` is
        False.
    """
    epochs, seconds = check_interval(every)
    resume = check_flag("resume", resume)
    if path is None:
        if resume:
            raise InputError("resume=True is given without a checkpoint. Give its path: checkpoint='run.checkpoint'.")
        return None
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fspath(path):
        raise InputError(f"checkpoint={path!r} must be the path of a file.")
    path = os.path.abspath(path)  # a callback may change the current folder
    if not writes:
        return Checkpoint(path, epochs, seconds, resume, writes=False)
    if not resume and os.path.lexists(path):
        raise InputError(
            f"The checkpoint {path} is there already. Go on from it with resume=True, remove it, or give another path."
        )
    check_writable(path)
    return Checkpoint(path, epochs, seconds, resume)


def read_state(path: str | os.PathLike[str]) -> State:
    """Read the state in a checkpoint; ModelFileError if the file is damaged, or is not a checkpoint."""
    return State(*read_tensors(path, _KIND))


def check_interval(every: Any) -> tuple[int | None, float]:
    """Convert a `checkpoint_every` to (epochs, 0), or (None, seconds)."""
    if not isinstance(every, str):
        return check_integer("checkpoint_every", every), 0.0
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", every.strip())
    if parts is None:
        raise InputError(
            f"checkpoint_every={every!r} must be a number of epochs, such as 5, or a time, such as '30s', '10min' or "
            "'2h'."
        )
    return None, float(parts[1]) * _SECONDS[parts[2]]


def digests_of(data: Data, prefix: str) -> dict[str, str]:
    """Dtype, shape and digest of features, targets and weights, all of which are read."""
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
