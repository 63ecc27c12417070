"""The command ``fastmlp``: train, predict, evaluate, export, info.

Exit codes: 0 done; 1 something given cannot be used, or a result could not be written where it was to be, with one
line on standard error; 2 wrong usage; 130, 143, 129 interrupted by Ctrl-C, SIGTERM, SIGHUP.
Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from fastmlp.cli.parser import build_parser
from fastmlp.cli.stopping import INTERRUPTED, interruptions
from fastmlp.cli.text import one_line
from fastmlp.errors import FastmlpError
from fastmlp.forks import no_fork

__all__ = ["main", "run"]

# Objects between two looks for cycles. By Python's own setting of 700, training on a table of 20,000 columns spent a
# third of a second on looking at its objects again and again.
_OBJECTS = 50_000


def run() -> int:
    """Be the process of a command; gives the exit code."""
    gc.set_threshold(_OBJECTS)
    code = main()
    gc.freeze()  # what is left goes with the process, which need not look for cycles in it
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; None means the arguments of this process. Gives the exit code; wrong usage raises SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names from data and models may hold what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    # Polars would keep what it frees for itself: 240 MB of a table of 140 MB, where features are to take its place.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:200,muzzy_decay_ms:0")
    with no_fork():
        parser = build_parser()
        arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    with interruptions() as interruption:
        code = _run(arguments)
    return interruption.exit_code if code == INTERRUPTED else code


def _run(arguments: Namespace) -> int:
    try:
        # Each command is a module that holds a function of the same name, imported only when it is called.
        with no_fork():
            command = getattr(import_module(f"fastmlp.cli.{arguments.command}"), arguments.command)
        code = command(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough, as in ``fastmlp predict … | head``
        return _fail("")
    except (FastmlpError, OSError) as error:
        return _fail(f"error: {error}")
    except MemoryError as error:
        return _fail(f"error: The memory does not suffice: {error}. Use fewer or smaller layers, or less data.")
    except KeyboardInterrupt:
        _fail("interrupted")
        return INTERRUPTED


def _fail(message: str) -> int:
    if message:
        print(f"fastmlp: {one_line(message)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        # What cannot be written would be tried again, and reported again, when the interpreter ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
