"""The default network of each task: layers, activations, loss and batch size."""

import re

import numpy as np
import pytest

from cli.command import accuracy, predictions, run, succeed
from fastmlp import MLP
from fastmlp.datasets import load


@pytest.mark.parametrize(
    ("given", "sizes", "activations", "loss"),
    [
        (["iris"], (4, 128, 128, 3), ["relu", "relu", None], "softmax_cross_entropy"),
        (["breast_cancer"], (30, 128, 128, 1), ["relu", "relu", None], "binary_cross_entropy"),
        (["diabetes"], (10, 128, 128, 1), ["silu", "silu", None], "mean_squared_error"),
        (["xor", "--loss", "softmax_cross_entropy"], (2, 128, 128, 2), ["relu", "relu", None], "softmax_cross_entropy"),
        (["xor", "--hidden", "none"], (2, 1), ["identity"], "binary_cross_entropy"),
        (["xor", "--hidden", "none", "--activation", "threshold"], (2, 1), ["threshold"], "half_squared_error"),
        (
            ["xor", "--hidden", "3", "--activation", "tanh,softmax"],
            (2, 3, 2),
            ["tanh", "softmax"],
            "softmax_cross_entropy",
        ),
        (["iris", "--loss", "mean_squared_error"], (4, 128, 128, 3), ["relu", "relu", None], "mean_squared_error"),
        (
            ["iris", "--hidden", "5", "--activation", "tanh,sigmoid"],
            (4, 5, 3),
            ["tanh", "sigmoid"],
            "binary_cross_entropy",
        ),
        (["diabetes", "--loss", "poisson"], (10, 128, 128, 1), ["silu", "silu", None], "poisson"),
        (["diabetes", "--loss", "huber", "--hidden", "7,7"], (10, 7, 7, 1), ["silu", "silu", None], "huber"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) and None not in value else "",
)
def test_network_of_each_task(given, sizes, activations, loss, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = succeed("train", *given, "--epochs", 8, "--batch-size", 16, "--decay", 1, "--out", path)  # without trials
    model = MLP.load(path)
    assert (model.sizes, model.activations, model.loss.name) == (sizes, activations, loss)
    evaluated = succeed("evaluate", path, given[0])
    score = r"(accuracy|R²) [-\d.]+"
    assert re.search(score, trained)[0] == re.search(score, evaluated)[0]
    assert len(predictions(path, given[0])) == len(load(given[0]).x_test)


def test_squared_error_can_tell_classes_apart():
    assert accuracy(succeed("train", "iris", "--loss", "mean_squared_error")) > 85
    given = "--hidden 8 --activation tanh --loss half_squared_error --decay 0"
    assert accuracy(succeed("train", "xor", *given.split())) > 95


@pytest.mark.parametrize(("n", "batch_size", "epochs"), [(1999, 16, 40), (2000, 64, 40), (12500, 64, 32)])
def test_a_larger_set_gets_larger_batches_and_fewer_epochs(n, batch_size, epochs, monkeypatch):
    seen = {}

    def spy(self, x, y, **options):
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(MLP, "fit", spy)
    np.savez("set.npz", x=np.random.RandomState(0).rand(n, 3), y=np.arange(n) % 3)
    assert run("train", "set.npz", "--test-fraction", 0, "--decay", 1).code == 130  # without trials
    assert (seen["batch_size"], seen["epochs"]) == (batch_size, epochs)


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
