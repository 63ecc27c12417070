"""Transposition of a matrix in square blocks that fit the vector registers."""

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import intrinsic, jitable
from fastmlp.kernels.cpu.machine.vectors import Vectors, constant

__all__ = ["transpose"]


@intrinsic
def _block(typingctx, source, source_row, target, target_row, rows, columns, like):
    """target (columns, rows) = sourceᵀ for at most as many rows and columns as a vector has lanes."""

    def codegen(context, builder, signature, args):
        source, source_row, target, target_row, rows, columns, _ = args
        v = Vectors(builder, like)
        source, target, last = v.pointer(source), v.pointer(target), builder.sub(rows, constant(1))
        mask = v.mask(columns)
        block = []
        for i in range(v.lanes):  # rows beyond the last repeat it
            row = builder.select(builder.icmp_signed("<", constant(i), rows), constant(i), last)
            block.append(v.load(source, builder.mul(row, source_row), mask))
        for column, values in enumerate(_interleaved(v, block)):
            with builder.if_then(builder.icmp_signed("<", constant(column), columns)):
                v.store(values, target, builder.mul(constant(column), target_row), v.mask(rows))
        return context.get_dummy_value()

    return types.void(*([types.intp] * 6), like), codegen


def _interleaved(v, rows):
    """The columns of a square block, given its rows as vectors.

    Interleaving the first half of the rows with the second half rotates the bits of an element's index (row, column) by
    one. After log2(lanes) rounds row and column have changed places.
    """
    half = v.lanes // 2
    low = [lane for i in range(half) for lane in (i, v.lanes + i)]
    picks = [ir.Constant(ir.VectorType(ir.IntType(32), v.lanes), lanes) for lanes in (low, [i + half for i in low])]
    for _ in range(half.bit_length()):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [v.builder.shuffle_vector(a, b, pick) for a, b in pairs for pick in picks]
    return rows


@jitable
def transpose(source, source_row, rows, columns, target, target_row, like, itemsize):
    """Transpose the matrix at the address source (rows, columns) to target (columns, rows); `like` carries the type."""
    lanes = VECTOR_BYTES // itemsize
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            block, place = source + (i * source_row + j) * itemsize, target + (j * target_row + i) * itemsize
            _block(block, source_row, place, target_row, min(lanes, rows - i), min(lanes, columns - j), like)
