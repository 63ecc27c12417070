"""The environment of a comparison: limits of threads, and the heading of its results."""

import os
import sys
from importlib.metadata import version

from report import machine

_DISTRIBUTIONS = {"PyTorch": "torch", "JAX": "jax"}  # besides those that `machine` names


def limit_threads(threads: int) -> None:
    """Bind the process to `n` cores, and set the number of threads of the libraries, before any of them is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["FASTMLP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"


def heading(threads: int, missing: dict[str, str], seconds: float, versions: dict[str, str] | None = None) -> list[str]:
    """Markdown lines: date, machine, versions, command, and the missing libraries with the reason.

    versions: of the libraries that run in another environment; by default they are in this one.
    """
    if versions is None:
        versions = {name: version(package) for name, package in _DISTRIBUTIONS.items() if name not in missing}
    numbers = "".join(f"{name} {number}, " for name, number in versions.items())
    return [
        *machine()[:-1],
        f"- {numbers}at most {threads} threads for every library",
        f"- command: `python {' '.join(sys.argv)}`, {seconds / 60:.1f} minutes",
        *(f"- {name} is left out: {reason}" for name, reason in missing.items()),
    ]
