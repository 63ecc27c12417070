"""The help, version and info of the command."""

import re
import subprocess
import sys
from argparse import SUPPRESS

import numpy as np
import pytest

from cli.command import fail, run, succeed
from fastmlp import __version__
from fastmlp.cli.options import add_training
from fastmlp.cli.parser import build_parser
from fastmlp.optimizers import get_optimizer
from fastmlp.schedules import get_schedule


def test_alone_it_prints_its_help_and_fails():
    result = run()
    assert result.code == 2 and result.err == ""
    assert "fastmlp train digits" in result.out


def test_version():
    assert succeed("--version") == f"fastmlp {__version__}\n"


@pytest.mark.parametrize("command", ["train", "search", "predict", "evaluate"])
def test_help_has_examples_and_explains_every_option(command):
    text = succeed(command, "--help")
    assert f"fastmlp {command} " in text.split("examples")[1]
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    for action in commands.choices[command]._actions:
        assert action.help, f"{action.option_strings} has no help"
        if action.option_strings and action.default not in (None, False, SUPPRESS):
            default = f"{action.default:g}" if isinstance(action.default, float) else action.default
            assert f"default: {default}" in action.help.replace("(default", "default"), action.option_strings


def test_every_choice_is_known_to_the_library():
    from argparse import ArgumentParser

    parser = ArgumentParser()
    add_training(parser)
    choices = {action.dest: action.choices for action in parser._actions}
    assert [type(get_optimizer(name)).__name__.lower() for name in choices["optimizer"]] == [*choices["optimizer"]]
    for name in choices["schedule"]:
        get_schedule(name)
    with pytest.raises(ValueError) as error:
        get_schedule("none of these")
    assert all(repr(name) in str(error.value) for name in choices["schedule"])
    assert str(error.value).count("'") == 2 * len(choices["schedule"]) + 2  # and it knows no others


def test_info_names_versions_backends_threads_and_cache():
    out = succeed("info")
    for expected in (f"fastmlp {__version__}", f"numpy {np.__version__}", "default backend: numpy", "threads: up to "):
        assert expected in out
    assert re.search(r"^  numba +(Numba \d|unavailable: )", out, re.M)
    assert re.search(r"^  cuda +\S", out, re.M)
    assert re.search(r"^compiled kernels: (\d+ files?, .* in /|none)", out, re.M)


def test_info_makes_no_cache(monkeypatch, tmp_path):
    pytest.importorskip("numba")
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "cache"))
    assert "compiled kernels: none yet\n" in succeed("info")
    assert [*tmp_path.iterdir()] == []


def test_info_reports_a_wrong_environment(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "quantum")
    fail("info", about="FASTMLP_BACKEND='quantum'")


def test_starts_without_the_heavy_libraries():
    program = (
        "import sys; from fastmlp.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numba', 'sklearn', 'scipy', 'matplotlib', 'tqdm', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
