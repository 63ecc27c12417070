"""The command that compiles kernels ahead of time."""

import re

import numpy as np
import pytest
from scipy.sparse import csr_array

from cli.command import misuse, run
from fastmlp import MLP, SGD

pytest.importorskip("numba")

from fastmlp.backends.compiled import cache, selection
from fastmlp.backends.compiled.cache import kernel_folders
from fastmlp.backends.compiled.functions import COMMON, Library
from fastmlp.backends.compiled.jobs import SHUFFLE, Job


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Two short jobs instead of many, and a cache of their own."""
    jobs = [SHUFFLE, Job("total_weight", "float32", "")]
    monkeypatch.setattr(selection, "selected_jobs", lambda dtypes, everything: jobs)
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "cache"))
    return jobs


def test_it_says_how_many_and_where_and_does_nothing_twice(few):
    done = run("compile", "--dtype", "float32")
    (folder,) = kernel_folders()
    assert done.code == 0 and re.fullmatch(rf"2 kernels compiled: \d\.\d MB in {folder}\n", done.out)
    assert done.err.startswith("2 of 2 kernels")
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(times) == 2
    done = run("compile", "--dtype", "float32")
    assert (done.code, done.err) == (0, "") and done.out.startswith("0 kernels compiled, 2 were there: ")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_where_nothing_can_be_kept_it_fails(few, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    for name in ("FASTMLP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    cache._warn_unsaved.cache_clear()
    assert run("compile").code == 1
    assert "cannot be saved" in caplog.text


def test_a_dtype_that_networks_do_not_have_is_refused():
    misuse("compile", "--dtype", "float16", about="float16")


RANDOM = np.random.RandomState(0)
CLASSES, NUMBERS = RANDOM.randint(0, 3, 40), RANDOM.rand(40, 3)
USUAL = [
    ([5, 8, 3], "relu", CLASSES, {"batch_size": 16}),
    ([5, 8, 3], "tanh", NUMBERS, {"batch_size": 16, "optimizer": SGD(0.1, momentum=0.9), "max_norm": 1.0}),
    ([5, 8, 1], "sigmoid", CLASSES % 2, {"batch_size": 1, "optimizer": "sgd"}),
    ([5, 4, 3], "relu", CLASSES, {"batch_size": "full", "optimizer": "sgd"}),
]


@pytest.mark.parametrize(("sizes", "activation", "y", "fit"), USUAL, ids=["adam", "momentum", "single", "tiny"])
def test_it_compiles_all_that_usual_networks_need(sizes, activation, y, fit, monkeypatch):
    asked, addresses = set(), Library.addresses
    monkeypatch.setattr(Library, "addresses", lambda library, jobs: asked.update(jobs) or addresses(library, jobs))
    monkeypatch.setattr(COMMON, "runs", {})
    monkeypatch.setattr(COMMON, "_tables", {})
    for x in (RANDOM.rand(40, 5).astype(np.float32), csr_array(RANDOM.rand(40, 5).astype(np.float32))):
        model = MLP(sizes, activation, backend="numba", seed=0, l2=1e-4, dropout=0.2 if fit["batch_size"] == 16 else 0)
        model.fit(x, y, epochs=2, **fit)
        model.predict(x)
        model.gradients(x, y)
    assert len(asked) > 10
    assert asked <= set(selection.selected_jobs(["float32"], False))
    assert asked <= set(selection.selected_jobs(["float32", "float64"], True))
