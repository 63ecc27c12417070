"""``fastmlp predict``: the predictions of a model, one sample a line, as CSV."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Sequence

import numpy as np

from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.preparation import Preparation
from fastmlp.cli.sources import load_samples
from fastmlp.errors import InputError
from fastmlp.files import atomic_write
from fastmlp.mlp import MLP

__all__ = ["predict"]


def predict(arguments: Namespace) -> int:
    """Run the command."""
    check_outputs({"--out": arguments.out}, [arguments.model, arguments.data], {"--out": (".csv",)})
    model = MLP.load(arguments.model, backend=arguments.backend, n_threads=arguments.threads)
    preparation = Preparation.of(model)
    if arguments.proba and not (preparation.class_names and model.loss is not None and model.loss.classifies):
        raise InputError("--proba needs a model that gives probabilities of classes; this one gives numbers.")
    samples = load_samples(arguments, preparation, targets=False)
    announce_compilation(model.backend)
    header, cells = _cells(preparation, model.predict_proba(samples.x), arguments.proba)
    lines = [[""] * len(header) for _ in range(samples.n)]  # a row that lacks values keeps its line, empty
    for row, predicted in zip(samples.rows.tolist(), cells, strict=True):
        lines[row] = predicted
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    if arguments.out is None:
        print(text.getvalue(), end="")
        return 0
    with atomic_write(arguments.out) as file:
        file.write(text.getvalue().encode(errors="backslashreplace"))
    return 0


def _cells(preparation: Preparation, out: np.ndarray, proba: bool) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and their texts for each sample, of a network's outputs (N, O)."""
    names = preparation.class_names
    if not names:
        values = preparation.values(out)
        header = ["prediction"] if values.shape[1] == 1 else [f"prediction_{o + 1}" for o in range(values.shape[1])]
        return header, [_texts(row) for row in values.tolist()]
    predicted = [[names[c]] for c in preparation.classes(out).tolist()]
    if not proba:
        return ["prediction"], predicted
    shares = np.hstack([1 - out, out]) if out.shape[1] == 1 else out
    return ["prediction", *names], [[*name, *_texts(row)] for name, row in zip(predicted, shares.tolist(), strict=True)]


def _texts(numbers: Sequence[float]) -> list[str]:
    return [f"{number:.9g}" for number in numbers]
