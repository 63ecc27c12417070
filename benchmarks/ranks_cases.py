"""What `ranks.py` trains. Only NumPy is needed, so that PyTorch may live in an environment of its own."""

from typing import NamedTuple

import numpy as np

__all__ = ["CASES", "LR", "NETWORKS", "RANKS", "SHARES", "Case", "samples"]

RANKS = 2
LR = {"sgd": 0.01, "adam": 0.001}


class Case(NamedTuple):
    """A network, its global batch, and what is timed: batches of an epoch, and epochs after the first."""

    sizes: list[int]
    batch: int
    steps: int
    epochs: int


CASES = {
    "784-512-256-10, batch 2048": Case([784, 512, 256, 10], 2048, 30, 1),
    "1024-1024-1024-10, batch 1024": Case([1024, 1024, 1024, 10], 1024, 20, 1),
    "784-128-10, batch 1024": Case([784, 128, 10], 1024, 30, 4),
    "784-128-10, batch 128": Case([784, 128, 10], 128, 240, 4),
}
NETWORKS = list(CASES)[:2]  # that are worth several machines
SHARES = [1, 2, 4, 8, 16, 32, 64]  # numbers of ranks for these


def samples(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """x (N, I) float32 in [0, 1), y (N,) int64."""
    random = np.random.default_rng(0)
    n = case.batch * case.steps
    return random.random((n, case.sizes[0]), np.float32), random.integers(0, case.sizes[-1], n)
