"""Views of flat buffers and the gathering of batches (twins of `NumpyOps`)."""

from fastmlp.kernels.cpu.signatures import Indices, Labels, Matrix, Samples, Targets, Vector, Weights
from fastmlp.kernels.cpu.team import barrier, share
from numba import types
from numba.extending import intrinsic, register_jitable
from numba.np.arrayobj import populate_array

__all__ = ["copy", "gather", "gather_targets", "gather_weights", "matrix", "vector", "weight_sum"]


def _view(dimensions):
    """Intrinsic (flat, offset, rows, columns) -> C-ordered view of a buffer that the caller keeps alive.

    Unlike a slice and a reshape it is a few instructions, and takes no reference.
    """

    @intrinsic
    def view(typingctx, flat, offset, rows, columns):
        kind = types.Array(flat.dtype, dimensions, "C")

        def codegen(context, builder, signature, args):
            source = context.make_array(signature.args[0])(context, builder, args[0])
            size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(flat.dtype)))
            result = context.make_array(kind)(context, builder)
            shape, strides = [args[2]], [size]
            if dimensions == 2:
                shape, strides = [args[2], args[3]], [builder.mul(args[3], size), size]
            data = builder.gep(source.data, [args[1]])
            populate_array(result, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None, parent=None)
            return result._getvalue()

        return kind(flat, types.intp, types.intp, types.intp), codegen

    return view


_matrix_view, _vector_view = _view(2), _view(1)


def matrix(ops, flat, offset, rows, columns):
    return _matrix_view(flat, offset, rows, columns)


def vector(ops, flat, offset, length):
    return _vector_view(flat, offset, length, 0)


@register_jitable
def _gather(team, x, rows, out):
    begin, end = share(team, out.shape[0], 1)
    for i in range(begin, end):
        row = rows[i]
        for j in range(out.shape[1]):
            out[i, j] = x[row, j]


def gather(ops, x: Samples, rows: Indices, out: Matrix):
    _gather(ops, x, rows, out)
    barrier(ops)


def gather_targets(ops, labels: Labels, targets: Targets, rows: Indices, out: Matrix):
    if labels.shape[0] > 0:
        begin, end = share(ops, out.shape[0], 1)
        for i in range(begin, end):
            for j in range(out.shape[1]):
                out[i, j] = 0
            out[i, labels[rows[i]]] = 1
    else:
        _gather(ops, targets, rows, out)
    barrier(ops)


def gather_weights(ops, weights: Weights, rows: Indices, out: Vector):
    begin, end = share(ops, out.shape[0], 1)
    for i in range(begin, end):
        out[i] = weights[rows[i]] if weights.shape[0] > 0 else 1
    barrier(ops)


def weight_sum(ops, weights: Weights, rows: Indices) -> float:
    total = float(rows.shape[0])
    if weights.shape[0] > 0:
        total = 0.0
        for i in range(rows.shape[0]):
            total += weights[rows[i]]
    return total


def copy(ops, x: Matrix, out: Matrix):
    begin, end = share(ops, out.shape[0], 1)
    for i in range(begin, end):
        for j in range(out.shape[1]):
            out[i, j] = x[i, j]
    barrier(ops)
