"""Which set of operations a network uses, and the scratch memory that they need. Without Numba, as `machine.host`.

Four sets replace some of the general operations: `one_sample`, `large`, `tiny` and `bf16`.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from fastmlp.kernels.cpu.machine.host import HALF_L2, PAIRS, ROWS, VECTOR_BYTES, evicts_itself

__all__ = [
    *("A_BLOCK_BYTES", "BLOCK", "BLOCK_BYTES", "DEPTH", "DOTS", "FILLED", "NARROW_OUTPUTS", "PANEL_BYTES", "SHARED"),
    *("BF16_A_BLOCK", "BF16_BLOCK", "BF16_DEPTH", "BF16_OWN", "PAIR_WORDS", "SHORT_ROWS", "TINY_BLOCK", "WIDTH"),
    *("Regime", "is_large", "is_shared", "is_tiny", "regime_of", "scratch_elements"),
]

Regime = Literal["", "sample", "large", "tiny", "bf16"]
"""A set of operations; "" for the general ones alone."""

# Batches of one sample
BLOCK = 64  # inputs at once: a 64-bit integer has a bit for each that is not zero
SHARED = 1 << 14  # weights of a layer that is worth two threads, and more than an L1 cache holds

# Large layers
LARGE_BYTES = 1 << 22  # weights beyond this are packed whatever the length of their rows
NARROW = 128  # with fewer inputs or outputs packing does not pay
DEPTH = 512  # of a packed part: as many as the rows of a chunk, so that a gradient is one part
PANEL_BYTES = 2 * VECTOR_BYTES  # of each row of B, the columns that a full tile takes
_PANELS = max(1, HALF_L2 // (DEPTH * PANEL_BYTES))  # in a block of B; one of A has half as many
BLOCK_BYTES, A_BLOCK_BYTES = (panels * DEPTH * PANEL_BYTES for panels in (_PANELS, max(1, _PANELS // 2)))

SHORT_ROWS = VECTOR_BYTES // 4  # of a softmax at a time: a vector of float32, two of float64

# Factors in bfloat16
BF16_ROWS = 32  # at least: with fewer, rounding the weights takes longer than is gained
BF16_WEIGHTS = 4096  # at least: with 32 rows 64-32-10 takes 1.35 times as long as in float32, 100-50-10 1.06 times
PAIR_WORDS = 1 if PAIRS else 2  # of 32 bits for two factors
BF16_DEPTH = 1024  # factors in a packed part, on every CPU: where parts end decides how sums are rounded
_PANEL = (BF16_DEPTH // 2 * PAIR_WORDS + 1) * PANEL_BYTES // 4  # its rows and one between panels
_BF16_PANELS = max(1, round(HALF_L2 / (4 * _PANEL)))
# Words at the beginning of a thread's scratch memory that no other reads: for `add_bias_gradient` and a softmax
BF16_OWN = -(-SHORT_ROWS * (SHORT_ROWS + 2) // 16) * 16
BF16_BLOCK, BF16_A_BLOCK = (panels * _PANEL for panels in (_BF16_PANELS, max(1, _BF16_PANELS // 2)))  # words

# Layers of few outputs, measured in float32 with 32 to 256 inputs
NARROW_OUTPUTS = 4  # with 5, dot products take as long as tiles
DOTS = 4  # of them at once: as many independent sums as a fused multiply-add has cycles of latency

# Tiny layers
WIDTH = 16  # inputs or outputs of a layer at most
FILLED = 0.45  # at most, of the lanes of vectors over the outputs
TINY_BLOCK = 64  # samples: threads take whole blocks, and losses are computed block by block


def regime_of(widths: Sequence[int], rows: int, itemsize: int, dropout: bool, precision: str = "float32") -> Regime:
    """The regime of a network with such layers, inputs and outputs included, whose chunks have so many rows.

    precision is that of the factors of products; with "bf16" few rows and small networks are computed in float32.
    """
    if rows == 1:
        return "sample"
    weights = sum(i * o for i, o in pairwise(widths))
    if precision == "bf16" and itemsize == 4 and rows >= BF16_ROWS and weights >= BF16_WEIGHTS:
        return "bf16"
    if is_large(pairwise(widths), itemsize):
        return "large"
    return "tiny" if not dropout and is_tiny(widths, rows) else ""


def is_shared(inputs, outputs):
    """Whether two threads share a layer where batches are of one sample."""
    return inputs >= 2 * BLOCK and inputs * outputs >= SHARED


def is_large(layers: Iterable[tuple[int, int]], itemsize: int) -> bool:
    """Whether packed products pay in a network of such layers (inputs, outputs)."""
    return any(
        min(inputs, outputs) >= NARROW
        and (inputs * outputs * itemsize > LARGE_BYTES or evicts_itself(inputs, outputs * itemsize))
        for inputs, outputs in layers
    )


def is_tiny(widths: Sequence[int], rows: int) -> bool:
    """Whether vectors along batches of so many rows pay in a network of such layers, inputs and outputs included.

    They do where vectors over a layer's outputs would leave more than half of their lanes idle. Measured in float32
    with 16 lanes: 4-8-3 (0.29 of them filled) and 4-8-8-8-3 (0.41) gain a third, 16-12-4 (0.54) and 16-16-10 lose.
    """
    filled = sum(i * o for i, o in pairwise(widths)) / (WIDTH * sum(widths[:-1]))
    return max(widths) <= WIDTH and rows >= WIDTH and filled <= FILLED


def scratch_elements(regime: Regime, widths: Sequence[int], rows: int, itemsize: int) -> int:
    """Elements of scratch memory for a thread."""
    if regime == "large":  # a block of B and one of A
        return (BLOCK_BYTES + A_BLOCK_BYTES) // itemsize
    if regime == "bf16":  # the same, and besides two rows of samples in float32, and the thread's own room
        return BF16_OWN + BF16_BLOCK + BF16_A_BLOCK + 2 * BF16_DEPTH
    transposed = max((i * o for i, o in pairwise(widths[1:])), default=0)  # a weight matrix
    converted = max(ROWS, NARROW_OUTPUTS + DOTS) * max(widths[0], rows)  # a few samples, and weights by columns
    general = max(transposed, converted, SHORT_ROWS * (SHORT_ROWS + 2))
    if regime == "tiny":  # the samples by columns, and a few numbers of each in a block
        return max(general, max(widths) * (rows + 2 * TINY_BLOCK) + 4 * TINY_BLOCK)
    return general
