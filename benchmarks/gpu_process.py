"""Commands with a time limit, and work whose failures are recorded while other measurements continue."""

from __future__ import annotations

import os
import signal
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["attempted", "run_for"]


def run_for(command: list[str], seconds: float, **options: Any) -> int | None:
    """Exit code of a command; None if it took longer, and was killed with all processes that it had started."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # what waits in the driver may not go
                process.wait(5)


@contextmanager
def attempted(what: str, failures: list[str]) -> Iterator[None]:
    """Record an error of the block, and continue after it."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        failures.append(f"{what}: {type(error).__name__}: {error}".splitlines()[0])
