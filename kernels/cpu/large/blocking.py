"""Products of large matrices part by part, packed.

A large B does not stay in the L2 cache from tile to tile, and what a tile reads of it lies a row's length apart: each
row in another page, and with rows of 2^n bytes all in the few lines of a cache that such addresses may have. So a
panel of B, as wide as a tile, is copied densely before the tiles read it, and so is a block of A, strip by strip.
Source: Goto & van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).

Sums over the depth are formed part by part and are kept in C in between. Where the parts end does not depend on a
thread's share, so results do not depend on the number of threads.
"""

from collections.abc import Iterable

from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.machine.microkernel import IN_ORDER, ROWS, UPDATE, Product
from fastmlp.kernels.cpu.machine.tiling import PANEL_BYTES, tiled
from fastmlp.kernels.cpu.machine.vectors import HALF_L2
from fastmlp.kernels.cpu.team.views import address

__all__ = ["ROOM_BYTES", "is_large", "make_product"]

# Of a weight matrix; measured on Zen 4, 1 MiB of L2 cache a core: packed products are faster beyond (up to twice as
# fast, with rows of 2^n bytes), and in float32 slower below.
LARGE_BYTES = 1 << 22
NARROW = 128  # inputs or outputs: not worth a copy of the other operand
DEPTH = 256  # of a part: as many lines that lie 2^n bytes apart stay in the L2 cache while the panel before is in use
LONG_DEPTH = 1024  # where B is read along its rows or in place: the longer, the less often C is read and written

_PANEL_BYTES, _STRIP_BYTES = LONG_DEPTH * PANEL_BYTES, LONG_DEPTH * ROWS * 8
ROOM_BYTES = _PANEL_BYTES + _STRIP_BYTES + HALF_L2  # of scratch memory: a panel of B, a strip and a block of A


def is_large(layers: Iterable[tuple[int, int]], itemsize: int) -> bool:
    """Whether packed products pay in a network of such layers (inputs, outputs)."""
    return any(min(layer) >= NARROW and layer[0] * layer[1] * itemsize > LARGE_BYTES for layer in layers)


_multiply = tiled(UPDATE, IN_ORDER)


def make_product(pack_a, pack_b, depth_of_part: int):
    """Function for out[r0:r1, c0:c1] = beta out + alpha A B: A (rows, depth), B (depth, columns).

    pack_a and pack_b, of `packing`, say how A and B lie in the matrices a, of which the rows `picks` count, and b.
    Without `packed` B is read in place.
    """

    @jitable
    def product(a, picks, b, out, r0, r1, c0, c1, depth, alpha, beta, packed, scratch):
        size, columns, real = out.itemsize, out.shape[1], out.dtype.type
        width, strip, block = PANEL_BYTES // size, _PANEL_BYTES // size, (_PANEL_BYTES + _STRIP_BYTES) // size
        most = depth_of_part if packed else LONG_DEPTH
        most_rows = HALF_L2 // (most * size)
        for i in range(r0, r1, most_rows):
            rows = min(most_rows, r1 - i)
            for p in range(0, max(depth, 1), most):
                k, kept = min(most, depth - p), real(beta) if p == 0 else real(1)
                for at in range(0, rows, ROWS):
                    pack_a(a, picks, i + at, min(ROWS, rows - at), p, k, ROWS, scratch, block + at * k, strip)
                for j in range(c0, c1, width):
                    n, panel, row = min(width, c1 - j), address(scratch), width
                    if packed:
                        pack_b(b, None, j, n, p, k, width, scratch, 0, 0)
                    else:
                        panel, row = address(b) + (p * b.shape[1] + j) * size, b.shape[1]
                    packed_part = Product(
                        a=address(scratch) + block * size,
                        a_row=k,
                        a_k=ROWS,
                        picks=0,
                        b=panel,
                        b_row=row,
                        c=address(out) + (i * columns + j) * size,
                        c_row=columns,
                        rows=rows,
                        columns=n,
                        k=k,
                        aux=0,
                        alpha=real(alpha),
                        beta=kept,
                    )
                    _multiply(packed_part, size)

    return product
