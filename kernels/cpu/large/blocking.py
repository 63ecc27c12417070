"""Products of large matrices, by packed panels and blocks.

A large B does not stay in the L2 cache from tile to tile. And the rows that a tile reads of it are far apart: each in
another page, and, with rows of 2^n bytes, all in the same few sets of the cache, where they evict one another. So a
panel of B, as wide as a tile, is packed (copied densely) before the tiles read it, and so is a block of A, strip by
strip. Source: Goto & van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).

The depth is cut into parts, whose sums are added up in C. Where the parts end does not depend on a thread's share, so
results do not depend on the number of threads.
"""

from fastmlp.kernels.cpu.machine.host import HALF_L2, ROWS
from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.machine.microkernel import IN_ORDER, UPDATE, Product
from fastmlp.kernels.cpu.machine.tiling import tiled
from fastmlp.kernels.cpu.regimes import LONG_DEPTH, PANEL_BYTES, STRIP_BYTES
from fastmlp.kernels.cpu.team.views import address

__all__ = ["DEPTH", "make_product"]

DEPTH = 256  # of a packed part: so many lines 2^n bytes apart fit the L2 cache beside the panel that is in use

_PANEL_BYTES = LONG_DEPTH * PANEL_BYTES

_multiply = tiled(UPDATE, IN_ORDER)


def make_product(pack_a, pack_b, depth_of_part: int):
    """Function for out[r0:r1, c0:c1] = beta out + alpha A B: A (rows, depth), B (depth, columns).

    pack_a and pack_b, from `packing`, read A and B from the matrices a and b, as they are or transposed; of a only the
    rows `picks`, None for all. Without `packed` B is read in place.
    """

    @jitable
    def product(a, picks, b, out, r0, r1, c0, c1, depth, alpha, beta, packed, scratch):
        size, columns, real = out.itemsize, out.shape[1], out.dtype.type
        width, strip, block = PANEL_BYTES // size, _PANEL_BYTES // size, (_PANEL_BYTES + STRIP_BYTES) // size
        most = depth_of_part if packed else LONG_DEPTH
        most_rows = HALF_L2 // (most * size)
        for i in range(r0, r1, most_rows):
            rows = min(most_rows, r1 - i)
            for p in range(0, max(depth, 1), most):
                k, part_beta = min(most, depth - p), real(beta) if p == 0 else real(1)
                for at in range(0, rows, ROWS):
                    pack_a(a, picks, i + at, min(ROWS, rows - at), p, k, ROWS, scratch, block + at * k, strip)
                for j in range(c0, c1, width):
                    n, panel, b_row = min(width, c1 - j), address(scratch), width
                    if packed:
                        pack_b(b, None, j, n, p, k, width, scratch, 0, 0)
                    else:
                        panel, b_row = address(b) + (p * b.shape[1] + j) * size, b.shape[1]
                    packed_part = Product(
                        a=address(scratch) + block * size,
                        a_row=k,
                        a_k=ROWS,
                        picks=0,
                        b=panel,
                        b_row=b_row,
                        c=address(out) + (i * columns + j) * size,
                        c_row=columns,
                        rows=rows,
                        columns=n,
                        k=k,
                        aux=0,
                        alpha=real(alpha),
                        beta=part_beta,
                    )
                    _multiply(packed_part, size)

    return product
