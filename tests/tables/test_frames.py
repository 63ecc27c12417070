"""Data frames of Polars, pandas and pyarrow as tables."""

import datetime

import numpy as np
import polars as pl
import pytest

from fastmlp.datasets import TableEncoder
from fastmlp.errors import InputError
from fastmlp.tables.frames import as_frame

DAYS = [datetime.datetime(2023, 1, 1) + datetime.timedelta(days=9 * i, hours=i) for i in range(50)]
POLARS = pl.DataFrame(
    {
        "n": [None if i == 3 else i for i in range(50)],
        "f": [i % 7 / 2 for i in range(50)],
        "day": DAYS,
        "flag": [i % 3 == 0 for i in range(50)],
        "word": [None if i == 5 else f"w{i % 2}" for i in range(50)],
        "y": [i * 0.5 for i in range(50)],
    }
)


def test_types_become_features():
    encoder = TableEncoder.fit(POLARS, standardize=False)
    assert encoder.feature_names == (
        *("n", "n is missing", "f", "day", "sin of year of day", "cos of year of day", "sin of week of day"),
        *("cos of week of day", "sin of day of day", "cos of day of day", "flag=false", "flag=true"),
        *("word=w0", "word=w1", "word=missing"),
    )
    x, y = encoder.transform(POLARS)
    assert x[3].tolist()[:3] == [25, 1, 1.5]
    np.testing.assert_allclose(x[:, 3], [day.timestamp() for day in DAYS], rtol=1e-4)
    np.testing.assert_array_equal(y, np.arange(50) / 2)
    assert encoder.transform(POLARS.with_columns(pl.col("word").cast(pl.Categorical)).lazy())[0].tolist() == x.tolist()


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_frames_of_other_libraries(library):
    pytest.importorskip(library)
    if library == "pyarrow":
        frame = POLARS.to_arrow()
    else:
        import pandas as pd

        frame = pd.DataFrame({c.name: c.to_list() for c in POLARS}, index=np.arange(50) + 7)
    encoder = TableEncoder.fit(POLARS)
    for mine, theirs in zip(encoder.transform(POLARS), encoder.transform(frame), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert TableEncoder.fit(frame) == encoder


class _Column:
    """The parts of a pandas column that are used."""

    def __init__(self, values):
        self._values = np.array(values)
        self.dtype = self._values.dtype

    def to_numpy(self):
        return self._values

    def tolist(self):
        return self._values.tolist()

    def isna(self):
        return np.array([value is None or value != value for value in self._values.tolist()])


def test_pandas_is_not_imported_for_its_frames():
    columns = {
        "a": _Column([1.5, np.nan]),
        "b": _Column(np.array(["x", None], object)),
        "c": _Column(np.array([1, None])),
    }
    frame = type("DataFrame", (), {"__module__": "pandas.core.frame"})()
    frame.columns, frame.iloc = [*columns], _Positions([*columns.values()])
    assert as_frame(frame).to_dict(as_series=False) == {"a": [1.5, None], "b": ["x", None], "c": [1, None]}
    frame.columns = ["a", "a", "c"]
    with pytest.raises(InputError, match="two columns 'a'"):
        as_frame(frame)


class _Positions:
    def __init__(self, columns):
        self._columns = columns

    def __getitem__(self, where):
        return self._columns[where[1]]


def test_arrays_are_tables_of_numbers():
    x = np.random.RandomState(0).randn(20, 3)
    encoder = TableEncoder.fit(x)
    assert encoder.feature_names == ("column0", "column1") and encoder.target_names == ("column2",)
    np.testing.assert_array_equal(encoder.transform(x)[1], x[:, 2])


def test_a_table_of_features_alone():
    encoder = TableEncoder.fit(POLARS, ())
    assert encoder.task == "none" and encoder.target_names == encoder.class_names == ()
    assert encoder.feature_names[-1] == "y" and encoder.transform(POLARS)[1] is None
    assert TableEncoder.from_dict(encoder.to_dict()) == encoder


@pytest.mark.parametrize("data", [{"a": [1]}, None, np.zeros(2), pl.DataFrame(), pl.DataFrame({"a": []})])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(InputError, match=r"A table is wanted|Give one with data"):
        TableEncoder.fit(data)
