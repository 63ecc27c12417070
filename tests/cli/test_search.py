"""``fastmlp search``: its trials and their table, the network at its end, runs that are killed, what it refuses."""

import csv
import json
import re
from argparse import ArgumentTypeError
from itertools import islice

import numpy as np
import pytest
from killing import Killed, killed_after

from cli.command import fail, misuse, run, succeed
from fastmlp import MLP
from fastmlp.cli import arguments
from fastmlp.cli.halving import halve, rungs
from fastmlp.cli.space import drawn
from fastmlp.cli.span import Span
from fastmlp.datasets import load
from fastmlp.optimizers import AdamW
from fastmlp.splits import split_rows

SMALL = ("--hidden", "4", "6,3", "--batch-size", "16,32", "--lr", "0.003:0.03", "--dropout", "0,0.1", "--epochs", 9)
IRIS = ("search", "iris", "--trials", 9, *SMALL)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def without_times(path):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows_of(path)]


def options_of(out):
    return re.search(r"as by train with (.*)", out)[1].split()


def test_the_table_has_each_training_and_the_network_is_that_of_train():
    out = succeed(*IRIS, "--table", "all.csv", "--out", "found.safetensors", "--seed", 3)
    assert "9 trials of 1 epoch, then 3 of 3, then 1 of 9" in out
    rows = rows_of("all.csv")
    assert [row["trial"] for row in rows if row["epochs"] == "1"] == [str(k) for k in range(9)]
    losses = {
        epochs: {row["trial"]: float(row["val_loss"]) for row in rows if row["epochs"] == epochs} for epochs in "139"
    }
    assert set(losses["3"]) == set(sorted(losses["1"], key=losses["1"].get)[:3])
    assert [*losses["9"]] == [min(losses["3"], key=losses["3"].get)]
    assert len(rows) == 13

    (best,) = losses["9"]
    assert f"trial {best} is the best" in out
    succeed("train", "iris", *options_of(out), "--seed", 3, "--out", "trained.safetensors")
    with open("found.safetensors", "rb") as found, open("trained.safetensors", "rb") as trained:
        assert found.read() == trained.read()


def test_losses_are_those_of_a_fit_on_the_training_samples():
    succeed("search", "xor", "--trials", 1, "--hidden", 5, "--epochs", 2, "--lr", 0.02, "--table", "a.csv")
    (row,) = rows_of("a.csv")
    assert (row["batch size"], row["decay"], row["dropout"]) == ("16", "1", "0"), "those of train"

    data = load("xor", seed=0)
    rows, held_out = split_rows(len(data.x), 0.2, 0, data.y)
    model = MLP([2, 5, 1], "relu", loss="binary_cross_entropy", backend="numpy", seed=0)
    model.fit(
        data.x[rows], data.y[rows], epochs=2, batch_size=16, optimizer=AdamW(0.02, decay=1.0), schedule="one_cycle"
    )
    scores = model.evaluate(data.x[held_out], data.y[held_out])
    assert (float(row["val_loss"]), float(row["val_accuracy"])) == (scores["loss"], scores["accuracy"])


def test_each_fold_holds_out_other_samples_of_a_table(prices):
    out = succeed("search", prices, "--folds", 3, "--trials", 3, *SMALL, "--bins", 4, "--table", "all.csv")
    assert "120 training samples in 3 folds; 3 trials of 3 epochs, then 1 of 9" in out
    rows = rows_of("all.csv")
    assert [row["fold"] for row in rows] == ["0", "1", "2"] * 4
    longest = [float(row["val_r2"]) for row in rows if row["epochs"] == "9"]
    assert len(set(longest)) == 3
    assert f"{np.mean(longest):.4f} ± {np.std(longest, ddof=1):.4f}" in out
    assert "test R² " in out


@pytest.mark.parametrize("n", [1, 6, 12])
def test_a_search_that_is_killed_and_said_again_ends_as_one_that_was_not(monkeypatch, n):
    search = (*IRIS, "--workers", 2)
    succeed(*search, "--table", "whole.csv", "--out", "whole.safetensors")
    again = (*search, "--checkpoint", "c", "--resume", "--table", "part.csv", "--out", "part.safetensors")
    with killed_after(monkeypatch, n), pytest.raises(Killed):
        run(*again)
    assert f"going on from c with {n} training" in succeed(*again)
    assert without_times("part.csv") == without_times("whole.csv")
    with open("part.safetensors", "rb") as part, open("whole.safetensors", "rb") as whole:
        assert part.read() == whole.read()


def test_a_search_goes_on_with_more_trials_and_another_space(monkeypatch):
    keep = ("--checkpoint", "c", "--resume")
    succeed(*IRIS, *keep)
    fits, fit = [], MLP.fit
    monkeypatch.setattr(MLP, "fit", lambda self, *a, **k: fits.append(self) or fit(self, *a, **k))
    succeed(*IRIS, *keep)
    assert len(fits) == 1, "only the network of the end"
    out = succeed("search", "iris", "--trials", 10, *SMALL, *keep, "--table", "more.csv")
    assert "10 trials of 1 epoch, then 4 of 3, then 2 of 9" in out
    fits.clear()
    succeed("search", "iris", "--trials", 10, *SMALL, "--table", "anew.csv")
    assert without_times("more.csv") == without_times("anew.csv")
    for other in (("--seed", 1), ("--l2", 0.1), ("--folds", 2), ("--test-fraction", 0.5)):
        fail(*IRIS, *keep, *other, about="The checkpoint")


def test_a_budget_ends_the_search_between_trainings():
    space = ("--hidden", "4", "--lr", "0.003:0.03", "--dropout", "0:0.5", "--epochs", 9)
    out = succeed("search", "iris", *space, "--budget", "0.5s", "--table", "some.csv", "--out", "m.safetensors")
    assert "9 trials of 1 epoch, then 3 of 3, then 1 of 9, and as many again until 0.5 s are over" in out
    rows = without_times("some.csv")
    succeed("search", "iris", *space, "--trials", 9, "--table", "nine.csv")
    nine = without_times("nine.csv")
    assert rows[: len(nine)] == nine or len(rows) < len(nine)
    assert MLP.load("m.safetensors").sizes == (4, 4, 3)


def test_a_small_space_is_tried_as_a_whole_even_within_a_budget():
    space = ("--hidden", "3", "none", "--lr", "0.01,0.02", "--decay", "0", "--dropout", 0, "--batch-size", 16)
    for limit in (("--trials", 50), ("--budget", "2min")):
        succeed("search", "iris", *space, "--epochs", 1, *limit, "--table", "all.csv")
        tried = [(row["hidden"], row["learning rate"]) for row in rows_of("all.csv")]
        assert sorted(tried) == [("3", "0.01"), ("3", "0.02"), ("none", "0.01"), ("none", "0.02")]


def test_ctrl_c_leaves_a_table_and_no_network(monkeypatch, tmp_path):
    fit, count = MLP.fit, []

    def interrupted(self, *args, **options):
        count.append(self)
        if len(count) == 4:
            raise KeyboardInterrupt
        return fit(self, *args, **options)

    monkeypatch.setattr(MLP, "fit", interrupted)
    result = run(*IRIS, "--workers", 1, "--table", "some.csv", "--out", "m.safetensors")
    assert (result.code, result.err) == (130, "")
    assert [row["trial"] for row in rows_of("some.csv")] == ["0", "1", "2"]
    assert not (tmp_path / "m.safetensors").exists()


def test_trials_that_diverge_do_not_go_on():
    result = run(
        "search", "diabetes", "--lr", "0.01,1e30", "--trials", 9, *SMALL[:2], "--epochs", 9, "--table", "a.csv"
    )
    assert result.code == 0
    assert re.search(r"note: \d trials diverged; trial \d: Training diverged", result.err)
    rows = rows_of("a.csv")
    diverged = {row["trial"] for row in rows if row["learning rate"] == "1e+30"}
    assert diverged == {row["trial"] for row in rows if row["error"]}
    assert {row["val_loss"] for row in rows if row["error"]} == {"inf"}
    assert all(row["learning rate"] == "0.01" for row in rows if row["epochs"] != "1")
    fail(
        "search", "diabetes", "--lr", "1e30", "--trials", 2, *SMALL[:2], "--epochs", 1, about="All of 2 trials diverged"
    )


def test_quiet_prints_the_table_and_the_scores():
    out = succeed(*IRIS, "--quiet")
    assert out.splitlines()[0].split()[:2] == ["trial", "hidden"]
    assert sum("accuracy" in line for line in out.splitlines()) == 3 and "space" not in out


def test_what_is_refused(prices):
    for options, about in {
        ("--trials", 3, "--budget", 3): "--trials and --budget are given",
        ("--folds", 3, "--validation-fraction", 0.1): "--folds and --validation-fraction are given",
        ("--validation-fraction", 0): "leaves no samples to compare",
        ("--folds", 99): "--folds 99 is given, but there are 44 samples in the largest class",
        ("--resume",): "--resume is given without --checkpoint",
        ("--optimizer", "sgd", "--decay", 1): "--decay is for --optimizer adamw",
        ("--table", "x.txt"): "must end in .csv",
        ("--table", "x.csv", "--history", "x.csv"): "is the file of --",
    }.items():
        fail("search", "iris", *options, about=about)
    fail("search", prices, "--folds", 121, about="but there are 120 samples")
    for option, value in (
        ("--lr", "0.1:0.1"),
        ("--lr", "0:1"),
        ("--decay", "0:1"),
        ("--dropout", "0:1"),
        ("--lr", "1:x"),
    ):
        misuse("search", "iris", option, value, about=option)
    for value in ("0", "-1", "soon", "3 days"):
        misuse("search", "iris", "--budget", value, about="is no time")


def test_times_and_ranges():
    assert [arguments.seconds(text) for text in ("90", "0.5s", "10min", "2 h")] == [90, 0.5, 600, 7200]
    convert = arguments.values(arguments.real(0, 1))
    assert convert("0,0.5") == [0, 0.5] and convert("0:0.5") == Span(0, 0.5, log=False)
    with pytest.raises(ArgumentTypeError, match="has the lower number first"):
        convert("0.5:0")


def test_draws_are_even_by_their_logarithms_and_within_the_range():
    draws = np.array([Span(0.001, 1, log=True).rvs(np.random.RandomState(k)) for k in range(400)])
    assert draws.min() >= 0.001 and draws.max() <= 1
    np.testing.assert_allclose(np.histogram(np.log10(draws), 3, (-3, 0))[0] / 400, 1 / 3, atol=0.08)
    assert all(value == float(f"{value:.3g}") for value in draws)


def test_trials_differ_and_more_of_them_begin_with_the_same():
    space = {"hidden": [[4], [8, 8]], "lr": Span(0.001, 0.1, log=True), "dropout": [0.0, 0.5]}
    own = {"hidden": [8, 8], "dropout": 0.0}
    some = [*islice(drawn(space, own, 5), 40)]
    assert len({json.dumps(settings) for settings in some}) == 40
    assert some[0] | own == some[0] and [*some[1]] == [*space]
    assert some[:9] == [*islice(drawn(space, own, 5), 9)]
    assert some != [*islice(drawn(space, own, 6), 40)]


def test_the_halving_keeps_the_best_third():
    assert rungs(27, 40) == [(27, 5), (9, 14), (3, 40)]
    assert rungs(2, 40) == [(2, 40)]
    assert rungs(81, 2) == [(81, 2)]
    stages = []

    def losses(trials, epochs):
        stages.append((trials, epochs))
        return [np.inf if trial == 0 else abs(trial - 6) for trial in trials]

    halve(range(10), 9, losses)
    assert stages == [(range(10), 1), ([6, 5, 7, 4], 3), ([6, 5], 9)]
