"""Tables: turning their columns into arrays the same way every time."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp.datasets import Table, TableEncoder, load, load_table, read_table
from fastmlp.errors import InputError
from fastmlp.splits import split_rows

REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def table(**columns: str) -> Table:
    """A table whose columns are words: table(a="1 2", b="x y")."""
    return Table(pl.DataFrame({name: text.split() for name, text in columns.items()}))


def real(*parts: str) -> Path:
    """A file of the real data, or a skip."""
    if "FASTMLP_DATA" not in os.environ:
        pytest.skip("the environment variable FASTMLP_DATA does not name the folder of the real data")
    return Path(os.environ["FASTMLP_DATA"], *parts)


# Encoding.

SMALL = table(size="1 2 3 6", colour="red blue red green", kind="b a b a")


def test_numbers_are_standardised_and_categories_one_hot():
    encoder = TableEncoder.fit(SMALL)
    x, y = encoder.transform(SMALL)
    std = np.sqrt(3.5)
    expected = [
        [-2 / std, 0, 0, 1],
        [-1 / std, 1, 0, 0],
        [0, 0, 0, 1],
        [3 / std, 0, 1, 0],
    ]
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(y, np.array([1, 0, 1, 0], np.int64), strict=True)
    assert encoder.feature_names == ("size", "colour=blue", "colour=green", "colour=red")
    assert encoder.class_names == ("a", "b")
    assert encoder.task == "classification"
    assert encoder.decode_target(y).tolist() == ["b", "a", "b", "a"]


def test_a_later_table_is_scaled_by_the_fitted_one():
    encoder = TableEncoder.fit(SMALL)
    later = table(kind="a", extra="1", colour="violet", size="3")
    x, y = encoder.transform(later)
    np.testing.assert_array_equal(x, [[0, 0, 0, 0]])
    np.testing.assert_array_equal(y, [0])
    x, y = encoder.transform(table(size="6", colour="green"))
    assert x[0, 0] == pytest.approx(3 / np.sqrt(3.5))
    assert x[0, 1:].tolist() == [0, 1, 0]
    assert y is None


def test_standardize_can_be_off():
    numbers = table(b="1 2 4", y="1.5 2.5 4")
    x, y = TableEncoder.fit(numbers, standardize=False).transform(numbers)
    np.testing.assert_array_equal(x, [[1], [2], [4]])
    np.testing.assert_array_equal(y, [1.5, 2.5, 4])
    assert TableEncoder.fit(numbers).transform(numbers)[0].std() == pytest.approx(1)


def test_a_column_that_is_always_the_same_is_left_out():
    data = table(a="0.1 0.1 0.1", b="1 2 4", c="x x x", d="? ? ?", y="1.5 2.5 4")
    assert TableEncoder.fit(data).feature_names == ("b",)
    with pytest.raises(InputError, match=r"No column is left .* are constant, empty \('a', 'c', 'd'\)"):
        TableEncoder.fit(data, drop_columns=["b"])


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ("a b", "classification"),
        ("1 x", "classification"),
        ("1 2", "classification"),
        ("1.0 2.0", "classification"),
        (" ".join(map(str, [*range(20)] * 2)), "classification"),
        (" ".join(map(str, [*range(21)] * 2)), "regression"),
        (" ".join(map(str, range(20))), "regression"),
        ("1 2.5", "regression"),
        ("1_0.5 2_0.5", "classification"),
    ],
)
def test_auto_chooses_the_task_by_the_targets(labels, task):
    data = table(a=" ".join(map(str, range(len(labels.split())))), y=labels)
    assert TableEncoder.fit(data).task == task


def test_the_task_can_be_chosen():
    data = table(a="1 2 3", y="10 9 9")
    as_classes, as_numbers = (TableEncoder.fit(data, task=t) for t in ("classification", "regression"))
    assert as_classes.class_names == ("9", "10")
    assert as_classes.transform(data)[1].tolist() == [1, 0, 0]
    assert as_numbers.class_names == ()
    np.testing.assert_array_equal(as_numbers.transform(data)[1], np.array([10.0, 9, 9]), strict=True)


@pytest.mark.parametrize("target", ["b", 1, -2])
def test_the_target_is_named_or_numbered(target):
    encoder = TableEncoder.fit(table(a="1 2", b="x y", c="3 4"), target)
    assert encoder.target_names == ("b",)
    assert encoder.feature_names == ("a", "c")


def test_categorical_columns_can_be_listed():
    data = table(zip="10 9 10", size="1 2 3", y="a b a")
    encoder = TableEncoder.fit(data, categorical=["zip"])
    assert encoder.feature_names == ("zip=9", "zip=10", "size")


def test_columns_can_be_left_out():
    assert TableEncoder.fit(SMALL, drop_columns=["colour"]).feature_names == ("size",)


def test_labels_are_stripped_only_when_asked():
    train, test = table(a="1 2", y="no yes"), table(a="1 2", y="no. yes.")
    with pytest.raises(InputError, match=r"the label 'no.', which is none of the classes 'no', 'yes'"):
        TableEncoder.fit(train).transform(test)
    assert TableEncoder.fit(train, strip_label=".").transform(test)[1].tolist() == [0, 1]
    assert TableEncoder.fit(test, strip_label=".").class_names == ("no", "yes")
    weights = table(a="1 2", y="1.5g 2.5g")
    assert TableEncoder.fit(weights, strip_label="g").transform(weights)[1].tolist() == [1.5, 2.5]


def test_targets_can_be_standardised_and_decoded():
    data = table(a="1 2 3", y="10.5 20.5 60.5")
    encoder = TableEncoder.fit(data, standardize_target=True)
    y = encoder.transform(data)[1]
    assert y.mean() == pytest.approx(0)
    assert y.std() == pytest.approx(1)
    np.testing.assert_allclose(encoder.decode_target(y), [10.5, 20.5, 60.5])
    np.testing.assert_allclose(encoder.decode_target(y[:, None]), [[10.5], [20.5], [60.5]])


@pytest.mark.parametrize("y", [[2], [-1], [0.0]])
def test_what_is_no_class_index_is_not_decoded(y):
    with pytest.raises(InputError, match="whole numbers from 0 to 1"):
        TableEncoder.fit(SMALL).decode_target(np.array(y))


HOLES = table(a="1 ? 5 6", b="x y ? y", y="p q p q")


def test_missing_values_can_be_refused():
    with pytest.raises(InputError, match=r"missing in 'a' \(1\), 'b' \(1\), of 4 rows.*'drop'.*'impute'"):
        TableEncoder.fit(HOLES, missing="error")
    encoder = TableEncoder.fit(HOLES, missing_values=["5"], categorical=["a", "b"])
    assert encoder.feature_names == ("a=1", "a=6", "a=?", "a=missing", "b=?", "b=x", "b=y")


def test_rows_with_missing_values_can_be_dropped():
    encoder = TableEncoder.fit(HOLES, missing="drop", standardize=False)
    x, y = encoder.transform(HOLES)
    assert encoder.kept_rows(HOLES).tolist() == [0, 3]
    np.testing.assert_array_equal(x, [[1, 1, 0], [6, 0, 1]])
    assert y.tolist() == [0, 1]
    with pytest.raises(InputError, match=r"Each of the . rows lacks a value"):
        encoder.transform(table(a="? 1", b="x ?"))
    with pytest.raises(InputError, match=r"Each of the . rows lacks a value"):
        TableEncoder.fit(table(a="? 1", y="x ?"), missing="drop")


def test_a_column_left_out_may_lack_values():
    assert TableEncoder.fit(HOLES, drop_columns=["a"], missing="drop").kept_rows(HOLES).size == 3


def test_missing_values_can_be_filled_in():
    encoder = TableEncoder.fit(HOLES, standardize=False)
    assert encoder.feature_names == ("a", "a is missing", "b=x", "b=y", "b=missing")
    x, _ = encoder.transform(HOLES)
    np.testing.assert_array_equal(x, [[1, 0, 1, 0, 0], [5, 1, 0, 1, 0], [5, 0, 0, 0, 1], [6, 0, 0, 1, 0]])
    scaled, _ = TableEncoder.fit(HOLES).transform(HOLES)
    assert scaled[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert scaled[:, 0].std() == pytest.approx(1)


def test_rows_without_a_target_are_left_out(caplog):
    data = table(a="1 2 3", y="p ? q")
    assert TableEncoder.fit(data).transform(data)[1].tolist() == [0, 1]
    assert "1 of 3 rows are left out: values are missing in 'y' (1)" in caplog.text
    with pytest.raises(InputError, match="missing in 'y'"):
        TableEncoder.fit(data, missing="error")


def test_a_missing_value_where_none_was_fitted_is_filled_and_said(caplog):
    encoder = TableEncoder.fit(SMALL)
    filled, _ = encoder.transform(table(size="?", colour="?"))
    expected, _ = encoder.transform(table(size="2.5", colour="red"))  # median, most frequent
    np.testing.assert_array_equal(filled, expected)
    assert "missing in 'size' (1), 'colour' (1); training had none there: filled in" in caplog.text


def test_unseen_categories_are_counted_and_said(caplog):
    encoder = TableEncoder.fit(SMALL)
    x, _ = encoder.transform(table(size="1 1 1", colour="violet red violet"))
    assert x[:, 1:].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert "column 'colour' holds 2 values that training had not, such as 'violet'" in caplog.text


def test_values_are_compared_as_numbers():
    texts = table(code="1 2.50 1.0 x", flag="True false True false", y="1 0 1.0 0")
    encoder = TableEncoder.fit(texts, categorical=["code", "flag"])
    # 1 and 1.0 may be two codes beside x, but are the same class beside 0
    assert encoder.feature_names == ("code=1", "code=1.0", "code=2.50", "code=x", "flag=True", "flag=false")
    assert encoder.class_names == ("0", "1")
    typed = pl.DataFrame({"code": [1.0, 2.5, 1.0], "flag": [True, False, True], "y": [1, 0, 1]})
    x, y = encoder.transform(typed)
    assert x.tolist() == [[1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 1, 0]]
    assert y.tolist() == [1, 0, 1]
    long = table(id="12345678901234567 12345678901234568", y="a b")  # the same number for a float64
    assert len(TableEncoder.fit(long, categorical=["id"]).feature_names) == 2


def test_a_category_called_missing_is_not_a_missing_value():
    data = table(b="missing ? x", y="p q p")
    x, _ = TableEncoder.fit(data).transform(data)
    np.testing.assert_array_equal(x, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_a_number_not_finite_is_missing_only_if_listed():
    data = table(a="1 inf 3", y="p q p")
    with pytest.raises(InputError, match="Column 'a' holds 'inf' in row 2, which is not a finite number"):
        TableEncoder.fit(data)
    encoder = TableEncoder.fit(data, missing_values=["inf"], standardize=False)
    np.testing.assert_array_equal(encoder.transform(data)[0], [[1, 0], [2, 1], [3, 0]])


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


# Saving.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target": "size", "task": "regression", "standardize_target": True},
        {"target": ["size", "extra"]},
        {"missing_values": ["red", "red"], "strip_label": ".!"},
        {"categorical": ["day"]},
    ],
)
def test_an_encoder_survives_json(options):
    dates = pl.Series("day", ["1.2.2023", "5.6.2023", "", "7.8.2025"])
    mixed = Table(
        SMALL.frame.with_columns(dates, extra=pl.Series(["1,5", "2", "$3", "4"]).str.replace("$", "", literal=True))
    )
    encoder = TableEncoder.fit(mixed, **options)
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    assert again == encoder
    for mine, theirs in zip(again.transform(mixed), encoder.transform(mixed), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


def saved(*path: str | int, value: object) -> dict:
    """A saved encoder with one value replaced."""
    data = TableEncoder.fit(SMALL).to_dict()
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


SAVED_REGRESSION = TableEncoder.fit(SMALL, "size", task="regression").to_dict()
TARGET = SAVED_REGRESSION["targets"][0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "must be a dictionary with the keys version, columns, targets, missing, missing_values; it is NoneType"),
        ([], "it is list"),
        ({}, "has the version 1, and this fastmlp reads version 2. Train the model anew"),
        (saved("version", value=3), "has the version 3"),
        (saved("extra", value=1), "it is keys .*'extra'"),
        (saved("columns", value={}), "'columns' must be a list"),
        (saved("columns", value=[]), "needs features"),
        (saved("columns", value=[1]), "A column of a table must be a dictionary"),
        (saved("columns", 0, "kind", value="bytes"), "'kind' must be 'number' or 'moment' or .*; it is 'bytes'"),
        (saved("columns", 0, "kind", value=[]), "'kind' must be 'number'"),
        (saved("columns", 0, "kind", value="moment"), "A column of dates or times must be a dictionary"),
        (
            saved("columns", 0, "notation", value={"decimal": ";", "unit": "", "grouped": False}),
            "'decimal' must be '.' or ','",
        ),
        (saved("columns", 0, "name", value=3), "'name' must be a string; it is 3"),
        (saved("columns", 0, "name", value="colour"), "different names"),
        (saved("columns", 0, "name", value="kind"), "different names"),
        (saved("columns", 0, "fill", value="1"), "'fill' must be a finite number"),
        (saved("columns", 0, "fill", value=True), "'fill' must be a finite number"),
        (saved("columns", 0, "shift", value=float("nan")), "'shift' must be a finite number"),
        (saved("columns", 0, "shift", value=10**400), "'shift' must be a finite number"),
        (saved("columns", 0, "scale", value=0.0), "'scale' must be a finite number above 0"),
        (saved("columns", 0, "scale", value=float("inf")), "'scale' must be a finite number above 0"),
        (saved("columns", 1, "categories", value="red"), "'categories' must be a list"),
        (saved("columns", 1, "categories", value=["a", "a"]), "a list of different strings"),
        (saved("columns", 1, "categories", value=[["a"]]), "a list of different strings"),
        (saved("columns", 1, "categories", value=[]), "lacks some"),
        (saved("columns", 1, "fill", value=3), "lacks some"),
        (saved("columns", 1, "fill", value=-1), "'fill' must be a whole number"),
        (saved("columns", 1, "has_missing", value=1), "'has_missing' must be true or false"),
        (saved("targets", value=[None]), "A target must be a dictionary"),
        (saved("targets", value=[TARGET | {"name": "a"}, TARGET | {"kind": "classification"}]), "A class target must"),
        (saved("targets", 0, "class_names", value=[]), "has no class names"),
        (saved("targets", 0, "strip_label", value=None), "'strip_label' must be a string"),
        (saved("missing", value="ignore"), "'missing' must be 'error' or 'drop' or 'impute'; it is 'ignore'"),
        (saved("missing_values", value=[1]), "'missing_values' must be a list of different strings"),
        ({**SAVED_REGRESSION, "targets": [TARGET | {"std": -1.0}]}, "'std' must be .* above 0"),
        ({**SAVED_REGRESSION, "targets": [TARGET | {"kind": ""}]}, "must be 'classification' or 'regression'"),
    ],
)
def test_a_hostile_dictionary_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        TableEncoder.from_dict(data)


def test_whole_numbers_in_json_are_numbers():
    assert TableEncoder.from_dict(saved("columns", 0, "fill", value=2)).columns[0].fill == 2.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("columns",),
    ("targets",),
    ("version",),
    ("missing",),
    ("missing_values",),
    *(("columns", 0, key) for key in ("kind", "name", "fill", "shift", "scale", "notation", "has_missing")),
    *(("columns", 1, key) for key in ("kind", "name", "categories", "fill", "has_missing")),
    *(("targets", 0, key) for key in ("kind", "name", "class_names", "strip_label")),
]


@REPEATED
@given(st.sampled_from(PLACES), JSON)
def test_a_random_value_anywhere_is_read_or_refused(place, value):
    try:
        encoder = TableEncoder.from_dict(saved(*place, value=value))
    except InputError:
        return
    assert TableEncoder.from_dict(encoder.to_dict()) == encoder


# Files as data sets.


def test_a_file_is_split_and_encoded_by_its_training_rows(tmp_path):
    path = tmp_path / "even.csv"
    path.write_text("a,y\n" + "".join(f"{i},{'no' if i % 2 else 'yes'}\n" for i in range(50)))
    data = load_table(path)
    assert (data.name, data.task, data.class_names) == ("even", "classification", ("no", "yes"))
    assert (data.x.shape, data.x_test.shape) == ((40, 1), (10, 1))
    assert data.x.mean() == pytest.approx(0, abs=1e-6)
    assert data.x.std() == pytest.approx(1)
    column = data.encoder.columns[0]
    original = np.concatenate([data.x, data.x_test])[:, 0] * column.scale + column.shift
    assert sorted(original.round(4)) == list(range(50))
    np.testing.assert_array_equal(np.concatenate([data.y, data.y_test]), original.round() % 2 == 0)
    assert np.bincount(data.y_test).tolist() == [5, 5]  # each class has its share
    np.testing.assert_array_equal(load_table(path).x, data.x)
    assert not np.array_equal(load_table(path, seed=1).x, data.x)
    whole = load_table(path, test_fraction=0)
    assert (whole.x.shape, whole.x_test, whole.y_test) == ((50, 1), None, None)
    ordered = load_table(path, split="ordered", standardize=False)
    assert ordered.x_test[:, 0].tolist() == list(range(40, 50))
    with pytest.raises(InputError, match="split='sorted' is unknown"):
        load_table(path, split="sorted")


@pytest.mark.parametrize("counts", [[5, 5], [1, 30], [1, 1, 1, 7], [2, 3, 50]])
@pytest.mark.parametrize("fraction", [0, 0.2, 0.5, 0.9])
def test_each_class_has_its_share_of_the_test_rows(counts, fraction):
    classes = np.repeat(np.arange(len(counts)), counts)
    train, test = split_rows(len(classes), fraction, 3, classes)
    assert sorted([*train, *test]) == list(range(len(classes)))
    tested = np.bincount(classes[test], minlength=len(counts))
    assert (tested < counts).all()  # at least one row of each to train on
    few = np.array(counts) * (1 - fraction) < 1
    assert (np.abs(tested - fraction * np.array(counts))[~few] <= 1 + few.sum()).all()


def test_ilpd_lacks_four_values():
    path = real("ilpd", "indian_liver_patient.csv")
    with pytest.raises(InputError, match=r"'Albumin_and_Globulin_Ratio' \(4\), of 583 rows"):
        load(path, test_fraction=0, missing="error")
    dropped, filled = (load(path, missing=missing) for missing in ("drop", "impute"))
    assert len(dropped.x) + len(dropped.x_test) == 579
    assert filled.x.shape == (466, 12)
    assert np.bincount(filled.y).sum() + np.bincount(filled.y_test).sum() == 583
    assert filled.class_names == ("1", "2")
    assert filled.feature_names[:3] == ("Age", "Gender=Female", "Gender=Male")


def test_fish_are_classified_and_weighed():
    path = real("fish", "Fish.csv")
    species = load(path, target="Species", test_fraction=0)
    assert species.class_names == ("Bream", "Parkki", "Perch", "Pike", "Roach", "Smelt", "Whitefish")
    assert np.bincount(species.y).tolist() == [35, 11, 56, 17, 20, 14, 6]
    assert species.feature_names == ("Weight", "Length1", "Length2", "Length3", "Height", "Width")
    weight = load(path, target="Weight", standardize_target=True)
    assert weight.task == "regression"
    assert (weight.x.shape, weight.x_test.shape) == ((127, 12), (32, 12))
    in_grams = weight.encoder.decode_target(np.concatenate([weight.y, weight.y_test]))
    assert in_grams.max() == pytest.approx(1650)
    assert in_grams.min() == pytest.approx(0, abs=1e-9)


def test_housing_has_blanks_and_a_category():
    data = load(
        real("california-housing", "housing.csv"),
        target="median_house_value",
        test_fraction=0,
    )
    assert data.x.shape == (20640, 14)
    assert data.x[:, 9:].sum(axis=0).tolist() == [9136, 6551, 5, 2290, 2658]
    assert data.x[:, data.feature_names.index("total_bedrooms is missing")].sum() == 207
    assert data.y.max() == 500001


def test_adult_has_two_files_with_labels_written_differently():
    train = read_table(real("adult", "adult.data"), header=False)
    test = read_table(real("adult", "adult.test"), header=False, skip_lines=1)
    encoder = TableEncoder.fit(train, strip_label=".")
    x, y = encoder.transform(train)
    x_test, y_test = encoder.transform(test)
    assert (x.shape, x_test.shape) == ((32561, 108), (16281, 108))
    assert encoder.class_names == ("<=50K", ">50K")
    assert np.bincount(y).tolist() == [24720, 7841]
    assert np.bincount(y_test).tolist() == [12435, 3846]
    kept = TableEncoder.fit(train, missing="drop").kept_rows(train)
    assert len(train) - len(kept) == 2399
