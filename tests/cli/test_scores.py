"""Scores accumulated batch by batch, compared with scikit-learn's for all samples at once."""

import re

import numpy as np
import pytest
import sklearn.metrics

from cli.command import fail, predictions, succeed
from fastmlp import MLP
from fastmlp.cli.report import score_lines
from fastmlp.tables.preparation import Preparation
from fastmlp.tables.reading import files


def batches(x, y, size):
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_numbers(size, offset):
    random = np.random.RandomState(0)
    x, y = random.randn(100, 3), random.randn(100, 2) + offset
    model = MLP([3, 4, 2], loss="mean_squared_error", backend="numpy", dtype="float64", seed=0)
    model.biases[1][...] = offset
    out = model.predict(x)
    line = score_lines(model, Preparation("", ()), batches(x, y, size), "test", confusion=True)
    assert f"R² {sklearn.metrics.r2_score(y, out):.4f}," in line
    assert f"error {np.abs(out - y).mean():.6g}, of 100 samples" in line
    assert float(re.search(r"loss ([\d.e+]+)", line)[1]) == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-5)


def test_a_constant_target_has_the_score_that_scikit_learn_gives_it():
    model = MLP([1, 1], loss="mean_squared_error", backend="numpy", dtype="float64", initializer="zeros")
    x, y = np.ones((5, 1)), np.full(5, 0.1)
    assert "R² 0.0000" in score_lines(model, Preparation("", ()), batches(x, y, 2), "test")
    model.biases[0][...] = 0.1
    assert "R² 1.0000" in score_lines(model, Preparation("", ()), batches(x, y, 2), "test")


@pytest.mark.parametrize("size", [1, 9, 60])
def test_classes(size):
    random = np.random.RandomState(0)
    x, y = random.randn(60, 3), random.randint(0, 3, 60)  # the last of four classes has no sample
    model = MLP([3, 4], loss="softmax_cross_entropy", backend="numpy", dtype="float64", seed=0)
    names = ("a", "b", "c", "d")
    text = score_lines(model, Preparation("", names), batches(x, y, size), "test", confusion=True)
    predicted = model.predict(x)
    assert f"accuracy {100 * np.mean(predicted == y):.2f} % of 60 samples" in text
    assert re.search(r"d +none +0$", text, re.M)
    expected = sklearn.metrics.confusion_matrix(y, predicted, labels=range(4))
    rows = [line.split() for line in text.splitlines()[-4:]]
    assert [row[0] for row in rows] == [*names] and np.array_equal(np.array(rows)[:, 1:].astype(int), expected)


def test_evaluating_a_table_goes_batch_by_batch(mixed, model, monkeypatch):
    expected = succeed("evaluate", model, mixed)
    plain = files.table_batches
    monkeypatch.setattr("fastmlp.cli.sources.table_batches", lambda *a, **how: plain(*a, **how, rows=7))
    assert succeed("evaluate", model, mixed) == expected
    assert len(predictions(model, mixed)) == 240


def test_without_a_target_in_any_row_there_is_no_score(prices, tmp_path):
    succeed("train", prices, "--epochs", 1, "--out", "m.safetensors")
    (tmp_path / "none.csv").write_text("area,rooms,price\n50,2,\n60,3,\n")
    fail("evaluate", "m.safetensors", "none.csv", about="No row has a value of 'price'")
