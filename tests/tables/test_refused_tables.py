"""Tables and options that cannot be encoded are refused with the reason."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tables import REPEATED, SMALL, table

from fastmlp.datasets import Table, TableEncoder
from fastmlp.errors import InputError

MANY = " ".join(f"w{i}" for i in range(1001))
NEARLY = " ".join("low" if i % 50 == 7 else f"{i / 8}" for i in range(1001))
DAYS = " ".join("soon" if i == 30 else f"{1 + i % 28}.{1 + i // 28}.2023" for i in range(60)) + " 1.1.2023" * 941


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (SMALL, {"target": "size2"}, "target='size2' is no column.*from 0 to 2"),
        (SMALL, {"target": 3}, "target=3"),
        (SMALL, {"target": -4}, "target=-4"),
        (SMALL, {"target": True}, "target=True"),
        (SMALL, {"task": "clustering"}, "task='clustering' is unknown. Choose 'auto' or"),
        (SMALL, {"task": "regression"}, "Column 'kind' holds 'b' in row 1.*classes .task"),
        (SMALL, {"missing": "ignore"}, "missing='ignore' is unknown"),
        (SMALL, {"missing_values": "?"}, r"missing_values='\?' is not a list"),
        (SMALL, {"missing_values": [1]}, r"missing_values=\[1\]"),
        (SMALL, {"missing_values": None}, "missing_values=None"),
        (SMALL, {"categorical": "size"}, "categorical='size' is not a list"),
        (SMALL, {"categorical": ["kind"]}, "categorical='kind' is not a feature. Features: 'size', 'colour'"),
        (SMALL, {"target": ["size", "size"]}, "names a column twice"),
        (SMALL, {"target": ["size", "kind"]}, "Column 'kind' holds 'b' in row 1"),
        (SMALL, {"target": ["size", "kind"], "task": "classification"}, "Several targets must be numbers"),
        (SMALL, {"drop_columns": ["kind"]}, "drop_columns='kind' is the target"),
        (SMALL, {"drop_columns": ["sise"]}, "drop_columns='sise' is not in the table"),
        (SMALL, {"drop_columns": ["size", "colour"]}, "no column to learn from"),
        (table(y="1 2"), {}, "no column to learn from"),
        (SMALL, {"standardize_target": True}, "standardize_target=True is for numbers"),
        (table(a="? ?", y="1 2"), {}, "are empty"),
        (table(a="1 2", y="? ?"), {}, "The target 'y' holds no value in 2 rows"),
        (table(a=MANY, y=MANY.replace("w", "v")), {"categorical": ["a"]}, "1,001 different texts .* task='class"),
        (table(a=NEARLY, y=MANY), {}, "Column 'a' holds 'low' in row 8, .*also_missing"),
        (table(a=DAYS, y=MANY), {}, "Column 'a' holds 'soon' in row 31, which is not a date"),
        (table(a=MANY.replace("w", ""), y=NEARLY), {}, "Column 'y' holds 'low' in row 8"),
        (pl.DataFrame({"a": [[1], [2]], "y": [1, 2]}), {}, r"type List\(Int64\)"),
        ([[1, 2]], {}, "A table is wanted, not list"),
        (table(a="1e+308 -1e+308 1e+308", y="1 2 3"), {}, r"Column 'a' holds numbers up to 1e\+308, too large"),
        (table(a="1 2", y="1e+308 -1.1e308"), {"task": "regression", "standardize_target": True}, "too large"),
        (table(a="1 2", y="0.5 nan"), {"missing_values": []}, "Column 'y' holds 'nan' in row 2"),
        (table(a=" ".join([MANY] * 3), y=" ".join(["1 2 3"] * 1001)), {}, "'w0', .* number, and 1,001 different"),
    ],
)
def test_what_cannot_be_fitted_is_refused(data, options, message):
    with pytest.raises(InputError, match=message):
        TableEncoder.fit(data, **options)


def test_many_categories_are_taken_when_asked_for():
    data = table(a=MANY, y=MANY)
    assert len(TableEncoder.fit(data, task="classification", categorical=["a"]).feature_names) == 1001


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (table(size="1", kind="a"), "lacks the columns 'colour'; it has 'size', 'kind'"),
        (table(size="big", colour="red"), "Column 'size' holds 'big' in row 1"),
        (table(size="1", colour="red", kind="c"), "the label 'c', which is none of the classes 'a', 'b'"),
        (table(size="? 1", colour="red red"), r"missing in 'size' \(1\)"),
        (table(size="1", colour="red", kind="?"), r"missing in 'kind' \(1\)"),
        (
            pl.DataFrame({"size": ["2023-01-01"], "colour": ["red"]}).with_columns(pl.col("size").str.to_date()),
            "not a fin",
        ),
    ],
)
def test_what_does_not_fit_the_encoder_is_refused(later, message):
    with pytest.raises(InputError, match=message):
        TableEncoder.fit(SMALL, missing="error").transform(later)


def test_a_number_too_large_for_the_fitted_scale_is_refused():
    encoder = TableEncoder.fit(table(a="0 1e-150", y="0 1e-150"), task="regression", standardize_target=True)
    with pytest.raises(InputError, match="Column 'a' holds numbers up to 1e\\+200, too large"):
        encoder.transform(table(a="1e+200"))
    with pytest.raises(InputError, match="target 'y' holds numbers up to 1e\\+200, too large"):
        encoder.transform(table(a="0", y="1e+200"))


CELLS = st.sampled_from(["", "?", "0", "1", "-2.5", "1e308", "inf", "nan", "x", "1_0", "é"])


@REPEATED
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
    st.sampled_from(["auto", "classification", "regression"]),
    st.sampled_from(["error", "drop", "impute"]),
    st.booleans(),
)
def test_any_table_is_encoded_or_refused(rows, task, missing, standardize):
    data = Table(pl.DataFrame(rows, schema=["a", "b", "y"], orient="row"))
    try:
        encoder = TableEncoder.fit(data, task=task, missing=missing, standardize=standardize)
    except InputError:
        return
    x, y = encoder.transform(data)
    assert x.shape == (len(encoder.kept_rows(data)), len(encoder.feature_names))
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()
    assert y.shape == x.shape[:1]
    assert TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder
