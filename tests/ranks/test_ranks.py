"""Training by several ranks: the same numbers as one process, and what happens when one of them fails."""

import json
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

WORKER = Path(__file__).with_name("worker.py")
LAUNCHER = shutil.which("mpiexec", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))


@pytest.fixture(autouse=True)
def _mpi_is_there():
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    if LAUNCHER is None:
        pytest.skip("there is no mpiexec")


def launch(ranks, *arguments, **environment):
    """Run a case of the worker; its process."""
    # ranks that share a core wait for a whole time slice in each sum
    command = [sys.executable, "-W", "error", str(WORKER), *map(str, arguments)]
    variables = {**os.environ, "FASTMLP_NUM_THREADS": "1", **environment}
    if ranks is not None:
        command, variables["RANKS"] = [LAUNCHER, "-n", str(ranks), *command], str(ranks)
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


def run(ranks, *arguments, **environment):
    """What a case returns on each rank."""
    done = launch(ranks, *arguments, **environment)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(answers) == (ranks or 1), done.stdout + done.stderr
    return answers


@cache
def results(ranks, *arguments):
    """What a case returns on all ranks, which is the same."""
    first, *others = (answer["result"] for answer in run(ranks, *arguments))
    assert all(other == first for other in others)
    return first


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_train_as_one_process_does(ranks):
    alone, together = results(None, "fits", ""), results(ranks, "fits", "")
    for name, one in alone.items():
        wide = "adamw" in name  # float64
        for column, values in one.items():
            if column != "params":
                bounds = {"rtol": 1e-9 if wide else 3e-5, "atol": 1e-6}
                np.testing.assert_allclose(together[name][column], values, **bounds, err_msg=f"{name}, {column}")


def test_a_number_of_ranks_gives_the_same_bits_in_every_run():
    assert run(2, "fits", "")[0]["result"] == results(2, "fits", "")


@pytest.mark.parametrize("case", [("fits", "reproducible"), ("estimators",)])
def test_reproducible_results_are_the_same_bits_on_any_number_of_ranks(case):
    alone = results(None, *case)
    assert results(2, *case) == alone
    assert results(3, *case) == alone


@pytest.mark.parametrize("bus", ["own", "one"])
def test_ranks_with_gpus(bus):
    """By a stand-in for NCCL, or through the host's memory."""
    alone, together = results(None, "gpus", bus), results(2, "gpus", bus)
    for name, one in alone.items():
        if name == "exact":
            assert together[name] == one
        np.testing.assert_allclose(together[name]["loss"], one["loss"], rtol=3e-5, err_msg=name)
        np.testing.assert_allclose(together[name]["norm"], one["norm"], rtol=3e-5, err_msg=name)


def test_gradients_are_exchanged_by_messages_where_shared_memory_is_too_small():
    alone, together = results(None, "messages"), results(2, "messages")
    for units, values in alone.items():
        np.testing.assert_allclose(together[units], values, rtol=1e-5)


def test_ranks_read_their_lanes_of_a_stream():
    alone = results(None, "streams", "")
    for ranks in (2, 3):
        for name, one in results(ranks, "streams", "").items():
            for column in ("norm", "loss", "val_loss"):
                np.testing.assert_allclose(one[column], alone[name][column], rtol=3e-5, err_msg=f"{name}, {column}")
    assert results(2, "streams", "exactly") == results(3, "streams", "exactly") == results(None, "streams", "exactly")


def test_without_a_seed_all_ranks_follow_the_first():
    assert results(2, "seeds")


def test_callbacks_run_on_the_first_rank_and_all_follow():
    answers = (answer["result"] for answer in run(2, "callbacks"))
    first, second = sorted(answers, key=lambda answer: answer["rank"])
    assert first["calls"] == [1, 2] and second["calls"] == []
    assert first["stopped"] == second["stopped"] == "callback"
    assert first["params"] == second["params"]


def test_an_interrupted_callback_ends_all():
    assert results(2, "interrupted")[:2] == ["interrupt", 2]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("one number", "The ranks differ in features: float32"),
        ("rate", "The ranks differ in optimizer: "),
        ("layer", "The ranks differ in sizes: (7, 4, 2) on rank 0, (7, 5, 2) on rank 1. Give all ranks the same"),
    ],
)
def test_ranks_that_differ_are_refused_on_all(what, message):
    for answer in run(2, "differing", what):
        assert message in answer["error"]


def test_what_one_rank_cannot_use_ends_all():
    first, second = run(2, "differing", "not a number")
    errors = sorted((first["error"], second["error"]))
    assert errors[0].startswith("InputError: ")
    assert errors[1].startswith("RankError: Rank 1 of 2 has failed: ")


def test_an_exception_on_one_rank_ends_all(tmp_path):
    errors = sorted(answer["error"] for answer in run(2, "training", tmp_path / "c", 3, "", "raises"))
    assert errors == [
        "RankError: Rank 1 of 2 has failed: ValueError: the schedule's own",
        "ValueError: the schedule's own",
    ]


def test_a_killed_rank_ends_the_job_and_it_goes_on_with_other_ranks(tmp_path):
    whole = results(None, "training", tmp_path / "whole", 4, "")
    killed = launch(2, "training", tmp_path / "c", 4, "", "killed")
    assert killed.returncode != 0
    for ranks in (3, None):
        shutil.copy(tmp_path / "c", tmp_path / "copy")
        assert results(ranks, "training", tmp_path / "copy", 4, "resume") == whole


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_rank_that_is_stopped_does_not_hang_the_others(when, tmp_path):
    begin = time.perf_counter()
    case = ("differing", "nothing") if when == "before" else ("training", tmp_path / "c", 4, "", "stopped")
    stopped = launch(2, *case, FASTMLP_RANK_TIMEOUT="2")
    assert stopped.returncode != 0
    assert "fastmlp: rank 0 of 2 has waited 2 s for the other ranks" in stopped.stderr
    assert time.perf_counter() - begin < 60


@pytest.mark.parametrize("signal", ["interrupted", "terminated"])
def test_a_signal_to_one_rank_ends_all_after_a_checkpoint(tmp_path, signal):
    whole = results(None, "training", tmp_path / "whole", 4, "")
    for answer in run(2, "training", tmp_path / "c", 4, "", signal):
        assert answer["result"]["stopped"] == "interrupt"
        assert answer["result"]["epochs"] == 2
    assert results(2, "training", tmp_path / "c", 4, "resume") == whole


def test_the_launcher_of_another_mpi_is_named():
    other = {"RANKS": "1", "OMPI_COMM_WORLD_SIZE": "2", "MPI4PY_CHECK_MPIEXEC": "0"}  # mpi4py warns if it is MPICH's
    error = run(None, "seeds", **other)[0]["error"]
    assert error.startswith("InputError: The launcher has started 2 ranks (OMPI_COMM_WORLD_SIZE=2), but mpi4py sees 1")


def test_a_communicator_is_wanted():
    from fastmlp import MLP, InputError

    with pytest.raises(InputError, match=r"comm=2 must be a communicator of mpi4py, such as MPI.COMM_WORLD"):
        MLP([7, 2]).fit([[0.0] * 7], [1], comm=2)


def command_line(ranks, *arguments):
    command = [LAUNCHER, "-n", str(ranks), sys.executable, "-m", "fastmlp.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_line_trains_on_ranks_and_speaks_once(tmp_path):
    options = ["train", "iris", "--epochs", "3", "--reproducible", "--hidden", "5"]
    together = command_line(2, *options, "--out", tmp_path / "two.safetensors")
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("test accuracy") == 1
    assert "2 ranks" in together.stdout
    command_line(1, *options, "--out", tmp_path / "one.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_an_error_of_the_command_line_is_printed_once():
    done = command_line(2, "train", "nothing.csv")
    assert done.returncode == 1
    assert done.stderr.count("fastmlp: error: Cannot read nothing.csv") == 1
    done = command_line(2, "info")
    assert done.returncode == 1
    assert done.stderr.count("train alone runs on several") == 1
