"""Intervals: several quantiles of one target, trained, scored and written by the command line."""

import csv
import re

import numpy as np
import pytest

from cli.command import fail, predictions, run, succeed
from fastmlp import MLP

QUANTILES = ["--loss", "quantile", "--quantiles", "0.9,0.1,0.5"]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A file whose y has a spread that grows with x, and the model of it."""
    folder = tmp_path_factory.mktemp("noisy")
    random = np.random.RandomState(0)
    x = random.uniform(1, 3, 1500)
    y = x * random.uniform(-1, 1, 1500)
    np.savetxt(folder / "noisy.csv", np.column_stack([x, y]), delimiter=",", header="x,y", comments="", fmt="%.5f")
    out = succeed("train", folder / "noisy.csv", *QUANTILES, "--out", folder / "noisy.safetensors", "--quiet")
    return folder, out


def test_the_interval_holds_its_share(noisy):
    folder, out = noisy
    assert "test quantile loss" in out
    share = float(re.search(r"([\d.]+) % are between the quantiles 0.1 and 0.9; 80 % should be", out)[1])
    assert 72 < share < 88
    model = MLP.load(folder / "noisy.safetensors")
    assert model.sizes[-1] == 3 and model.loss.parameter == (0.1, 0.5, 0.9)


def test_quantiles_are_columns_in_ascending_order(noisy, tmp_path):
    folder, _ = noisy
    (tmp_path / "new.csv").write_text("x\n1.5\n2.5\n")
    rows = np.array(predictions(folder / "noisy.safetensors", tmp_path / "new.csv"), float)
    # The quantiles of x U(-1, 1) are -0.8 x, 0 and 0.8 x.
    np.testing.assert_allclose(rows, [[-1.2, 0, 1.2], [-2.0, 0, 2.0]], atol=0.3)
    assert (np.diff(rows, axis=1) > 0).all()
    out = succeed("predict", folder / "noisy.safetensors", tmp_path / "new.csv", "--keep", "x")
    assert next(csv.reader([out.splitlines()[0]])) == ["x", "prediction_0.1", "prediction_0.5", "prediction_0.9"]


def test_evaluation(noisy):
    folder, _ = noisy
    out = succeed("evaluate", folder / "noisy.safetensors", folder / "noisy.csv")
    loss = float(re.search(r"evaluation quantile loss ([\d.]+) of 1,500 samples", out)[1])
    assert 0.1 < loss < 0.3  # with the true quantiles 0.21


def test_one_quantile_is_an_ordinary_prediction(noisy):
    folder, _ = noisy
    result = run("train", folder / "noisy.csv", "--loss", "quantile", "--quantiles", 0.9, "--epochs", 5, "--quiet")
    assert result.code == 0 and "mean absolute error" in result.out


@pytest.mark.parametrize(
    ("options", "about"),
    [
        (["--quantiles", "0.1,0.9"], "--quantiles is for --loss quantile; mean_squared_error has none"),
        (["--loss", "quantile", "--quantiles", "0.1,0.1"], "one of them twice"),
        (["--loss", "quantile", "--quantiles", "0.1,0.9", "--target", "x,y"], "go with one target, but there are 2"),
    ],
)
def test_what_does_not_go_together(noisy, options, about, tmp_path):
    table = tmp_path / "two.csv"
    table.write_text("w" + ",".join(["", "x", "y"]) + "\n" + "".join(f"{i},{i % 7},{i % 5}\n" for i in range(60)))
    fail("train", table, "--task", "regression", *options, about=about)
