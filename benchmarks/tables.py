"""Time and memory from a table to a trained network: `fastmlp train`, compared with pandas and scikit-learn.

Run: python benchmarks/tables.py [--rows 1000000] [--columns 20000] [--rounds 3] [--output benchmarks/TABLES.md]; needs
pandas and pyarrow. The files are written to the folder for temporary files. The contenders alternate, each in a new
process, whose imports are included; peak memory is that of the process, including mapped files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from report import machine

from fastmlp.files import atomic_write

HERE = Path(__file__).parent
NETWORK = ["--hidden", "128,64", "--activation", "relu", "--batch-size", "128", "--bins", "0"]


class Case(NamedTuple):
    """A row of a table."""

    name: str
    command: list[str]
    size: int  # bytes of the CSV file


def fastmlp(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "fastmlp.cli", *map(str, arguments)]


def script(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(HERE / f"{name}.py"), *map(str, arguments)]


def measured(command: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds and peak memory in MB of a command."""
    with tempfile.TemporaryFile() as output:
        begin = perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
        wall = perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{output.read().decode()}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def compare(cases: Sequence[Case], rounds: int) -> list[str]:
    """Markdown: the medians of each case."""
    results: dict[str, list[tuple[float, float, float]]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            results[case.name].append(measured(case.command))
    lines = ["| | wall s | CPU s | peak MB | of the CSV file |", "|---|---|---|---|---|"]
    for case in cases:
        wall, cpu, memory = (median(values) for values in zip(*results[case.name], strict=True))
        lines.append(f"| {case.name} | {wall:.2f} | {cpu:.2f} | {memory:,.0f} | {memory * 1e6 / case.size:.1f} x |")
    return lines


def mixed(folder: Path, rows: int, rounds: int) -> list[str]:
    csv = folder / "mixed.csv"
    parquet = csv.with_suffix(".parquet")
    subprocess.run(script("tables_files", "mixed", csv, rows), check=True)
    size = csv.stat().st_size
    cases = [
        Case("fastmlp train, CSV", fastmlp("train", csv, "--epochs", 1, *NETWORK), size),
        Case("pandas and scikit-learn, CSV", script("tables_sklearn", csv, 1), size),
        Case("fastmlp train, Parquet", fastmlp("train", parquet, "--epochs", 1, *NETWORK), size),
        Case("pandas and scikit-learn, Parquet", script("tables_sklearn", parquet, 1), size),
        Case("fastmlp train, CSV, an epoch of its own recipe", fastmlp("train", csv, "--epochs", 1), size),
    ]
    about = f"{rows:,} rows of 20 columns, {size / 1e6:.0f} MB as CSV, one epoch of `{' '.join(NETWORK)}`:"
    return [about, "", *compare(cases, rounds)]


def wide(folder: Path, columns: int, rounds: int) -> list[str]:
    cases = []
    for part in (columns // 4, columns // 2, columns):
        csv, model, out = (folder / f"wide{part}{suffix}" for suffix in (".csv", ".safetensors", ".out.csv"))
        subprocess.run(script("tables_files", "wide", csv, part), check=True)
        size, many = csv.stat().st_size, f"{part:,} columns"
        train = fastmlp("train", csv, "--epochs", 5, "--out", model)
        cases.append(Case(f"fastmlp train, {many}", train, size))
        cases.append(Case(f"fastmlp predict, {many}", fastmlp("predict", model, csv, "--out", out), size))
    cases.append(Case(f"pandas and scikit-learn, {many}", script("tables_sklearn", csv, 5), size))
    return ["120 rows of numbers, 5 epochs of the recipe:", "", *compare(cases, rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, rounds = Path(name), arguments.rounds
        parts = [mixed(folder, arguments.rows, rounds), wide(folder, arguments.columns, rounds)]
    lines = ["# From a table to a trained network", "", *machine()[:-1]]
    lines.append(f"- command: `python {' '.join(sys.argv)}`; medians of {rounds} rounds")
    lines += [line for part in parts for line in ("", *part)]
    print("\n".join(lines))
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write("\n".join([*lines, ""]).encode())


if __name__ == "__main__":
    main()
