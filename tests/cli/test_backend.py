"""The backend of a command: what it imports, and what it says where there is none."""

import os
import subprocess
import sys

import pytest

from cli.command import fail

PROGRAM = """
import sys
from fastmlp.cli import main
for name in MISSING:
    sys.modules[name] = None
code = main(ARGUMENTS)
print("imported", sorted({"numba", "fastmlp.backends.numba_backend"} & {n for n, m in sys.modules.items() if m}))
sys.exit(code)
"""


def command(*arguments, missing=()):
    program = PROGRAM.replace("MISSING", repr(missing)).replace("ARGUMENTS", repr(list(map(str, arguments))))
    environment = {key: value for key, value in os.environ.items() if key != "FASTMLP_BACKEND"}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)


def train(path, *options, missing=()):
    return command("train", path, "--epochs", 1, "--decay", 0, *options, missing=missing)


def test_the_backend_is_imported_where_it_is_used_and_numba_only_to_compile(mixed):
    train(mixed, "--backend", "numba")  # compiles what has not been
    for name, modules in (("numba", ["fastmlp.backends.numba_backend"]), ("numpy", [])):
        done = train(mixed, "--backend", name)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert f"backend {name}" in done.stdout and done.stdout.endswith(f"imported {modules}\n")


def test_a_numba_that_cannot_be_imported_is_an_error_or_auto_does_without(mixed):
    done = train(mixed, "--backend", "numba", missing=("numba",))
    assert done.returncode == 1
    assert done.stderr.startswith("fastmlp: error: backend='numba' is not available: import of numba halted")
    assert done.stderr.count("\n") == 1
    done = train(mixed, missing=("numba",))
    assert (done.returncode, done.stderr) == (0, "") and "backend numpy" in done.stdout


@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
def test_a_backend_of_another_name_is_an_error_before_the_data_are_read(command, monkeypatch, tmp_path, model):
    monkeypatch.setenv("FASTMLP_BACKEND", "quantum")
    fail(command, *([] if command == "train" else [model]), tmp_path / "nowhere.csv", about="FASTMLP_BACKEND='quantum'")
