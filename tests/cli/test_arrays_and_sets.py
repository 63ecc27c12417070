"""Training, prediction and evaluation with arrays, image sets and named sets."""

import gzip
import re
import struct

import numpy as np
import pytest

from cli.command import accuracy, fail, predictions, succeed
from fastmlp import MLP
from fastmlp.datasets import load


def test_two_classes_have_two_probabilities(tmp_path):
    path = tmp_path / "m.safetensors"
    succeed("train", "breast_cancer", "--epochs", 5, "--out", path)
    rows = predictions(path, "breast_cancer", "--proba")
    assert {row[0] for row in rows} == {"malignant", "benign"}
    assert all((float(row[2]) >= 0.5) == (row[0] == "benign") for row in rows)
    assert all(float(row[1]) + float(row[2]) == pytest.approx(1, abs=1e-6) for row in rows)


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
