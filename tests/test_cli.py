"""The command ``fastmlp``: what it does, what it prints, how it ends, and what it leaves behind when it fails."""

import contextlib
import csv
import gzip
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import warnings
from argparse import SUPPRESS
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastmlp import MLP, __version__
from fastmlp.cli import main
from fastmlp.cli.options import add_training
from fastmlp.cli.parser import build_parser
from fastmlp.cli.preparation import Preparation
from fastmlp.cli.text import one_line
from fastmlp.datasets import TableEncoder, load, read_csv
from fastmlp.metrics import r2_score
from fastmlp.optimizers import get_optimizer
from fastmlp.schedules import get_schedule
from fastmlp.serialization import load_model, save_model


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    """The backend without compilation, and a folder of its own for each test."""
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    """Call the command in this process: exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


def succeed(*arguments):
    result = run(*arguments)
    assert (result.code, result.err) == (0, ""), result
    return result.out


def fail(*arguments, about=""):
    """The one line of an error that the user can mend."""
    result = run(*arguments)
    assert result.code == 1, result
    assert re.fullmatch(r"fastmlp: error: [^\n]+\n", result.err), result.err
    assert about in result.err
    return result.err


def misuse(*arguments, about=""):
    result = run(*arguments)
    assert result.code == 2 and about in result.err, result
    assert result.err.startswith("usage: fastmlp") and "Traceback" not in result.err
    return result.err


def predictions(*arguments):
    """Rows of the CSV that predict prints, without the header."""
    return list(csv.reader(io.StringIO(succeed("predict", *arguments))))[1:]


def accuracy(out):
    return float(re.search(r"accuracy ([\d.]+) %", out)[1])


def process(*arguments, **options):
    """Call the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fastmlp.cli", *map(str, arguments)], capture_output=True, timeout=120, **options
    )


@pytest.fixture
def mixed(tmp_path):
    """A table with numbers, categories, missing values and three text labels that follow from the others."""
    random = np.random.RandomState(0)
    lines = ["size,colour,weight,label"]
    for row in range(240):
        size, colour, weight = random.randn(), random.choice(["red", "green", "blue"]), 50 + 9 * random.randn()
        label = "maybe so" if colour == "blue" else "yes" if size > 0 else "no"
        shown = "?" if row % 40 == 7 else f"{size:.4f}"
        lines.append(f"{shown},{'' if row % 60 == 11 else colour},{weight:.2f},{label}")
    path = tmp_path / "mixed.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def prices(tmp_path):
    """A table whose target is in the thousands, with whole-number features."""
    random = np.random.RandomState(1)
    area, rooms = random.randint(40, 200, 150), random.randint(1, 6, 150)
    path = tmp_path / "prices.csv"
    rows = [f"{a},{r},{3000 * a + 20000 * r}" for a, r in zip(area, rooms, strict=True)]
    path.write_text("area,rooms,price\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def model(mixed, tmp_path):
    """A model of the mixed table, hardly trained."""
    path = tmp_path / "mixed.safetensors"
    succeed("train", mixed, "--missing", "impute", "--epochs", 2, "--hidden", 8, "--out", path)
    return path


# Help, version, info


def test_alone_it_prints_its_help_and_fails():
    result = run()
    assert result.code == 2 and result.err == ""
    assert "fastmlp train digits" in result.out


def test_version():
    assert succeed("--version") == f"fastmlp {__version__}\n"


@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
def test_help_has_examples_and_explains_every_option(command):
    text = succeed(command, "--help")
    assert f"fastmlp {command} " in text.split("examples")[1]
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    for action in commands.choices[command]._actions:
        assert action.help, f"{action.option_strings} has no help"
        if action.option_strings and action.default not in (None, False, SUPPRESS):
            default = f"{action.default:g}" if isinstance(action.default, float) else action.default
            assert f"default: {default}" in action.help.replace("(default", "default"), action.option_strings


def test_every_choice_is_known_to_the_library():
    from argparse import ArgumentParser

    parser = ArgumentParser()
    add_training(parser)
    choices = {action.dest: action.choices for action in parser._actions}
    assert [type(get_optimizer(name)).__name__.lower() for name in choices["optimizer"]] == [*choices["optimizer"]]
    for name in choices["schedule"]:
        get_schedule(name)
    with pytest.raises(ValueError) as error:
        get_schedule("none of these")
    assert all(repr(name) in str(error.value) for name in choices["schedule"])
    assert str(error.value).count("'") == 2 * len(choices["schedule"]) + 2  # and it knows no others


def test_info_names_versions_backends_threads_and_cache():
    out = succeed("info")
    for expected in (f"fastmlp {__version__}", f"numpy {np.__version__}", "default backend: numpy", "threads: up to "):
        assert expected in out
    assert re.search(r"^  numba +(Numba \d|unavailable: )", out, re.M)
    assert re.search(r"^  cuda +\S", out, re.M)
    assert re.search(r"^compiled kernels: (\d+ files?, .* in /|none)", out, re.M)


def test_info_reports_a_wrong_environment(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "quantum")
    fail("info", about="FASTMLP_BACKEND='quantum'")


def test_starts_without_the_heavy_libraries():
    program = (
        "import sys; from fastmlp.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numba', 'sklearn', 'scipy', 'matplotlib', 'tqdm', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


# Training


def test_digits_alone_learn_well_and_tell_about_it():
    out = succeed("train", "digits")
    assert accuracy(out) >= 96
    assert "1,437 training samples, 360 test samples, 64 features, 10 classes (0, 1, 2" in out
    assert "backend numpy" in out
    assert re.search(r"^100 epochs in [\d.]+ s, [\d,]+ samples/s$", out, re.M)
    epochs = re.findall(r"^epoch +(\d+)/100  loss ", out, re.M)
    assert epochs == [str(e) for e in range(10, 101, 10)]
    classes = re.findall(r"^  (\d) +([\d.]+) % +(\d+)$", out, re.M)
    assert [c for c, _, _ in classes] == list("0123456789") and sum(int(n) for _, _, n in classes) == 360
    # the accuracy of all is the mean of the classes' accuracies, weighted by their samples
    assert sum(float(share) * int(n) for _, share, n in classes) / 360 == pytest.approx(accuracy(out), abs=0.02)


def test_the_backends_train_alike(tmp_path):
    columns = []
    for backend in ("numpy", "numba"):
        history = tmp_path / f"{backend}.json"
        run_ = run("train", "digits", "--epochs", 2, "--backend", backend, "--history", history)
        assert run_.code == 0 and f"backend {backend}" in run_.out
        columns.append(json.loads(history.read_text())["columns"]["loss"])
    np.testing.assert_allclose(columns[0], columns[1], rtol=1e-3)


@pytest.mark.parametrize(
    ("epochs", "told"), [(1, [1]), (7, [*range(1, 8)]), (23, [3, 5, 7, 10, 12, 14, 17, 19, 21, 23])]
)
def test_at_most_ten_lines_evenly_spaced(epochs, told):
    out = succeed("train", "iris", "--epochs", epochs)
    assert [int(e) for e in re.findall(r"^epoch +(\d+)/", out, re.M)] == told


def test_a_terminal_gets_a_bar_instead(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["train", "iris", "--epochs", "4"]) == 0
    assert "test accuracy" in out.getvalue() and "epoch 1/4" not in out.getvalue()
    assert "4/4" in terminal.getvalue() or "0/4" in terminal.getvalue()
    monkeypatch.setattr("sys.stderr", silent := Terminal())
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "iris", "--epochs", "4", "--quiet"]) == 0
    assert silent.getvalue() == ""


def test_quiet_prints_only_scores(tmp_path):
    out = succeed("train", "iris", "--epochs", 1, "--quiet", "--out", tmp_path / "m.safetensors")
    assert re.fullmatch(r"test accuracy .*\n  class +accuracy +samples\n(  \w+ +[\d.]+ % +\d+\n){3}", out)


def test_the_seed_decides_and_the_same_seed_repeats(tmp_path):
    models = []
    for i, seed in enumerate([3, 3, 4]):
        succeed("train", "iris", "--epochs", 2, "--seed", seed, "--out", tmp_path / f"{i}.safetensors")
        models.append(MLP.load(tmp_path / f"{i}.safetensors").weights[0])
    np.testing.assert_array_equal(models[0], models[1])
    assert not np.array_equal(models[0], models[2])


def test_options_reach_the_network_and_its_training(monkeypatch, tmp_path):
    seen = {}
    fit = MLP.fit

    def spy(self, x, y, **options):
        seen.update(options, model=self, n=len(x))
        return fit(self, x, y, **options)

    monkeypatch.setattr(MLP, "fit", spy)
    given = (
        "--hidden 6,5 --activation tanh,silu,softmax --dropout 0.1,0.2 --l1 0.01 --l2 0.02 --dtype float64 --seed 9 "
    )
    given += "--epochs 3 --batch-size full --optimizer sgd --lr 0.25 --momentum 0.5 --schedule cosine --max-norm 7 "
    given += "--class-weight balanced --patience 2 --target-loss 0.001 --validation-fraction 0.25 --threads 2 --quiet"
    succeed("train", "iris", *given.split())
    model = seen["model"]
    assert model.sizes == (4, 6, 5, 3) and model.activations == ["tanh", "silu", "softmax"]
    assert (model.dropout, model.l1, model.l2, str(model.dtype), model.n_threads) == (
        [0.1, 0.2],
        0.01,
        0.02,
        "float64",
        2,
    )
    rule = seen["optimizer"]
    assert (type(rule).__name__, rule.lr, rule.momentum) == ("SGD", 0.25, 0.5)
    expected = {
        "epochs": 3,
        "batch_size": "full",
        "schedule": "cosine",
        "max_norm": 7.0,
        "class_weight": "balanced",
        "patience": 2,
        "target_loss": 0.001,
        "progress": False,
        "restore_best": True,
    }
    assert {name: seen[name] for name in expected} == expected
    assert seen["n"] == 90 and len(seen["validation_data"][0]) == 30


@pytest.mark.parametrize(
    ("given", "lr"),
    [
        ([], 0.005),
        (["--optimizer", "adamw"], 0.005),
        (["--schedule", "constant"], 0.001),
        (["--optimizer", "rmsprop"], 0.001),
        (["--optimizer", "sgd"], 0.1),
        (["--optimizer", "sgd", "--lr", "0.3"], 0.3),
    ],
)
def test_default_learning_rates(given, lr):
    assert f", learning rate {lr} (" in succeed("train", "iris", "--epochs", 1, *given)


def test_history_and_plot_are_written(tmp_path):
    json_file, csv_file, plot = tmp_path / "h.json", tmp_path / "h.csv", tmp_path / "p.png"
    out = succeed("train", "iris", "--epochs", 3, "--history", json_file, "--plot", plot, "--validation-fraction", 0.2)
    history = json.loads(json_file.read_text())
    assert history["stopped"] == "epochs" and len(history["columns"]["val_accuracy"]) == 3
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"history written to {json_file}" in out and f"plot written to {plot}" in out
    assert "val_loss" in out and "val_accuracy" in out
    succeed("train", "iris", "--epochs", 3, "--history", csv_file)
    assert len(csv_file.read_text().splitlines()) == 4


def test_patience_watches_a_validation_part_and_keeps_its_best_weights(monkeypatch, tmp_path):
    kept = {}
    fit = MLP.fit

    def spy(self, x, y, **options):
        history = fit(self, x, y, **options)
        kept["loss"] = self.evaluate(*options["validation_data"])["loss"]
        kept["size"] = len(options["validation_data"][0])
        return history

    monkeypatch.setattr(MLP, "fit", spy)
    path = tmp_path / "h.json"
    out = succeed("train", "iris", "--patience", 3, "--epochs", 300, "--lr", 0.03, "--history", path)
    history = json.loads(path.read_text())
    losses = history["columns"]["val_loss"]
    assert history["stopped"] == "validation" and len(losses) < 300
    assert "the validation loss no longer fell" in out and f"the weights of epoch {history['best_epoch']}" in out
    assert kept["size"] == 12  # a tenth of 120
    assert kept["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_target_loss_ends_training():
    out = succeed("train", "iris", "--epochs", 500, "--target-loss", 0.5)
    assert "the target loss was reached" in out


# Networks by task


@pytest.mark.parametrize(
    ("given", "sizes", "activations", "loss"),
    [
        (["iris"], (4, 128, 3), ["relu", None], "softmax_cross_entropy"),
        (["breast_cancer"], (30, 128, 1), ["relu", None], "binary_cross_entropy"),
        (["diabetes"], (10, 128, 1), ["relu", None], "mean_squared_error"),
        (["xor", "--loss", "softmax_cross_entropy"], (2, 128, 2), ["relu", None], "softmax_cross_entropy"),
        (["xor", "--hidden", "none"], (2, 1), ["identity"], "binary_cross_entropy"),
        (["xor", "--hidden", "none", "--activation", "threshold"], (2, 1), ["threshold"], "half_squared_error"),
        (
            ["xor", "--hidden", "3", "--activation", "tanh,softmax"],
            (2, 3, 2),
            ["tanh", "softmax"],
            "softmax_cross_entropy",
        ),
        (["iris", "--loss", "mean_squared_error"], (4, 128, 3), ["relu", None], "mean_squared_error"),
        (
            ["iris", "--hidden", "5", "--activation", "tanh,sigmoid"],
            (4, 5, 3),
            ["tanh", "sigmoid"],
            "binary_cross_entropy",
        ),
        (["diabetes", "--loss", "poisson"], (10, 128, 1), ["relu", None], "poisson"),
        (["diabetes", "--loss", "huber", "--hidden", "7,7"], (10, 7, 7, 1), ["relu", "relu", None], "huber"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) and None not in value else "",
)
def test_network_of_each_task(given, sizes, activations, loss, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = succeed("train", *given, "--epochs", 8, "--batch-size", 16, "--out", path)
    model = MLP.load(path)
    assert (model.sizes, model.activations, model.loss.name) == (sizes, activations, loss)
    evaluated = succeed("evaluate", path, given[0])
    score = r"(accuracy|R²) [-\d.]+"
    assert re.search(score, trained)[0] == re.search(score, evaluated)[0]
    assert len(predictions(path, given[0])) == len(load(given[0]).x_test)


def test_squared_error_can_tell_classes_apart():
    assert accuracy(succeed("train", "iris", "--loss", "mean_squared_error")) > 85
    assert accuracy(succeed("train", "xor", "--hidden", 8, "--activation", "tanh", "--loss", "half_squared_error")) > 95


def test_a_larger_set_gets_a_second_layer_and_larger_batches(monkeypatch):
    seen = {}

    def spy(self, x, y, **options):
        seen.update(options, sizes=self.sizes)
        raise KeyboardInterrupt

    monkeypatch.setattr(MLP, "fit", spy)
    np.savez("large.npz", x=np.random.RandomState(0).rand(12500, 3), y=np.arange(12500) % 3)
    assert run("train", "large.npz").code == 130
    assert (seen["sizes"], seen["batch_size"], seen["epochs"]) == ((3, 128, 64, 3), 128, 30)


def test_class_weight_balances(tmp_path):
    random = np.random.RandomState(0)
    x, y = random.randn(600, 2), (np.arange(600) % 20 == 0).astype(int)
    x[y == 1] += 1
    np.savez(tmp_path / "rare.npz", x=x, y=y)
    rare = []
    for weight in ([], ["--class-weight", "balanced"]):
        out = succeed("train", "rare.npz", "--hidden", "none", "--epochs", 30, *weight)
        rare.append(float(re.search(r"^  1 +([\d.]+) %", out, re.M)[1]))
    assert rare[1] > rare[0] + 30


# Tables: there and back


def test_table_with_categories_missing_values_and_text_labels(mixed, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = succeed("train", mixed, "--missing", "impute", "--out", path)
    assert accuracy(trained) > 85
    assert "3 classes (maybe so, no, yes)" in trained
    names = [row[0] for row in predictions(path, mixed)]
    table = read_csv(mixed)
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
    x, _ = encoder.transform(table)
    assert names == [encoder.class_names[c] for c in model.predict(x)]


def test_predict_takes_columns_by_name_and_needs_no_target(mixed, model, tmp_path):
    table = read_csv(mixed)
    other = tmp_path / "other.csv"
    with open(other, "w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["weight", "unused", "colour", "size"])
        writer.writerows(zip(table["weight"], table["label"], table["colour"], table["size"], strict=True))
    assert predictions(model, other, "--delimiter", ";") == predictions(model, mixed)


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


def test_two_classes_have_two_probabilities(tmp_path):
    path = tmp_path / "m.safetensors"
    succeed("train", "breast_cancer", "--epochs", 5, "--out", path)
    rows = predictions(path, "breast_cancer", "--proba")
    assert {row[0] for row in rows} == {"malignant", "benign"}
    assert all((float(row[2]) >= 0.5) == (row[0] == "benign") for row in rows)
    assert all(float(row[1]) + float(row[2]) == pytest.approx(1, abs=1e-6) for row in rows)


def test_regression_speaks_the_unit_of_the_data(prices, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = succeed("train", prices, "--out", path)
    r2 = float(re.search(r"R² ([\d.]+)", trained)[1])
    assert r2 > 0.98 and "in the unit of price, of 30 samples" in trained
    values = np.array(predictions(path, prices), float)[:, 0]
    truth = np.array(read_csv(prices)["price"], float)
    assert abs(values - truth).mean() < 0.1 * truth.std()
    evaluated = succeed("evaluate", path, prices)
    error = float(re.search(r"mean absolute error ([\d.]+)", evaluated)[1])
    assert error == pytest.approx(abs(values - truth).mean(), rel=1e-4)
    assert float(re.search(r"R² ([\d.]+)", evaluated)[1]) == pytest.approx(r2_score(truth, values), abs=1e-4)
    fail("predict", path, prices, "--proba", about="--proba")


def test_rows_dropped_for_missing_values_keep_their_lines(mixed, tmp_path):
    path = tmp_path / "m.safetensors"
    succeed("train", mixed, "--missing", "drop", "--epochs", 1, "--out", path)
    table = read_csv(mixed)
    lacking = [i for i in range(240) if "" in (table["colour"][i],) or table["size"][i] == "?"]
    rows = predictions(path, mixed)
    assert len(rows) == 240 and 0 < len(lacking) < 240
    assert [i for i, row in enumerate(rows) if row == [""]] == lacking


def test_columns_options_reach_the_table(mixed, tmp_path):
    path = tmp_path / "m.safetensors"
    out = succeed(
        *("train", mixed, "--target", "colour", "--drop-columns", "weight,label", "--missing-values", ",?,red"),
        *("--missing", "drop", "--no-standardize", "--epochs", 1, "--test-fraction", 0.5, "--out", path),
    )
    assert "1 feature, 2 classes (blue, green)" in out
    encoder = MLP.load(path).metadata["fastmlp.cli"]["encoder"]
    assert encoder["columns"][0]["scale"] == 1.0 and encoder["missing_values"] == ["", "?", "red"]
    kept = sum(
        c in ("blue", "green") and s != "?"
        for c, s in zip(*map(read_csv(mixed).__getitem__, ("colour", "size")), strict=True)
    )
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
    assert "200 training samples, 60 test samples, 3 features, 2 classes (<=50K, >50K)" in out
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


# Arrays, images, named sets


def test_arrays_are_scaled_and_predictions_unscaled(tmp_path):
    random = np.random.RandomState(0)
    x = random.rand(300, 3) * [1, 1000, 1e-3] + [0, 5000, 0]
    y = np.stack([1e4 * x[:, 0] + x[:, 1], 1e6 * x[:, 2]], axis=1)
    np.savez("a.npz", x=x[:200], y=y[:200], x_test=x[200:], y_test=y[200:])
    path = tmp_path / "m.safetensors"
    out = succeed("train", "a.npz", "--out", path)
    assert "200 training samples, 100 test samples, 3 features, 2 numbers to predict" in out
    assert float(re.search(r"test R² ([\d.]+)", out)[1]) > 0.97
    rows = np.array(predictions(path, "a.npz"), float)
    assert rows.shape == (100, 2) and abs(rows - y[200:]).mean() < 0.1 * y.std()
    assert succeed("predict", path, "a.npz").startswith("prediction_1,prediction_2\n")
    np.save("x.npy", x[200:])
    np.save("y.npy", y[200:])
    np.testing.assert_array_equal(np.array(predictions(path, "x.npy"), float), rows)
    evaluated = succeed("evaluate", path, "x.npy", "--target-file", "y.npy")
    assert re.search(r"R² [\d.]+", evaluated)[0] == re.search(r"R² [\d.]+", out)[0]
    fail("evaluate", path, "x.npy", about="target_path")


def test_arrays_without_test_samples_are_split(tmp_path):
    np.savez("a.npz", x=np.random.RandomState(0).rand(50, 2), y=np.arange(50) % 2)
    assert "40 training samples, 10 test samples" in succeed("train", "a.npz", "--epochs", 1)
    out = succeed("train", "a.npz", "--epochs", 1, "--test-fraction", 0, "--no-standardize")
    assert "50 training samples, 2 features" in out and "training accuracy" in out


def test_a_mapped_file_is_not_copied(monkeypatch, tmp_path):
    random = np.random.RandomState(0)
    x = random.randn(100, 3).astype(np.float32)
    np.save("x.npy", x)
    np.save("y.npy", (x[:, 0] > 0).astype(np.int64))
    fit, seen = MLP.fit, []

    def spy(self, x, y, **options):
        seen.append(isinstance(x, np.memmap) and isinstance(options["validation_data"][0], np.memmap))
        seen.append((len(x), len(options["validation_data"][0])))
        return fit(self, x, y, **options)

    monkeypatch.setattr(MLP, "fit", spy)
    path = tmp_path / "m.safetensors"
    how = ("--target-file", "y.npy", "--validation-fraction", 0.2)
    assert accuracy(succeed("train", "x.npy", *how, "--out", path)) > 90
    assert seen == [True, (80, 20)]
    assert np.mean([int(row[0]) == (v > 0) for row, v in zip(predictions(path, "x.npy"), x[:, 0], strict=True)]) > 0.9


def test_classes_are_matched_by_name_not_by_number(tmp_path):
    random = np.random.RandomState(0)
    y = np.array(["a", "b", "c"])[np.arange(90) % 3]
    x = np.eye(3)[np.arange(90) % 3] + 0.1 * random.randn(90, 3)
    np.savez("all.npz", x=x, y=y)
    np.savez("two.npz", x=x[y != "a"], y=y[y != "a"])  # here "b" is number 0
    np.savez("other.npz", x=x, y=np.where(y == "a", "z", y))
    np.savez("numbers.npz", x=x, y=random.randn(90))
    path = tmp_path / "m.safetensors"
    succeed("train", "all.npz", "--out", path)
    out = succeed("evaluate", path, "two.npz")
    assert accuracy(out) == 100 and re.search(r"^  a +none +0$", out, re.M)
    fail("evaluate", path, "other.npz", about="'z'")
    fail("evaluate", path, "numbers.npz", about="The targets are numbers")


def test_named_data_are_split_as_in_training(tmp_path):
    path = tmp_path / "m.safetensors"
    out = succeed("train", "iris", "--seed", 5, "--test-fraction", 0.4, "--epochs", 3, "--out", path)
    assert "90 training samples, 60 test samples" in out
    evaluated = succeed("evaluate", path, "iris")
    assert accuracy(evaluated) == accuracy(out) and "of 60 samples" in evaluated
    assert len(predictions(path, "iris")) == 60
    assert {row[0] for row in predictions(path, "iris")} <= {"setosa", "versicolor", "virginica"}


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_image_sets_by_name_and_by_folder(monkeypatch, tmp_path):
    random, folder = np.random.RandomState(0), tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for stem, n in (("train", 60), ("t10k", 20)):
        labels = (np.arange(n) % 3).astype(np.uint8)
        images = (random.randint(0, 50, (n, 4, 4)) + 90 * labels[:, None, None]).astype(np.uint8)
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(labels))
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path / "data"))
    path = tmp_path / "m.safetensors"
    out = succeed("train", "mnist", "--out", path)
    assert "60 training samples, 20 test samples, 16 features, 3 classes" in out and accuracy(out) > 90
    monkeypatch.delenv("FASTMLP_DATA")
    fail("evaluate", path, "mnist", about="FASTMLP_DATA")
    assert accuracy(succeed("evaluate", path, "mnist", "--folder", folder)) == accuracy(out)
    assert accuracy(succeed("evaluate", path, folder)) == accuracy(out)
    assert accuracy(succeed("train", folder)) == accuracy(out)


def test_a_model_of_the_library_predicts_too(tmp_path):
    data = load("iris")
    model = MLP([4, 5, 3], seed=0)
    model.fit(data.x, data.y, epochs=3)
    model.save("library.safetensors")
    rows = predictions("library.safetensors", "iris")
    assert [int(row[0]) for row in rows] == model.predict(data.x_test).tolist()
    np.save("y.npy", data.y_test)
    np.save("x.npy", data.x_test)
    out = succeed("evaluate", "library.safetensors", "x.npy", "--target-file", "y.npy")
    assert accuracy(out) == pytest.approx(100 * model.evaluate(data.x_test, data.y_test)["accuracy"], abs=0.01)


def test_several_labels_per_sample_are_predicted_as_numbers(tmp_path):
    random = np.random.RandomState(0)
    x = random.randn(20, 3)
    model = MLP([3, 2], "sigmoid", seed=0)
    model.fit(x, (x[:, :2] > 0).astype(float), epochs=1)
    model.save("labels.safetensors")
    np.save("x.npy", x)
    rows = np.array(predictions("labels.safetensors", "x.npy"), float)
    np.testing.assert_allclose(rows, model.predict_proba(x), rtol=1e-6)


def test_a_constant_feature_becomes_zero(tmp_path):
    x = np.stack([np.full(49, 0.1), np.arange(49) / 7], axis=1)
    assert x[:, 0].std() > 0  # a rounding, not a deviation
    np.savez("a.npz", x=x, y=np.arange(49) % 2)
    succeed("train", "a.npz", "--epochs", 1, "--test-fraction", 0, "--out", "m.safetensors")
    notes = MLP.load("m.safetensors").metadata["fastmlp.cli"]
    assert notes["features"]["std"] == [1.0, pytest.approx(x[:, 1].std())]


def test_predictions_go_to_a_file(mixed, model, tmp_path):
    path = tmp_path / "p.csv"
    assert succeed("predict", model, mixed, "--out", path) == ""
    assert path.read_text() == succeed("predict", model, mixed)


# Errors: before training, in one line, without harm


BAD = {
    "unknown data": (["nosuch"], "nosuch"),
    "similar name": (["mnits"], "Did you mean 'mnist'"),
    "no such file": (["nosuch.csv"], "nosuch.csv"),
    "option of other data": (["iris", "--target", "3"], "takes no option 'target'"),
    "no such folder for the model": (["iris", "--out", "nowhere/m.safetensors"], "nowhere"),
    "folder for the history": (["iris", "--history", "folder.json"], "folder"),
    "device for the plot": (["iris", "--plot", "device.png"], "device"),
    "suffix of the model": (["iris", "--out", "m.pickle"], ".safetensors"),
    "suffix of the history": (["iris", "--history", "h.txt"], ".json or .csv"),
    "suffix of the plot": (["iris", "--plot", "h.jpeg"], ".png"),
    "its own data": (["data.csv", "--history", "data.csv"], "also read"),
    "missing values": (["mixed.csv"], "missing='impute'"),
    "momentum of adam": (["iris", "--momentum", "0.9"], "--momentum"),
    "classes and squared counts": (["iris", "--loss", "poisson"], "poisson"),
    "numbers and cross entropy": (["diabetes", "--loss", "binary_cross_entropy"], "targets are numbers"),
    "numbers and class weights": (["diabetes", "--class-weight", "balanced"], "class_weight"),
    "one class": (["one.npz"], "'0'"),
    "activations": (["iris", "--activation", "relu,relu,relu"], "2 layers"),
    "dropout": (["iris", "--dropout", "0.1,0.1"], "1 hidden"),
    "a threshold inside": (["iris", "--activation", "threshold"], "threshold"),
    "beyond the memory": (["iris", "--hidden", "1048576,1048576"], "GiB"),
    "no training rows": (["iris", "--validation-fraction", "0.999"], "none to train on"),
    "backend": (["iris", "--backend", "cuda"], "cuda"),
    "NaN in arrays": (["nan.npz"], "NaN"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_come_before_training(case, mixed, monkeypatch, tmp_path):
    arguments, about = BAD[case]
    if case == "backend":
        from fastmlp.backends import available_backends

        if not available_backends()["cuda"].startswith("unavailable"):
            pytest.skip("CUDA is available here")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.png").symlink_to(os.devnull)
    (tmp_path / "data.csv").write_text("x,y\n1,a\n2,b\n3,a\n4,b\n5,a\n")
    np.savez("one.npz", x=np.zeros((10, 2)), y=np.zeros(10, int))
    np.savez("nan.npz", x=np.full((10, 2), np.nan), y=np.arange(10) % 2)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    from fastmlp.trainer import Training

    def untouched(self):
        raise AssertionError("training has begun")

    monkeypatch.setattr(Training, "run", untouched)
    fail("train", *arguments, about=about)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_data_under_another_name_are_not_written_over(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    (tmp_path / "real.csv").write_text("x,y\n1,a\n2,b\n")
    fail("train", "link.csv", "--history", "real.csv", about="also read")
    assert (tmp_path / "real.csv").read_text() == "x,y\n1,a\n2,b\n"


MISUSE = """
train
train iris --hidden 0
train iris --hidden 5,-1
train iris --hidden many
train iris --epochs 0
train iris --epochs 1.5
train iris --batch-size 0
train iris --batch-size half
train iris --lr nan
train iris --lr -1
train iris --lr 0
train iris --momentum 1
train iris --optimizer lbfgs
train iris --schedule fast
train iris --activation swish
train iris --loss hinge
train iris --dropout 1
train iris --l2 inf
train iris --seed -1
train iris --seed 4294967296
train iris --threads 0
train iris --dtype float16
train iris --backend gpu
train iris --patience 0
train iris --target-loss nan
train iris --test-fraction 1
train iris --validation-fraction -0.1
train iris --class-weight heavy
train iris --missing ignore
train iris --task clustering
train iris --delimiter ,,
train iris --skip-lines -1
train iris --epo 3
train iris extra
predict model
evaluate
info more
nonsense
"""


@pytest.mark.parametrize("line", MISUSE.strip().splitlines())
def test_wrong_usage(line):
    misuse(*line.split())


def test_a_plot_without_matplotlib_fails_before_training(monkeypatch, tmp_path):
    monkeypatch.setattr(MLP, "fit", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    fail("train", "iris", "--plot", tmp_path / "p.png", about="pip install")
    assert not [*tmp_path.iterdir()]


def test_divergence_is_an_error_and_spares_the_files(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"precious")
    fail("train", "diabetes", "--optimizer", "sgd", "--lr", 1e30, "--out", path, about="diverged")
    assert path.read_bytes() == b"precious"


def test_a_write_that_fails_spares_the_files(monkeypatch, mixed, model, tmp_path):
    before = model.read_bytes()
    predicted = tmp_path / "p.csv"
    predicted.write_text("precious")
    checks = []

    def full(descriptor):
        checks.append(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    fail("train", mixed, "--missing", "impute", "--epochs", 1, "--out", model, about="No space left")
    fail("predict", model, mixed, "--out", predicted, about="No space left")
    assert len(checks) == 2
    assert model.read_bytes() == before and predicted.read_text() == "precious"
    assert not [*tmp_path.glob(".fastmlp-*")]


def test_predict_checks_its_output_first(monkeypatch, mixed, model):
    monkeypatch.setattr(MLP, "predict_proba", None)
    fail("predict", model, mixed, "--out", "p.txt", about=".csv")
    fail("predict", model, mixed, "--out", "nowhere/p.csv", about="nowhere")
    fail("predict", model, mixed, "--out", mixed, about="also read")


def test_a_model_and_data_that_do_not_fit(mixed, model, prices, tmp_path):
    fail("predict", model, prices, about="lacks the columns 'size', 'colour', 'weight'")
    fail("predict", model, "iris", about="is none")
    fail("predict", model, os.devnull, about="is a folder or a device")  # another device may go on for ever
    fail("evaluate", model, "nosuch.csv", about="nosuch.csv")
    iris = tmp_path / "iris.safetensors"
    succeed("train", "iris", "--epochs", 1, "--out", iris)
    fail("predict", iris, mixed, about="would be a table")
    fail("predict", iris, "digits", about="4 inputs")
    fail("evaluate", iris, "diabetes", about="targets are numbers")


def test_running_out_of_memory_is_an_error(monkeypatch):
    def fit(self, *arguments, **options):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(MLP, "fit", fit)
    fail("train", "iris", about="Unable to allocate 9 GiB")


def test_other_exceptions_are_bugs_and_keep_their_traceback(monkeypatch):
    def fit(self, *arguments, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(MLP, "fit", fit)
    with pytest.raises(ZeroDivisionError):
        run("train", "iris")


# Ctrl-C


def interrupt_after(monkeypatch, epochs):
    """Make the user press Ctrl-C once that many epochs are done."""
    from fastmlp.trainer import Training

    epoch = Training._epoch

    def interrupted(self, number, order):
        if number == epochs:
            raise KeyboardInterrupt
        return epoch(self, number, order)

    monkeypatch.setattr(Training, "_epoch", interrupted)


def test_ctrl_c_keeps_what_was_learned(monkeypatch, tmp_path):
    whole, part, history = (tmp_path / name for name in ("whole.safetensors", "part.safetensors", "h.csv"))
    constant = ("--schedule", "constant")
    succeed("train", "iris", "--epochs", 4, *constant, "--out", whole)
    interrupt_after(monkeypatch, 4)
    result = run("train", "iris", "--epochs", 400, *constant, "--out", part, "--history", history)
    assert (result.code, result.err) == (130, "")
    assert "stopped after 4 epochs: interrupted" in result.out and "test accuracy" in result.out
    assert len(history.read_text().splitlines()) == 5
    np.testing.assert_array_equal(MLP.load(part).weights[1], MLP.load(whole).weights[1])


def test_ctrl_c_before_the_first_epoch_spares_the_files(monkeypatch, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"precious")
    interrupt_after(monkeypatch, 0)
    result = run("train", "iris", "--out", path, "--history", tmp_path / "h.json", "--plot", tmp_path / "p.png")
    assert result.code == 130 and "nothing is written" in result.out
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"] and path.read_bytes() == b"precious"


def test_ctrl_c_outside_of_training(monkeypatch, mixed, model):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(MLP, "predict_proba", interrupt)
    result = run("predict", model, mixed)
    assert (result.code, result.out, result.err) == (130, "", "fastmlp: interrupted\n")


@pytest.mark.skipif(
    os.name == "nt" or signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="Ctrl-C is ignored or absent here"
)
def test_a_real_ctrl_c(tmp_path):
    path = tmp_path / "m.safetensors"
    command = [sys.executable, "-m", "fastmlp.cli", "train", "iris", "--epochs", "10000", "--out", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert any(line.startswith("epoch  1000/10000") for line in child.stdout), child.stderr.read()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    assert (child.returncode, err) == (130, "")
    assert "interrupted" in out and "test accuracy" in out
    assert MLP.load(path).sizes == (4, 128, 3)


# Processes and their streams


def test_the_module_runs_and_exits():
    result = process("predict", "nosuch.safetensors", "iris", text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"fastmlp: error: .*nosuch\.safetensors.*\n", result.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output(mixed, model):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "fastmlp.cli", "predict", model, mixed],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == 1
    assert re.fullmatch(r"fastmlp: error: .*No space left on device\n", result.stderr)


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_leaves(model, tmp_path):
    wide = tmp_path / "many.csv"
    wide.write_text("size,colour,weight\n" + "1,red,50\n" * 100_000)
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "fastmlp.cli", "predict", model, wide], stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_names_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "1,größer\n2,\x1b[2Jkleiner\n" * 10, encoding="utf-8")
    path = tmp_path / "m.safetensors"
    arguments = ("train", "t.csv", "--epochs", 1, "--out", path)
    result = process(*arguments, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0, result.stderr
    assert rb"gr\xf6\xdfer" in result.stdout and b"\x1b" not in result.stdout
    assert predictions(path, "t.csv")[0][0] in ("größer", "\x1b[2Jkleiner")  # data stay what they are


@given(st.text())
@example("a\nb\tc\r\x1b[0m\u2028d")
def test_one_line_is_one_line_and_harmless(text):
    shown = one_line(text)
    assert shown.isprintable() and shown.splitlines() in ([shown], [])
    assert one_line(shown) == shown


def test_compilation_is_announced_once(monkeypatch, tmp_path, capsys):
    from fastmlp.cli.compiling import announce_compilation

    compile_cache = pytest.importorskip("fastmlp.backends.compile_cache")
    monkeypatch.setattr(compile_cache, "cache_folder", lambda: tmp_path)
    announce_compilation("numpy")
    announce_compilation("numba", quiet=True)
    assert capsys.readouterr() == ("", "")
    announce_compilation("numba")
    assert re.fullmatch("compiling the kernels, .*\n", capsys.readouterr().err)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "kernel.nbi").touch()
    announce_compilation("numba")
    assert capsys.readouterr().err == ""


# Anything at all

FIXTURES = [HealthCheck.function_scoped_fixture]  # what they make does not change


def only_clean_ends(*arguments):
    """Run with warnings as errors; the exit code, after a look at what was printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(*arguments)
    assert result.code in (0, 1, 2), result
    if result.code == 1:
        assert re.fullmatch(r"fastmlp: error: [^\n]+\n", result.err), result.err
    return result


NUMBERS = [
    "",
    "-1",
    "0",
    "1",
    "2",
    "3.5",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "1e308",
    "1e999",
    "9" * 30,
    "9" * 5000,
    "x",
    "٣",
]
PATHS = [
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/full",
    "nowhere/x.csv",
    "x" * 300 + ".csv",
    "\udcff.csv",
    "a\nb.csv",
    "-",
]
PATHS += [
    path + suffix for path in ("m", "/proc/m", "tiny.csv/m", "tiny") for suffix in (".safetensors", ".json", ".png")
]
LISTS = [
    "",
    ",",
    "a",
    "a,a",
    "label",
    "size,nosuch",
    '"',
    '"a',
    "\udcff",
    "0",
    "none",
    "relu,",
    "1,2,3",
    "tanh,softmax",
]
FUZZED = {
    **dict.fromkeys(["--epochs", "--batch-size", "--patience", "--threads", "--seed", "--skip-lines"], NUMBERS),
    **dict.fromkeys(["--lr", "--l1", "--l2", "--momentum", "--max-norm", "--target-loss", "--dropout"], NUMBERS),
    **dict.fromkeys(["--test-fraction", "--validation-fraction", "--test-skip-lines", "--target"], NUMBERS),
    **dict.fromkeys(["--hidden", "--activation", "--categorical", "--drop-columns", "--missing-values"], LISTS),
    **dict.fromkeys(["--strip-label", "--delimiter", "--target "], LISTS),
    **dict.fromkeys(["--out", "--history", "--plot", "--test-file", "--target-file", "--folder"], PATHS),
    "--optimizer": ["sgd", "adamw", "lbfgs"],
    "--schedule": ["warm_up", "reduce_on_plateau", "none"],
    "--loss": ["poisson", "huber", "softmax_cross_entropy", "mean_squared_error"],
    "--missing": ["drop", "impute", "keep"],
    "--task": ["regression", "classification"],
    "--class-weight": ["balanced"],
}
FLAGS = ["--no-header", "--no-standardize", "--quiet"]
options = st.one_of(
    st.sampled_from([*FUZZED]).flatmap(
        lambda name: st.sampled_from(FUZZED[name]).map(lambda value: [name.strip(), value])
    ),
    st.sampled_from(FLAGS).map(lambda flag: [flag]),
)


@pytest.fixture
def tiny(tmp_path):
    rows = ["1,a,no", "2,b,yes", "3,a,no", "4,b,yes", "5,a,yes", ",b,no", "7,a,no", "8,b,yes"]
    path = tmp_path / "tiny.csv"
    path.write_text("size,kind,label\n" + "\n".join(rows) + "\n")
    return path


@settings(max_examples=250, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_fuzzed_options_of_train(data, tiny_folder):
    name = data.draw(
        st.sampled_from(["tiny.csv", "tiny.csv", "tiny.csv", "iris", "xor", "diabetes", "tiny.npz", *PATHS])
    )
    given_options = chain.from_iterable(data.draw(st.lists(options, max_size=4)))
    before = tiny_folder.content()
    result = only_clean_ends("train", name, *given_options)
    if result.code:
        assert tiny_folder.content() == before, "a command that failed has written"


@pytest.fixture
def tiny_folder(tiny, monkeypatch, tmp_path):
    """A folder with small data, and a training that is never long."""
    np.savez("tiny.npz", x=np.random.RandomState(0).rand(12, 2), y=np.arange(12) % 3)
    fit = MLP.fit
    monkeypatch.setattr(MLP, "fit", lambda self, *a, epochs, **k: fit(self, *a, epochs=min(epochs, 2), **k))

    def content():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    return SimpleNamespace(content=content)


@settings(max_examples=60, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_fuzzed_options_of_predict_and_evaluate(data, tiny_folder, tiny_model):
    command = data.draw(st.sampled_from(["predict", "evaluate"]))
    path = data.draw(st.sampled_from([tiny_model, tiny_model, "tiny.csv", *PATHS]))
    name = data.draw(st.sampled_from(["tiny.csv", "tiny.csv", "iris", "tiny.npz", *PATHS]))
    names = {
        "predict": ["--skip-lines", "--delimiter", "--out", "--threads"],
        "evaluate": ["--skip-lines", "--target-file"],
    }
    given_options = []
    for option in data.draw(st.lists(st.sampled_from(names[command]), max_size=2)):
        given_options += [option, data.draw(st.sampled_from(FUZZED[option]))]
    before = tiny_folder.content()
    if only_clean_ends(command, path, name, *given_options).code:
        assert tiny_folder.content() == before


@pytest.fixture
def tiny_model(tiny):
    succeed("train", tiny, "--missing", "impute", "--hidden", 3, "--epochs", 1, "--out", "tiny_model.safetensors")
    return "tiny_model.safetensors"


def test_truncated_and_damaged_models(tiny, tiny_model):
    whole = Path(tiny_model).read_bytes()
    for length in [*range(0, 64, 7), *range(64, len(whole), 97), len(whole) - 1]:
        Path("broken.safetensors").write_bytes(whole[:length])
        fail("predict", "broken.safetensors", tiny, about="broken.safetensors")
    random = np.random.RandomState(0)
    codes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.randint(0, len(whole), random.randint(1, 4)):
            damaged[place] = random.randint(256)
        Path("broken.safetensors").write_bytes(damaged)
        codes.add(only_clean_ends("predict", "broken.safetensors", tiny).code)
    assert codes == {0, 1}  # some damage hits a weight


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.sampled_from([10**400, "\ud800"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


def places(value, path=()):
    """The paths to everything inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@settings(max_examples=150, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_hostile_descriptions_in_a_model(data, tiny, tiny_model):
    tensors, header = load_model(tiny_model)
    path = data.draw(st.sampled_from([*places(header)][1:]), label="place")
    value = data.draw(json_values, label="value")
    at, last = header, path[0]
    for key in path[1:]:
        at, last = at[last], key
    if data.draw(st.booleans(), label="remove") and isinstance(at, dict):
        del at[last]
    else:
        at[last] = value
    save_model("hostile.safetensors", tensors, header)
    command = data.draw(st.sampled_from(["predict", "evaluate"]))
    assert only_clean_ends(command, "hostile.safetensors", tiny).code in (0, 1)


def test_notes_that_contradict_the_model_are_refused(tiny, tiny_model):
    tensors, header = load_model(tiny_model)
    notes = header["metadata"]["fastmlp.cli"]
    for change in (
        {"class_names": ["a", "b", "c"]},
        {"class_names": ["yes", "no"]},
        {"features": {"mean": [0.0], "std": [1.0]}},
        {"target": {"mean": [0.0, 0.0], "std": [1.0, 1.0]}},
        {"target": {"mean": [0.0], "std": [1.0, 1.0]}},
        {"target": {"mean": [0.0], "std": [0.0]}},
        {"encoder": None},
        {"reading": None},
    ):
        save_model("odd.safetensors", tensors, {**header, "metadata": {"fastmlp.cli": {**notes, **change}}})
        fail("predict", "odd.safetensors", tiny, about="preparation")


def test_preparation_survives_json(prices, tmp_path):
    path = tmp_path / "m.safetensors"
    succeed("train", prices, "--epochs", 1, "--delimiter", ",", "--out", path)
    model = MLP.load(path)
    preparation = Preparation.of(model)
    assert preparation.to_dict() == json.loads(json.dumps(model.metadata["fastmlp.cli"]))
    assert (preparation.data, preparation.reading.width, preparation.encoder.target.name) == ("prices", 3, "price")
    assert preparation.target.mean[0] > 1e5
    assert str(tmp_path) not in json.dumps(model.metadata)  # a model says nothing about the machine it comes from
