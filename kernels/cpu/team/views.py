"""Views of arrays, emitted inline: `NumpyOps.matrix` and `vector` for the step, `span` and `grid` for kernels.

A view is a few instructions, fewer than a slice and a reshape, and takes no reference to the memory, which the caller
keeps alive.
"""

from numba import types
from numba.np.arrayobj import populate_array

from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable

__all__ = ["VIEWS", "address", "element", "grid", "row_address", "span"]


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
        _, flat, offset, *shape = values
        return _emit(context, builder, signature.args[1], flat, offset, signature.return_type, shape)


def _emit(context, builder, source_type, source, offset, view_type, shape):
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(source_type.dtype)))
    strides = [size]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    view = context.make_array(view_type)(context, builder)
    data = builder.gep(context.make_array(source_type)(context, builder, source).data, [offset])
    populate_array(view, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None, parent=None)
    return view._getvalue()


@intrinsic
def span(typingctx, array, offset, length):
    """Elements offset … offset + length of a C-ordered array as a vector.

    Loops over it vectorise: unlike the index of a row and a column, that of an element cannot be negative.
    """
    view_type = types.Array(array.dtype, 1, "C", readonly=not array.mutable)

    def codegen(context, builder, signature, values):
        source, offset, length = values
        return _emit(context, builder, array, source, offset, view_type, [length])

    return view_type(array, types.intp, types.intp), codegen


@intrinsic
def grid(typingctx, array, offset, rows, columns):
    """Elements from `offset` on of a C-ordered array as a matrix (rows, columns)."""
    view_type = types.Array(array.dtype, 2, "C", readonly=not array.mutable)

    def codegen(context, builder, signature, values):
        source, offset, *shape = values
        return _emit(context, builder, array, source, offset, view_type, shape)

    return view_type(array, types.intp, types.intp, types.intp), codegen


@intrinsic
def address(typingctx, array):
    """The address of the first element."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), codegen


@jitable
def element(array, i):
    """Element i of a C-ordered array, i not negative; Numba's own index would check that."""
    return span(array, i, 1)[0]


@jitable
def row_address(matrix, i):
    """The address of row i of a C-ordered matrix."""
    return address(matrix) + i * matrix.shape[1] * matrix.itemsize


VIEWS = (View("matrix", 2), View("vector", 1))
