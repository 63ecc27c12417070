"""Training, prediction and evaluation with tables: names, positions and categories of columns."""

import csv
import io
import json
import re

import numpy as np
import polars as pl
import pytest

from cli.command import accuracy, fail, predictions, run, succeed
from fastmlp import MLP
from fastmlp.datasets import TableEncoder, read_table
from fastmlp.metrics import r2_score
from fastmlp.tables.features.expansion import Expansion
from fastmlp.tables.preparation import Preparation


def test_table_with_categories_missing_values_and_text_labels(mixed, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = succeed("train", mixed, "--missing", "impute", "--out", path)
    assert accuracy(trained) > 85
    assert "3 classes (maybe so, no, yes)" in trained
    names = [row[0] for row in predictions(path, mixed)]
    table = read_table(mixed).frame
    right = np.mean([name == label for name, label in zip(names, table["label"], strict=True)])
    evaluated = succeed("evaluate", path, mixed)
    assert accuracy(evaluated) == pytest.approx(100 * right, abs=0.01) and right > 0.9
    assert re.search(r"^evaluation loss [\d.]+$", evaluated, re.M)
    # rows of the confusion matrix are the true classes
    matrix = evaluated.split("confusion matrix")[1].splitlines()[2:]
    cells = [[int(cell) for cell in line.split()[-3:]] for line in matrix]
    expected = [
        [sum(p == q and t == s for p, t in zip(names, table["label"], strict=True)) for q in ("maybe so", "no", "yes")]
        for s in ("maybe so", "no", "yes")
    ]
    assert cells == expected

    # the same by the library
    model = MLP.load(path)
    encoder = TableEncoder.from_dict(model.metadata["fastmlp.cli"]["encoder"])
    features = Expansion.from_dict(model.metadata["fastmlp.cli"]["expansion"])
    x, _ = encoder.transform(table)
    assert names == [encoder.class_names[c] for c in model.predict(features.transform(x))]


def test_predict_takes_columns_by_name_and_needs_no_target(mixed, model, tmp_path):
    table = read_table(mixed).frame
    other = tmp_path / "other.csv"
    table.select("weight", pl.col("label").alias("unused"), "colour", "size").write_csv(other, separator=";")
    assert predictions(model, other) == predictions(model, other, "--delimiter", ";") == predictions(model, mixed)


def test_predict_ignores_labels_that_it_does_not_know(mixed, model, tmp_path):
    other = tmp_path / "unlabelled.csv"
    other.write_text(re.sub(",(yes|no|maybe so)\n", ",?\n", mixed.read_text()))
    assert predictions(model, other) == predictions(model, mixed)
    fail("evaluate", model, other, about="'label'")


def test_probabilities_belong_to_the_classes(mixed, model):
    text = succeed("predict", model, mixed, "--proba")
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["prediction", "maybe so", "no", "yes"]
    for name, *shares in rows:
        numbers = [*map(float, shares)]
        assert sum(numbers) == pytest.approx(1, abs=1e-6)
        assert name == header[1 + int(np.argmax(numbers))]


def test_regression_speaks_the_unit_of_the_data(prices, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = succeed("train", prices, "--out", path)
    r2 = float(re.search(r"R² ([\d.]+)", trained)[1])
    assert r2 > 0.98 and "in the unit of price, of 30 samples" in trained
    values = np.array(predictions(path, prices), float)[:, 0]
    truth = read_table(prices).frame["price"].to_numpy()
    assert abs(values - truth).mean() < 0.1 * truth.std()
    evaluated = succeed("evaluate", path, prices)
    error = float(re.search(r"mean absolute error ([\d.]+)", evaluated)[1])
    assert error == pytest.approx(abs(values - truth).mean(), rel=1e-4)
    assert float(re.search(r"R² ([\d.]+)", evaluated)[1]) == pytest.approx(r2_score(truth, values), abs=1e-4)
    fail("predict", path, prices, "--proba", about="--proba")


def test_rows_dropped_for_missing_values_keep_their_lines(mixed, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = run("train", mixed, "--missing", "drop", "--epochs", 1, "--out", path)
    table = read_table(mixed).frame
    lacking = [i for i in range(240) if table["colour"][i] is None or table["size"][i] is None]
    counts = "values are missing in 'size' (6), 'colour' (4)"
    assert trained.code == 0 and trained.err == f"fastmlp: note: {len(lacking)} of 240 rows are left out: {counts}\n"
    predicted = run("predict", path, mixed, "--keep", "label")
    assert (
        predicted.err == f"fastmlp: note: {len(lacking)} rows are left out: they lack a value that cannot be imputed\n"
    )
    rows = list(csv.reader(io.StringIO(predicted.out)))[1:]
    assert [row[0] for row in rows] == table["label"].to_list()
    assert [i for i, row in enumerate(rows) if row[1] == ""] == lacking


def test_columns_options_reach_the_table(mixed, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = run(
        *("train", mixed, "--target", "colour", "--drop-columns", "weight,label", "--missing-values", ",?,red"),
        *("--missing", "drop", "--no-standardize", "--epochs", 1, "--test-fraction", 0.5, "--out", path),
    )
    out = trained.out
    assert trained.code == 0 and "rows are left out" in trained.err
    assert "1 feature, 2 classes (blue, green)" in out
    encoder = MLP.load(path).metadata["fastmlp.cli"]["encoder"]
    assert encoder["columns"][0]["scale"] == 1.0 and encoder["missing_values"] == ["", "?", "red"]
    kept = sum(c in ("blue", "green") and s is not None for s, c, *_ in read_table(mixed).frame.iter_rows())
    counts = [int(n) for n in re.findall(r"(\d+) (?:training|test) sample", out)]
    assert sum(counts) == kept and abs(counts[0] - counts[1]) < 30


def test_task_and_target_by_number(prices):
    assert "5 classes (1, 2, 3, 4, 5)" in succeed("train", prices, "--target", 1, "--epochs", 1)
    assert "1 number to predict (rooms)" in succeed(
        "train", prices, "--target", -2, "--task", "regression", "--epochs", 1
    )


def test_separate_test_file_without_header(tmp_path):
    """As adult.data and adult.test: the test file has a line more, and full stops after its labels."""
    random = np.random.RandomState(0)

    def rows(n, stop):
        values = random.randn(n)
        return "".join(f"{v:.3f}, {random.choice(['a', 'b'])}, {'>50K' if v > 0 else '<=50K'}{stop}\n" for v in values)

    (tmp_path / "my.data").write_text(rows(200, ""))
    (tmp_path / "my.test").write_text("|1x3 Cross validator\n" + rows(60, "."))
    path = tmp_path / "m.safetensors"
    how = ("--no-header", "--strip-label", ".")
    out = succeed("train", "my.data", *how, "--test-file", "my.test", "--test-skip-lines", 1, "--out", path)
    assert "200 training samples, 60 test samples, 2 features, 2 classes (<=50K, >50K)" in out
    evaluated = succeed("evaluate", path, "my.test", "--skip-lines", 1)
    assert accuracy(evaluated) == accuracy(out) > 90
    fail("train", "my.data", *how, "--test-file", "my.test", about="my.test")
    fail("train", "my.data", *how, "--test-skip-lines", 1, about="--test-file")
    fail("train", "my.data", *how, "--test-file", "my.test", "--test-fraction", 0.1, about="--test-fraction")
    fail("train", "iris", "--test-file", "my.test", about="iris")


def test_without_a_header_only_the_target_may_be_missing(tmp_path):
    random = np.random.RandomState(0)
    rows = [(("no", "yes")[int(v > 0)], f"{v:.3f}", f"{random.randn():.3f}", "7") for v in random.randn(100)]

    def write(name, columns):
        with open(name, "w", newline="") as file:
            csv.writer(file).writerows([[row[c] for c in columns] for row in rows])

    write("all.csv", range(4))
    write("untargeted.csv", [1, 2, 3])
    write("narrow.csv", [1, 2])
    path = tmp_path / "m.safetensors"
    succeed("train", "all.csv", "--no-header", "--target", 0, "--drop-columns", "column3", "--out", path)
    # columns are known by position: without its first one the table would look shifted
    expected = predictions(path, "all.csv")
    assert np.mean([e[0] == row[0] for e, row in zip(expected, rows, strict=True)]) > 0.9
    assert predictions(path, "untargeted.csv") == expected
    fail("predict", path, "narrow.csv", about="2 columns")
    fail("evaluate", path, "untargeted.csv", about="lacks the target column 'column0'")


def test_predict_reads_a_header_if_told(mixed, model):
    """Of a table with a header, column names stay names: read as a row it has none of the model's columns."""
    fail("predict", model, mixed, "--no-header", about="lacks the columns")


def test_predictions_go_to_a_file(mixed, model, tmp_path):
    path = tmp_path / "p.csv"
    assert succeed("predict", model, mixed, "--out", path) == ""
    assert path.read_text() == succeed("predict", model, mixed)


def test_preparation_survives_json(prices, tmp_path):
    path = tmp_path / "m.safetensors"
    succeed("train", prices, "--epochs", 1, "--delimiter", ",", "--out", path)
    model = MLP.load(path)
    preparation = Preparation.of(model)
    assert preparation.to_dict() == json.loads(json.dumps(model.metadata["fastmlp.cli"]))
    assert (preparation.data, preparation.reading.width, preparation.encoder.target_names) == ("prices", 3, ("price",))
    assert preparation.target.mean[0] > 1e5
    assert str(tmp_path) not in json.dumps(model.metadata)  # a model says nothing about the machine it comes from
