"""The program that started the ranks: whether it belongs to the MPI in use, and the cores it left them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from fastmlp.backends.threads import cores
from fastmlp.checks import check_real
from fastmlp.errors import FastmlpError, InputError
from fastmlp.forks import no_fork

__all__ = ["check_launch", "launched_rank", "launched_ranks", "mpi", "own_threads", "waiting_limit"]

_log = logging.getLogger("fastmlp")

# Variables in which launchers tell a process how many there are: Open MPI, MPICH and Intel MPI, MVAPICH
_SIZES = "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"
_RANKS = "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID"


def mpi() -> Any:
    """Import and return mpi4py.MPI, which starts MPI at its first import.

    Raises
    ------
    FastmlpError
        mpi4py is not installed, or finds no MPI.
    """
    try:
        with no_fork():
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise FastmlpError(
            f"Training on several ranks needs mpi4py and an MPI library: {error}. Install fastmlp[mpi]; the MPI is "
            "that of the cluster, or pip install mpich."
        ) from error
    return MPI


def launched_ranks(environment: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """Return how many ranks the launcher says there are, and by which variable; (1, "") without a launcher."""
    for name in _SIZES:
        if environment.get(name, "").isdigit():
            return int(environment[name]), name
    # Slurm sets SLURM_NTASKS in a batch script, too, where nothing runs in parallel
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        return int(environment["SLURM_STEP_NUM_TASKS"]), "SLURM_STEP_NUM_TASKS"
    return 1, ""


def launched_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return which of them this process is, as the launcher says; 0 without a launcher."""
    given = (environment.get(name, "") for name in _RANKS)
    return next((int(rank) for rank in given if rank.isdigit()), 0)


def check_launch(comm: Any) -> None:
    """Raise an InputError if a launcher has started more ranks than MPI sees.

    A launcher of another MPI starts n programs that know nothing of one another: each would train on all of the
    samples, and all would write the same files.
    """
    ranks, variable = launched_ranks()
    seen = mpi().COMM_WORLD.Get_size()
    if ranks > 1 and seen == 1:
        library = " ".join(mpi().Get_library_version().splitlines()[0].split(",")[0].split())
        raise InputError(
            f"The launcher has started {ranks} ranks ({variable}={ranks}), but mpi4py sees 1: it uses {library}, which "
            "is another MPI than the launcher's. Use the mpiexec of that MPI, or have mpi4py use the launcher's: "
            "MPI4PY_LIBMPI=/path/to/libmpi.so."
        )


def own_threads(here: Any) -> int:
    """Threads for this rank: its share of the cores that it may use; `here` has the ranks on this machine."""
    own = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset(range(cores()))
    every = here.allgather(own)
    sharing = sum(1 for other in every if other & own)
    total = len(frozenset().union(*every))
    if here.Get_rank() == 0 and len(every) > total:
        what = "pinned to" if len(own) < (os.cpu_count() or 1) else "share"
        _log.warning(
            "%d ranks %s %d core%s: they wait for one another and for a core. Start at most one for each core; if "
            "there are more cores, start them without binding: mpiexec --bind-to none (Open MPI).",
            *(len(every), what, total, "s" * (total > 1)),
        )
    elif here.Get_rank() == 0 and len(own) == 1 and len(every) == total < (os.cpu_count() or 1):
        _log.warning(
            "Each rank is pinned to one core, of %d that there are. For more threads in each rank, start them without "
            "binding: mpiexec --bind-to none (Open MPI).",
            os.cpu_count(),
        )
    return max(1, min(cores(), len(own)) // sharing)


def waiting_limit() -> float:
    """Seconds that a rank waits for the others before it ends the job."""
    given = os.environ.get("FASTMLP_RANK_TIMEOUT", "300")
    try:
        seconds = check_real("FASTMLP_RANK_TIMEOUT", float(given))
    except ValueError:
        seconds = 0.0
    if not seconds:
        raise InputError(f"FASTMLP_RANK_TIMEOUT={given!r} must be a positive number of seconds.")
    return seconds
