"""Operations compiled one by one and called through a table of addresses.

Numba links every function that it compiles with all that the function calls, and optimises and emits the whole again:
in a step six calls deep, each kernel six times. Called through addresses in the team's table, every operation is
compiled once per dtype and found in the disk cache alone; and an operation that a network does not use is not
compiled at all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload_method

from fastmlp.backends.compile_cache import cached
from fastmlp.kernels import cpu

__all__ = ["CallTable"]


class CallTable:
    """The operations of `fastmlp.kernels.cpu` as methods of the compiled type of `Team`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.dispatchers = {operation.__name__: cached(operation, options) for operation in cpu.OPERATIONS}
        for view in cpu.VIEWS:
            overload_method(types.NamedTuple, view.__name__, jit_options=options)(_inlined(view))  # type: ignore[call-arg]
        for index, operation in enumerate(cpu.OPERATIONS):
            method = _called(index, operation)
            overload_method(types.NamedTuple, operation.__name__, jit_options=options)(method)  # type: ignore[call-arg]

    def fill(self, team: cpu.Team, names: Sequence[str], samples: np.ndarray) -> None:
        """Compile or load the named operations for the dtype of the team's scratch, and enter their addresses."""
        real = numba.from_dtype(team.scratch.dtype)
        for index, operation in enumerate(cpu.OPERATIONS):
            if operation.__name__ in names:
                _, parameters = cpu.numba_signature(operation, numba.typeof(team), real, numba.typeof(samples))
                dispatcher = self.dispatchers[operation.__name__]
                dispatcher.compile(parameters)
                compiled = dispatcher.overloads[parameters]
                team.table[index] = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def _inlined(view: Callable) -> Callable:
    def method(ops, *_arguments):
        return view if ops.instance_class is cpu.Team else None

    method.__signature__ = inspect.signature(view)  # type: ignore[attr-defined]  # Numba compares the two
    return method


def _called(index: int, operation: Callable) -> Callable:
    call = _call_intrinsic(index, operation)

    def method(ops, *arguments):
        return (lambda ops, *arguments: call(ops, arguments)) if ops.instance_class is cpu.Team else None

    return method


def _call_intrinsic(index: int, operation: Callable):
    """Intrinsic (team, arguments) that calls the address in ``team.table[index]`` by Numba's own convention."""

    @intrinsic
    def call(typingctx, team, arguments):
        real = team.types[team.fields.index("scratch")].dtype
        # the data array is the only one whose type is not fixed by the dtype; where an operation has it, it is first
        result, wanted = cpu.numba_signature(operation, team, real, arguments.types[0])
        for want, have in zip(wanted[1:], arguments.types, strict=True):
            if isinstance(want, types.Array) and want != have:
                raise numba.errors.TypingError(f"{operation.__name__} takes {want}, not {have}")

        def codegen(context, builder, signature, values):
            packed = cgutils.unpack_tuple(builder, values[1])
            converted = [
                context.cast(builder, value, have, want)
                for value, have, want in zip(packed, arguments.types, wanted[1:], strict=True)
            ]
            table_type = team.types[team.fields.index("table")]
            table = builder.extract_value(values[0], team.fields.index("table"))
            data = context.make_array(table_type)(context, builder, table).data
            address = builder.load(builder.gep(data, [ir.Constant(ir.IntType(64), index)]))
            kind = context.call_conv.get_function_type(result, wanted)
            function = builder.inttoptr(address, kind.as_pointer())
            _, value = context.call_conv.call_function(builder, function, result, wanted, [values[0], *converted])
            return value if result is not types.none else context.get_dummy_value()

        return result(team, arguments), codegen

    return call
