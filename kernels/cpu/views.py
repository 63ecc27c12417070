"""Views of the flat buffers, as code emitted in place (twins of `NumpyOps.matrix` and `NumpyOps.vector`).

Unlike a slice and a reshape they are a few instructions, and take no reference to the buffer, which the caller keeps.
"""

from numba import types
from numba.np.arrayobj import populate_array

__all__ = ["VIEWS"]


class View:
    """Method (flat, offset, *shape) -> C-ordered array over the memory of `flat` from `offset` on."""

    def __init__(self, name: str, dimensions: int) -> None:
        self.__name__ = name
        self.rest = (types.intp,) * (1 + dimensions)
        self._dimensions = dimensions

    def result(self, flat: types.Array) -> types.Array:
        """Type of the view of a buffer."""
        return types.Array(flat.dtype, self._dimensions, "C")

    def lower(self, context, builder, signature, values):
        """Emit the view; values are the team, the buffer, the offset and the shape."""
        _, flat_type, *_ = signature.args
        _, flat, offset, *shape = values
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(flat_type.dtype)))
        strides = [size]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        view = context.make_array(signature.return_type)(context, builder)
        source = context.make_array(flat_type)(context, builder, flat)
        data = builder.gep(source.data, [offset])
        populate_array(view, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None, parent=None)
        return view._getvalue()


VIEWS = (View("matrix", 2), View("vector", 1))
