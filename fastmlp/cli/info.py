"""``fastmlp info``: versions, backends, threads and the cache of compiled kernels."""

from __future__ import annotations

import platform
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version

from fastmlp import __version__
from fastmlp.backends import available_backends, get_backend
from fastmlp.backends.threads import available_threads
from fastmlp.cli.text import counted
from fastmlp.forks import no_fork

__all__ = ["info"]

_PACKAGES = ("numpy", "numba", "scikit-learn", "safetensors", "matplotlib")


def info(arguments: Namespace) -> int:
    """Run the command; return the exit code."""
    print(f"fastmlp {__version__}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        print(f"  {package} {_version(package)}")
    backends = available_backends()
    print("backends")
    for name, description in backends.items():
        print(f"  {name:<6} {description}")
    print(f"default backend: {get_backend().name}")
    print(f"threads: up to {available_threads()}")
    if not backends["numba"].startswith("unavailable"):
        print(f"products in bf16 on numba: {_bf16()}")
    print(f"compiled kernels: {_cache(backends['numba'])}")
    return 0


def _version(package: str) -> str:
    try:
        with no_fork():
            return version(package)
    except PackageNotFoundError:
        return "not installed"


def _bf16() -> str:
    with no_fork():
        from fastmlp.kernels.cpu.machine.host import PAIRS

    return "by AVX512_BF16" if PAIRS else "in float32, as this CPU has no AVX512_BF16: no faster than float32"


def _cache(numba: str) -> str:
    if numba.startswith("unavailable"):
        return "none without Numba"
    with no_fork():
        from fastmlp.backends.compiled.cache import kernel_folders, stored_sizes

    sizes = {folder: stored_sizes(folder) for folder in kernel_folders()}
    filled = [f"{counted(len(s), 'file')}, {sum(s) / 1e6:.1f} MB in {folder}" for folder, s in sizes.items() if s]
    return "; ".join(filled) or "none yet"
