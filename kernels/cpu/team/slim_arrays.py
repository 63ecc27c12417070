"""The types of what operations are called with: arrays passed by address and shape alone, the team by one address.

Numba passes an array as seven numbers, and two more for each dimension beyond the first; a tuple as all its fields. To
store and load those of a dozen arrays takes longer than a small operation. And a CPU predicts which stores a load
depends on by the physical addresses of both; of so many it confuses some, others in each process: with the team's ten
numbers at each call, an epoch of a 2-4-3 network took 10 to 20 ms, without them mostly 10 to 12.
"""

import itertools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import lower_cast, register_model
from numba.np.numpy_support import as_dtype

__all__ = ["SlimArray", "SlimTuple", "as_slim"]


class SlimArray(types.Array):
    """A C-ordered array without an owner, whose strides follow from its shape."""

    def __init__(self, dtype: types.Type, ndim: int, readonly: bool = False) -> None:
        name = f"{'readonly ' * readonly}slim array({dtype}, {ndim}d)"
        super().__init__(dtype, ndim, "C", readonly=readonly, name=name)


class SlimTuple(types.NamedTuple):
    """A named tuple passed by the address of its record, int64 numbers in memory, which is that of its field `record`.

    The record holds the fields in their order, an array as address and shape. It does not change while code runs.
    """

    def __init__(self, kind: types.NamedTuple) -> None:
        super().__init__([as_slim(field) for field in kind.types], kind.instance_class)
        self.name = f"slim {self.name}"


def as_slim(kind: types.Type) -> types.Type:
    """The type that is passed in place of an array or a named tuple."""
    if isinstance(kind, types.Array):
        return SlimArray(kind.dtype, kind.ndim, readonly=not kind.mutable)
    if isinstance(kind, types.NamedTuple):
        return SlimTuple(kind)
    return kind


@lower_cast(types.Array, SlimArray)
def _same_value(context, builder, from_type, to_type, value):
    return value


@register_model(SlimArray)
class _SlimArrayModel(models.ArrayModel):
    """Numba's array in every respect but as an argument."""

    def get_argument_type(self):
        return (
            self.get_model(self.get_field_position("data")).get_argument_type(),
            *[ir.IntType(64)] * self.fe_type.ndim,
        )

    def as_argument(self, builder, value):
        shape = cgutils.unpack_tuple(builder, self.get(builder, value, "shape"))
        return (self.get(builder, value, "data"), *shape)

    def from_argument(self, builder, value):
        data, *shape = value
        size = ir.Constant(ir.IntType(64), as_dtype(self.fe_type.dtype).itemsize)
        strides = [size]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        items = shape[0]
        for length in shape[1:]:
            items = builder.mul(items, length)
        parts = {"data": data, "nitems": items, "itemsize": size}
        parts |= {"shape": cgutils.pack_array(builder, shape), "strides": cgutils.pack_array(builder, strides)}
        array = ir.Constant(self.get_value_type(), None)  # no owner
        for name, part in parts.items():
            array = self.set(builder, array, part, name)
        return array


@register_model(SlimTuple)
class _SlimTupleModel(models.TupleModel):
    """Numba's tuple in every respect but as an argument."""

    def get_argument_type(self):
        return ir.IntType(64).as_pointer()

    def as_argument(self, builder, value):
        record = self._fe_type.fields.index("record")
        return self._models[record].get(builder, self.get(builder, value, record), "data")

    def from_argument(self, builder, value):
        places = itertools.count()

        def load(kind):
            if isinstance(kind, tuple):
                return tuple(map(load, kind))
            number = builder.load(builder.gep(value, [ir.Constant(ir.IntType(64), next(places))]))
            number.set_metadata("invariant.load", builder.module.add_metadata([]))
            return builder.inttoptr(number, kind) if isinstance(kind, ir.PointerType) else number

        return super().from_argument(builder, load(super().get_argument_type()))
