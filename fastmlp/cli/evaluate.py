"""``fastmlp evaluate``: the scores of a model, with memory use independent of the size of a table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.cli.columns import print_notes
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.report import score_lines
from fastmlp.cli.sources import sample_batches
from fastmlp.mlp import MLP
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.preparation import Preparation

__all__ = ["evaluate"]


def evaluate(arguments: Namespace) -> int:
    """Run the command; return the exit code."""
    get_backend(arguments.backend)  # before any work: it may be missing
    model = MLP.load(arguments.model, backend=arguments.backend, n_threads=arguments.threads)
    preparation, found = Preparation.of(model), Findings()

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        announced = False
        for samples in sample_batches(arguments, preparation, found, targets=True):
            if not announced:
                announce_compilation(model.backend)
                announced = True
            assert samples.y is not None
            if len(samples.rows):
                yield samples.x, samples.y

    lines = score_lines(model, preparation, batches(), "evaluation", confusion=True)
    print_notes(found.lines())
    print(lines)
    return 0
