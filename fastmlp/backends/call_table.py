"""Operations compiled one by one and called through a table of addresses.

Numba links every function that it compiles with everything that the function calls, and optimises and emits all of it
again: in a step six calls deep, each kernel six times. Called through addresses in the team's table, every operation is
compiled once per dtype and is an entry of its own in the disk cache; and an operation that a network does not use is
not compiled at all.

An operation that a formula defines exists once for each formula; its place in the table follows from the formula's
code.
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
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels import cpu

__all__ = ["CallTable", "Compiled", "compiled_of"]

Needed = tuple[str, int]
"""An operation and the code of its formula, 0 if it has none."""


class Compiled:
    """What is compiled for networks with the same formulas of the user's own, or with none."""

    def __init__(self) -> None:
        self.dispatchers: dict[Needed, Any] = {}  # of the operations of formulas
        self.tables: dict[tuple, np.ndarray] = {}  # see `CallTable.addresses`
        self.runs: dict[tuple, Any] = {}  # see `numba_backend._compiled_run`


_BUILT_IN = Compiled()
_TABLE_OF = {  # the field of `Formulas` that the codes of an operation refer to
    "activate_block": "activations",
    "differentiate_block": "activations",
    "loss_of_rows": "losses",
    "apply_rule": "rules",
}


def compiled_of(formulas: Formulas) -> Compiled:
    """What is compiled for these formulas.

    Equal formulas of the user's own, such as pickling makes, share it. It is freed with the last network that uses it,
    except for the last few: it takes 4 MB, and a search over the constants of a loss makes hundreds.
    """
    own = cpu.own_texts(formulas)
    return _compiled_of_own(own) if own else _BUILT_IN


@lru_cache(maxsize=8)
def _compiled_of_own(texts: tuple[str, ...]) -> Compiled:
    return Compiled()


class CallTable:
    """The operations of `fastmlp.kernels.cpu` as methods of the compiled type of `Team`."""

    def __init__(self, options: dict[str, Any]) -> None:
        # called by address only, so without wrappers for calls from Python and C
        options = options | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        self._operations = *cpu.OPERATIONS, *cpu.INNER_OPERATIONS
        self.dispatchers = {operation.__name__: cached(operation, options) for operation in self._operations}
        self.special = {
            (kind, operation.__name__): cached(operation, options)
            for kind, operations in cpu.SPECIAL_OPERATIONS.items()
            for operation in operations
        }
        self._index = {operation.__name__: i for i, operation in enumerate(self._operations)}
        # after these the first formula's operations, then the next one's
        self._index |= {name: len(self._operations) + i for i, name in enumerate(cpu.FORMULA_OPERATIONS)}
        self._options = options
        methods = {view.__name__: _inlined(view) for view in cpu.VIEWS}
        methods |= {name: self._called(name) for name in self._index}

        @infer_getattr
        class TeamMethods(AttributeTemplate):
            key = types.NamedTuple

            def generic_resolve(self, team, name):  # type: ignore[override]  # Numba has a constant for "not there"
                if team.instance_class is cpu.Team and name in methods:
                    return types.BoundFunction(methods[name], team)
                return None

    def addresses(
        self,
        needed: Iterable[Needed],
        team: cpu.Team,
        samples: np.ndarray,
        special: str,
        formulas: Formulas,
        compiled: Compiled,
    ) -> np.ndarray:
        """The table for the dtypes of the team's scratch and of the samples, with at least the needed operations.

        Parameters
        ----------
        special : str
            The set of `cpu.SPECIAL_OPERATIONS` that the network uses, or "".
        compiled : Compiled
            Of the `formulas`.

        Each `Compiled` keeps one table for each kind, so nothing is compiled or loaded twice.
        """
        kind = team.scratch.dtype, numba.typeof(samples), special
        length = len(self._operations) + len(cpu.FORMULA_OPERATIONS) * max(map(len, formulas))
        table = compiled.tables.setdefault(kind, np.zeros(length, np.int64))
        for name, code in needed:
            dispatcher = self._dispatcher(name, code, special, formulas, compiled)
            index = self._index[name] + len(cpu.FORMULA_OPERATIONS) * code
            if not table[index]:
                _, parameters = cpu.numba_signature(self._prototype(name), numba.typeof(team), kind[1])
                dispatcher.compile(parameters)
                library, function = attrgetter("library", "fndesc")(dispatcher.overloads[parameters])
                table[index] = library.get_pointer_to_function(function.llvm_func_name)
        return table

    def _prototype(self, name: str) -> Callable:
        """A function with the operation's parameters."""
        return cpu.FORMULA_OPERATIONS.get(name) or self._operations[self._index[name]]

    def _dispatcher(self, name: str, code: int, special: str, formulas: Formulas, compiled: Compiled) -> Any:
        if name not in cpu.FORMULA_OPERATIONS:
            return self.special.get((special, name)) or self.dispatchers[name]
        known = compiled if code >= len(getattr(BUILT_IN, _TABLE_OF[name])) else _BUILT_IN
        if (name, code) not in known.dispatchers:
            operation = cpu.formula_operation(name, code, formulas)
            jit = cached if known is _BUILT_IN else _jitted
            known.dispatchers[name, code] = jit(operation, self._options)
        return known.dispatchers[name, code]

    def _called(self, name: str) -> type[AbstractTemplate]:
        """Method that calls the address in ``team.table`` by Numba's own convention."""
        index, operation = self._index[name], self._prototype(name)
        step = len(cpu.FORMULA_OPERATIONS) if name in cpu.FORMULA_OPERATIONS else 0

        class Method(AbstractTemplate):
            this: types.NamedTuple  # the type of the object, set by Numba
            key = f"fastmlp.{name}"

            def generic(self, arguments, _keywords):
                # all types follow from the dtype but that of the samples, which are the first argument if there are any
                result, (_, *wanted) = cpu.numba_signature(operation, self.this, arguments[0])
                for want, have in zip(wanted, arguments, strict=True):
                    if isinstance(want, types.Array) and want != cpu.as_slim(have):
                        return None
                return signature(result, *wanted, recvr=self.this)

        @lower_builtin(Method.key, types.NamedTuple, types.VarArg(types.Any))
        def lower(context, builder, sig, values):
            team, convention = sig.args[0], context.call_conv
            given = [cpu.as_slim(kind) for kind in sig.args]
            field = team.fields.index("table")
            table = context.make_array(team.types[field])(context, builder, builder.extract_value(values[0], field))
            place = ir.Constant(ir.IntType(64), index)
            if step:
                place = builder.add(place, builder.mul(values[1], ir.Constant(ir.IntType(64), step)))
            address = builder.load(builder.gep(table.data, [place]))
            function = builder.inttoptr(address, convention.get_function_type(sig.return_type, given).as_pointer())
            _, value = convention.call_function(builder, function, sig.return_type, given, values)
            return value

        return Method


def _jitted(operation: Callable, options: dict[str, Any]) -> Any:
    """Not cached on disk, where a search over the constants of a loss would leave hundreds."""
    return numba.njit(**options)(operation)


def _inlined(view: cpu.View) -> type[AbstractTemplate]:
    """Method that emits its code in place; `view` has its typing and its code."""

    class Method(AbstractTemplate):
        this: types.NamedTuple  # the type of the object, set by Numba
        key = f"fastmlp.{view.__name__}"

        def generic(self, arguments, _keywords):
            return signature(view.result(arguments[0]), arguments[0], *view.rest, recvr=self.this)

    lower_builtin(Method.key, types.NamedTuple, types.VarArg(types.Any))(view.lower)
    return Method
