"""A product of matrices cut into tiles for the microkernel."""

from functools import cache

from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.machine.microkernel import PICKED_ROWS, RELU_MASK, ROWS, tile
from fastmlp.kernels.cpu.machine.vectors import HALF_L2, VECTOR_BYTES

__all__ = ["INDEX_BYTES", "PANEL_BYTES", "tiled"]

PANEL_BYTES = 2 * VECTOR_BYTES  # of a row of the columns of B that a full tile takes
INDEX_BYTES = 8
FEW = 2  # rows of a flat tile, which has as many sums as it takes to keep the units of the core busy


@cache
def tiled(epilogue: int, way: int, flat: bool = False):
    """Product of whole matrices: C (rows, columns) = epilogue(A (rows, k) B (k, columns)), in tiles.

    A tile computes all its rows, whether there are so many or not. With `flat`, an edge of a few rows is cut into
    tiles of their own, for products whose C may have no more than a few.

    The rows of A in a tile serve all columns of a block of B, which the L2 cache holds. Picked ones are fetched while
    the tiles before are computed.
    """
    full, edge = tile(epilogue, way, ROWS, 2, False), tile(epilogue, way, ROWS, 1, True)
    flat_tile = tile(epilogue, way, FEW, 4, True)
    # by how much a row of C moves on in A, in the list of picks, and, in rows of C, in what stands aside
    rows_of_a, rows_of_picks = (0, INDEX_BYTES) if way == PICKED_ROWS else (1, 0)
    rows_aside = int(epilogue == RELU_MASK)

    @jitable
    def product(a, a_row, a_k, picks, b, b_k, c, c_row, rows, columns, k, aside, alpha, beta, itemsize):
        lanes, over = VECTOR_BYTES // itemsize, rows % ROWS
        tall = rows - over if flat and over <= ROWS // 2 and columns > 2 * lanes else rows
        block = max(columns, 1)
        if columns * k * itemsize > HALF_L2:
            block = max(1, HALF_L2 // (k * PANEL_BYTES)) * 2 * lanes
        for first in range(0, columns, block):
            for i in range(0, tall, ROWS):
                m = min(ROWS, rows - i)
                ai, picksi = a + rows_of_a * i * a_row * itemsize, picks + rows_of_picks * i
                soon = picks + rows_of_picks * min(i + ROWS, rows - m)
                for j in range(first, min(first + block, columns), 2 * lanes):
                    n, bj = min(2 * lanes, columns - j), b + j * itemsize
                    ci, asidei = c + (i * c_row + j) * itemsize, aside + (rows_aside * i * c_row + j) * itemsize
                    if m == ROWS and n == 2 * lanes:
                        full(ai, a_row, a_k, picksi, soon, bj, b_k, ci, c_row, k, m, n, asidei, alpha, beta)
                        continue
                    for at in range(0, n, lanes):
                        place = picksi, soon, bj + at * itemsize, b_k, ci + at * itemsize, c_row, k, m, n - at
                        edge(ai, a_row, a_k, *place, asidei + at * itemsize, alpha, beta)
        if not flat:
            return
        for j in range(0, columns, 4 * lanes):
            n, bj = columns - j, b + j * itemsize
            for i in range(tall, rows, FEW):
                m = min(FEW, rows - i)
                ai, picksi = a + rows_of_a * i * a_row * itemsize, picks + rows_of_picks * i
                ci, asidei = c + (i * c_row + j) * itemsize, aside + (rows_aside * i * c_row + j) * itemsize
                flat_tile(ai, a_row, a_k, picksi, picksi, bj, b_k, ci, c_row, k, m, n, asidei, alpha, beta)

    return product
