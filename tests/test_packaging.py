"""The wheel works away from the checkout: kernels inside, nothing imported from the source tree."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAM = """
import pathlib, sys
import numpy as np
import fastmlp, fastmlp.kernels.cpu, fastmlp.kernels.cuda
here = pathlib.Path.cwd()
assert here in pathlib.Path(fastmlp.__file__).parents, fastmlp.__file__
assert here in pathlib.Path(fastmlp.kernels.cpu.__file__).parents, fastmlp.kernels.cpu.__file__
x, y = np.random.RandomState(0).rand(40, 5), np.arange(40) % 3
losses = [
    fastmlp.MLP([5, 8, 3], seed=0, backend=backend).fit(x, y, epochs=2)["loss"] for backend in ("numpy", "numba")
]
np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
assert "adam" in fastmlp.kernels.cuda.operations(np.dtype("f4"))
print("trained from the wheel")
"""


def run(*command, **options):
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_wheel_trains_away_from_the_checkout(tmp_path):
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "site"
    tracked = ["pyproject.toml", "README.md", "LICENSE", "fastmlp", "kernels"]
    source.mkdir()
    run("cp", "-r", *(ROOT / name for name in tracked), source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source)
    (wheel,) = wheels.glob("fastmlp-*.whl")
    run(*pip, "install", "--no-deps", "--target", site, wheel)
    assert (site / "fastmlp" / "py.typed").exists()
    assert "trained from the wheel" in run(sys.executable, "-c", PROGRAM, cwd=site)
