"""``fastmlp evaluate``: the scores of a model."""

from __future__ import annotations

from argparse import Namespace

from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.report import score_lines
from fastmlp.cli.sources import load_samples
from fastmlp.mlp import MLP
from fastmlp.tables.preparation import Preparation

__all__ = ["evaluate"]


def evaluate(arguments: Namespace) -> int:
    """Run the command."""
    model = MLP.load(arguments.model, backend=arguments.backend, n_threads=arguments.threads)
    preparation = Preparation.of(model)
    samples = load_samples(arguments, preparation, targets=True)
    assert samples.y is not None
    announce_compilation(model.backend)
    print(score_lines(model, preparation, samples.x, samples.y, "evaluation", confusion=True))
    return 0
