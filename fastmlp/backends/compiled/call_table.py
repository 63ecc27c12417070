"""Operations as methods of the compiled type of `Team`, called through its table of addresses.

Numba links every function that it compiles with everything that the function calls, and optimises and emits all of it
again: in a step six calls deep, each kernel six times. Called through addresses in the team's table, every operation is
compiled once per dtype and is an entry of its own in the disk cache; and an operation that a network does not use is
not compiled at all.

An operation that a formula defines exists once for each formula; its place in the table follows from the formula's
code, its second argument.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, signature
from numba.extending import lower_builtin

from fastmlp.kernels.cpu.catalog import prototype
from fastmlp.kernels.cpu.table import FORMULA_TABLES, INNER, OPERATIONS, place_of
from fastmlp.kernels.cpu.team.members import Team
from fastmlp.kernels.cpu.team.signatures import numba_signature
from fastmlp.kernels.cpu.team.slim_arrays import as_slim
from fastmlp.kernels.cpu.team.views import VIEWS, View

__all__: list[str] = []


def _called(name: str) -> type[AbstractTemplate]:
    """Method that calls the address in ``team.table`` by Numba's own convention."""
    first, operation = place_of(name), prototype(name)
    step = place_of(name, 1) - first if name in FORMULA_TABLES else 0

    class Method(AbstractTemplate):
        this: types.NamedTuple  # the type of the object, set by Numba
        key = f"fastmlp.{name}"

        def generic(self, arguments, _keywords):
            # all types follow from the dtype but that of the samples, which are the first argument if there are any
            result, (_, *wanted) = numba_signature(operation, self.this, arguments[0])
            for want, have in zip(wanted, arguments, strict=True):
                if isinstance(want, types.Array) and want != as_slim(have):
                    return None
            return signature(result, *wanted, recvr=self.this)

    @lower_builtin(Method.key, types.NamedTuple, types.VarArg(types.Any))
    def lower(context, builder, sig, values):
        team, convention = sig.args[0], context.call_conv
        given = [as_slim(kind) for kind in sig.args]
        field = team.fields.index("table")
        table = context.make_array(team.types[field])(context, builder, builder.extract_value(values[0], field))
        place = ir.Constant(ir.IntType(64), first)
        if step:
            place = builder.add(place, builder.mul(values[1], ir.Constant(ir.IntType(64), step)))
        address = builder.load(builder.gep(table.data, [place]))
        function = builder.inttoptr(address, convention.get_function_type(sig.return_type, given).as_pointer())
        _, value = convention.call_function(builder, function, sig.return_type, given, values)
        return value

    return Method


def _inlined(view: View) -> type[AbstractTemplate]:
    """Method that emits its code in place; `view` has its typing and its code."""

    class Method(AbstractTemplate):
        this: types.NamedTuple  # the type of the object, set by Numba
        key = f"fastmlp.{view.__name__}"

        def generic(self, arguments, _keywords):
            return signature(view.result(arguments[0]), arguments[0], *view.rest, recvr=self.this)

    lower_builtin(Method.key, types.NamedTuple, types.VarArg(types.Any))(view.lower)
    return Method


_METHODS = {view.__name__: _inlined(view) for view in VIEWS}
_METHODS |= {name: _called(name) for name in (*OPERATIONS, *INNER, *FORMULA_TABLES)}


@infer_getattr
class _TeamMethods(AttributeTemplate):
    key = types.NamedTuple

    def generic_resolve(self, team, name):  # type: ignore[override]  # Numba has a constant for "not there"
        if team.instance_class is Team and name in _METHODS:
            return types.BoundFunction(_METHODS[name], team)
        return None
