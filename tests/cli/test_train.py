"""`fastmlp train`: its options, output and files."""

import contextlib
import io
import json
import re

import numpy as np
import pytest

from cli.command import accuracy, run, succeed
from fastmlp import MLP
from fastmlp.cli import main


def test_digits_learn_well_and_tell_about_it():
    out = succeed("train", "digits", "--hidden", "128,128", "--epochs", 40)
    assert ", decay 0.3 by trial, " in out
    assert accuracy(out) >= 96
    assert "1,437 training samples, 360 test samples, 64 features, 10 classes (0, 1, 2" in out
    assert "backend numpy" in out
    assert re.search(r"^40 epochs in [\d.]+ s, [\d,]+ samples/s$", out, re.M)
    epochs = re.findall(r"^epoch +(\d+)/40  loss ", out, re.M)
    assert epochs == [str(e) for e in range(4, 41, 4)]
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
        ([], 0.01),
        (["--optimizer", "adam"], 0.01),
        (["--schedule", "constant"], 0.001),
        (["--optimizer", "rmsprop"], 0.001),
        (["--optimizer", "sgd"], 0.1),
        (["--optimizer", "sgd", "--lr", "0.3"], 0.3),
    ],
)
def test_default_learning_rates(given, lr):
    assert f", learning rate {lr} (" in succeed("train", "iris", "--epochs", 1, *given)


@pytest.mark.parametrize(
    ("given", "decay"), [(["iris"], 1.0), (["diabetes"], 0.5), (["iris", "--decay", "0.01"], 0.01)]
)
def test_decay_by_the_task(given, decay, monkeypatch):
    def spy(self, x, y, *, optimizer, **options):
        assert (type(optimizer).__name__, optimizer.decay) == ("AdamW", decay)
        raise KeyboardInterrupt

    monkeypatch.setattr(MLP, "fit", spy)
    assert run("train", *given).code == 130


@pytest.mark.parametrize(("shift", "decay"), [(0, 3), (9, 0.3)])
def test_a_trial_chooses_the_decay(shift, decay):
    y = np.arange(300) % 3
    x = np.random.RandomState(0).randn(300, 5) + shift * np.eye(5)[y]
    np.savez("set.npz", x=x, y=y)
    given = ("train", "set.npz", "--epochs", 5, "--backend", "numpy")
    assert f"(one_cycle), decay {decay} by trial, batch size 16" in succeed(*given)
    for other in (["--decay", 1], ["--optimizer", "adam"]):
        assert "by trial" not in succeed(*given, *other)


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
    given = "--patience 3 --epochs 300 --lr 0.03 --decay 1 --history"
    out = succeed("train", "iris", *given.split(), path)
    history = json.loads(path.read_text())
    losses = history["columns"]["val_loss"]
    assert history["stopped"] == "validation" and len(losses) < 300
    assert "the validation loss no longer fell" in out and f"the weights of epoch {history['best_epoch']}" in out
    assert kept["size"] == 12  # a tenth of 120
    assert kept["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_target_loss_ends_training():
    out = succeed("train", "iris", "--epochs", 500, "--target-loss", 0.5)
    assert "the target loss was reached" in out


def test_compilation_is_announced_once(monkeypatch, tmp_path, capsys):
    from fastmlp.cli.compiling import announce_compilation

    compile_cache = pytest.importorskip("fastmlp.backends.compiled.cache")
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "cache"))
    announce_compilation("numpy")
    announce_compilation("numba", quiet=True)
    assert capsys.readouterr() == ("", "")
    announce_compilation("numba")
    assert re.fullmatch("compiling the kernels, once on this machine: .*\n", capsys.readouterr().err)
    assert [*tmp_path.iterdir()] == []
    (folder,) = compile_cache.kernel_folders()
    folder.mkdir(parents=True)
    (folder / "linear.kernel").touch()
    announce_compilation("numba")
    assert capsys.readouterr().err == ""


def test_compilation_is_announced_where_nothing_can_be_kept(monkeypatch, tmp_path, capsys):
    from fastmlp.cli.compiling import announce_compilation

    pytest.importorskip("numba")
    (tmp_path / "file").touch()
    for name in ("FASTMLP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    announce_compilation("numba")
    assert re.fullmatch("compiling the kernels, in every run, .*\n", capsys.readouterr().err)
