"""Numba's options for all that is compiled."""

from __future__ import annotations

from typing import Any

__all__ = ["OPTIONS", "STEP_OPTIONS"]

# No "nnan" and "ninf": a diverged loss must be seen. Division by zero gives infinity, as in NumPy.
OPTIONS: dict[str, Any] = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "nogil": True,
}
# The step allocates nothing and keeps no arrays, so it needs no runtime of Numba, which would count references.
STEP_OPTIONS = OPTIONS | {"_nrt": False, "no_cfunc_wrapper": True}
