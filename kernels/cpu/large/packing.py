"""Copies of parts of matrices, dense and in the order in which the microkernel reads them."""

from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["pack_columns", "pack_rows"]


@jitable
def pack_columns(matrix, picks, j, n, p, k, width, out, at, _):
    """out[at:] (k, width) = matrix[picks[p : p + k], j : j + n], n <= width; picks None: all rows."""
    for i in range(k):
        row = p + i
        if picks is not None:
            row = picks[row]
        source, target = span(matrix, row * matrix.shape[1] + j, n), span(out, at + i * width, n)
        if n == width:  # a constant: whole vectors
            for c in range(width):
                target[c] = source[c]
        else:
            for c in range(n):
                target[c] = source[c]


@jitable
def pack_rows(matrix, picks, j, n, p, k, width, out, at, room):
    """out[at:] (k, width) = the transpose of matrix[picks[j : j + n], p : p + k]; out[room:] has room for n rows."""
    like, size, source, row = out.dtype.type(0), out.itemsize, address(out) + room * out.itemsize, k
    if picks is None:
        source, row = address(matrix) + (j * matrix.shape[1] + p) * size, matrix.shape[1]
    else:
        for i in range(n):
            sample, target = span(matrix, picks[j + i] * matrix.shape[1] + p, k), span(out, room + i * k, k)
            for c in range(k):
                target[c] = sample[c]
    transpose(source, row, n, k, address(out) + at * size, width, like, size)
