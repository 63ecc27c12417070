"""Which set of operations a network uses, and the scratch memory that they need. Without Numba, as `host`.

Three sets replace some of the general operations: `one_sample`, `large` and `tiny`.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from fastmlp.kernels.cpu.machine.host import HALF_L2, ROWS, VECTOR_BYTES

__all__ = [
    *("BLOCK", "FILLED", "LONG_DEPTH", "PANEL_BYTES", "SHARED", "SHORT_ROWS", "STRIP_BYTES", "TINY_BLOCK", "WIDTH"),
    *("Regime", "is_large", "is_shared", "is_tiny", "regime_of", "scratch_elements"),
]

Regime = Literal["", "sample", "large", "tiny"]
"""A set of operations; "" for the general ones alone."""

# Batches of one sample
BLOCK = 64  # inputs at once: a 64-bit integer has a bit for each that is not zero
SHARED = 1 << 14  # weights of a layer that is worth two threads, and more than an L1 cache holds

# Weight matrices beyond this size are packed. Measured on Zen 4, with 1 MiB of L2 cache a core: beyond it packing is
# faster, up to twice as fast with rows of 2^n bytes; below it, slower in float32.
LARGE_BYTES = 1 << 22
NARROW = 128  # with fewer inputs or outputs, packing the other operand does not pay
LONG_DEPTH = 1024  # where B is read along its rows or in place: the longer, the less often C is read and written
PANEL_BYTES = 2 * VECTOR_BYTES  # of each row of B, the columns that a full tile takes
STRIP_BYTES = LONG_DEPTH * ROWS * 8

SHORT_ROWS = VECTOR_BYTES // 4  # of a softmax at a time: a vector of float32, two of float64

# Tiny layers
WIDTH = 16  # inputs or outputs of a layer at most
FILLED = 0.45  # at most, of the lanes of vectors over the outputs
TINY_BLOCK = 64  # samples: threads take whole blocks, and losses are computed block by block


def regime_of(widths: Sequence[int], rows: int, itemsize: int, dropout: bool) -> Regime:
    """The regime of a network with such layers, inputs and outputs included, whose chunks have so many rows."""
    if rows == 1:
        return "sample"
    if is_large(pairwise(widths), itemsize):
        return "large"
    return "tiny" if not dropout and is_tiny(widths, rows) else ""


def is_shared(inputs, outputs):
    """Whether two threads share a layer where batches are of one sample."""
    return inputs >= 2 * BLOCK and inputs * outputs >= SHARED


def is_large(layers: Iterable[tuple[int, int]], itemsize: int) -> bool:
    """Whether packed products pay in a network of such layers (inputs, outputs)."""
    return any(min(layer) >= NARROW and layer[0] * layer[1] * itemsize > LARGE_BYTES for layer in layers)


def is_tiny(widths: Sequence[int], rows: int) -> bool:
    """Whether vectors along batches of so many rows pay in a network of such layers, inputs and outputs included.

    They do where vectors over a layer's outputs would leave more than half of their lanes idle. Measured in float32
    with 16 lanes: 4-8-3 (0.29 of them filled) and 4-8-8-8-3 (0.41) gain a third, 16-12-4 (0.54) and 16-16-10 lose.
    """
    filled = sum(i * o for i, o in pairwise(widths)) / (WIDTH * sum(widths[:-1]))
    return max(widths) <= WIDTH and rows >= WIDTH and filled <= FILLED


def scratch_elements(regime: Regime, widths: Sequence[int], rows: int, itemsize: int) -> int:
    """Elements of scratch memory for a thread."""
    if regime == "large":  # a panel of B, a strip and a block of A
        return (LONG_DEPTH * PANEL_BYTES + STRIP_BYTES + HALF_L2) // itemsize
    transposed = max((i * o for i, o in pairwise(widths[1:])), default=0)  # a weight matrix
    converted = ROWS * max(widths[0], rows)  # a few samples
    general = max(transposed, converted, SHORT_ROWS * (SHORT_ROWS + 2))
    if regime == "tiny":  # the samples by columns, and a few numbers of each in a block
        return max(general, max(widths) * (rows + 2 * TINY_BLOCK) + 4 * TINY_BLOCK)
    return general
