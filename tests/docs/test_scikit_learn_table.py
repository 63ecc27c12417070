"""docs/scikit_learn.md: its tables agree with the current classes."""

import runpy
from pathlib import Path

import pytest
import sklearn

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "scikit_learn.md"


@pytest.fixture(scope="module")
def table():
    if not sklearn.__version__.startswith("1.9."):
        pytest.skip(f"the tables are of scikit-learn 1.9, and this is {sklearn.__version__}")
    return runpy.run_path(str(DOCS / "scikit_learn_table.py"))


def test_nothing_differs(table):
    found = {
        (title, name): status
        for title, columns in table["compared"]().items()
        for column in columns
        for name, status in column.items()
    }
    assert {"parameter", "method", "attribute"} == {title for title, _ in found}
    assert not [key for key, status in found.items() if status not in ("same", "extended")]


def test_the_page_is_up_to_date(table):
    page = PAGE.read_text(encoding="utf-8")
    assert page == table["filled"](page), "run python docs/scikit_learn_table.py"


def test_it_would_see_a_difference(table):
    status, shape = table["status"], table["shape"]

    def before(x, y=None, *, z=1): ...

    for after, expected in (
        (lambda x, y=None, *, z=1: None, "same"),
        (lambda x, y=None, *, more=0, z=1: None, "extended"),
        (lambda x, y=None, more=0, *, z=1: None, "extended"),
        (lambda x, y=None, *, z=1, more: None, "differs"),
        (lambda x, more=0, y=None, *, z=1: None, "differs"),
        (lambda x, y=None, *, z=2: None, "differs"),
        (lambda x, y, *, z=1: None, "differs"),
        (lambda x, y=None: None, "differs"),
    ):
        assert status(shape(after), shape(before)) == expected
    assert [status(names, {"a", "b"}) for names in ({"a", "b"}, {"a", "b", "c"}, {"a", "c"})] == [
        *("same", "extended", "differs")
    ]
