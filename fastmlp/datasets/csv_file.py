"""CSV files as data sets."""

import os
from collections.abc import Sequence
from pathlib import Path

from fastmlp.datasets.dataset import Dataset
from fastmlp.datasets.encoder import MISSING_VALUES, TableEncoder
from fastmlp.datasets.split import split_rows
from fastmlp.datasets.table import read_csv

__all__ = ["load_csv"]


def load_csv(
    path: str | os.PathLike[str],
    *,
    header: bool = True,
    delimiter: str = ",",
    skip_lines: int = 0,
    target: str | int | None = None,
    task: str = "auto",
    categorical: str | Sequence[str] = "auto",
    missing: str = "error",
    missing_values: Sequence[str] = MISSING_VALUES,
    standardize: bool = True,
    standardize_target: bool = False,
    strip_label: str = "",
    drop_columns: Sequence[str] = (),
    codes: bool = False,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read a CSV file, split its rows, and encode them by what the training rows hold.

    Parameters
    ----------
    path, header, delimiter, skip_lines : as for `read_csv`.
    target, task, categorical, missing, missing_values, standardize, standardize_target, strip_label,
        drop_columns, codes : as for `TableEncoder.fit`.
    test_fraction, seed : how the rows are split, see `split_rows`.

    Returns
    -------
    dataset : x (N, I) float64; y (N,) int64 or float64; with the encoder.

    Raises
    ------
    InputError : a file, an option or a value that cannot be used.
    """
    table = read_csv(path, header=header, delimiter=delimiter, skip_lines=skip_lines)
    train, test = split_rows(len(table), test_fraction, seed)
    training_table = table.take(train)
    encoder = TableEncoder.fit(
        training_table,
        target,
        task=task,
        categorical=categorical,
        missing=missing,
        missing_values=missing_values,
        standardize=standardize,
        standardize_target=standardize_target,
        strip_label=strip_label,
        drop_columns=drop_columns,
        codes=codes,
    )
    x, y = encoder.transform(training_table)
    assert y is not None  # the encoder was fitted on the target of this very table
    x_test, y_test = encoder.transform(table.take(test)) if len(test) else (None, None)
    return Dataset(
        name=Path(path).stem,
        x=x,
        y=y,
        x_test=x_test,
        y_test=y_test,
        class_names=encoder.class_names,
        feature_names=encoder.feature_names,
        encoder=encoder,
    )
