"""softmax of many rows that each fit a vector: a vector of rows at a time, column by column.

By single rows, each would be a maximum and a sum over the lanes of a vector, most of which are empty: 22 ns a row, in
which 30-64-2 forms a third of its products. Transposed, 16 rows of 2 columns take 5 ns each.
"""

from fastmlp.kernels.cpu.machine.functions import exp
from fastmlp.kernels.cpu.machine.host import VECTOR_BYTES
from fastmlp.kernels.cpu.machine.jitable import inlined, jitable
from fastmlp.kernels.cpu.machine.transposition import transpose
from fastmlp.kernels.cpu.regimes import SHORT_ROWS
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["are_short", "softmax_of_short_rows"]

FEW = 4  # rows of a batch, below which transposing takes the time that it saves


@inlined
def are_short(rows, n, itemsize):
    """Whether it pays for a batch of so many rows of n numbers: a question of the batch, not of a thread's share."""
    return rows >= FEW and n <= VECTOR_BYTES // itemsize


@jitable
def softmax_of_short_rows(z, rows, n, scratch):
    """softmax in place of up to SHORT_ROWS rows of n numbers, n at most those of a vector, from the address z on."""
    like, size = scratch.dtype.type(0), scratch.itemsize
    columns = span(scratch, 0, n * SHORT_ROWS)
    highest, total = span(scratch, n * SHORT_ROWS, SHORT_ROWS), span(scratch, (n + 1) * SHORT_ROWS, SHORT_ROWS)
    if rows < SHORT_ROWS:
        for i in range(columns.shape[0]):
            columns[i] = like  # where there is no row
    transpose(z, n, rows, n, address(columns), SHORT_ROWS, like, size)
    for i in range(SHORT_ROWS):
        highest[i], total[i] = columns[i], like
    for j in range(1, n):
        column = span(columns, j * SHORT_ROWS, SHORT_ROWS)
        for i in range(SHORT_ROWS):
            highest[i] = column[i] if column[i] > highest[i] else highest[i]
    for j in range(n):
        column = span(columns, j * SHORT_ROWS, SHORT_ROWS)
        for i in range(SHORT_ROWS):
            column[i] = exp(column[i] - highest[i])
            total[i] += column[i]
    for i in range(SHORT_ROWS):
        total[i] = scratch.dtype.type(1) / total[i]
    for j in range(n):
        column = span(columns, j * SHORT_ROWS, SHORT_ROWS)
        for i in range(SHORT_ROWS):
            column[i] *= total[i]
    transpose(address(columns), SHORT_ROWS, n, rows, z, n, like, size)
