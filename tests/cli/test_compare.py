"""``fastmlp compare``: its table, files and picture, and what it refuses."""

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cli.command import fail, misuse, run, succeed
from fastmlp import MLP
from fastmlp.datasets import load
from fastmlp.splits import split_rows

SMALL = ("--hidden", "4", "--epochs", 3, "--seeds", 2)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_combination_and_a_line_for_each_network():
    out = succeed("compare", "iris", "--batch-size", "full,16", "--lr", "0.1,0.01", *SMALL, "--table", "all.csv")
    assert "8 networks, 3 epochs each" in out
    lines = [line.split("  ") for line in out.splitlines() if " ± " in line]
    assert [re.split(r" {2,}", "  ".join(line).strip())[:2] for line in lines] == [
        ["full", "0.1"],
        ["full", "0.01"],
        ["16", "0.1"],
        ["16", "0.01"],
    ]
    rows = rows_of("all.csv")
    assert [row["seed"] for row in rows] == 4 * ["0", "1"]
    losses = [float(row["val_loss"]) for row in rows[:2]]
    assert f"{np.mean(losses):.4f} ± {np.std(losses, ddof=1):.4f}" in out
    assert [row["updates"] for row in rows] == 4 * ["3"] + 4 * ["18"]


def test_the_numbers_are_those_of_a_fit_on_the_training_samples():
    out = succeed(
        "compare", "xor", "--hidden", "5", "--batch-size", "8", "--epochs", 2, "--seeds", 1, "--table", "a.csv"
    )
    assert "±" not in out

    data = load("xor", seed=0)
    rows, held_out = split_rows(len(data.x), 0.2, 0, data.y)
    model = MLP([2, 5, 1], "relu", loss="binary_cross_entropy", backend="numpy", seed=0)
    model.fit(data.x[rows], data.y[rows], epochs=2, batch_size=8, optimizer="sgd")
    found = rows_of("a.csv")[0]
    assert float(found["val_loss"]) == model.evaluate(data.x[held_out], data.y[held_out])["loss"]


def test_a_table_with_several_networks_and_optimizers(prices):
    out = succeed(
        "compare", prices, "--hidden", "none", "6,3", "--optimizer", "sgd,adam", "--batch-size", 16, *SMALL[2:]
    )
    assert re.search(r"optimizer +hidden +val_r2", out)
    assert all(name in out for name in ("none", "6,3", "sgd", "adam"))


def test_the_picture_tells_settings_apart_without_colour():
    pytest.importorskip("matplotlib")
    succeed("compare", "iris", "--batch-size", "full,16,1", *SMALL, "--plot", "regimes.svg")
    text = Path("regimes.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    for setting in ("batch size full", "batch size 16", "batch size 1"):
        assert f"<!-- {setting} -->" in text
    for label in ("training loss", "validation loss", "epoch", "seconds of training"):
        assert f"<!-- {label} -->" in text
    assert len(set(re.findall(r"stroke-dasharray: ([\d. ,]+)", text))) >= 2


def test_settings_that_diverge_are_counted():
    result = run("compare", "diabetes", "--batch-size", "full", "--lr", "0.01,1e30", *SMALL)
    assert result.code == 0
    assert re.search(r"1e\+30 +- +- +- +- +- +- +2 of 2", result.out)
    assert "note: learning rate 1e+30: Training diverged in epoch 2" in result.err


def test_what_is_refused():
    fail("compare", "iris", "--validation-fraction", 0, about="leaves no samples to compare")
    fail("compare", "iris", "--decay", 1, about="--decay is for --optimizer adamw; sgd does not take it")
    fail("compare", "iris", "--table", "x.txt", about="must end in .csv")
    fail("compare", "diabetes", "--lr", "1e30", *SMALL, about="Training diverged")
    misuse("compare", "iris", "--optimizer", "newton", about="'newton' is unknown")
    misuse("compare", "iris", "--batch-size", "0", about="not a whole number")
