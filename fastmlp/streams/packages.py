"""Errors for packages that only some formats need."""

from __future__ import annotations

import os

from fastmlp.errors import InputError

__all__ = ["missing_package"]


def missing_package(name: str, path: str | os.PathLike[str]) -> InputError:
    """The error for a file that cannot be read without a package."""
    return InputError(f"{os.fspath(path)} needs the package {name}, which is not installed: pip install {name}")
