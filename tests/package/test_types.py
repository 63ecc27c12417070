"""The type checker checks the kernels, which are outside of the package's folder, and the names of options."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from fastmlp import MLP, InputError, initializers, optimizers, options, schedules
from fastmlp.backends import BACKENDS, PRECISIONS

ROOT = Path(__file__).parents[2]
PLANTED = {
    "codes.py": "SGD.append(1)",
    "cpu/operations/rules.py": "def _planted(w: Vector) -> int:\n    return w.shapes",
    "cpu/operations/products.py": "@inlined\ndef _planted(x):\n    return address(x, 1)",
    "cpu/operations/elementwise.py": "@jitable\ndef _planted(code):\n    return code == codes.NO_SUCH_ACTIVATION",
}


def test_mypy_finds_the_errors_planted_in_kernels_and_no_others(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed; it is in the extra `lint`")
    for folder in ("fastmlp", "kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    expected = set()
    for name, code in PLANTED.items():
        file = tmp_path / "kernels" / name
        file.write_text(f"{file.read_text(encoding='utf-8')}\n\n{code}\n", encoding="utf-8")
        expected.add((Path("fastmlp", "kernels", name), len(file.read_text(encoding="utf-8").splitlines())))
    command = [sys.executable, "-m", "mypy", "--no-error-summary"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1, result.stdout + result.stderr
    found = re.findall(r"^(.*?):(\d+): error:", result.stdout, re.MULTILINE)
    assert {(Path(name), int(line)) for name, line in found} == expected, result.stdout


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (options.BackendName, (*BACKENDS, "auto")),
        (options.InitializerName, (*initializers._SCALES, "zeros")),
        (options.OptimizerName, optimizers._BY_NAME),
        (options.Precision, PRECISIONS),
        (options.ScheduleName, schedules.SCHEDULES),
    ],
)
def test_the_types_of_options_have_the_names_that_are_taken(names, table):
    assert get_args(names) == tuple(table)


@pytest.mark.parametrize(("option", "names"), [("dtype", options.DtypeName), ("reduction", options.Reduction)])
def test_the_other_names_are_taken_as_well_and_the_message_on_wrong_ones_lists_them(option, names):
    for name in get_args(names):
        MLP([2, 1], backend="numpy", **{option: name})
    with pytest.raises(InputError) as refused:
        MLP([2, 1], backend="numpy", **{option: "median"})
    assert all(name in str(refused.value) for name in get_args(names))
