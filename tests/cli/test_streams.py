"""The command as a process with unusual streams: full disks, closed pipes, other encodings."""

import os
import re
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.command import predictions
from fastmlp.cli.text import one_line


def process(*arguments, **options):
    """Run the command as a new process."""
    return subprocess.run(
        [sys.executable, "-m", "fastmlp.cli", *map(str, arguments)], capture_output=True, timeout=120, **options
    )


def test_the_module_runs_and_exits():
    result = process("predict", "nosuch.safetensors", "iris", text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"fastmlp: error: .*nosuch\.safetensors.*\n", result.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output(mixed, model):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "fastmlp.cli", "predict", model, mixed],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == 1
    assert re.fullmatch(r"fastmlp: error: .*No space left on device\n", result.stderr)


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_leaves(model, tmp_path):
    wide = tmp_path / "many.csv"
    wide.write_text("size,colour,weight\n" + "1,red,50\n" * 100_000)
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "fastmlp.cli", "predict", model, wide], stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_names_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "1,größer\n2,\x1b[2Jkleiner\n" * 10, encoding="utf-8")
    path = tmp_path / "m.safetensors"
    arguments = ("train", "t.csv", "--epochs", 1, "--out", path)
    result = process(*arguments, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0, result.stderr
    assert rb"gr\xf6\xdfer" in result.stdout and b"\x1b" not in result.stdout
    assert predictions(path, "t.csv")[0][0] in ("größer", "\x1b[2Jkleiner")  # data stay what they are


@given(st.text())
@example("a\nb\tc\r\x1b[0m\u2028d")
def test_one_line_is_one_line_and_harmless(text):
    shown = one_line(text)
    assert shown.isprintable() and shown.splitlines() in ([shown], [])
    assert one_line(shown) == shown
