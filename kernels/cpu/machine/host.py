"""The CPU that kernels are compiled for, as LLVM sees it. Without Numba: programs that only load kernels ask, too."""

import os
import platform

from llvmlite import binding

__all__ = ["CPU", "FEATURES", "FUSED", "HALF_L2", "LINE", "ROWS", "VECTOR_BYTES", "X86"]


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
LINE = 64  # bytes in a cache line
HALF_L2 = 1 << 19  # bytes of a core's L2 cache that one operand may fill: half of the 1 MiB of Zen 4

# ROWS x 2 sums, 2 vectors of B and one broadcast element of A: they fit 32 registers (AVX-512), or 16 otherwise.
ROWS = 8 if VECTOR_BYTES == 64 else 4
