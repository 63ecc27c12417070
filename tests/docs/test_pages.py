"""The Python code and the commands on the pages run in order, and results can be plotted."""

import doctest
import pkgutil
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
import sklearn
from estimator_cases import RELEASE

import fastmlp
from fastmlp.cli import main

DOCS = Path(__file__).parents[2] / "docs"


def blocks_of(name):
    return re.findall(r"^```(\w+)\n(.*?)^```", (DOCS / name).read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")
@pytest.mark.parametrize("name", ["scikit_learn.md", "meta_estimators.md", "many.md"])
def test_the_examples_run(name, tmp_path, monkeypatch):
    if name == "meta_estimators.md" and RELEASE < (1, 9):
        pytest.skip("the page is about scikit-learn 1.9")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    blocks = [text for language, text in blocks_of(name) if language == "python"]
    assert len(blocks) > (1 if name == "many.md" else 8)
    namespace = {}
    np.random.seed(0)  # noqa: NPY002  # from which examples without a random_state draw
    with sklearn.config_context():
        for block in blocks:
            exec(compile(block, name, "exec"), namespace)


def test_the_tutorial_runs(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    namespace, commands = {}, 0
    for language, block in blocks_of("tutorial.md"):
        if language == "python":
            exec(compile(block, "tutorial.md", "exec"), namespace)
        for line in re.findall(r"^fastmlp (.+)", block, re.M):
            assert main(shlex.split(line)) == 0, line
            commands += 1
    assert commands == 4
    assert Path("varieties.csv").read_text(encoding="utf-8").startswith("prediction,class_0,class_1,class_2")
    assert len(namespace["labels"]) == 360


def test_the_example_of_the_package_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    assert doctest.testmod(fastmlp).attempted > 4


def test_help_names_modules_and_classes_that_exist():
    for name in re.findall(r"`(fastmlp\.[\w.]+)`", fastmlp.__doc__):
        assert pkgutil.resolve_name(name), name


def test_every_plot_of_the_results_is_drawn():
    pytest.importorskip("matplotlib")
    plots = runpy.run_path(str(DOCS.parent / "benchmarks" / "plots.py"))
    drawn = {name for name in ("accuracy", "estimators", "time_to_accuracy") if plots[name]().axes}
    shown = re.findall(r"benchmarks/(\w+)\.png", (DOCS / "performance.md").read_text(encoding="utf-8"))
    assert drawn == set(shown) - {"peers", "regimes"}
