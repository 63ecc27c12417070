"""docs/adding.md followed to the letter: its entries in a copy of the package, trained on every backend."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp
from fastmlp import kernels

PAGE = Path(__file__).parents[2] / "docs" / "adding.md"
BLOCK = re.compile(r"```python\n# (\S+), (after|before) the line that begins: ([^\n]*)\n(.*?)```", re.DOTALL)
PROGRAM = """
import pathlib, sys
import numpy as np, pytest

sys.path.insert(0, TESTS)
import fastmlp
assert pathlib.Path(fastmlp.__file__).is_relative_to(pathlib.Path.cwd())
from conftest import emulate_gpu, emulated_device
from fastmlp import MLP
from fastmlp.activations import ACTIVATIONS
from fastmlp.exporting.onnx_nodes import activation_graph

emulate_gpu(pytest.MonkeyPatch(), emulated_device("kernel"))
random = np.random.RandomState(0)
x, y = random.standard_normal((64, 5)), random.standard_normal((64, 2))
results = []
for backend in ("numpy", "numba", "cuda"):
    model = MLP([5, 8, 2], "softsign", loss="log_cosh", dtype="float64", backend=backend, seed=1)
    before = model.evaluate(x, y)["loss"]
    model.fit(x, y, epochs=5, batch_size=16, optimizer="lion", lr=0.01)
    assert model.evaluate(x, y)["loss"] < before
    found, expected = model.gradients(x, y), model.numerical_gradient(x, y)
    for one, other in zip(found.weights, expected.weights):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    results.append([*model.weights, model.predict(x)])
for other in results[1:]:
    for one, two in zip(results[0], other):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)
assert activation_graph(ACTIVATIONS["softsign"]) is not None
print("trained with all three")
"""


def entries():
    """Of the page: a file, whether the text goes after or before a line, that line's beginning, the text."""
    found = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(found) == 5, "the page has an activation, a loss, and three pieces of an update rule"
    return found


def insert(path, where, beginning, text):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (at,) = [i for i, line in enumerate(lines) if line.strip().startswith(beginning)]
    lines.insert(at + (where == "after"), text)
    path.write_text("".join(lines), encoding="utf-8")


def test_an_activation_and_a_loss_are_one_entry_in_one_file_and_a_rule_is_in_at_most_four():
    files = [file for file, *_ in entries()]
    assert files[:2] == ["fastmlp/activations.py", "fastmlp/losses.py"]
    assert len({*files[2:], "fastmlp/options.py"}) <= 4


def test_what_the_page_adds_trains_on_every_backend(tmp_path):
    package = tmp_path / "fastmlp"
    shutil.copytree(Path(fastmlp.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "kernels"))
    kernel_folder = Path(kernels.__file__).parent
    shutil.copytree(kernel_folder, package / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for file, where, beginning, text in entries():
        insert(tmp_path / file, where, beginning, text)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "FASTMLP_CACHE_DIR": str(tmp_path / "cache")}
    program = PROGRAM.replace("TESTS", repr(str(Path(__file__).parents[1])))
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    if "no C++ compiler" in run.stderr:
        pytest.skip("no C++ compiler for the emulated device")
    assert run.returncode == 0, run.stderr
    assert "trained with all three" in run.stdout
