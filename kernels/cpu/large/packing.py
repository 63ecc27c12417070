"""Copies of parts of matrices, dense and in the order in which tiles read them: panels (k, width)."""

from collections.abc import Callable

from numba import types
from numba.extending import overload

from fastmlp.kernels.cpu.machine.host import ROWS
from fastmlp.kernels.cpu.machine.jitable import JIT_OPTIONS, intrinsic, jitable
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.machine.vectors import Vectors, constant, loop
from fastmlp.kernels.cpu.regimes import PANEL_BYTES
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["pack_columns", "pack_rows", "pack_strips"]


def _make_pack(width_of: Callable[[int], int]):
    """Function to pack the columns of a matrix in panels of a width that follows from the elements' size."""

    @intrinsic
    def copy_pieces(typingctx, source, pieces, target, between, like):
        """Copy so many pieces, a panel's width each; between those of the target lie `between` elements."""

        def codegen(context, builder, signature, args):
            v = Vectors(builder, like)
            width = width_of(v.itemsize)
            v = v.of_lanes(v.lanes if width % v.lanes == 0 else width)
            source, pieces, target, between, _ = args

            def step(state):
                here, there = state
                for place in range(0, width, v.lanes):
                    v.store(v.load(here, constant(place)), there, constant(place))
                return [builder.gep(here, [constant(width)]), builder.gep(there, [between])]

            loop(builder, pieces, [v.pointer(source), v.pointer(target)], step)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 4, like), codegen

    def copy_row(matrix, offset, n, out, at, width, between):
        """Copy n elements of a matrix from `offset` on to one row of panels."""
        raise NotImplementedError

    @overload(copy_row, jit_options=JIT_OPTIONS)
    def copy_row_of(matrix, offset, n, out, at, width, between):
        def as_it_is(matrix, offset, n, out, at, width, between):
            size, pieces = out.itemsize, n // width
            copy_pieces(address(matrix) + offset * size, pieces, address(out) + at * size, between, out.dtype.type(0))
            rest = n - pieces * width
            source, target = span(matrix, offset + pieces * width, rest), span(out, at + pieces * between, rest)
            for c in range(rest):
                target[c] = source[c]

        def converted(matrix, offset, n, out, at, width, between):
            for first in range(0, n, width):
                length = min(width, n - first)
                source, target = span(matrix, offset + first, length), span(out, at + first // width * between, length)
                for c in range(length):
                    target[c] = source[c]

        return as_it_is if matrix.dtype == out.dtype else converted

    @jitable
    def pack(matrix, picks, p, k, j, n, width, out, at):
        """The panels (k, width) of matrix[picks[p : p + k], j : j + n] to out[at:]; picks None: all rows.

        Row by row: the hardware reads ahead within a row, but not from a row to the next, which lies in another page.
        """
        for i in range(k):
            row = p + i
            if picks is not None:
                row = picks[row]
            copy_row(matrix, row * matrix.shape[1] + j, n, out, at + i * width, width, k * width)

    return pack


_pack_panels, _pack_strips = _make_pack(lambda size: PANEL_BYTES // size), _make_pack(lambda size: ROWS)


@jitable
def pack_columns(matrix, p, k, j, n, out):
    """The panels of B = matrix[p : p + k, j : j + n] to out, each as wide as a tile."""
    _pack_panels(matrix, None, p, k, j, n, PANEL_BYTES // out.itemsize, out, 0)


@jitable
def pack_rows(matrix, p, k, j, n, out):
    """The panels of B, the transpose of matrix[j : j + n, p : p + k], to out."""
    size, width = out.itemsize, PANEL_BYTES // out.itemsize
    for first in range(0, n, width):
        source = address(matrix) + ((j + first) * matrix.shape[1] + p) * size
        target, columns = address(out) + first * k * size, min(width, n - first)
        transpose(source, matrix.shape[1], columns, k, target, width, out.dtype.type(0), size)


@jitable
def pack_strips(matrix, picks, p, k, j, n, out, at):
    """The strips of A, the transpose of matrix[picks[p : p + k], j : j + n], to out[at:]: (k, ROWS) each."""
    _pack_strips(matrix, picks, p, k, j, n, ROWS, out, at)
