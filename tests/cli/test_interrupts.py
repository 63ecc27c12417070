"""Ctrl-C: the weights so far are saved, and files stay intact."""

import os
import signal
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest

from cli.command import run, succeed
from fastmlp import MLP


def interrupt_after(monkeypatch, epochs):
    """Send Ctrl-C after the given number of epochs."""
    from fastmlp.trainer import Training

    train = Training._train

    def interrupted(self, number, orders):
        if number == epochs:
            raise KeyboardInterrupt
        return train(self, number, orders)

    monkeypatch.setattr(Training, "_train", interrupted)


def test_ctrl_c_keeps_what_was_learned(monkeypatch, tmp_path):
    whole, part, history = (tmp_path / name for name in ("whole.safetensors", "part.safetensors", "h.csv"))
    constant = ("--schedule", "constant", "--decay", 1)  # without trials
    succeed("train", "iris", "--epochs", 4, *constant, "--out", whole)
    interrupt_after(monkeypatch, 4)
    result = run("train", "iris", "--epochs", 400, *constant, "--out", part, "--history", history)
    assert (result.code, result.err) == (130, "")
    assert "stopped after 4 epochs: interrupted" in result.out and "test accuracy" in result.out
    assert len(history.read_text().splitlines()) == 5
    np.testing.assert_array_equal(MLP.load(part).weights[1], MLP.load(whole).weights[1])


@pytest.mark.parametrize(
    ("given", "said"), [(["--decay", 1], "nothing is written"), ([], "fastmlp: interrupted")], ids=["training", "trial"]
)
def test_ctrl_c_before_the_first_epoch_spares_the_files(given, said, monkeypatch, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"precious")
    interrupt_after(monkeypatch, 0)
    files = {"--out": path, "--history": tmp_path / "h.json", "--plot": tmp_path / "p.png"}
    result = run("train", "iris", *given, *chain.from_iterable(files.items()))
    assert result.code == 130 and said in result.out + result.err
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
    command = [sys.executable, "-m", "fastmlp.cli", "train", "iris"]
    command += ["--epochs", "10000", "--hidden", "8", "--out", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert any(line.startswith("epoch  1000/10000") for line in child.stdout), child.stderr.read()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    assert (child.returncode, err) == (130, "")
    assert "interrupted" in out and "test accuracy" in out
    assert MLP.load(path).sizes == (4, 8, 3)
