"""Products of large matrices, by packed panels.

The rows that a tile reads of a large B are far apart: each in another page, and, with rows of 2ⁿ bytes, all in the same
few sets of the cache, where they evict one another. So a block of B, as much as fits half of the L2 cache, is packed
panel by panel (copied densely, in the order in which tiles read it), and all tiles of that block follow. Source: Goto &
van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34 (2008).

The depth is cut into parts, whose sums are added up in C. Where the parts end does not depend on a thread's share, so
results do not depend on the number of threads.
"""

from collections.abc import Iterable

from fastmlp.kernels.cpu.machine.processor import HALF_L2, evicts_itself
from fastmlp.kernels.cpu.machine.tiling import PANEL_BYTES

__all__ = ["A_BLOCK_BYTES", "BLOCK_BYTES", "DEPTH", "LARGE_SCRATCH_BYTES", "is_large"]

NARROW = 128  # with fewer inputs or outputs packing does not pay
LARGE_BYTES = 1 << 22  # weights beyond this are packed whatever the length of their rows
DEPTH = 512  # of a part: as many as the rows of a chunk, so that a gradient is one part

_PANELS = max(1, HALF_L2 // (DEPTH * PANEL_BYTES))  # in a block of B; one of A has half as many
BLOCK_BYTES, A_BLOCK_BYTES = (panels * DEPTH * PANEL_BYTES for panels in (_PANELS, max(1, _PANELS // 2)))
LARGE_SCRATCH_BYTES = BLOCK_BYTES + A_BLOCK_BYTES


def is_large(layers: Iterable[tuple[int, int]], itemsize: int) -> bool:
    """Whether packed products pay in a network of such layers (inputs, outputs)."""
    return any(
        min(inputs, outputs) >= NARROW
        and (inputs * outputs * itemsize > LARGE_BYTES or evicts_itself(inputs, outputs * itemsize))
        for inputs, outputs in layers
    )
