"""The command ``fastmlp``: train, compare, search, predict, evaluate, export, compile, info.

Exit codes: 0 success; 1 unusable input or an output that could not be written to its path, with one line on standard
error; 2 wrong usage; 130, 143, 129 interrupted by Ctrl-C, SIGTERM, SIGHUP. Any other exception is a bug and keeps its
traceback.
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
from fastmlp.cli.ranks import on_ranks
from fastmlp.cli.stopping import INTERRUPTED, interruptions
from fastmlp.cli.text import one_line
from fastmlp.errors import FastmlpError
from fastmlp.forks import no_fork

__all__ = ["main", "run"]

# New objects between two runs of the garbage collector. With Python's default of 700, training on a table of 20,000
# columns spent a third of a second in it.
_OBJECTS = 50_000


def run() -> int:
    """Run the command of this process; return the exit code."""
    gc.set_threshold(_OBJECTS)
    code = main()
    gc.freeze()  # the process ends now, so the remaining objects need no garbage collection
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; wrong usage raises SystemExit.

    Parameters
    ----------
    argv : arguments after the program's name; None for those of this process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names in data and models may not be encodable on this terminal
            stream.reconfigure(errors="backslashreplace")
    # Return freed memory to the system: Polars would keep 240 MB after reading a table of 140 MB, which features need.
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
        # Each command is a function in a module of the same name, imported when the command is run.
        with no_fork():
            command = getattr(import_module(f"fastmlp.cli.{arguments.command}"), arguments.command)
        code = on_ranks(command, arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has closed the pipe, as in ``fastmlp predict … | head``
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
        # The interpreter would try to write the buffered output again when it ends, and report the error again.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
