"""The matrix-product microkernel: a tile of C in vector registers, one loop over the depth, operands read in place.

    C[m, n] = epilogue(A[m, k] B[k, n])      m <= ROWS, n <= vectors * width

A is read through two strides, so the same kernel serves x W (strides I, 1) and aᵀ δ (strides 1, I). B and C have unit
column stride. The tile's accumulators live in registers for the whole loop, hence bias, ReLU or beta C + alpha AB
cost nothing. Nothing is packed: B's columns of one tile stay in the L2 cache while the rows of A stream past.

Emitted as LLVM IR because Numba has no vector types. Tile sizes follow the vector width of the CPU that Numba
compiles for (AVX-512, AVX, else 128 bit).
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

__all__ = ["BIAS", "BIAS_RELU", "PLAIN", "ROWS", "UPDATE", "VECTOR_BYTES", "tile"]

PLAIN, BIAS, BIAS_RELU, UPDATE = range(4)

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _vector_bytes() -> int:
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    return 64 if "+avx512f" in features else 32 if "+avx" in features else 16


VECTOR_BYTES = _vector_bytes()

# ROWS x 2 accumulators, 2 vectors of B and a broadcast of A: within 32 registers (AVX-512), within 16 otherwise.
ROWS = 8 if VECTOR_BYTES == 64 else 4


def tile(epilogue: int, rows: int, vectors: int, masked: bool):
    """Intrinsic for one kind of tile.

    Called as ``kernel(a, a_row, a_k, b, b_k, c, c_row, k, m, n, bias, alpha, beta)``: a, b, c and bias are addresses;
    the strides count elements; alpha and beta have the element type. Rows m … rows-1 are computed but not stored (they
    repeat row m-1). Without `masked`, n must be the full width.
    """

    @intrinsic
    def kernel(typingctx, a, a_row, a_k, b, b_k, c, c_row, k, m, n, bias, alpha, beta):
        signature = types.void(*([types.intp] * 11), alpha, beta)
        emit = functools.partial(_emit, alpha, epilogue, rows, vectors, masked)
        return signature, lambda context, builder, sig, args: (emit(builder, *args), context.get_dummy_value())[1]

    return kernel


def _emit(real, epilogue, rows, vectors, masked, builder, a, a_row, a_k, b, b_k, c, c_row, k, m, n, bias, alpha, beta):
    scalar = ir.FloatType() if real == types.float32 else ir.DoubleType()
    width = VECTOR_BYTES // (real.bitwidth // 8)
    vector = ir.VectorType(scalar, width)
    suffix = f"v{width}f{real.bitwidth}"
    module, pointer = builder.module, scalar.as_pointer()
    align = real.bitwidth // 8
    int64 = functools.partial(ir.Constant, _I64)
    zero = ir.Constant(vector, [0.0] * width)
    fma = cgutils.get_or_insert_function(module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.{suffix}")

    def splat(value, kind=vector):
        undefined = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, width), [0] * width))

    if masked:
        lanes, flags = ir.VectorType(_I64, width), ir.VectorType(ir.IntType(1), width)
        limit = splat(n, lanes)
        mask = [
            builder.icmp_signed("<", ir.Constant(lanes, [j * width + i for i in range(width)]), limit)
            for j in range(vectors)
        ]
        vp = vector.as_pointer()
        masked_load = cgutils.get_or_insert_function(
            module, ir.FunctionType(vector, [vp, _I32, flags, vector]), f"llvm.masked.load.{suffix}.p0"
        )
        masked_store = cgutils.get_or_insert_function(
            module, ir.FunctionType(ir.VoidType(), [vector, vp, _I32, flags]), f"llvm.masked.store.{suffix}.p0"
        )

    def load(base, offset, j):
        p = builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())
        if masked:
            return builder.call(masked_load, [p, ir.Constant(_I32, align), mask[j], zero])
        return builder.load(p, align=align)

    def store(value, base, offset, j):
        p = builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())
        if masked:
            builder.call(masked_store, [value, p, ir.Constant(_I32, align), mask[j]])
        else:
            builder.store(value, p, align=align)

    a, b, c = (builder.inttoptr(p, pointer) for p in (a, b, c))
    last_row = builder.sub(m, int64(1))
    row_of = [builder.select(builder.icmp_signed("<", int64(i), m), int64(i), last_row) for i in range(rows)]
    a_offset = [builder.mul(row, a_row) for row in row_of]

    entry = builder.block
    loop, done = (builder.append_basic_block(f"tile.{name}") for name in ("loop", "done"))
    builder.cbranch(builder.icmp_signed(">", k, int64(0)), loop, done)

    builder.position_at_end(loop)
    left, ap, bp = builder.phi(_I64), builder.phi(pointer), builder.phi(pointer)
    for phi, start in ((left, k), (ap, a), (bp, b)):
        phi.add_incoming(start, entry)
    tile_shape = [(i, j) for i in range(rows) for j in range(vectors)]
    sums = {ij: builder.phi(vector) for ij in tile_shape}
    bs = [load(bp, int64(j * width), j) for j in range(vectors)]
    new = {}
    for i in range(rows):
        ai = splat(builder.load(builder.gep(ap, [a_offset[i]]), align=align))
        for j in range(vectors):
            new[i, j] = builder.call(fma, [ai, bs[j], sums[i, j]])
    for ij in tile_shape:
        sums[ij].add_incoming(zero, entry)
        sums[ij].add_incoming(new[ij], loop)
    rest = builder.sub(left, int64(1))
    left.add_incoming(rest, loop)
    ap.add_incoming(builder.gep(ap, [a_k]), loop)
    bp.add_incoming(builder.gep(bp, [b_k]), loop)
    builder.cbranch(builder.icmp_signed(">", rest, int64(0)), loop, done)

    builder.position_at_end(done)
    result = {}
    for ij in tile_shape:
        result[ij] = builder.phi(vector)
        result[ij].add_incoming(zero, entry)
        result[ij].add_incoming(new[ij], loop)
    if epilogue in (BIAS, BIAS_RELU):
        bias = builder.inttoptr(bias, pointer)
        biases = [load(bias, int64(j * width), j) for j in range(vectors)]
    elif epilogue == UPDATE:
        # beta = 0 means that C holds nothing yet, not even finite numbers
        fresh = builder.fcmp_ordered("==", beta, ir.Constant(scalar, 0.0))
        alpha, beta = splat(alpha), splat(beta)
    for i in range(rows):
        with builder.if_then(builder.icmp_signed("<", int64(i), m), likely=True):
            for j in range(vectors):
                value = result[i, j]
                offset = builder.add(builder.mul(int64(i), c_row), int64(j * width))
                if epilogue in (BIAS, BIAS_RELU):
                    value = builder.fadd(value, biases[j])
                if epilogue == BIAS_RELU:
                    # not maxnum, which would turn NaN into 0 and hide a divergence
                    value = builder.select(builder.fcmp_ordered("<", value, zero), zero, value)
                if epilogue == UPDATE:
                    old = builder.select(fresh, zero, builder.fmul(beta, load(c, offset, j)))
                    value = builder.call(fma, [alpha, value, old])
                store(value, c, offset, j)
