"""A matrix product of any size, cut into tiles for the microkernel."""

from functools import cache

from fastmlp.kernels.cpu.machine.host import HALF_L2, ROWS, VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import inlined, jitable
from fastmlp.kernels.cpu.machine.microkernel import PICKED_ROWS, Product, tile
from fastmlp.kernels.cpu.regimes import PANEL_BYTES

__all__ = ["INDEX_BYTES", "tiled"]

INDEX_BYTES = 8
FEW = 2  # rows of a flat tile: with 4 vectors of columns it has enough independent sums to keep the FMA units busy


@cache
def tiled(epilogue: int, access: int, flat: bool = False, pairs: bool = False):
    """Function of a `Product` and its elements' size in bytes.

    A tile computes all its rows, even those beyond the edge of C. With `flat`, an edge of a few rows is cut into tiles
    of FEW rows instead: for products whose C may have no more than these, or often ends with them.

    The tiles of some rows of A go over all columns of a block of B that fits the L2 cache, before the next rows follow.
    Rows of a list are prefetched while the tiles before them are computed. For `pairs` see `tile`.
    """
    full, edge = tile(epilogue, access, ROWS, 2, False, pairs), tile(epilogue, access, ROWS, 1, True, pairs)
    flat_tile = tile(epilogue, access, FEW, 4, True, pairs)
    # one row down in C is one row down in A or in the list of its rows
    rows_of_a, rows_of_picks = (0, INDEX_BYTES) if access == PICKED_ROWS else (1, 0)

    @inlined
    def part(p, i, j, rows, columns, b, itemsize):
        """The product for C[i : i + rows, j : j + columns] alone; b is the address where B begins for these columns."""
        return Product(
            a=p.a + rows_of_a * i * p.a_row * itemsize,
            a_row=p.a_row,
            a_k=p.a_k,
            picks=p.picks + rows_of_picks * i,
            b=b,
            b_row=p.b_row,
            b_column=p.b_column,
            c=p.c + (i * p.c_row + j) * itemsize,
            c_row=p.c_row,
            rows=rows,
            columns=columns,
            k=p.k,
            aux=p.aux + (i * p.aux_row + j) * itemsize,
            aux_row=p.aux_row,
            alpha=p.alpha,
            beta=p.beta,
        )

    @jitable
    def product(p, itemsize):
        lanes, over = VECTOR_BYTES // itemsize, p.rows % ROWS
        tall = p.rows - over if flat and over <= ROWS // 2 and p.columns > 2 * lanes else p.rows
        block = max(p.columns, 1)
        if p.columns * p.k * itemsize > HALF_L2:
            block = max(1, HALF_L2 // (p.k * PANEL_BYTES)) * 2 * lanes
        for first in range(0, p.columns, block):
            for i in range(0, tall, ROWS):
                rows = min(ROWS, p.rows - i)
                next_picks = p.picks + rows_of_picks * min(i + ROWS, p.rows - rows)
                strip = part(p, i, 0, rows, p.columns, p.b, itemsize)
                for j in range(first, min(first + block, p.columns), 2 * lanes):
                    columns, panel = min(2 * lanes, p.columns - j), p.b + j * p.b_column * itemsize
                    if rows == ROWS and columns == 2 * lanes:
                        full(part(strip, 0, j, rows, columns, panel, itemsize), next_picks)
                        continue
                    for at in range(0, columns, lanes):
                        edge(part(strip, 0, j + at, rows, columns - at, panel + at * itemsize, itemsize), next_picks)
        if not flat:
            return
        for j in range(0, p.columns, 4 * lanes):
            for i in range(tall, p.rows, FEW):
                tile_of_few = part(p, i, j, min(FEW, p.rows - i), p.columns - j, p.b + j * itemsize, itemsize)
                flat_tile(tile_of_few, tile_of_few.picks)

    return product
