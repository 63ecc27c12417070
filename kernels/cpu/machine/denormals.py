"""Denormal numbers treated as zero, for the calling thread.

The moments of a weight whose gradient stays zero shrink from step to step. Adam's m is below 2⁻¹²⁶, a denormal number
in float32, after some 800 steps. Arithmetic on denormal numbers is so slow that a step of Adam on one image takes twice
as long. And no weight moves by them, unless epsilon is below 1e-17.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastmlp.kernels.cpu.machine.host import X86
from fastmlp.kernels.cpu.machine.jitable import intrinsic

__all__ = ["flush_denormals", "restore_denormals"]

_I32 = ir.IntType(32)
_FLUSH = 0x8040  # of the register MXCSR: denormal results become zero, denormal operands count as zero


def _call(builder, name, place):
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, cgutils.voidptr_t)])


@intrinsic
def flush_denormals(typingctx):
    """Treat denormal numbers as zero from now on (x86 only); returns the mode before."""

    def codegen(context, builder, signature, args):
        if not X86:
            return ir.Constant(_I32, 0)
        place = cgutils.alloca_once(builder, _I32)
        _call(builder, "stmxcsr", place)
        before = builder.load(place)
        builder.store(builder.or_(before, ir.Constant(_I32, _FLUSH)), place)
        _call(builder, "ldmxcsr", place)
        return before

    return types.int32(), codegen


@intrinsic
def restore_denormals(typingctx, before):
    """Restore the mode that `flush_denormals` returned."""

    def codegen(context, builder, signature, args):
        if X86:
            place = cgutils.alloca_once(builder, _I32)
            builder.store(args[0], place)
            _call(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int32), codegen
