"""`import fastmlp` works from a bare checkout, an editable install, and a wheel: in the checkout and away from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp

ROOT = Path(__file__).parents[2]
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
assert "apply_rule" in fastmlp.kernels.cuda.operations(np.dtype("f4"))
print("trained from the wheel")
"""


# where the package and its kernels came from
WHERE = """
import pathlib, fastmlp, fastmlp.kernels.cpu
x, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
fastmlp.MLP([2, 4, 2], seed=0, backend="numpy").fit(x, y, epochs=1)
print(pathlib.Path(fastmlp.__file__).parents[1], pathlib.Path(fastmlp.kernels.__file__).resolve().parents[1])
"""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command, **options):
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    tracked = ["pyproject.toml", "README.md", "LICENSE", "fastmlp", "kernels"]
    run("cp", "-r", *(ROOT / name for name in tracked), folder)
    return folder


@pytest.fixture(scope="module")
def site(checkout, tmp_path_factory):
    """A folder into which the wheel is installed."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, checkout)
    (wheel,) = wheels.glob("fastmlp-*.whl")
    run(*PIP, "install", "--no-deps", "--target", site, wheel)
    return site


def elsewhere(*folders):
    """Environment in which these folders are looked through first, before an install that tests run from."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}


def test_wheel_trains_away_from_the_checkout(site):
    assert (site / "fastmlp" / "py.typed").exists()
    assert (site / f"fastmlp-{fastmlp.__version__}.dist-info").is_dir()
    assert "trained from the wheel" in run(sys.executable, "-c", PROGRAM, cwd=site)


def test_a_bare_checkout_is_imported_from_where_it_lies(checkout):
    assert run(sys.executable, "-c", WHERE, cwd=checkout).split() == 2 * [str(checkout)]


def test_a_checkout_without_links_finds_its_kernels(checkout, tmp_path):
    run("cp", "-r", checkout / "fastmlp", checkout / "kernels", tmp_path)
    link = tmp_path / "fastmlp" / "kernels"
    link.unlink()
    link.write_text("../kernels")  # as Git does where it may make no links
    assert run(sys.executable, "-c", WHERE, cwd=tmp_path).split() == 2 * [str(tmp_path)]


def test_an_installed_wheel_does_not_hide_the_checkout_that_python_is_started_in(checkout, site):
    # what a newcomer does after `pip install .`: "" comes before the installed packages
    assert run(sys.executable, "-c", WHERE, cwd=checkout, env=elsewhere(site)).split() == 2 * [str(checkout)]


def test_a_wheel_has_its_kernels_within(site, tmp_path):
    first, second = run(sys.executable, "-c", WHERE, cwd=tmp_path, env=elsewhere(site)).split()
    assert (first, second) == (str(site), str(site / "fastmlp"))


def test_an_editable_install_is_imported_from_anywhere_and_from_within(checkout, tmp_path):
    environment, folder = tmp_path / "environment", tmp_path / "anywhere"
    folder.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    # it has what this environment has, after what is its own
    site_packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site_packages, "outer.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
    options = ("--no-deps", "--no-build-isolation", "--quiet")
    run(*PIP, "--python", python, "install", *options, "--editable", checkout)
    for place in (folder, checkout):
        assert run(python, "-c", WHERE, cwd=place).split() == 2 * [str(checkout)]
