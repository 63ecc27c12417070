"""``fastmlp predict``: the predictions of a model, one sample a line, in memory that does not grow with a table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmlp.cli.columns import tell
from fastmlp.cli.compiling import announce_compilation
from fastmlp.cli.outputs import check_outputs
from fastmlp.cli.predictions import Columns, write_csv, write_parquet
from fastmlp.cli.quantiles import in_order, quantiles_of
from fastmlp.cli.sources import as_trained, how_to_read, kind_of, load_samples
from fastmlp.datasets import Table, table_batches
from fastmlp.errors import InputError
from fastmlp.mlp import MLP
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.meaning.labels import labels_of
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.text import listed

__all__ = ["predict"]

_SUFFIXES = (".csv", ".parquet")


def predict(arguments: Namespace) -> int:
    """Run the command."""
    check_outputs({"--out": arguments.out}, [arguments.model, arguments.data], {"--out": _SUFFIXES})
    model = MLP.load(arguments.model, backend=arguments.backend, n_threads=arguments.threads)
    preparation = Preparation.of(model)
    if arguments.proba and not (preparation.class_names and model.loss is not None and model.loss.classifies):
        raise InputError("--proba needs a model that gives probabilities of classes; this one gives numbers.")
    found = Findings()
    if kind_of(arguments.data) == "table":
        batches = _of_table(arguments, model, preparation, found)
    else:
        batches = _of_arrays(arguments, model, preparation)
    if str(arguments.out).lower().endswith(".parquet"):
        write_parquet(arguments.out, batches)
    else:
        write_csv(arguments.out, batches)
    tell(found.lines())
    return 0


def _of_table(arguments: Namespace, model: MLP, preparation: Preparation, found: Findings) -> Iterator[Columns]:
    how = how_to_read(arguments, preparation)
    encoder = preparation.encoder
    assert encoder is not None
    kept = arguments.keep or []
    announced = False
    decimal = "," if encoder.has_decimal_commas else None
    marks = encoder.missing_values
    for batch in table_batches(arguments.data, **how, decimal=decimal, missing_values=marks, as_text=kept):
        named = as_trained(batch, preparation, how["header"])
        columns: dict[str, Any] = {name: _kept(named, name) for name in kept}
        rows = encoder.kept_rows(named, targets=False, allow_none=True)
        x, _ = encoder.transform(named, rows=rows, targets=False, findings=found)
        if not announced:
            announce_compilation(model.backend)
            announced = True
        out = model.predict_proba(preparation.inputs(x))
        columns |= _predicted(model, preparation, out, arguments.proba, rows, len(named), columns)
        yield columns


def _of_arrays(arguments: Namespace, model: MLP, preparation: Preparation) -> Iterator[Columns]:
    if arguments.keep:
        raise InputError(f"--keep is for columns of a table, but the data are {arguments.data!r}.")
    samples = load_samples(arguments, preparation, targets=False)
    announce_compilation(model.backend)
    out = model.predict_proba(samples.x)
    yield _predicted(model, preparation, out, arguments.proba, samples.rows, samples.n, {})


def _kept(table: Table, name: str) -> list[Any]:
    if name not in table.names:
        raise InputError(f"--keep {name!r} is no column of the table. Columns: {listed(table.names)}.")
    return labels_of(table.frame[name]).to_list()


def _predicted(
    model: MLP, preparation: Preparation, out: np.ndarray, proba: bool, rows: np.ndarray, n: int, others: Columns
) -> Columns:
    """Columns of N rows of a network's outputs (M, O) for some of them; None in the others, which lack values."""
    names = preparation.class_names
    columns: dict[str, Any] = {}
    if names:
        columns["prediction"] = [names[c] for c in preparation.classes(out).tolist()]
        if proba:
            shares = np.hstack([1 - out, out]) if out.shape[1] == 1 else out
            columns |= {_unused(name, columns): shares[:, c] for c, name in enumerate(names)}
    else:
        values, quantiles = preparation.values(out), quantiles_of(model)
        values = in_order(values) if quantiles else values
        ends = [f"{q:g}" for q in quantiles] or _target_names(preparation, values.shape[1])
        columns = {f"prediction_{end}" if end else "prediction": values[:, o] for o, end in enumerate(ends)}
    clash = [name for name in columns if name in others]
    if clash:
        raise InputError(f"--keep {clash[0]!r} has the name of a column of predictions. Rename it in the table.")
    if len(rows) == n:
        return columns
    place = dict(zip(rows.tolist(), range(len(rows)), strict=True))
    return {
        name: [None if row not in place else values[place[row]] for row in range(n)] for name, values in columns.items()
    }


def _target_names(preparation: Preparation, outputs: int) -> list[str]:
    """What tells several targets apart; nothing for one."""
    if outputs == 1:
        return [""]
    return [str(o + 1) for o in range(outputs)] if preparation.encoder is None else [*preparation.encoder.target_names]


def _unused(name: str, columns: dict[str, Any]) -> str:
    """A class may be called as the column of predictions is."""
    return name if name not in columns else f"probability of {name}"
