"""The table files for tables.py. Run: python benchmarks/tables_files.py mixed|wide PATH.csv ROWS|COLUMNS."""

import sys
from pathlib import Path

import numpy as np
import polars as pl

WIDE_ROWS = 120


def write_mixed(path: Path, rows: int) -> None:
    """Write 14 columns of numbers, 5 of 2 to 40 categories, and a numeric target, as CSV and as Parquet."""
    random = np.random.default_rng(0)
    numbers = random.standard_normal((14, rows)) * 10.0 ** np.arange(-1, 6).repeat(2)[:, None]
    columns = {f"x{i}": pl.Series(column.round(3)) for i, column in enumerate(numbers)}
    for i, kinds in enumerate((2, 3, 5, 12, 40)):
        columns[f"c{i}"] = pl.Series([f"kind{k}" for k in range(kinds)]).gather(random.integers(0, kinds, rows))
    columns["y"] = pl.Series((numbers[0] + np.sin(numbers[2]) + random.standard_normal(rows)).round(3))
    frame = pl.DataFrame(columns)
    frame.write_csv(path)
    frame.write_parquet(path.with_suffix(".parquet"))


def write_wide(path: Path, columns: int) -> None:
    """Write few rows of many numbers, of which the last is the target."""
    values = np.random.default_rng(0).standard_normal((columns, WIDE_ROWS)).round(4)
    pl.DataFrame({f"x{i}": column for i, column in enumerate(values)}).write_csv(path)


if __name__ == "__main__":
    what, path, number = sys.argv[1:]
    {"mixed": write_mixed, "wide": write_wide}[what](Path(path), int(number))
