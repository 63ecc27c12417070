"""The CPU that kernels are compiled for, and what follows from it for tiles and blocks; docs/speed.md has a table.

Without Numba: programs that only load kernels ask, too.
"""

import os
import platform
from contextlib import suppress
from math import gcd
from pathlib import Path
from typing import NamedTuple

from llvmlite import binding

__all__ = [
    *("CPU", "FEATURES", "FUSED", "HALF_L2", "L2", "LINE", "PAIRS", "ROWS", "UNEVEN", "VECTOR_BYTES", "X86", "Cache"),
    "evicts_itself",
]


def _features() -> str:
    """LLVM's list of features, such as +avx2; Numba's own environment variables change it as they do for Numba."""
    given = os.environ.get("NUMBA_CPU_FEATURES")
    if given is not None:
        return given
    features = binding.get_host_cpu_features()
    if os.environ.get("NUMBA_ENABLE_AVX", "0" if CPU in _WITHOUT_AVX else "1") == "0":
        features.update((name, False) for name in features if name.startswith("avx"))
    return features.flatten()


_WITHOUT_AVX = {"corei7-avx", "core-avx-i", "sandybridge", "ivybridge"}  # where Numba leaves it out by default
CPU = os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name()
FEATURES = _features()
_HAS = set(FEATURES.split(","))
X86 = platform.machine().lower() in ("x86_64", "amd64")
VECTOR_BYTES = 64 if "+avx512f" in _HAS else 32 if "+avx" in _HAS else 16
FUSED = "+fma" in _HAS or not X86  # whether there is an instruction for a b + c
PAIRS = VECTOR_BYTES == 64 and "+avx512bf16" in _HAS  # whether there is one for products of pairs of bfloat16 numbers
LINE = 64  # bytes in a cache line

# Rows of a tile, which is two vectors wide: its ROWS x 2 sums, 2 vectors of B and one broadcast element of A have to
# fit the registers, and without FMA a product besides. Two FMA units of 4 or 5 cycles' latency are busy with 8 or 10
# independent sums. More rows would load fewer elements for each sum, but make more edges.
_REGISTERS = 32 if VECTOR_BYTES == 64 or not X86 else 16
ROWS = 8 if _REGISTERS == 32 else 6 if FUSED else 4
UNEVEN = ROWS & (ROWS - 1) != 0  # batches of 2ⁿ rows end in a few that fill no tile


class Cache(NamedTuple):
    """A cache as one core has it."""

    size: int  # bytes
    ways: int  # lines that fit each of its sets


def _read_l2() -> Cache | None:
    """The L2 cache by what Linux says of it: a core's share, where several cores have one together."""
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        facts = {name: (folder / name).read_text().strip() for name in ("level", "size", "ways_of_associativity")}
        if facts["level"] == "2":
            threads = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings")
            cores = _count(folder / "shared_cpu_map") // max(_count(threads), 1)
            size = 1024 * int(facts["size"].removesuffix("K"))
            return Cache(size // max(cores, 1), int(facts["ways_of_associativity"]))
    return None


def _count(mask: Path) -> int:
    """The CPUs in a mask, which Linux writes in hexadecimal digits, commas between them."""
    return int(mask.read_text().replace(",", ""), 16).bit_count()


L2 = Cache(1 << 20, 16)  # where the system does not say: that of most server CPUs
with suppress(OSError, ValueError):
    L2 = _read_l2() or L2

HALF_L2 = L2.size // 2  # bytes that one operand may fill


def evicts_itself(rows: int, row_bytes: int) -> bool:
    """Whether a column of a matrix does not stay in the L2 cache, since most of its lines compete for the same sets.

    A way of the cache is size / ways bytes, and what is a multiple of that apart competes. So rows meet way /
    gcd(row_bytes, way) sets, each of which has room for `ways` lines: size / gcd lines in all. Up to twice as many do
    no harm that could be measured; with four times as many, tiles that read B in place take up to twice as long.
    """
    return rows * gcd(row_bytes, L2.size // L2.ways) >= 4 * L2.size
