"""Backends by name: which there are, why one is missing, which one "auto" takes.

Modules of a backend are imported when it is asked for, so that `import fastmlp` imports neither numba nor cupy.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib import import_module

from fastmlp.backends.base import Backend
from fastmlp.errors import BackendUnavailableError, InputError
from fastmlp.forks import no_fork

__all__ = ["BACKENDS", "PRECISIONS", "Backend", "available_backends", "get_backend", "revived_backend"]

BACKENDS = ("numpy", "numba", "cuda")
# What "auto" chooses from, the best first. Not "cuda": so far it has run on an emulated device, on no GPU.
AUTOMATIC = ("numba", "numpy")
PRECISIONS = ("float32", "tf32", "bf16")
_log = logging.getLogger("fastmlp")


def get_backend(name: str | None = None, precision: str = "float32") -> Backend:
    """The backend called `name`; None means the environment variable FASTMLP_BACKEND, else "auto".

    precision is that of float32 matrix products: besides "float32", "numba" has "bf16", "cuda" "tf32" and "bf16".

    Raises
    ------
    InputError
        The name is unknown, or the backend has no such precision.
    BackendUnavailableError
        The backend was asked for and cannot run here. Only "auto" chooses another, and logs which (logger "fastmlp").
    """
    source = "backend"
    if name is None:
        name, source = os.environ.get("FASTMLP_BACKEND", "auto"), "FASTMLP_BACKEND"
    if not isinstance(name, str) or name not in (*BACKENDS, "auto"):
        raise InputError(f"{source}={name!r} is unknown. Choose 'numpy', 'numba', 'cuda' or 'auto'.")
    if name == "auto":
        name = next(candidate for candidate in AUTOMATIC if _problem(candidate) is None)
        _log.info("backend='auto' chose %r", name)
    problem = _problem(name)
    if problem is not None:
        raise BackendUnavailableError(f"backend={name!r} is not available: {problem}")
    offered = _backend_class(name).precisions
    if not isinstance(precision, str) or precision not in offered:
        choices = " or ".join(map(repr, offered))
        raise InputError(f"precision={precision!r} is not offered by backend={name!r}. Choose {choices}.")
    return _load(name, precision)


def revived_backend(name: str, precision: str) -> Backend:
    """The backend of a model that comes from another process: the same if it runs here, else what "auto" chooses."""
    problem = _problem(name)
    if problem is None:
        return _load(name, precision)
    _log.warning("The model was made with backend=%r, which is not available here: %s", name, problem)
    return get_backend("auto")


def available_backends() -> dict[str, str]:
    """For every backend what it is, or ``"unavailable: "`` with reason and remedy."""
    problems = {name: _problem(name) for name in BACKENDS}
    return {name: f"unavailable: {p}" if p else _load(name, "float32").describe() for name, p in problems.items()}


def _problem(name: str) -> str | None:
    try:
        return _backend_class(name).problem()
    except ImportError as error:
        return f"{error}. Reinstall it: pip install --force-reinstall {name}."


@cache
def _backend_class(name: str) -> type[Backend]:
    with no_fork():
        module = import_module(f"fastmlp.backends.{name}_backend")
    return getattr(module, f"{name.capitalize()}Backend")


@cache
def _load(name: str, precision: str) -> Backend:
    return _backend_class(name)(precision)
