"""Loading the data of a command: for training with a new preparation, or for a trained model with its own."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmlp.datasets import NAMES, Dataset, Table, TableEncoder, load, read_table, table_batches
from fastmlp.errors import InputError
from fastmlp.splits import split_rows
from fastmlp.tables.encoding.findings import Findings
from fastmlp.tables.features.scaling import Scaling
from fastmlp.tables.preparation import Preparation, Reading
from fastmlp.tables.storage import Storage

__all__ = ["Samples", "kind_of", "load_training", "sample_batches"]

_IMAGES = ("mnist", "fashion-mnist")
_READING = ("header", "delimiter", "skip_lines", "encoding")
_OPTIONS = (
    *_READING,
    *("folder", "download", "target", "task", "categorical", "columns", "drop_columns", "missing", "missing_values"),
    *("also_missing", "day_first"),
    *("decimal", "thousands", "strip_label", "standardize", "test_fraction", "split"),
)


class Samples(NamedTuple):
    """Samples for a trained model."""

    x: np.ndarray  # (M, I), network inputs
    y: np.ndarray | None  # (M,) or (M, O): class indices of the model, or numbers in their original unit
    rows: np.ndarray  # (M,) int64: indices among the N rows; the others have missing values
    n: int  # N
    table: Table | None  # the N rows


def load_training(arguments: Namespace, storage: Storage) -> tuple[Dataset, Preparation]:
    """Load the training data; features are encoded or scaled, targets are those of the loader."""
    name, kind = arguments.data, kind_of(arguments.data)
    options = _given(arguments, _OPTIONS)
    if arguments.target_file is not None:
        options["target_path"] = arguments.target_file
    if kind in ("table", "named"):
        options["seed"] = arguments.seed
    if arguments.test_file is not None or arguments.test_skip_lines is not None:
        _check_test_file(arguments, kind)
        options["test_fraction"] = 0.0
    if kind == "arrays":  # their loader neither splits nor scales
        standardize, fraction = options.pop("standardize", True), options.pop("test_fraction", 0.2)
        dataset = load(name, **options)
        features = None
        if not isinstance(dataset.x, np.memmap):
            dataset = dataset if dataset.x_test is not None else _split(dataset, fraction, arguments.seed)
            features = Scaling.of(dataset.x) if standardize else None
    else:
        if kind == "table":
            options |= {"codes": True, "memory": storage.limit, "progress": _progress(arguments)}
        dataset = load(name, **options)
        features = Scaling.of_all(dataset.x) if kind == "images" or name == "digits" else None
    preparation = Preparation(
        name if kind in ("named", "images") else dataset.name,
        dataset.class_names,
        seed=arguments.seed,
        test_fraction=options.get("test_fraction"),
        features=features,
        encoder=dataset.encoder,
        reading=_reading(dataset, options) if kind == "table" else None,
    )
    if arguments.test_file is not None:
        dataset = _with_test_file(dataset, preparation, arguments, storage)
    if features is not None:
        x_test = dataset.x_test
        dataset = replace(
            dataset, x=features.apply(dataset.x), x_test=None if x_test is None else features.apply(x_test)
        )
    return dataset, preparation


def sample_batches(
    arguments: Namespace, preparation: Preparation, found: Findings, *, targets: bool, as_text: Sequence[str] = ()
) -> Iterator[Samples]:
    """Yield the samples to which a model is applied, prepared as in training; a table batch by batch.

    Parameters
    ----------
    arguments : of predict or evaluate.
    preparation : of the model.
    found : collects values of a table that training did not have.
    targets : whether targets are needed; if not, they are ignored.
    as_text : columns of a table that are read as text.

    Raises
    ------
    InputError : data that cannot be read, or do not fit the model.
    """
    name, kind = arguments.data, kind_of(arguments.data)
    if kind == "table":
        yield from _of_table(arguments, preparation, found, targets, as_text)
        return
    if preparation.encoder is not None:
        raise InputError(
            f"The model was trained on the table {preparation.data}; {name!r} is none. Give a table with its columns."
        )
    options = _given(arguments, ("folder", "download", *_READING))
    target_file = getattr(arguments, "target_file", None)
    if target_file is not None:
        options["target_path"] = target_file
    elif not targets and kind == "arrays" and name.lower().endswith(".npy"):
        options["target_path"] = name  # the loader needs targets, which are ignored here
    if kind == "named":
        options["seed"] = preparation.seed
        if name == preparation.data and preparation.test_fraction is not None:
            options["test_fraction"] = preparation.test_fraction
    dataset = load(name, **options)
    tested = dataset.x_test is not None
    x, y = (dataset.x_test, dataset.y_test) if tested else (dataset.x, dataset.y)
    assert x is not None and y is not None
    y = preparation.labels(y, dataset.class_names) if targets else None
    yield Samples(preparation.inputs(x), y, np.arange(len(x)), len(x), None)


def kind_of(name: str) -> str:
    """Return the kind of the data: "images", "named", "arrays" or "table"."""
    if name in _IMAGES or (os.path.isdir(name) and name not in NAMES):
        return "images"
    if name in NAMES:
        return "named"
    return "arrays" if Path(name).suffix.lower() in (".npz", ".npy") else "table"


def _given(arguments: Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """The options that the user gave; loaders have the defaults, and refuse options that they do not take."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _progress(arguments: Namespace) -> bool | None:
    """No bar with --quiet; otherwise on a terminal."""
    return False if arguments.quiet else None


def _split(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    train, test = split_rows(len(dataset.x), fraction, seed, dataset.y if dataset.class_names else None)
    if not len(test):
        return dataset
    x, y = dataset.x, dataset.y
    return replace(dataset, x=x[train], y=y[train], x_test=x[test], y_test=y[test])


def _reading(dataset: Dataset, options: dict[str, Any]) -> Reading:
    how: dict[str, Any] = {"header": True, "delimiter": None, "skip_lines": 0, "encoding": None}
    how |= {key: options[key] for key in _READING if key in options}
    return Reading(**how, width=dataset.width)


def _how_to_read(arguments: Namespace, preparation: Preparation) -> dict[str, Any]:
    """Options for `read_table` and `table_batches`: those of the command, else those of the training.

    Raises
    ------
    InputError : the model was not trained on a table.
    """
    reading, encoder = preparation.reading, preparation.encoder
    if reading is None or encoder is None:
        raise InputError(
            f"{arguments.data!r} would be a table, but the model was trained on {preparation.data or 'arrays'}: how to "
            "encode columns was not learned. Give data of the same kind, such as a .npz file."
        )
    given = {key: getattr(arguments, key) for key in _READING}
    return {key: getattr(reading, key) if value is None else value for key, value in given.items()}


def _numbers(encoder: TableEncoder) -> dict[str, Any]:
    """Options for reading a table so that its numbers are those of training."""
    # With decimal commas, 1.234 is not a plain number even if no comma occurs in the new table.
    return {"decimal": "," if encoder.has_decimal_commas else None, "missing_values": encoder.missing_values}


def _as_trained(table: Table, preparation: Preparation, header: bool) -> Table:
    """The table, with the column names of training if it has no header."""
    reading, encoder = preparation.reading, preparation.encoder
    assert reading is not None and encoder is not None
    return table if header or table.layout is None else _numbered(table, reading.width, encoder.target_names)


def _check_test_file(arguments: Namespace, kind: str) -> None:
    if arguments.test_file is None:
        raise InputError("--test-skip-lines is given without a --test-file.")
    if kind != "table":
        raise InputError(f"--test-file goes with a table, but the data are {arguments.data!r}.")
    if arguments.test_fraction is not None:
        raise InputError("--test-file and --test-fraction are given. Give one of them.")


def _with_test_file(dataset: Dataset, preparation: Preparation, arguments: Namespace, storage: Storage) -> Dataset:
    encoder = preparation.encoder
    assert encoder is not None
    how = _how_to_read(arguments, preparation)
    if arguments.test_skip_lines is not None:
        how["skip_lines"] = arguments.test_skip_lines
    found, header = Findings(), how["header"]
    how |= _numbers(encoder)
    table = read_table(arguments.test_file, **how, storage=storage, progress=_progress(arguments))
    table = _as_trained(table, preparation, header)
    x_test, y_test = encoder.transform(table, findings=found, storage=storage)
    if y_test is None:
        raise InputError(f"The test file {arguments.test_file} lacks the target {_targets(preparation)}.")
    notes = (*dataset.notes, *(f"test file: {line}" for line in found.lines()))
    return replace(dataset, x_test=x_test, y_test=y_test, notes=notes)


def _of_table(
    arguments: Namespace, preparation: Preparation, found: Findings, targets: bool, as_text: Sequence[str]
) -> Iterator[Samples]:
    how, encoder = _how_to_read(arguments, preparation), preparation.encoder
    assert encoder is not None
    if targets and not encoder.targets:
        raise InputError(
            "The model was fitted in Python on features and targets apart, so what column holds the targets is not "
            "known. Use its method score."
        )
    texts = {*as_text, *(target.name for target in encoder.targets if targets and encoder.class_names)}
    for batch in table_batches(arguments.data, **how, **_numbers(encoder), as_text=texts):
        table = _as_trained(batch, preparation, how["header"])
        rows = encoder.kept_rows(table, targets=targets, allow_none=True, findings=found)
        x, y = encoder.transform(table, rows=rows, targets=targets, findings=found)
        if targets and y is None:
            raise InputError(f"The table {arguments.data} lacks the target {_targets(preparation)}.")
        yield Samples(preparation.inputs(x), y, rows, len(table), table)


def _targets(preparation: Preparation) -> str:
    assert preparation.encoder is not None
    names = preparation.encoder.target_names
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def _numbered(table: Table, width: int, targets: tuple[str, ...]) -> Table:
    """Name the columns of a table without header by position, allowing for missing target columns."""
    names = [f"column{i}" for i in range(width)]
    rest = [name for name in names if name not in targets]
    if len(table.names) == len(rest) < width:
        names = rest
    elif len(table.names) != width:
        raise InputError(
            f"The table has {len(table.names)} columns, but the model was trained on one of {width}. Without a header "
            "only the target column may be left out."
        )
    return replace(table, frame=table.frame.rename(dict(zip(table.names, names, strict=True))))
