"""Dot products of several rows with one vector at once."""

from numba import types

from fastmlp.kernels.cpu.machine.jitable import intrinsic
from fastmlp.kernels.cpu.machine.vectors import Vectors, blocks, constant, loop
from fastmlp.kernels.cpu.regimes import DOTS

__all__ = ["dots"]


@intrinsic
def dots(typingctx, a, a_row, rows, w, n, z, z_row, start):
    """z[i] = start + Σ_j a[i, j] w[j] for as many as DOTS rows of A; n elements each."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, start)
        a, a_row, rows, w, n, z, z_row, start_value = args
        a, w, z = map(v.pointer, (a, w, z))
        last = builder.sub(rows, constant(1))
        present = [builder.icmp_signed("<", constant(i), rows) for i in range(DOTS)]
        row = [builder.select(there, constant(i), last) for i, there in enumerate(present)]
        row = [builder.gep(a, [builder.mul(i, a_row)]) for i in row]

        def step(inside):
            offset, *sums = inside
            mask = v.mask(builder.sub(n, offset))
            weights = v.load(w, offset, mask)
            sums = [v.fma(v.load(ai, offset, mask), weights, total) for ai, total in zip(row, sums, strict=True)]
            return [builder.add(offset, constant(v.lanes)), *sums]

        _, *sums = loop(builder, blocks(builder, n, v.lanes), [constant(0), *[v.zero] * DOTS], step)
        for i, total in enumerate(sums):
            value = builder.fadd(v.sum(total), start_value)
            with builder.if_then(present[i]):
                builder.store(value, builder.gep(z, [builder.mul(constant(i), z_row)]), align=v.itemsize)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 7), start), codegen
