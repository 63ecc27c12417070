"""The sum of gradients over shards and processes, which the host does: see `fastmlp.ranks`."""

from llvmlite import ir
from numba import types

from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.team.members import ON_HOST
from fastmlp.kernels.cpu.team.signatures import Vector
from fastmlp.kernels.cpu.team.threads import barrier
from fastmlp.kernels.cpu.team.views import address

__all__ = ["all_reduce"]

_I64, _F64 = ir.IntType(64), ir.DoubleType()


@intrinsic
def _call(typingctx, function, shard, rows, gradient, loss):
    """Call a C function (int64 shard, int64 rows, int64 address, double loss) -> double."""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(_F64, [_I64, _I64, _I64, _F64])
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])

    return types.float64(types.int64, types.int64, types.int64, types.intp, types.float64), codegen


def all_reduce(ops, shard: int, rows: int, gradient: Vector, loss: float) -> float:
    barrier(ops)
    total = 0.0
    if ops.rank == 0:  # which has the whole loss (see `sum_of_parts`), and runs in the thread that called the backend
        total = _call(ops.sync[ON_HOST], shard, rows, address(gradient), loss)
    barrier(ops)
    return total
