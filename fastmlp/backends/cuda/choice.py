"""The fastest of several ways to compute a product on this device: timed once per shape, and remembered.

Remembered on disk too, since sums in another order differ in their last digits: a later process with the same seed
must take the same ways to come to the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.backends.cuda.device import Device, Node
from fastmlp.errors import InputError
from fastmlp.files import atomic_write

__all__ = ["Choice", "OwnKernels"]


class OwnKernels:
    """Always chooses our kernels: a program can run nothing else."""

    def of(self, key: tuple, ways: Mapping[str, Callable[[], list[Node]]], written: list[Any]) -> str:
        return "kernel"


class Choice:
    """The ways chosen for one device and dtype.

    Parameters
    ----------
    folder : Path or None
        Where choices are kept for other processes; None: nowhere.
    """

    def __init__(self, device: Device, real: np.dtype, folder: Path | None) -> None:
        self._device, self._real = device, real
        name = "".join(c if c.isalnum() else "-" for c in f"{device.describe()}-{real}")
        self._file = folder / f"{name}.json" if folder else None
        self._chosen: dict[str, str] = self._read()

    def of(self, key: tuple, ways: Mapping[str, Callable[[], list[Node]]], written: list[Any]) -> str:
        """Name of the way to take for a shape `key`; `ways` give their nodes, and write to the arrays `written`."""
        name = "-".join(map(str, key))
        if self._chosen.get(name) not in ways:
            before = [self._device.download(array) for array in written]
            # the first is timed again: the clocks of a GPU that was idle rise during the first measurement
            order = [next(iter(ways)), *ways]
            seconds = {way: self._device.seconds(ways[way](), self._real) for way in order}
            for array, contents in zip(written, before, strict=True):
                self._device.write(array, contents)
            self._chosen[name] = min(seconds, key=seconds.__getitem__)
            self._save()
        return self._chosen[name]

    def _read(self) -> dict[str, str]:
        try:
            chosen = json.loads(self._file.read_text()) if self._file else {}
        except (OSError, ValueError):
            return {}
        whole = isinstance(chosen, dict) and all(isinstance(way, str) for way in chosen.values())
        return chosen if whole else {}

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # what other processes have chosen meanwhile stays
            self._chosen = self._read() | self._chosen
            with atomic_write(self._file, durable=False) as file:
                file.write(json.dumps(self._chosen, indent=1, sort_keys=True).encode())
        except (OSError, InputError):
            self._file = None  # this process remembers, later ones measure again
