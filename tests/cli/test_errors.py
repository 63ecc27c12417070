"""Errors: reported before training if possible, in one line, with files unchanged."""

import os
import sys

import numpy as np
import pytest

from cli.command import fail, misuse, run, succeed
from fastmlp import MLP

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
    "missing values": (["mixed.csv", "--missing", "error"], "missing='impute'"),
    "momentum of adamw": (["iris", "--momentum", "0.9"], "--momentum is for --optimizer sgd"),
    "decay of adam": (["iris", "--optimizer", "adam", "--decay", "0.9"], "--decay is for --optimizer adamw"),
    "classes and squared counts": (["iris", "--loss", "poisson"], "poisson"),
    "numbers and cross entropy": (["diabetes", "--loss", "binary_cross_entropy"], "targets are numbers"),
    "numbers and class weights": (["diabetes", "--class-weight", "balanced"], "class_weight"),
    "one class": (["one.npz"], "'0'"),
    "activations": (["iris", "--activation", "relu,relu,relu,relu"], "3 layers"),
    "dropout": (["iris", "--dropout", "0.1,0.1,0.1"], "2 hidden"),
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
    lost = fail("train", mixed, "--missing", "impute", "--epochs", 1, "--out", model, about="No space left")
    assert "could not be kept anywhere" in lost and checks
    checks.clear()
    fail("predict", model, mixed, "--out", predicted, about="No space left")
    assert len(checks) == 1
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
