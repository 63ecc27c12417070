"""Runs that are killed and repeated, signals, and results that cannot be written to their path."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from cli.command import fail, misuse, run, succeed
from fastmlp import MLP
from fastmlp.checkpoint import read_state
from fastmlp.errors import InputError

TRAIN = ("train", "digits", "--epochs", "30", "--hidden", "16", "--schedule", "cosine", "--dropout", "0.2")


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """Handle SIGINT as in a terminal; in a background job of a script it would be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(*arguments, **options):
    command = [sys.executable, "-m", "fastmlp.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def history_without_times(path):
    rows = [line.split(",") for line in path.read_text().splitlines()]
    times = [rows[0].index(name) for name in ("seconds", "samples_per_second")]
    return [[cell for i, cell in enumerate(row) if i not in times] for row in rows]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_run_that_is_killed_and_said_again_ends_as_one_that_was_not(tmp_path):
    whole, part = tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    # epochs longer than it takes to write a checkpoint: those that fall due meanwhile are skipped
    train = (*TRAIN, "--hidden", "400", "--batch-size", "8")
    out = succeed(*train, "--out", whole, "--history", tmp_path / "whole.csv")
    again = (*train, "--out", part, "--history", tmp_path / "part.csv", "--checkpoint", "c", "--every", 1, "--resume")
    for epoch in (9, 21):
        with started(*again) as child:
            assert any(line.startswith(f"epoch {epoch:>2}/30") for line in child.stdout), child.stderr.read()
            child.kill()
    assert not part.exists()
    resumed = succeed(*again)
    done = int(re.search(r"going on from c, where (\d+) epochs are done", resumed)[1])
    assert 20 <= done < 30
    assert part.read_bytes() == whole.read_bytes()
    assert history_without_times(tmp_path / "part.csv") == history_without_times(tmp_path / "whole.csv")
    assert resumed.partition("test accuracy")[2] == out.partition("test accuracy")[2]
    succeed(*again)  # nothing is left to do
    assert part.read_bytes() == whole.read_bytes()
    assert not [name for name in os.listdir() if name.endswith(".tmp")]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM and SIGHUP")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_take_the_way_of_ctrl_c(tmp_path, number, code):
    command = ("train", "iris", "--epochs", 3000, "--hidden", 8, "--out", "m.safetensors")
    command += ("--history", "h.csv", "--checkpoint", "c")
    # as in a terminal, whatever is ignored where the tests run
    fresh = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    with started(*command, "--every", "1h", **fresh) as child:
        assert any(line.startswith("epoch  300/3000") for line in child.stdout), child.stderr.read()
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (code, "")
    assert "interrupted" in out and "test accuracy" in out and "history written" in out
    assert MLP.load("m.safetensors").sizes == (4, 8, 3)
    epochs = len(history_without_times(tmp_path / "h.csv")) - 1
    assert 300 <= epochs == read_state("c").facts["epochs"] < 3000


@pytest.mark.skipif(os.name == "nt", reason="needs SIGHUP")
def test_a_signal_that_is_ignored_stays_so():
    """As with nohup."""
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with started("train", "iris", "--epochs", 1000, "--hidden", 8, **ignore) as child:
        assert any(line.startswith("epoch  100/1000") for line in child.stdout), child.stderr.read()
        child.send_signal(signal.SIGHUP)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "") and "interrupted" not in out


def test_handlers_are_as_before(monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    succeed("train", "iris", "--epochs", 1, "--checkpoint", "c")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_options_that_go_together():
    fail("train", "iris", "--resume", about="--resume is given without --checkpoint FILE")
    fail("train", "iris", "--every", "5", about="--every is given without --checkpoint FILE")
    misuse(
        "train", "iris", "--checkpoint", "c", "--every", "soon", about="'soon' must be a number of epochs, such as 5"
    )
    fail("train", "iris", "--checkpoint", "missing/c", about="missing/c: No such file")
    fail("train", "iris", "--checkpoint", "m.safetensors", "--out", "m.safetensors", about="is the file of --out, too")
    assert os.listdir() == []
    succeed("train", "iris", "--epochs", 1, "--decay", 1, "--checkpoint", "c")
    fail("train", "iris", "--epochs", 1, "--checkpoint", "c", about="is there already. Go on from it with resume=True")
    resumed = ("train", "iris", "--epochs", 1, "--decay", 1, "--checkpoint", "c", "--resume")
    fail(*resumed, "--seed", 1, about="is of another run: features ")
    fail(*resumed, "--hidden", 7, about="sizes [4, 128, 128, 3] then, [4, 7, 3] now")


def disk_is_full(monkeypatch, *names):
    """Let writing files of these names fail with a full disk."""
    import fastmlp.files

    replace = os.replace

    def full(source, target):
        if os.path.basename(target) in names:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(fastmlp.files.os, "replace", full)


def test_a_model_that_cannot_be_written_is_kept_beside(monkeypatch, tmp_path):
    disk_is_full(monkeypatch, "m.safetensors")
    result = run("train", "iris", "--epochs", 2, "--decay", 1, "--out", "m.safetensors", "--history", "h.csv")
    assert result.code == 1 and "test accuracy" in result.out and "history written to h.csv" in result.out
    kept = re.search(r"No space left on device\..* The model is kept in (.*)\.\n$", result.err)[1]
    assert MLP.load(kept).sizes == (4, 128, 128, 3) and os.path.dirname(kept) == ""
    assert sorted(os.listdir()) == sorted(["h.csv", kept])


def test_a_model_whose_folder_is_gone_is_kept_in_the_current_one(monkeypatch, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    fit = MLP.fit

    def gone(self, **options):
        history = fit(self, **options)
        folder.rmdir()
        return history

    monkeypatch.setattr(MLP, "fit", gone)
    given = ("--epochs", 2, "--decay", 1)  # one fit, without trials
    result = run("train", "iris", *given, "--out", folder / "m.safetensors", "--history", folder / "h.json")
    assert result.code == 1 and "test accuracy" in result.out
    kept = re.findall(r"is kept in (.*)\.\n", result.err)
    assert [os.path.dirname(path) for path in kept] == 2 * [str(tmp_path)]
    assert MLP.load(kept[0]).sizes == (4, 128, 128, 3) and sorted(os.listdir()) == sorted(map(os.path.basename, kept))


@pytest.mark.parametrize("full", ["m.safetensors", "h.csv"])
def test_no_new_file_is_left_beside_an_old_one(monkeypatch, tmp_path, full):
    succeed("train", "iris", "--epochs", 3, "--out", "m.safetensors", "--history", "h.csv")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    disk_is_full(monkeypatch, full)
    result = run("train", "iris", "--epochs", 2, "--out", "m.safetensors", "--history", "h.csv")
    assert result.code == 1
    kept = re.findall(r"is kept in (.*)\.\n", result.err)
    assert len(kept) == 2 and MLP.load(kept[0]) and len((tmp_path / kept[1]).read_text().splitlines()) == 3
    left = {path: path.read_bytes() for path in before if path.exists()}
    if full == "m.safetensors":
        assert left == before
    else:  # the model was replaced before the history could not be
        assert [path.name for path in left] == ["m.safetensors"]


def test_a_model_that_nothing_takes_is_said_to_be_lost(monkeypatch):
    def never(self, path):
        raise InputError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setattr(MLP, "save", never)
    result = run("train", "iris", "--epochs", 2, "--out", "m.safetensors")
    assert result.code == 1 and "The model could not be kept anywhere." in result.err and "test accuracy" in result.out


def test_a_second_signal_does_not_stop_the_writing(monkeypatch):
    save = MLP.save

    def interrupted(self, path):
        signal.raise_signal(signal.SIGINT)
        save(self, path)

    monkeypatch.setattr(MLP, "save", interrupted)
    result = run("train", "iris", "--epochs", 2, "--out", "m.safetensors")
    assert (result.code, result.err) == (130, "fastmlp: interrupted\n")
    np.testing.assert_array_equal(np.isfinite(MLP.load("m.safetensors").weights[0]), True)


def test_a_plot_that_fails_takes_nothing_with_it(monkeypatch):
    def broken(self, path):
        raise RuntimeError("no LaTeX on this machine")

    monkeypatch.setattr("fastmlp.history.History.plot", broken)
    result = run("train", "iris", "--epochs", 2, "--out", "m.safetensors", "--history", "h.csv", "--plot", "p.png")
    assert result.code == 1 and "RuntimeError: no LaTeX on this machine. The plot could not be kept" in result.err
    assert sorted(os.listdir()) == ["h.csv", "m.safetensors"] and "test accuracy" in result.out


def test_two_signals_at_once_are_one():
    """Some service managers send two."""
    fresh = {"preexec_fn": lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGTERM, signal.SIGHUP)]}
    command = ("train", "iris", "--epochs", 3000, "--hidden", 8, "--out", "m.safetensors", "--checkpoint", "c")
    with started(*command, **fresh) as child:
        assert any(line.startswith("epoch  300/3000") for line in child.stdout), child.stderr.read()
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGHUP)
        out, err = child.communicate(timeout=60)
    assert child.returncode in (143, 129) and err == "" and "test accuracy" in out
    assert read_state("c").facts["epochs"] >= 300
