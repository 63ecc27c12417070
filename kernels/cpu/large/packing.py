"""Copies of parts of matrices, dense and in the order in which tiles read them: panels (k, WIDTH)."""

from numba import types
from numba.extending import overload

from fastmlp.kernels.cpu.machine.jitable import JIT_OPTIONS, intrinsic, jitable
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.machine.vectors import Vectors, constant, loop
from fastmlp.kernels.cpu.regimes import PANEL_BYTES
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["pack_columns", "pack_rows"]


@intrinsic
def _copy_panels(typingctx, source, panels, target, between, like):
    """Copy a row of so many whole panels; from one panel to the next the target lies `between` elements further."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        source, panels, target, between, _ = args
        places = range(0, PANEL_BYTES // v.itemsize, v.lanes)

        def step(state):
            here, there = state
            for place, vector in [(place, v.load(here, constant(place))) for place in places]:
                v.store(vector, there, constant(place))
            return [builder.gep(here, [constant(PANEL_BYTES // v.itemsize)]), builder.gep(there, [between])]

        loop(builder, panels, [v.pointer(source), v.pointer(target)], step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, like), codegen


def _copy_row(matrix, offset, n, out, at, between):
    """Copy n elements of a matrix from `offset` on to one row of panels of out."""
    raise NotImplementedError


@overload(_copy_row, jit_options=JIT_OPTIONS)
def _copy_row_of(matrix, offset, n, out, at, between):
    def as_it_is(matrix, offset, n, out, at, between):
        size = out.itemsize
        panels, width = n * size // PANEL_BYTES, PANEL_BYTES // size
        source, target = address(matrix) + offset * size, address(out) + at * size
        _copy_panels(source, panels, target, between, out.dtype.type(0))
        done = panels * width
        if done < n:
            rest, place = span(matrix, offset + done, n - done), span(out, at + panels * between, n - done)
            for c in range(n - done):
                place[c] = rest[c]

    def converted(matrix, offset, n, out, at, between):
        width = PANEL_BYTES // out.itemsize
        for first in range(0, n, width):
            length = min(width, n - first)
            source, target = span(matrix, offset + first, length), span(out, at + first // width * between, length)
            for c in range(length):
                target[c] = source[c]

    return as_it_is if matrix.dtype == out.dtype else converted


@jitable
def pack_columns(matrix, picks, p, k, j, n, out, at):
    """The panels of B = matrix[picks[p : p + k], j : j + n] to out[at:]; picks None: all rows.

    Row by row: the hardware reads ahead within a row, but not from a row to the next, which lies in another page.
    """
    width = PANEL_BYTES // out.itemsize
    for i in range(k):
        row = p + i
        if picks is not None:
            row = picks[row]
        _copy_row(matrix, row * matrix.shape[1] + j, n, out, at + i * width, k * width)


@jitable
def pack_rows(matrix, picks, p, k, j, n, out, at):
    """The panels of B, the transpose of matrix[j : j + n, p : p + k], to out[at:]; picks is None."""
    size, width = out.itemsize, PANEL_BYTES // out.itemsize
    for first in range(0, n, width):
        source = address(matrix) + ((j + first) * matrix.shape[1] + p) * size
        target, columns = address(out) + (at + first * k) * size, min(width, n - first)
        transpose(source, matrix.shape[1], columns, k, target, width, out.dtype.type(0), size)
