"""Matrix products of large layers compared with NumPy's BLAS, in alternation.

Run: python benchmarks/large_layers.py [--rounds N] [--output FILE]. Writes LARGE_LAYERS.md: GFLOP/s of the forward
product with its bias, of δ Wᵀ and of the gradient with its bias, each the best of the rounds, which is the least
disturbed one on a shared machine. kernels/cpu/regimes.py says which are packed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
import numpy as np
from report import machine
from threadpoolctl import threadpool_limits

import fastmlp.backends.compiled.call_table  # noqa: F401  # operations become methods of the team
from fastmlp.backends.compiled.options import OPTIONS
from fastmlp.files import atomic_write
from fastmlp.kernels import codes
from fastmlp.kernels.cpu.catalog import operation
from fastmlp.kernels.cpu.regimes import is_large, scratch_elements
from fastmlp.kernels.cpu.team.members import make_teams
from fastmlp.network import aligned_zeros

WIDTHS, BATCHES = (1024, 2048, 4096), (32, 128, 512)
KINDS = {True: "packed", False: "in place"}


def drawn(*shape: int, dtype: np.dtype) -> np.ndarray:
    array = aligned_zeros(int(np.prod(shape)), dtype).reshape(shape)
    array[...] = np.random.default_rng(0).standard_normal(shape, dtype)
    return array


def ours(name: str, large: bool, *arguments) -> Callable[[], object]:
    """A call of the operation by one thread."""
    compiled = numba.njit(**OPTIONS)(operation(name, "large" if large else "", 0, ""))
    arrays = [array for array in arguments if isinstance(array, np.ndarray)]
    room = max(scratch_elements("large", [1, 1], 1, arrays[-1].itemsize), max(array.size for array in arrays))
    (team,) = make_teams(1, aligned_zeros(room, arrays[-1].dtype), np.zeros(0, np.int64))
    compiled.compile(tuple(map(numba.typeof, (team, *arguments))))
    return partial(compiled, team, *arguments)


def rates(width: int, batch: int, dtype: np.dtype, rounds: int) -> list[str]:
    """GFLOP/s of ours and of the BLAS, an entry per operation."""
    x, delta, out = (drawn(batch, width, dtype=dtype) for _ in range(3))
    slope, w, gradient = np.empty_like(out), drawn(width, width, dtype=dtype), drawn(width, width, dtype=dtype)
    b, bias = drawn(width, dtype=dtype), drawn(width, dtype=dtype)
    large = is_large([(width, width)], dtype.itemsize)
    calls = {
        "forward": (
            ours("linear", large, x, w, b, codes.IDENTITY, slope, out),
            lambda: np.add(np.matmul(x, w, out=out), b, out=out),
        ),
        "δ Wᵀ": (
            ours("backward_data", large, delta, w, codes.IDENTITY, x, slope, out),
            lambda: np.matmul(delta, w.T, out=out),
        ),
        "gradient": (
            ours("accumulate", large, x, delta, 1.0, 0.0, gradient, 0.0, bias),
            lambda: (np.matmul(x.T, delta, out=gradient), delta.sum(axis=0, out=bias)),
        ),
    }
    entries = []
    for pair in calls.values():
        best = [np.inf, np.inf]
        for _ in range(rounds + 1):
            for i, call in enumerate(pair):
                begin = time.perf_counter()
                call()
                best[i] = min(best[i], time.perf_counter() - begin)
        own, blas = (2e-9 * batch * width * width / seconds for seconds in best)
        entries.append(f"{own:.0f} / {blas:.0f}")
    return [f"{width} x {width}", str(batch), str(dtype), KINDS[large], *entries]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("LARGE_LAYERS.md"))
    arguments = parser.parse_args()
    lines = ["# Products of large layers", "", *machine()[:-1], f"- command: `python {' '.join(sys.argv)}`", ""]
    lines += ["GFLOP/s of one thread, fastmlp / NumPy's BLAS", ""]
    lines += ["| layer | batch | dtype | ours is | forward | δ Wᵀ | gradient |", "|---" * 7 + "|"]
    with threadpool_limits(1):
        for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
            for width in WIDTHS:
                for batch in BATCHES:
                    lines.append(f"| {' | '.join(rates(width, batch, dtype, arguments.rounds))} |")
                    print(lines[-1], flush=True)
    with atomic_write(arguments.output) as file:
        file.write("\n".join([*lines, ""]).encode())


if __name__ == "__main__":
    main()
