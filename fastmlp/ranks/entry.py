"""How a function that a user calls on all ranks becomes work of a group."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

from fastmlp.errors import InputError
from fastmlp.ranks.group import Group
from fastmlp.ranks.launch import check_launch, mpi

__all__ = ["group_of", "shares_fate"]


def group_of(comm: Any) -> Group:
    """Make the group of a communicator's ranks.

    Raises
    ------
    InputError
        comm is no communicator, or the program was started by the launcher of another MPI.
    FastmlpError
        mpi4py is not installed, or finds no MPI.
    """
    if not isinstance(comm, mpi().Intracomm):
        raise InputError(f"comm={comm!r} must be a communicator of mpi4py, such as MPI.COMM_WORLD.")
    check_launch(comm)
    return Group(comm)


_Function = TypeVar("_Function", bound=Callable[..., Any])


def shares_fate(function: _Function) -> _Function:
    """Give a function with a keyword `comm` the group of that communicator, within `Group.sharing_fate`."""

    @wraps(function)
    def with_group(*arguments: Any, comm: Any = None, **options: Any) -> Any:
        if comm is None or isinstance(comm, Group):  # by a function that shares its fate already
            return function(*arguments, comm=comm, **options)
        group = group_of(comm)
        try:
            with group.sharing_fate():
                return function(*arguments, comm=group, **options)
        finally:
            with suppress(Exception):
                group.close()

    return cast(_Function, with_group)
