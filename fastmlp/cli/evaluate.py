"""``fastmlp evaluate``: the scores of a model, with memory use independent of the size of a table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.cli import reporting
from fastmlp.cli.columns import print_notes
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.report import score_lines
from fastmlp.cli.sources import sample_batches
from fastmlp.mlp import MLP
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.preparation import Preparation

__all__ = ["evaluate"]


def evaluate(arguments: Namespace) -> int:
    """Run the command; return the exit code."""
    check_outputs({"--report": arguments.report}, [arguments.model, arguments.data, arguments.target_file])
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

    kept: list[reporting.Scored] = []
    scored = batches() if arguments.report is None else reporting.keeping(batches(), kept)
    lines = score_lines(model, preparation, scored, "evaluation", confusion=True)
    print_notes(found.lines())
    print(lines)
    if arguments.report is not None:
        x, y = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        data = f"{arguments.data}, scored with {arguments.model}"
        data += f". The scores are those of the first {reporting.MOST:,} samples" if len(x) == reporting.MOST else ""
        reporting.write(
            arguments.report, arguments, model, preparation, (x, y), "evaluation", data=data, notes=found.lines()
        )
    return 0
