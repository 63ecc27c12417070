"""There is one step: a change in its source, or in a kernel that it uses, takes effect in the next process.

Each run is a new process on a copy of the package, with its own compile cache.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import kernels

# Three steps with momentum, so that the update goes through a rule instead of straight into the weights
PROGRAM = """
import json, sys
import numpy as np
import fastmlp
from fastmlp import MLP, SGD
random = np.random.RandomState(0)
x, y = random.standard_normal((24, 5)), random.standard_normal((24, 2))
result = {"package": fastmlp.__file__}
for name, backend, activation, lr in [
    ("numpy", "numpy", "tanh", 0.05), ("twin", "numpy", "identity", 0.1), ("numba", "numba", "tanh", 0.05)
]:
    model = MLP([5, 4, 2], activation, seed=1, backend=backend, initializer="glorot_uniform")
    model.fit(x, y, epochs=1, batch_size=8, optimizer=SGD(lr=lr, momentum=0.9))
    flat = [float(value) for array in (*model.weights, *model.biases) for value in array.ravel()]
    result[name] = flat
from fastmlp.backends.numba_backend import NumbaBackend
result["compilations"] = NumbaBackend.compilations()
result["imports Numba"] = "numba" in sys.modules
print(json.dumps(result))
"""


def copy_package(folder: Path) -> Path:
    """The package under `folder`, its kernels where an installed package has them."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(fastmlp.__file__).parent, folder / "fastmlp", ignore=ignore)
    shutil.copytree(Path(kernels.__file__).parent, folder / "fastmlp/kernels", ignore=ignore, dirs_exist_ok=True)
    return folder


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, f"{path.name} no longer contains {old!r}"
    path.write_text(text.replace(old, new))


def run(folder: Path, cache: Path) -> dict:
    environment = os.environ | {"PYTHONPATH": str(folder), "FASTMLP_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=cache, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert Path(result["package"]).is_relative_to(folder)
    return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, dict]:
    """Results of the unchanged package, cold and warm, and with planted changes; it compiles cold twice."""
    root = tmp_path_factory.mktemp("same_step")
    cache = root / "cache"
    cache.mkdir()
    package = copy_package(root / "package")
    results = {"cold": run(package, cache), "warm": run(package, cache)}
    replace(package / "fastmlp/step.py", "delta, alpha, weight_beta", "delta, 2 * alpha, weight_beta")
    # the operation itself, and one that an operation in another file calls, which Numba's own cache would not notice
    replace(package / "fastmlp/kernels/cpu/formula_texts.py", 'f"rate{i + 1}"', 'f"2 * rate{i + 1}"')
    replace(package / "fastmlp/kernels/cpu/machine/functions.py", "return double / (double + like(z, 2.0))", "return z")
    replace(package / "fastmlp/kernels/cpu/formula_texts.py", "row[j] = {result}", "row[j] = d")
    results["changed"] = run(package, cache)
    return results


def assert_close(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_both_backends_agree_before_any_change(runs):
    assert_close(runs["cold"]["numba"], runs["cold"]["numpy"])


def distance(one, other):
    return np.abs(np.subtract(one, other)).max()


def test_a_change_of_the_step_changes_the_interpreted_backend(runs):
    assert distance(runs["changed"]["numpy"], runs["cold"]["numpy"]) > 0.01
    assert distance(runs["changed"]["twin"], runs["cold"]["twin"]) > 0.01


def test_neither_the_step_nor_a_kernel_is_run_stale(runs):
    # the planted kernels double the rate and make tanh the identity, in compiled code alone: the twin has both from the
    # beginning, and the changed step
    assert_close(runs["changed"]["numba"], runs["changed"]["twin"])
    assert distance(runs["changed"]["numba"], runs["changed"]["numpy"]) > 0.01
    assert distance(runs["changed"]["numba"], runs["cold"]["numba"]) > 0.01
    assert runs["changed"]["compilations"] > 0


def test_a_warm_cache_leaves_nothing_to_compile(runs):
    assert runs["cold"]["compilations"] > 0 and runs["cold"]["imports Numba"]
    assert runs["warm"]["compilations"] == 0 and not runs["warm"]["imports Numba"]
    assert runs["warm"]["numba"] == runs["cold"]["numba"]
