"""How threads split the products of a layer: by rows, by columns, or by halves of the inputs.

Small batches go by columns of the output: a core then uses the same columns of W in the forward product and in the
update, from its own L2 cache. Large batches go by rows. There the arithmetic outweighs moving W between the cores, and
threads that write to the same rows would contend for the cache lines in which their columns meet.

Two threads split a wide layer by its inputs. Forward, each sums over half of the inputs, with half of the rows of W.
The gradient of plain SGD goes into the same rows, the updates of other rules into about the same. So each half of W
stays in one core's cache. The sums have to be exchanged instead, but they are fewer than the weights if a batch has
fewer rows than the layer has inputs.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.host import ROWS
from fastmlp.kernels.cpu.machine.jitable import inlined
from fastmlp.kernels.cpu.team.threads import share

__all__ = ["COLUMNS", "is_in_halves", "share_gradient", "share_layer", "share_output"]

COLUMNS = 16  # threads split columns at multiples of a cache line of float32
MANY_ROWS = 64  # of the batch for each thread: from here on by rows
HALVED_INPUTS, HALVED_OUTPUTS = 256, 32  # at least: the weights of smaller layers are soon moved


@inlined
def is_in_halves(rows, inputs, outputs):
    """Whether the forward pass sums over two halves of the inputs. One thread does, too, for the same digits."""
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
    """This thread's rows and columns of a layer's outputs, or of the δ of the layer below."""
    by_rows = activation == codes.SOFTMAX or out.shape[0] >= MANY_ROWS * team.size
    return share_output(team, out.shape[0], out.shape[1], by_rows)


@inlined
def share_gradient(team, samples, beta, out, in_halves):
    """This thread's rows and columns of a weight gradient, out = beta out + …, from a batch of so many samples.

    in_halves: the forward pass split the inputs in two.
    """
    # beta = 0: an update rule follows, whose threads split the flat buffer, and so the rows of W
    by_rows = samples >= MANY_ROWS * team.size or beta == 0.0 or (in_halves and team.size == 2)
    return share_output(team, out.shape[0], out.shape[1], by_rows and out.shape[0] >= ROWS * team.size)
