"""How many threads a step is worth, and how many this process may have."""

from __future__ import annotations

import os

from fastmlp.errors import InputError

__all__ = ["choose_threads"]

WORK_PER_THREAD = 100_000  # multiply-adds a step: about 3 µs, some thirty barriers
ROWS_PER_THREAD = 4  # below, threads would share the cache lines of too few rows


def choose_threads(n_threads: int | None, rows: int | None = None, work: int | None = None) -> int:
    """Threads for a step of `rows` rows and `work` multiply-adds in its forward pass.

    An explicit n_threads is taken as it is. Otherwise FASTMLP_NUM_THREADS, else the cores this process may use
    (affinity, container quota) and OMP_NUM_THREADS bound what the work deserves.
    """
    if n_threads is not None:
        if isinstance(n_threads, bool) or not isinstance(n_threads, int) or n_threads < 1:
            raise InputError(f"n_threads={n_threads!r} must be a positive integer, or None to choose from the work.")
        return n_threads
    limit = _limit()
    if rows is not None and work is not None:
        limit = min(limit, rows // ROWS_PER_THREAD, work // WORK_PER_THREAD)
    return max(1, limit)


def _limit() -> int:
    wanted = os.environ.get("FASTMLP_NUM_THREADS")
    if wanted is not None:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise InputError(f"FASTMLP_NUM_THREADS={wanted!r} must be a positive integer. Correct or unset it.")
        return int(wanted)
    import joblib  # comes with scikit-learn and knows affinity masks and container quotas

    cores = joblib.cpu_count()
    openmp = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(openmp)) if openmp.isdecimal() and int(openmp) > 0 else cores
