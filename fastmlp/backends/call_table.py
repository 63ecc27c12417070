"""Operations compiled one by one and called through a table of addresses.

Numba links every function that it compiles with all that the function calls, and optimises and emits the whole again:
in a step six calls deep, each kernel six times. Called through addresses in the team's table, every operation is
compiled once per dtype and found in the disk cache alone; and an operation that a network does not use is not
compiled at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, signature
from numba.extending import lower_builtin

from fastmlp.backends.compile_cache import cached
from fastmlp.kernels import cpu
from fastmlp.kernels.cpu.custom_loss import custom_loss_gradient

__all__ = ["CallTable", "Functions", "known"]


class Functions:
    """The two functions of a custom loss; equal to others of the same code and constants, as pickling makes them.

    What is compiled of them lives as long as this object (see `known`), 4 MB each: a search over the constants of a
    loss makes hundreds.
    """

    def __init__(self, value: Callable, gradient: Callable) -> None:
        self.value, self.gradient = value, gradient
        self.dispatcher: Any = None  # of their `loss_gradient`
        self.tables: dict[tuple, np.ndarray] = {}  # see `CallTable.addresses`
        self.compiled: dict[tuple, Any] = {}  # see `numba_backend._compiled`
        self._key = tuple(map(self._key_of, (value, gradient)))

    @staticmethod
    def _key_of(function: Any) -> Any:
        try:
            cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
            names = tuple(function.__globals__.get(name) for name in function.__code__.co_names)
            key = function.__code__, function.__defaults__, cells, names
            hash(key)
        except (AttributeError, TypeError, ValueError):
            return function
        return key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Functions) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=8)
def known(functions: Functions) -> Functions:
    """The equal Functions of before, if they are among the last few or in use since: what is compiled stays theirs."""
    return functions


class CallTable:
    """The operations of `fastmlp.kernels.cpu` as methods of the compiled type of `Team`."""

    def __init__(self, options: dict[str, Any]) -> None:
        # called by address alone: without functions by which Python and C could call them
        options = options | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        self._operations = *cpu.OPERATIONS, *cpu.INNER_OPERATIONS
        self.dispatchers = {operation.__name__: cached(operation, options) for operation in self._operations}
        self.special = {
            (kind, operation.__name__): cached(operation, options)
            for kind, operations in cpu.SPECIAL_OPERATIONS.items()
            for operation in operations
        }
        self._index = {operation.__name__: i for i, operation in enumerate(self._operations)}
        self._tables: dict[tuple, np.ndarray] = {}
        self._options = options
        methods = {view.__name__: _inlined(view) for view in cpu.VIEWS}
        methods |= {operation.__name__: _called(i, operation) for i, operation in enumerate(self._operations)}

        @infer_getattr
        class TeamMethods(AttributeTemplate):
            key = types.NamedTuple

            def generic_resolve(self, team, name):  # type: ignore[override]  # Numba has a constant for "not there"
                if team.instance_class is cpu.Team and name in methods:
                    return types.BoundFunction(methods[name], team)
                return None

    def addresses(
        self, names: Iterable[str], team: cpu.Team, samples: np.ndarray, special: str, custom: Functions | None = None
    ) -> np.ndarray:
        """The table for the dtypes of the team's scratch and of the samples, with at least the named operations.

        special: of which kind the network is, of `cpu.SPECIAL_OPERATIONS`; "" is none of them.

        There is one such table in a process: what has been compiled or loaded once is never looked for again. A custom
        loss has a table of its own.
        """
        kind, tables = (team.scratch.dtype, numba.typeof(samples), special), custom.tables if custom else self._tables
        table = tables.setdefault(kind, np.zeros(len(self._operations), np.int64))
        for name in self._index.keys() & names:
            index = self._index[name]
            if not table[index]:
                _, parameters = cpu.numba_signature(self._operations[index], numba.typeof(team), kind[1])
                dispatcher = self._dispatcher(name, special, custom)
                dispatcher.compile(parameters)
                code, function = attrgetter("library", "fndesc")(dispatcher.overloads[parameters])
                table[index] = code.get_pointer_to_function(function.llvm_func_name)
        return table

    def _dispatcher(self, name: str, special: str, custom: Functions | None) -> Any:
        if name != "loss_gradient" or custom is None:
            return self.special.get((special, name)) or self.dispatchers[name]
        if custom.dispatcher is None:
            custom.dispatcher = numba.njit(**self._options)(custom_loss_gradient(custom.value, custom.gradient))
        return custom.dispatcher


def _called(index: int, operation: Callable) -> type[AbstractTemplate]:
    """Method that calls the address in ``team.table[index]`` by Numba's own convention."""

    class Method(AbstractTemplate):
        this: types.NamedTuple  # whose method it is: of Numba's doing
        key = f"fastmlp.{operation.__name__}"

        def generic(self, arguments, _keywords):
            # the data array is the only one whose type does not follow from the dtype; it comes first where it comes
            result, (_, *wanted) = cpu.numba_signature(operation, self.this, arguments[0])
            for want, have in zip(wanted, arguments, strict=True):
                if isinstance(want, types.Array) and want != cpu.as_windows(have):
                    return None
            return signature(result, *wanted, recvr=self.this)

    @lower_builtin(Method.key, types.NamedTuple, types.VarArg(types.Any))
    def lower(context, builder, sig, values):
        team, convention = sig.args[0], context.call_conv
        given = [cpu.as_windows(kind) for kind in sig.args]
        place = team.fields.index("table")
        table = context.make_array(team.types[place])(context, builder, builder.extract_value(values[0], place))
        address = builder.load(builder.gep(table.data, [ir.Constant(ir.IntType(64), index)]))
        function = builder.inttoptr(address, convention.get_function_type(sig.return_type, given).as_pointer())
        _, value = convention.call_function(builder, function, sig.return_type, given, values)
        return value

    return Method


def _inlined(view: cpu.View) -> type[AbstractTemplate]:
    """Method that emits its code in place; `view` has its typing and its code."""

    class Method(AbstractTemplate):
        this: types.NamedTuple  # whose method it is: of Numba's doing
        key = f"fastmlp.{view.__name__}"

        def generic(self, arguments, _keywords):
            return signature(view.result(arguments[0]), arguments[0], *view.rest, recvr=self.this)

    lower_builtin(Method.key, types.NamedTuple, types.VarArg(types.Any))(view.lower)
    return Method
