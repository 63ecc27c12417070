"""The type of the arrays that operations are called with: C-ordered, and passed by address and shape alone.

Numba passes an array as seven numbers, and two more for each dimension beyond the first. To store and load those of a
dozen arrays takes longer than a small operation.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import lower_cast, register_model
from numba.np.numpy_support import as_dtype

__all__ = ["SlimArray", "as_slim"]


class SlimArray(types.Array):
    """A C-ordered array without an owner, whose strides follow from its shape."""

    def __init__(self, dtype: types.Type, ndim: int, readonly: bool = False) -> None:
        name = f"{'readonly ' * readonly}slim array({dtype}, {ndim}d)"
        super().__init__(dtype, ndim, "C", readonly=readonly, name=name)


def as_slim(kind: types.Type) -> types.Type:
    """The type with slim arrays for arrays, also within a named tuple."""
    if isinstance(kind, types.Array):
        return SlimArray(kind.dtype, kind.ndim, readonly=not kind.mutable)
    if isinstance(kind, types.NamedTuple):
        return types.NamedTuple([as_slim(field) for field in kind.types], kind.instance_class)
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
