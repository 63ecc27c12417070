"""The disk cache of compiled code: one file for each job, checked whenever it is read.

A file is named by a digest of all that shapes the machine code, so an upgraded package never runs stale code, and it
begins with a digest of its name and its content: one flipped bit can be a wrong product. A file that does not match is
compiled anew and replaced.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import llvmlite
from llvmlite import binding

import fastmlp.kernels as kernels
import fastmlp.network as network
import fastmlp.step as step
from fastmlp.backends.compiled.jobs import Job
from fastmlp.backends.compiled.loading import ObjectCode
from fastmlp.cache_folders import cache_folders
from fastmlp.errors import InputError
from fastmlp.files import atomic_write
from fastmlp.kernels.cpu.machine.host import CPU, FEATURES, L2

__all__ = ["kernel_folders", "load", "settings_changed", "store", "stored_sizes"]

_SUFFIX = ".kernel"
_log = logging.getLogger("fastmlp")
# Numba's settings for all functions, and their defaults
_SETTINGS = {"OPT": 3, "LOOP_VECTORIZE": 1, "SLP_VECTORIZE": 0, "BOUNDSCHECK": None, "DEBUGINFO_DEFAULT": 0}


def kernel_folders() -> list[Path]:
    """Folders for this state of the sources on this machine, the first choice first. None is made here."""
    return cache_folders(ENVIRONMENT)


def stored_sizes(folder: Path) -> list[int]:
    """Bytes of each file of compiled code in one of `kernel_folders()`; none if the folder is missing or unreadable."""
    try:
        with os.scandir(folder) as entries:
            return [entry.stat().st_size for entry in entries if entry.name.endswith(_SUFFIX)]
    except OSError:
        return []


def load(job: Job) -> ObjectCode | None:
    """The machine code of a job, or None if no folder has a sound file of it."""
    name = _file_name(job)
    for folder in kernel_folders():
        payload = _sound_payload(folder / name)
        if payload is not None:
            return ObjectCode.unpacked(payload)
    return None


def store(job: Job, code: ObjectCode) -> Path | None:
    """Write the machine code to the first folder that takes it, and return that; where none does, say so once."""
    name, refusals = _file_name(job), []
    content = _sealed(name, code.packed())
    for folder in kernel_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make_way(folder / name)
            with atomic_write(folder / name, durable=False) as file:
                file.write(content)
            return folder
        except (OSError, InputError) as error:
            reason = error.__cause__ or error
            refusals.append(f"{folder}: {getattr(reason, 'strerror', None) or reason}")
    _warn_unsaved("; ".join(refusals) or "there is neither FASTMLP_CACHE_DIR nor a home folder")
    return None


def _file_name(job: Job) -> str:
    return f"{job.symbol}{_SUFFIX}"


def _settings() -> dict[str, object]:
    """Numba's settings that are not the defaults: by environment variables, or by a program that has imported it."""
    config = getattr(sys.modules.get("numba"), "config", None)
    changed: dict[str, object] = {}
    for name, default in _SETTINGS.items():
        variable = os.environ.get("NUMBA_" + name.removesuffix("_DEFAULT"))
        if variable is not None:
            changed[name] = variable
        elif config is not None and getattr(config, name) != default:
            changed[name] = getattr(config, name)
    return changed


def settings_changed() -> bool:
    """Whether this process compiles other code than `ENVIRONMENT` stands for, by settings made since."""
    return _settings() != _AT_IMPORT


def _environment() -> str:
    """Digest of everything that shapes machine code, except the job."""
    python = sys.implementation.cache_tag, getattr(sys, "abiflags", "")
    cpu = binding.get_process_triple(), CPU, FEATURES, L2
    versions = version("numba"), llvmlite.__version__
    digest = hashlib.sha256(repr((versions, python, cpu, sorted(_settings().items()))).encode())
    files = [Path(str(module.__file__)) for module in (network, step)]
    files += sorted(Path(__file__).parent.glob("*.py"))
    files += sorted((Path(str(kernels.__file__)).parent / "cpu").rglob("*.py"))
    files.append(Path(str(kernels.codes.__file__)))
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


_AT_IMPORT = _settings()
ENVIRONMENT = _environment()  # while the sources are those that are imported: they may be upgraded under a long run


def _sealed(name: str, payload: bytes) -> bytes:
    """Content of a file: a digest of its name and payload, then the payload."""
    return hashlib.sha256(name.encode() + payload).digest() + payload


def _sound_payload(path: Path) -> bytes | None:
    """Payload of a file that is what was written under this name; any other could do anything."""
    try:
        content = path.read_bytes()
    except OSError:  # there is none, or a folder in its place, or it may not be read
        return None
    payload = content[hashlib.sha256().digest_size :]
    return payload if content == _sealed(path.name, payload) else None


def _make_way(path: Path) -> None:
    """Remove what a new file cannot simply replace.

    That is a folder; a link, since its target would be replaced; and an unreadable file, whose mode would be kept.
    """
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.islink(path) or not os.access(path, os.R_OK):
        path.unlink(missing_ok=True)


@cache
def _warn_unsaved(reason: str) -> None:
    _log.warning(
        "Compiled kernels stay in the memory of this process, the next one compiles them again: they cannot be saved "
        "(%s). Set FASTMLP_CACHE_DIR to a folder that can be written to, on a disk with room.",
        reason,
    )
