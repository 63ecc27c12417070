"""The training history: columns, saving, plotting."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.errors import FastmlpError, InputError
from fastmlp.history import History

FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def row(loss: float = 1.0, **optional) -> dict:
    return {"loss": loss, "learning_rate": 0.1, "seconds": 0.5, "samples_per_second": 200.0, **optional}


def example() -> History:
    history = History()
    history.append(**row(2.0, val_loss=2.5, gradient_norms=[1.0, 0.25]))
    history.append(**row(math.nan, val_loss=1.5, gradient_norms=(math.inf, 0.125)))
    history.stopped, history.best_epoch, history.updates = "validation", 1, 40
    return history


def test_rows_become_columns():
    history = example()
    assert history["loss"][0] == 2.0
    assert history["gradient_norms"] == [(1.0, 0.25), (math.inf, 0.125)]
    assert history.columns == (*row(), "val_loss", "gradient_norms")
    assert len(history) == 2
    assert history.epochs == [1, 2]


def test_a_new_history_is_empty():
    history = History()
    assert (len(history), history.columns, history.epochs) == (0, (), [])
    assert (history.stopped, history.best_epoch, history.updates) == ("", None, 0)


def test_values_become_plain_floats():
    history = History()
    history.append(**row(np.float32(0.5), gradient_norms=np.ones(2, np.float32)))
    assert type(history["loss"][0]) is float
    assert [type(value) for value in history["gradient_norms"][0]] == [float, float]


def test_changing_a_column_that_was_read_changes_nothing():
    history = example()
    history["loss"].append(3.0)
    assert len(history["loss"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        row(),
        row(val_loss=1.0, gradient_norms=[1.0, 2.0], accuracy=0.5),
        row(val_loss=1.0, gradient_norms=[1.0]),
        row(val_loss=1.0, gradient_norms=1.0),
        row(val_loss=[1.0], gradient_norms=[1.0, 2.0]),
        row(val_loss="low", gradient_norms=[1.0, 2.0]),
        row(val_loss=1.0, gradient_norms=[[1.0, 2.0]]),
    ],
)
def test_a_row_unlike_the_first_is_refused_and_changes_nothing(wrong):
    history = example()
    before = repr(history.to_dict())
    with pytest.raises(InputError, match=r"first|cannot be recorded"):
        history.append(**wrong)
    assert repr(history.to_dict()) == before


@pytest.mark.parametrize("wrong", ["low", [[1.0]], {"a": 1}])
def test_a_first_row_of_something_else_is_refused(wrong):
    history = History()
    with pytest.raises(InputError, match=r"val_loss=.* cannot be recorded"):
        history.append(**row(val_loss=wrong))
    assert len(history) == 0


def test_a_missing_column_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"no column 'acc'\. Columns: loss, learning_rate"):
        example()["acc"]
    with pytest.raises(InputError, match="none before the first epoch"):
        History()["loss"]


def test_the_repr_is_short():
    assert repr(History()) == "History(epochs=0, stopped='')"
    history = History()
    history.append(**row(0.123456789))
    assert repr(history) == "History(epochs=1, loss=0.1235, stopped='')"


@settings(max_examples=50)
@given(st.lists(st.tuples(FLOATS, st.tuples(FLOATS, FLOATS)), max_size=5), st.none() | st.integers(1, 9))
def test_a_history_survives_its_dictionary_and_json(rows, best_epoch):
    history = History()
    for loss, norms in rows:
        history.append(**row(loss, gradient_norms=norms))
    history.stopped, history.best_epoch, history.updates = "plateau", best_epoch, 7
    again = History.from_dict(json.loads(json.dumps(history.to_dict())))
    # repr, because NaN is not equal to itself.
    assert repr(again.to_dict()) == repr(history.to_dict())
    assert repr(again["gradient_norms"] if rows else []) == repr([norms for _, norms in rows])


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"columns": 3, "stopped": "", "best_epoch": None, "updates": 0},
        {"columns": {"loss": [1.0]}, "stopped": "", "best_epoch": None, "updates": 0},
        {"columns": {**{name: [1.0] for name in row()}, "val_loss": []}, "stopped": "", "best_epoch": None},
        {"columns": {name: ["x"] for name in row()}, "stopped": "", "best_epoch": None, "updates": 0},
        {"columns": {name: [1.0] for name in row()}, "stopped": "", "best_epoch": None, "updates": math.inf},
        {"columns": {name: [1.0] for name in row()}, "stopped": "", "best_epoch": None},
    ],
)
def test_a_dictionary_of_something_else_is_refused(wrong):
    with pytest.raises(InputError, match="not a history"):
        History.from_dict(wrong)


def test_json_is_strict_and_says_null_where_a_value_is_not_finite(tmp_path):
    example().save(tmp_path / "history.json")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    data = json.loads((tmp_path / "history.json").read_text(), parse_constant=refuse)
    assert data["columns"]["loss"] == [2.0, None]
    assert data["columns"]["gradient_norms"] == [[1.0, 0.25], [None, 0.125]]
    assert (data["stopped"], data["best_epoch"], data["updates"]) == ("validation", 1, 40)
    assert math.isnan(History.from_dict(data)["gradient_norms"][1][0])


def test_csv_has_a_line_per_epoch_and_a_column_per_layer(tmp_path):
    history = example()
    history.save(str(tmp_path / "history.CSV"))
    with open(tmp_path / "history.CSV", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["epoch", *row(), "val_loss", "gradient_norms_1", "gradient_norms_2"]
    assert [line["epoch"] for line in table] == ["1", "2"]
    assert [float(line["val_loss"]) for line in table] == history["val_loss"]
    assert [float(line["gradient_norms_1"]) for line in table] == [1.0, math.inf]


def test_an_empty_history_can_be_saved(tmp_path):
    for name in ("history.json", "history.csv"):
        History().save(tmp_path / name)
    assert (tmp_path / "history.csv").read_text() == "epoch\n"
    assert len(History.from_dict(json.loads((tmp_path / "history.json").read_text()))) == 0


@pytest.mark.parametrize("name", ["history", "history.txt"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"End the name in \.json or \.csv"):
        example().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_plot_draws_both_losses_and_writes_the_image(tmp_path, suffix, start):
    pytest.importorskip("matplotlib")
    history = example()
    ax = history.plot(tmp_path / f"loss.{suffix}")
    assert [line.get_label() for line in ax.get_lines()] == ["loss", "val_loss"]
    assert ax.get_lines()[1].get_xydata().tolist() == [[1.0, 2.5], [2.0, 1.5]]
    assert (tmp_path / f"loss.{suffix}").read_bytes().startswith(start)


def test_plot_draws_into_given_axes_and_only_what_there_is():
    figure = pytest.importorskip("matplotlib.figure")
    ax = figure.Figure().add_subplot()
    history = History()
    history.append(**row())
    assert history.plot(ax=ax) is ax
    assert [line.get_label() for line in ax.get_lines()] == ["loss"]


def test_plot_refuses_what_it_cannot_draw_or_write(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match="no epochs"):
        History().plot()
    with pytest.raises(InputError, match=r"\.png, \.pdf or \.svg"):
        example().plot(tmp_path / "loss.doc")
    with pytest.raises(InputError, match="existing folder"):
        example().plot(tmp_path / "missing" / "loss.png")


def test_plot_without_matplotlib_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FastmlpError, match=r"pip install 'fastmlp\[plot\]'"):
        example().plot()


def test_matplotlib_is_imported_late_and_pyplot_never(tmp_path):
    pytest.importorskip("matplotlib")
    program = f"""
import sys
from fastmlp.history import History
assert "matplotlib" not in sys.modules
history = History()
history.append(loss=1.0, learning_rate=0.1, seconds=1.0, samples_per_second=1.0)
history.plot({str(tmp_path / "loss.png")!r})
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
