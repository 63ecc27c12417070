"""Sums over ranks, each of which has a GPU of its own, by NVIDIA's NCCL."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.forks import no_fork
from fastmlp.ranks.group import Group

__all__ = ["nccl_sum"]

_log = logging.getLogger("fastmlp")


def nccl_sum(group: Group, gpu: str, stream: Any) -> Callable[[Any], None] | None:
    """Function that sums an array of CuPy over the ranks, in place, on a stream; None if NCCL cannot be used.

    gpu is this rank's, as its machine names it. For all ranks to call.
    """
    try:
        with no_fork():
            from cupy.cuda import nccl
        missing = "" if nccl.available else "CuPy was built without it"
    except ImportError as error:
        nccl, missing = None, str(error)
    every = group.of_all((missing, (socket.gethostname(), gpu)))
    reasons = [f"rank {rank}: {reason}" for rank, (reason, _) in enumerate(every) if reason]
    places = [place for _, place in every]
    if len(set(places)) < group.size:
        reasons.append("two ranks have the same GPU, which it does not allow")
    if reasons:
        if group.rank == 0:
            _log.warning(
                "The ranks' gradients pass through the memory of the host, which is slower than NCCL: %s. Install "
                "nvidia-nccl-cu12 (or cu13) beside CuPy, and give each rank a GPU: CUDA_VISIBLE_DEVICES.",
                "; ".join(reasons),
            )
        return None
    identity = group.of_first(nccl.get_unique_id() if group.rank == 0 else None)
    ring = nccl.NcclCommunicator(group.size, identity, group.rank)
    kinds = {np.dtype(np.float32): nccl.NCCL_FLOAT32, np.dtype(np.float64): nccl.NCCL_FLOAT64}

    def add(array: Any) -> None:
        ring.allReduce(array.data.ptr, array.data.ptr, array.size, kinds[array.dtype], nccl.NCCL_SUM, stream.ptr)

    return add
