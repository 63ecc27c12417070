"""Samples that do not fit in device memory stay on the host; the next batch is copied while the GPU computes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["HostSamples", "Stage"]


class HostSamples:
    """Samples (N, I) on the host, in place of an array on the device."""

    def __init__(self, x: np.ndarray) -> None:
        self._x = x
        self.shape, self.dtype, self.size, self.nbytes = x.shape, x.dtype, x.size, x.nbytes

    def __len__(self) -> int:
        return len(self._x)

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """out (B, I), of any real dtype, = x[rows]."""
        if out.dtype == self.dtype:
            np.take(self._x, rows, axis=0, out=out, mode="clip")  # with mode="raise" NumPy would buffer the result
        else:
            out[...] = self._x[rows]


class Stage(NamedTuple):
    """An entry of a tape: from here on a staging buffer holds some of the step's samples."""

    x: HostSamples
    first: int  # of the step's samples
    rows: int
    slot: int  # number of the staging buffer
