"""The peak arithmetic rate of this machine's cores: fused multiply-adds on registers, without memory access.

Run: python benchmarks/fma_peak.py [THREADS]. Prints GFLOP/s in float32.

The loop is written in LLVM IR like the microkernel, so that it has the same vector width and the compiler cannot remove
the arithmetic. It has more independent sums than two units with four cycles of latency need.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES

LANES = VECTOR_BYTES // 4
SUMS = 16 if VECTOR_BYTES == 64 else 12  # of 32 or 16 vector registers
TURNS = 2_000_000  # of the loop: some ten milliseconds

_I64 = ir.IntType(64)


@intrinsic
def _multiply_add(typingctx, turns, factor, term):
    """sum = sum * factor + term, `turns` times in each of SUMS vectors; one lane of their total."""
    return types.float32(types.int64, types.float32, types.float32), _emit


def _emit(context, builder, signature, arguments):
    turns, factor, term = arguments
    scalar = ir.FloatType()
    vector = ir.VectorType(scalar, LANES)
    name = f"llvm.fma.v{LANES}f32"
    fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)

    def splat(value):
        lanes = ir.Constant(vector, ir.Undefined)
        for lane in range(LANES):
            lanes = builder.insert_element(lanes, value, ir.Constant(ir.IntType(32), lane))
        return lanes

    factor, term = splat(factor), splat(term)
    entry = builder.block
    loop, done = (builder.append_basic_block(f"peak.{part}") for part in ("loop", "done"))
    builder.branch(loop)

    builder.position_at_end(loop)
    left = builder.phi(_I64)
    sums = [builder.phi(vector) for _ in range(SUMS)]
    new = [builder.call(fma, [value, factor, term]) for value in sums]
    rest = builder.sub(left, ir.Constant(_I64, 1))
    left.add_incoming(turns, entry)
    left.add_incoming(rest, loop)
    for number, (phi, value) in enumerate(zip(sums, new, strict=True)):
        phi.add_incoming(ir.Constant(vector, [float(number)] * LANES), entry)  # equal sums would be computed once
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed(">", rest, ir.Constant(_I64, 0)), loop, done)

    builder.position_at_end(done)
    total = new[0]
    for value in new[1:]:
        total = builder.fadd(total, value)
    return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))


@numba.njit(nogil=True)
def _turn(turns):
    return _multiply_add(turns, numba.float32(0.5), numba.float32(0.5))  # tends to 1: neither overflow nor denormals


def fma_peak(n_threads: int, repeats: int = 8) -> float:
    """GFLOP/s of several threads together; the best of a few attempts, which is the least disturbed one."""
    _turn(1)  # compiles
    flops = 2 * LANES * SUMS * TURNS * n_threads
    with ThreadPoolExecutor(n_threads) as threads:
        work = partial(threads.map, _turn)

        def seconds() -> float:
            begin = perf_counter()
            list(work([TURNS] * n_threads))
            return perf_counter() - begin

        return flops / min(seconds() for _ in range(repeats)) / 1e9


if __name__ == "__main__":
    print(f"{fma_peak(int(sys.argv[1]) if len(sys.argv) > 1 else 1):.1f} GFLOP/s")
