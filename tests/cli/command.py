"""Calls of the command `fastmlp` in this process with a given outcome, and the parsing of its output."""

import contextlib
import csv
import io
import re
import warnings
from types import SimpleNamespace

from fastmlp.cli import main


def run(*arguments):
    """Call the command in this process: exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


def succeed(*arguments):
    result = run(*arguments)
    assert (result.code, result.err) == (0, ""), result
    return result.out


def fail(*arguments, about=""):
    """Run a command that must fail with an error of one line; return that line."""
    result = run(*arguments)
    assert result.code == 1, result
    assert re.fullmatch(r"fastmlp: error: [^\n]+\n", result.err), result.err
    assert about in result.err, result.err
    return result.err


def misuse(*arguments, about=""):
    result = run(*arguments)
    assert result.code == 2 and about in result.err, result
    assert result.err.startswith("usage: fastmlp") and "Traceback" not in result.err, result.err
    return result.err


def predictions(*arguments):
    """Rows of the CSV that predict prints, without the header."""
    return list(csv.reader(io.StringIO(succeed("predict", *arguments))))[1:]


def accuracy(out):
    return float(re.search(r"accuracy ([\d.]+) %", out)[1])


def only_clean_ends(*arguments):
    """Run with warnings as errors; the exit code, after a look at what was printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(*arguments)
    assert result.code in (0, 1, 2), result
    if result.code == 1:
        assert re.fullmatch(r"fastmlp: error: [^\n]+\n", result.err), result.err
    return result
