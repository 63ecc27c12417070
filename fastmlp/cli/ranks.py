"""``mpiexec -n 4 fastmlp train``: a command run by several ranks together."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout

from fastmlp.errors import InputError, RankError
from fastmlp.ranks.entry import group_of
from fastmlp.ranks.launch import launched_rank, launched_ranks, mpi

__all__ = ["on_ranks"]

_OUTPUTS = "out", "history", "plot", "report"


def on_ranks(command: Callable[..., int], arguments: Namespace) -> int:
    """Run a command on the ranks that a launcher has started, or alone if there is none.

    The first rank prints and writes files. What goes wrong on one rank ends all, and is said once.
    """
    ranks, _ = launched_ranks()
    if ranks == 1:
        return command(arguments)
    if arguments.command != "train":
        if launched_rank() > 0:
            return 0  # with 1, some launchers would end the first rank before it says what is wrong
        raise InputError(
            f"fastmlp {arguments.command} is for one process, but a launcher has started {ranks}. Of all commands, "
            "train alone runs on several."
        )
    group = group_of(mpi().COMM_WORLD)
    try:
        with ExitStack() as stack:
            if group.rank > 0:
                for name in _OUTPUTS:
                    setattr(arguments, name, None)
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            stack.enter_context(group.sharing_fate())
            return command(arguments, group)
    except RankError:
        return 1  # the other rank says what it was
    except Exception:
        if group.failed not in (None, group.rank):
            return 1
        raise
    finally:
        group.close()
