"""Dropout by Philox4x32-10 (twin of `fastmlp.dropout`, which explains it)."""

from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.machine.philox import row_dropout
from fastmlp.kernels.cpu.team.signatures import Matrix
from fastmlp.kernels.cpu.team.threads import barrier, share
from fastmlp.kernels.cpu.team.views import row_address

__all__ = ["dropout"]

_LOW = 0xFFFFFFFF


@jitable
def dropout(ops, x: Matrix, keep: float, seed: int, step: int, layer: int, first_row: int, out: Matrix):
    begin, end = share(ops, out.shape[0], 1)
    inverse, limit = out.dtype.type(1 / keep), int(keep * 2.0**32)
    key = seed & _LOW, (seed >> 32) & _LOW
    for i in range(begin, end):
        counter = (first_row + i) & _LOW, step & _LOW, layer
        row_dropout(row_address(x, i), row_address(out, i), out.shape[1], *counter, *key, limit, inverse)
    barrier(ops)
