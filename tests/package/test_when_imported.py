"""Functions that are called after the import of another package."""

import importlib
import importlib.util
import sys

import pytest

from fastmlp.when_imported import when_imported


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that can be imported, but has not been."""
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("from some_package import part\nready = True\n")
    (folder / "part.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield folder
    for name in [name for name in sys.modules if name.startswith("some_package")]:
        del sys.modules[name]


def note(calls):
    return lambda: calls.append(getattr(sys.modules.get("some_package"), "ready", False))


def test_the_action_comes_once_and_after_the_import(package):
    calls, finders = [], list(sys.meta_path)
    when_imported("some_package", note(calls))
    assert importlib.util.find_spec("some_package").origin.endswith("__init__.py")
    assert calls == []
    module = importlib.import_module("some_package.part")
    assert calls == [True]
    assert sys.meta_path == finders
    assert module.__name__ == "some_package.part"
    importlib.reload(sys.modules["some_package"])
    assert calls == [True]


def test_an_imported_package_is_not_waited_for(package):
    import some_package  # noqa: F401

    calls = []
    when_imported("some_package", note(calls))
    assert calls == [True]


def test_two_actions_for_one_package(package):
    calls = []
    when_imported("some_package", note(calls))
    when_imported("some_package", note(calls))
    importlib.import_module("some_package")
    assert calls == [True, True]


def test_an_import_that_failed_can_be_repeated(package):
    calls, source = [], (package / "__init__.py").read_text()
    when_imported("some_package", note(calls))
    (package / "__init__.py").write_text("raise OSError('not today')")
    with pytest.raises(OSError, match="not today"):
        importlib.import_module("some_package")
    assert calls == []
    (package / "__init__.py").write_text(source)
    importlib.invalidate_caches()
    importlib.import_module("some_package")
    assert calls == [True]


def test_a_package_that_is_not_there_is_missing_as_before(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    when_imported("no_such_package", pytest.fail)
    assert importlib.util.find_spec("no_such_package") is None
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        importlib.import_module("no_such_package")
