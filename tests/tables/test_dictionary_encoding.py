"""Dictionary-encoded texts: a table gives the same results with them as with plain texts."""

import numpy as np
import polars as pl
import pytest

from fastmlp.datasets import load_table
from fastmlp.errors import InputError
from fastmlp.tables import dictionary_encoding

COLUMNS = {
    "colour": ["red", "green", None, "blue", "NA"],
    "price": ["1.234,50 €", "2,5 €", None, "7 €"],
    "day": ["2024-02-03", "2023-12-24", "?", "2024-06-01"],
    "code": ["1", "1.0", "01x", "TRUE", "true"],
    "part": ["n/a"] + [f"p{i}" for i in range(30)],
    "id": [f"row {i}" for i in range(2000)],
    "same": ["x"],
    "label": ["yes", "no", "yes.", "none"],
}


@pytest.fixture
def path(tmp_path):
    random = np.random.RandomState(0)
    frame = pl.DataFrame(
        {name: [values[i] for i in random.randint(0, len(values), 2000)] for name, values in COLUMNS.items()}
    )
    frame = frame.with_columns(pl.Series("number", random.randn(2000).round(3)))
    frame.write_csv(tmp_path / "table.csv", separator=";")
    return tmp_path / "table.csv"


@pytest.mark.parametrize(
    "options",
    [
        {"target": "label", "strip_label": "."},
        {"target": "label", "missing": "drop", "codes": True},
        {"target": "number", "decimal": "."},
        {"target": "price", "task": "regression", "test_fraction": 0.9},
        {"target": "colour", "missing_values": ["NA", "p7"], "categorical": ["part", "day", "code"]},
    ],
)
def test_coded_texts_mean_the_same(path, options, monkeypatch):
    plain = load_table(path, **options)
    monkeypatch.setattr(dictionary_encoding, "_ROWS", 1)
    coded = load_table(path, **options)
    for name in ("x", "y", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(coded, name), getattr(plain, name))
    assert coded.encoder == plain.encoder and coded.kinds == plain.kinds and sorted(coded.notes) == sorted(plain.notes)


def test_what_is_coded_and_what_is_not(path, monkeypatch):
    frame = pl.read_csv(path, separator=";")
    assert dictionary_encoding.dictionary_encoded(frame) is frame  # short
    monkeypatch.setattr(dictionary_encoding, "_ROWS", 1)
    coded = dictionary_encoding.dictionary_encoded(frame)
    texts = {name for name, kind in frame.schema.items() if kind == pl.String}
    assert {name for name in coded.columns if dictionary_encoding.is_dictionary_encoded(coded[name])} == texts - {"id"}
    for name in texts:
        assert dictionary_encoding.as_texts(coded[name]).equals(frame[name])
    lazy = frame.lazy()
    assert dictionary_encoding.dictionary_encoded(lazy) is lazy


@pytest.mark.parametrize("rows", [1, 1 << 13])
def test_errors_name_the_text_and_its_line(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(dictionary_encoding, "_ROWS", rows)
    cells = [f"{i % 40},{i % 2}" for i in range(3000)]
    cells[2500] = "x,1"
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "\n".join(cells) + "\n")
    with pytest.raises(InputError, match=r"Column 'a' holds 'x' in line 2502 of"):
        load_table(path)
