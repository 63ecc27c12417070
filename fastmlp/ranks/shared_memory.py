"""Memory that all ranks on one machine can read and write."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from fastmlp.network import ALIGNMENT
from fastmlp.ranks.launch import mpi

__all__ = ["allocate", "has_room"]

_log = logging.getLogger("fastmlp")
_PAGE = 4096  # bytes
_SHARED = "/dev/shm"  # where MPI libraries have shared memory on Linux; 64 MB in a container
_SPARE = 1 << 23  # bytes, for the MPI library itself


def allocate(comm: Any, nbytes: int) -> tuple[Any, list[np.ndarray]]:
    """Allocate zeros for each rank of a communicator: the window to free, and bytes (nbytes,) in the ranks' order."""
    apart = mpi().Info.Create({"alloc_shared_noncontig": "true"})  # each rank's in memory near to its core
    window = mpi().Win.Allocate_shared(-(-(nbytes + ALIGNMENT) // _PAGE) * _PAGE, 1, apart, comm)
    apart.Free()
    memories = [np.frombuffer(window.Shared_query(rank)[0], np.uint8) for rank in range(comm.Get_size())]
    shared = [memory[-memory.ctypes.data % ALIGNMENT :][:nbytes] for memory in memories]
    shared[comm.Get_rank()][...] = 0
    return window, shared


def has_room(nbytes: int) -> bool:
    """Whether there is so much shared memory. More can be allocated, but whoever writes to it is killed (SIGBUS)."""
    try:
        there = os.statvfs(_SHARED)
    except (AttributeError, OSError):  # not Linux
        return True
    free = there.f_bavail * there.f_frsize
    if nbytes + _SPARE <= free:
        return True
    _log.warning(
        "%s has only %d MB free, and the gradients of the ranks take %d MB: they are exchanged by messages, which is "
        "slower. A larger one helps; for a container: docker run --shm-size or --ipc=host.",
        *(_SHARED, free >> 20, nbytes >> 20),
    )
    return False
