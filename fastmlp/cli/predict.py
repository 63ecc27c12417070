"""``fastmlp predict``: the predictions of a model, one line a sample, with memory use independent of a table's size."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmlp.backends import get_backend
from fastmlp.cli.columns import print_notes
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.predictions import Columns, write_csv, write_parquet
from fastmlp.cli.quantiles import quantiles_of, sorted_quantiles
from fastmlp.cli.sources import kind_of, sample_batches
from fastmlp.datasets import Table
from fastmlp.errors import InputError
from fastmlp.mlp import MLP
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.text import listed

__all__ = ["predict"]

_SUFFIXES = (".csv", ".parquet")


def predict(arguments: Namespace) -> int:
    """Run the command; return the exit code."""
    check_outputs({"--out": arguments.out}, [arguments.model, arguments.data], {"--out": _SUFFIXES})
    get_backend(arguments.backend)  # before any work: it may be missing
    model = MLP.load(arguments.model, backend=arguments.backend, n_threads=arguments.threads)
    preparation = Preparation.of(model)
    if arguments.proba and not (preparation.class_names and model.loss is not None and model.loss.classifies):
        raise InputError("--proba needs a model that gives probabilities of classes; this one gives numbers.")
    if arguments.keep and kind_of(arguments.data) != "table":
        raise InputError(f"--keep is for columns of a table, but the data are {arguments.data!r}.")
    found = Findings()
    batches = _predictions(arguments, model, preparation, found)
    if str(arguments.out).lower().endswith(".parquet"):
        write_parquet(arguments.out, batches)
    else:
        write_csv(arguments.out, batches)
    print_notes(found.lines())
    return 0


def _predictions(arguments: Namespace, model: MLP, preparation: Preparation, found: Findings) -> Iterator[Columns]:
    kept = arguments.keep or []
    announced = False
    for samples in sample_batches(arguments, preparation, found, targets=False, as_text=kept):
        columns: dict[str, Any] = {name: _kept(samples.table, name) for name in kept if samples.table is not None}
        if not announced:
            announce_compilation(model.backend)
            announced = True
        out = model.predict_proba(samples.x) if len(samples.rows) else np.zeros((0, model.sizes[-1]), model.dtype)
        columns |= _predicted(model, preparation, out, arguments.proba, samples.rows, samples.n, columns)
        yield columns


def _kept(table: Table, name: str) -> Any:
    if name not in table.names:
        raise InputError(f"--keep {name!r} is no column of the table. Columns: {listed(table.names)}.")
    return table.column(name)


def _predicted(
    model: MLP, preparation: Preparation, out: np.ndarray, proba: bool, rows: np.ndarray, n: int, others: Columns
) -> Columns:
    """Columns of N predictions from outputs (M, O) for the given rows; None in the others, which lack values."""
    names = preparation.class_names
    columns: dict[str, Any] = {}
    if names:
        columns["prediction"] = [names[c] for c in preparation.classes(out).tolist()]
        if proba:
            shares = np.hstack([1 - out, out]) if out.shape[1] == 1 else out
            columns |= {_unused(name, columns): shares[:, c] for c, name in enumerate(names)}
    else:
        values, quantiles = preparation.values(out), quantiles_of(model)
        values = sorted_quantiles(values) if quantiles else values
        ends = [f"{q:g}" for q in quantiles] or _target_names(preparation, values.shape[1])
        columns = {f"prediction_{end}" if end else "prediction": values[:, o] for o, end in enumerate(ends)}
    clash = [name for name in columns if name in others]
    if clash:
        raise InputError(f"--keep {clash[0]!r} has the name of a column of predictions. Rename it in the table.")
    if len(rows) == n:
        return columns
    return {name: _spread(values, rows, n) for name, values in columns.items()}


def _spread(values: list[str] | np.ndarray, rows: np.ndarray, n: int) -> list[str | None] | np.ma.MaskedArray:
    """Place the values (M,) of some rows among N rows, with missing values in the others."""
    if isinstance(values, np.ndarray):
        spread = np.ma.masked_all(n, values.dtype)
        spread[rows] = values
        return spread
    texts: list[str | None] = [None] * n
    for row, text in zip(rows.tolist(), values, strict=True):
        texts[row] = text
    return texts


def _target_names(preparation: Preparation, outputs: int) -> list[str]:
    """Suffixes of the prediction columns of several targets; an empty one for a single target."""
    if outputs == 1:
        return [""]
    return [str(o + 1) for o in range(outputs)] if preparation.encoder is None else [*preparation.encoder.target_names]


def _unused(name: str, columns: dict[str, Any]) -> str:
    """The column name for a class, changed if it is also the name of the prediction column."""
    return name if name not in columns else f"probability of {name}"
