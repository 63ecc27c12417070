"""Which part of a layer's products is whose.

Small batches go by columns of the output: a core then meets the same columns of W in the forward product and in the
update, in its own L2 cache. Large ones go by rows: there the products outweigh the way of W from core to core, and
threads that write to the same rows would contend for the cache lines in which their columns meet.

Between two threads a wide layer goes by its inputs: forward, each forms the sums over half of them, with half of the
rows of W, and plain SGD's gradient goes into the same rows, other rules' updates into about the same. So W stays on its
core. The sums do not, but there are fewer of them, as long as a batch has fewer rows than the layer has inputs.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.jitable import inlined
from fastmlp.kernels.cpu.machine.microkernel import ROWS
from fastmlp.kernels.cpu.team.threads import share

__all__ = ["COLUMNS", "is_in_halves", "share_gradient", "share_layer", "share_output"]

COLUMNS = 16  # threads split columns at multiples of a cache line of float32
MANY_ROWS = 64  # of the batch, for each thread: then by rows
HALVED_INPUTS, HALVED_OUTPUTS = 256, 32  # at least: the weights of smaller layers come and go in no time


@inlined
def is_in_halves(rows, inputs, outputs):
    """Whether a sum over the inputs is that of two halves: in every team, so that all have the same digits."""
    return inputs >= HALVED_INPUTS and outputs >= HALVED_OUTPUTS and 3 * rows <= inputs


@inlined
def share_output(team, rows, columns, by_rows):
    """This thread's rows and columns of an output (rows, columns)."""
    if team.size == 1:
        return 0, rows, 0, columns
    if by_rows or columns < COLUMNS * team.size:
        r0, r1 = share(team, rows, ROWS if rows >= ROWS * team.size else 1)
        return r0, r1, 0, columns
    c0, c1 = share(team, columns, COLUMNS)
    return 0, rows, c0, c1


@inlined
def share_layer(team, out, activation):
    """Of a layer's outputs, or of its inputs' δ."""
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= MANY_ROWS * team.size
    return share_output(team, out.shape[0], out.shape[1], by_rows)


@inlined
def share_gradient(team, samples, beta, out, in_halves):
    """Of a gradient, to which beta times what it was is added; in_halves: as the layer's outputs were formed."""
    # a fresh gradient is for an update rule, whose threads share out the flat buffer: in other words, the rows
    by_rows = samples >= MANY_ROWS * team.size or beta == 0.0 or (in_halves and team.size == 2)
    return share_output(team, out.shape[0], out.shape[1], by_rows and out.shape[0] >= ROWS * team.size)
