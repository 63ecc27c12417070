"""Tables: reading CSV files, and turning their text into arrays the same way every time."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp.datasets import Table, TableEncoder, load, load_csv, read_csv
from fastmlp.errors import InputError

REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(**columns: str) -> Table:
    """A table whose columns are words: table(a="1 2", b="x y")."""
    return Table(tuple(columns), tuple(tuple(text.split()) for text in columns.values()))


def real(*parts: str) -> Path:
    """A file of the real data, or a skip."""
    if "FASTMLP_DATA" not in os.environ:
        pytest.skip("the environment variable FASTMLP_DATA does not name the folder of the real data")
    return Path(os.environ["FASTMLP_DATA"], *parts)


# Reading.


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\n1,x\n2,y",
        "a,b\r\n1,x\r\n2,y\r\n",
        "a,b\r1,x\r2,y\r",
        "\ufeffa,b\n1,x\n2,y\n",
        " a , b \n1,  x\n 2, y \n",
        '"a","b"\n1, "x"\n2,"y"\n',
        "\n\na,b\n\n1,x\n  \n2,y\n\n\n",
        "a,b\r\r\n1,x\r\r\n2,y\r\r\n",
    ],
)
def test_one_table_written_in_many_ways(tmp_path, content):
    expected = Table(("a", "b"), (("1", "2"), ("x", "y")))
    assert read_csv(write(tmp_path / "t.csv", content)) == expected
    assert read_csv(str(tmp_path / "t.csv")) == expected


def test_quotes_hold_delimiters_line_ends_and_quotes(tmp_path):
    path = write(tmp_path / "t.csv", 'a,b\n"1,5","say ""hi""\nthere"\n')
    assert read_csv(path).columns == (("1,5",), ('say "hi"\nthere',))


def test_an_empty_field_stays_and_a_row_of_them_is_not_blank(tmp_path):
    assert read_csv(write(tmp_path / "t.csv", "a,b\n,\n1,\n")).columns == (("", "1"), ("", ""))


@pytest.mark.parametrize(("delimiter", "content"), [(";", "1;2,5"), ("\t", "1\t2,5"), (" ", "1 2,5")])
def test_another_delimiter(tmp_path, delimiter, content):
    path = write(tmp_path / "t.csv", content)
    read = read_csv(path, header=False, delimiter=delimiter)
    assert read == Table(("column0", "column1"), (("1",), ("2,5",)))


def test_skipped_lines_need_not_be_csv(tmp_path):
    path = write(tmp_path / "t.csv", 'a "note\n\na,b\n1,2\n')
    assert read_csv(path, skip_lines=2) == Table(("a", "b"), (("1",), ("2",)))


def test_a_table_gives_columns_rows_and_its_length():
    whole = table(a="1 2 3", b="x y z")
    assert len(whole) == 3
    assert whole["b"] == ("x", "y", "z")
    assert whole.take(np.array([2, 0])) == table(a="3 1", b="z x")
    with pytest.raises(InputError, match=r"no column 'c'. Columns: a, b"):
        whole["c"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "holds no rows"),
        ("\n \n\n", {}, "holds no rows"),
        ("a,b\n1,2\n", {"skip_lines": 2}, "after 2 skipped lines"),
        ("a,b\n", {}, "holds column names, but no rows"),
        ("a,b\n1,2\n\n1,2,3\n", {}, r"Line 4 of .* has 3 fields; the first row has 2"),
        ("note\na,b\n1\n", {"skip_lines": 1}, r"Line 3 of .* has 1 fields; the first row has 2"),
        ('a,b\n"1\n2",3\n4\n', {}, "Line 4 of"),
        ("a,a\n1,2\n", {}, "Column 2 of .* is named 'a', like another one"),
        ("a, \n1,2\n", {}, "Column 2 of .* has no name"),
        ('a,b\n"1,2\n', {}, r"Line 2 of .* is not CSV: unexpected end of data"),
        ('note\na,b\n"1"2,3\n', {"skip_lines": 1}, r"Line 3 of .* is not CSV"),
        ("a,b\n" + "1" * 200_000 + ",2\n", {}, "field larger than field limit"),
        (b"a,b\n1,2\n3,caf\xe9\n", {}, "not UTF-8: byte 0xe9 in line 3. Save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), {}, "not UTF-8: byte 0xff in line 1"),
        ("a", {"delimiter": ""}, "delimiter=''"),
        ("a", {"delimiter": ",,"}, "delimiter=',,'"),
        ("a", {"delimiter": '"'}, "cannot separate"),
        ("a", {"delimiter": "\n"}, "cannot separate"),
        ("a", {"delimiter": None}, "delimiter=None"),
        ("a", {"skip_lines": -1}, "skip_lines=-1"),
        ("a", {"skip_lines": True}, "skip_lines=True"),
    ],
)
def test_a_bad_file_or_option_is_refused(tmp_path, content, options, message):
    with pytest.raises(InputError, match=message):
        read_csv(write(tmp_path / "t.csv", content), **options)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: No such file"):
        read_csv(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="Is a directory"):
        read_csv(tmp_path)


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6).map(str.strip)


@REPEATED
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(FIELDS, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_python_writes_is_read_back(tmp_path, rows, line_end):
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    path = write(tmp_path / "t.csv", stream.getvalue())
    assert read_csv(path, header=False).columns == tuple(zip(*rows, strict=True))


@REPEATED
@given(
    st.text(st.sampled_from('a1,;." \t\r\n\ufeff\0é|'), max_size=60).map(str.encode) | st.binary(max_size=60),
    st.booleans(),
    st.sampled_from(",; \t|"),
    st.integers(0, 2),
)
def test_random_text_is_a_table_or_an_input_error(tmp_path, content, header, delimiter, skip_lines):
    path = write(tmp_path / "t.csv", content)
    try:
        read = read_csv(path, header=header, delimiter=delimiter, skip_lines=skip_lines)
    except InputError:
        return
    assert len(set(read.names)) == len(read.names) == len(read.columns)
    assert {len(column) for column in read.columns} == {len(read)}
    assert len(read) >= 1


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
    np.testing.assert_allclose(x, expected, rtol=1e-15)
    assert x.dtype == np.float64
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


def test_standardize_can_be_off_and_equal_numbers_become_zero():
    numbers = table(a="0.1 0.1 0.1", b="1 2 4", y="1.5 2.5 4")
    x, y = TableEncoder.fit(numbers, standardize=False).transform(numbers)
    np.testing.assert_array_equal(x, [[0.1, 1], [0.1, 2], [0.1, 4]])
    np.testing.assert_array_equal(y, [1.5, 2.5, 4])
    x, _ = TableEncoder.fit(numbers).transform(numbers)
    np.testing.assert_allclose(x[:, 0], 0, atol=1e-15)
    assert x[:, 1].std() == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ("a b", "classification"),
        ("1 x", "classification"),
        ("1 2", "classification"),
        ("1.0 2.0", "classification"),
        (" ".join(map(str, range(20))), "classification"),
        (" ".join(map(str, range(21))), "regression"),
        ("1 2.5", "regression"),
        ("1_0.5 2_0.5", "classification"),
    ],
)
def test_auto_chooses_the_task_by_the_targets(labels, task):
    data = table(a=" ".join("1" for _ in labels.split()), y=labels)
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
    assert encoder.target.name == "b"
    assert encoder.feature_names == ("a", "c")


def test_categorical_columns_can_be_listed():
    data = table(zip="10 9 10", size="1 2 3", y="a b a")
    encoder = TableEncoder.fit(data, categorical=["zip"])
    assert encoder.feature_names == ("zip=9", "zip=10", "size")
    with pytest.raises(InputError, match="Column 'size' holds 'big' in row 2"):
        TableEncoder.fit(table(zip="1 2", size="1 big", y="a b"), categorical=["zip"])


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


def test_missing_values_are_refused_by_default():
    with pytest.raises(InputError, match=r"missing in 'a' \(1\), 'b' \(1\), of 4 rows.*'drop'.*'impute'"):
        TableEncoder.fit(HOLES)
    encoder = TableEncoder.fit(HOLES, missing_values=["5"], categorical=["a", "b"], missing="impute")
    assert encoder.feature_names == ("a=1", "a=6", "a=?", "a=missing", "b=?", "b=x", "b=y")


def test_rows_with_missing_values_can_be_dropped():
    encoder = TableEncoder.fit(HOLES, missing="drop", standardize=False)
    x, y = encoder.transform(HOLES)
    assert encoder.kept_rows(HOLES).tolist() == [0, 3]
    np.testing.assert_array_equal(x, [[1, 1, 0], [6, 0, 1]])
    assert y.tolist() == [0, 1]
    with pytest.raises(InputError, match="leaves none"):
        encoder.transform(table(a="? 1", b="x ?"))
    with pytest.raises(InputError, match="leaves none"):
        TableEncoder.fit(table(a="? 1", y="x ?"), missing="drop")


def test_a_column_left_out_may_lack_values():
    assert TableEncoder.fit(HOLES, drop_columns=["a"], missing="drop").kept_rows(HOLES).size == 3


def test_missing_values_can_be_filled_in():
    encoder = TableEncoder.fit(HOLES, missing="impute", standardize=False)
    assert encoder.feature_names == ("a", "b=x", "b=y", "b=missing")
    x, _ = encoder.transform(HOLES)
    np.testing.assert_array_equal(x, [[1, 1, 0, 0], [4, 0, 1, 0], [5, 0, 0, 1], [6, 0, 1, 0]])
    scaled, _ = TableEncoder.fit(HOLES, missing="impute").transform(HOLES)
    np.testing.assert_allclose(scaled[:, 0], np.array([-3, 0, 1, 2]) / np.sqrt(14 / 3))
    with pytest.raises(InputError, match=r"missing in 'y' .*cannot be filled in"):
        TableEncoder.fit(table(a="1 2", y="p ?"), missing="impute")


def test_a_missing_value_where_none_was_fitted_gives_zeros():
    encoder = TableEncoder.fit(SMALL, missing="impute")
    np.testing.assert_array_equal(encoder.transform(table(size="?", colour="?"))[0], [[0, 0, 0, 0]])


def test_a_category_called_missing_is_not_a_missing_value():
    data = table(b="missing ? x", y="p q p")
    x, _ = TableEncoder.fit(data, missing="impute").transform(data)
    np.testing.assert_array_equal(x, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_a_number_not_finite_is_missing_only_if_listed():
    data = table(a="1 inf 3", y="p q p")
    with pytest.raises(InputError, match="Column 'a' holds 'inf' in row 2, which is not a finite number"):
        TableEncoder.fit(data)
    encoder = TableEncoder.fit(data, missing="impute", missing_values=["inf"], standardize=False)
    np.testing.assert_array_equal(encoder.transform(data)[0], [[1], [2], [3]])


MANY = " ".join(f"w{i}" for i in range(1001))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (SMALL, {"target": "size2"}, "target='size2' is no column.*from 0 to 2"),
        (SMALL, {"target": 3}, "target=3"),
        (SMALL, {"target": -4}, "target=-4"),
        (SMALL, {"target": True}, "target=True"),
        (SMALL, {"task": "clustering"}, "task='clustering' is unknown. Choose 'auto' or"),
        (SMALL, {"task": "regression"}, "Column 'kind' holds 'b' in row 1.*task='classification'"),
        (SMALL, {"missing": "ignore"}, "missing='ignore' is unknown"),
        (SMALL, {"missing_values": "?"}, r"missing_values='\?' is not a list"),
        (SMALL, {"missing_values": [1]}, r"missing_values=\[1\]"),
        (SMALL, {"missing_values": None}, "missing_values=None"),
        (SMALL, {"categorical": "size"}, "categorical='size' is not a list"),
        (SMALL, {"categorical": ["kind"]}, "categorical='kind' is not a feature. Features: 'size', 'colour'"),
        (SMALL, {"drop_columns": ["kind"]}, "drop_columns='kind' is the target"),
        (SMALL, {"drop_columns": ["sise"]}, "drop_columns='sise' is not in the table"),
        (SMALL, {"drop_columns": ["size", "colour"]}, "no column to learn from"),
        (table(y="1 2"), {}, "no column to learn from"),
        (SMALL, {"standardize_target": True}, "standardize_target=True is for numbers"),
        (table(a="? ?", y="1 2"), {"missing": "impute"}, "Column 'a' holds no value in 2 rows"),
        (table(a="1e308 -1e308 1e308", y="1 2 3"), {}, r"Column 'a' holds numbers up to 1e\+308, too large"),
        (table(a="1 2", y="1e308 -1.1e308"), {"task": "regression", "standardize_target": True}, "too large"),
        (table(a="1 2", y="0.5 nan"), {"missing_values": []}, "Column 'y' holds 'nan' in row 2"),
        (table(a="1 2 3", y="1 2 1.0"), {}, "labels '1' and '1.0', the same number"),
        (table(a=MANY, y=MANY), {}, "'w0', which is not a number, and 1001 different values"),
    ],
)
def test_what_cannot_be_fitted_is_refused(data, options, message):
    with pytest.raises(InputError, match=message):
        TableEncoder.fit(data, **options)


def test_many_categories_are_taken_when_asked_for():
    data = table(a=MANY, y=MANY)
    assert len(TableEncoder.fit(data, categorical=["a"]).feature_names) == 1001


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (table(size="1", kind="a"), "lacks the columns 'colour'; it has 'size', 'kind'"),
        (table(size="big", colour="red"), "Column 'size' holds 'big' in row 1"),
        (table(size="1", colour="red", kind="c"), "the label 'c', which is none of the classes 'a', 'b'"),
        (table(size="? 1", colour="red red"), r"missing in 'size' \(1\)"),
        (table(size="1", colour="red", kind="?"), r"missing in 'kind' \(1\)"),
    ],
)
def test_what_does_not_fit_the_encoder_is_refused(later, message):
    with pytest.raises(InputError, match=message):
        TableEncoder.fit(SMALL).transform(later)


def test_a_number_too_large_for_the_fitted_scale_is_refused():
    encoder = TableEncoder.fit(table(a="0 1e-150", y="0 1e-150"), task="regression", standardize_target=True)
    with pytest.raises(InputError, match="Column 'a' holds numbers up to 1e\\+200, too large"):
        encoder.transform(table(a="1e200"))
    with pytest.raises(InputError, match="target 'y' holds numbers up to 1e\\+200, too large"):
        encoder.transform(table(a="0", y="1e200"))


CELLS = st.sampled_from(["", "?", "0", "1", "-2.5", "1e308", "inf", "nan", "x", "1_0", "é"])


@REPEATED
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
    st.sampled_from(["auto", "classification", "regression"]),
    st.sampled_from(["error", "drop", "impute"]),
    st.booleans(),
)
def test_any_table_is_encoded_or_refused(rows, task, missing, standardize):
    data = Table(("a", "b", "y"), tuple(zip(*rows, strict=True)))
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
        {"missing": "impute", "missing_values": ["red", "red"], "strip_label": ".!"},
    ],
)
def test_an_encoder_survives_json(options):
    encoder = TableEncoder.fit(SMALL, **options)
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    assert again == encoder
    for mine, theirs in zip(again.transform(SMALL), encoder.transform(SMALL), strict=True):
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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "must be a dictionary with the keys columns, target, missing, missing_values; it is NoneType"),
        ([], "it is list"),
        ({}, "it is keys"),
        (saved("extra", value=1), "it is keys .*'extra'"),
        (saved("columns", value={}), "'columns' must be a list"),
        (saved("columns", value=[]), "needs features"),
        (saved("columns", value=[1]), "A numeric column must be a dictionary"),
        (saved("columns", 0, "kind", value="bytes"), "'kind' must be 'numeric'; it is 'bytes'"),
        (saved("columns", 0, "kind", value=[]), "'kind' must be 'numeric'"),
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
        (saved("columns", 1, "categories", value=[]), "has no categories"),
        (saved("columns", 1, "has_missing", value=1), "'has_missing' must be true or false"),
        (saved("target", value=None), "A number target must be a dictionary"),
        (saved("target", "class_names", value=[]), "has no class names"),
        (saved("target", "strip_label", value=None), "'strip_label' must be a string"),
        (saved("missing", value="ignore"), "'missing' must be 'error' or 'drop' or 'impute'; it is 'ignore'"),
        (saved("missing_values", value=[1]), "'missing_values' must be a list of different strings"),
        (
            {**SAVED_REGRESSION, "target": {**SAVED_REGRESSION["target"], "std": -1.0}},
            "'std' must be .* above 0",
        ),
        ({**SAVED_REGRESSION, "target": {**SAVED_REGRESSION["target"], "kind": ""}}, "must be 'regression'"),
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
    ("target",),
    ("missing",),
    ("missing_values",),
    *(("columns", 0, key) for key in ("kind", "name", "fill", "shift", "scale")),
    *(("columns", 1, key) for key in ("kind", "name", "categories", "has_missing")),
    *(("target", key) for key in ("kind", "name", "class_names", "strip_label")),
]


@REPEATED
@given(st.sampled_from(PLACES), JSON)
def test_a_random_value_anywhere_is_read_or_refused(place, value):
    try:
        encoder = TableEncoder.from_dict(saved(*place, value=value))
    except InputError:
        return
    assert TableEncoder.from_dict(encoder.to_dict()) == encoder


# CSV files as data sets.


def test_a_csv_file_is_split_and_encoded_by_its_training_rows(tmp_path):
    content = "a,y\n" + "".join(f"{i},{'no' if i % 2 else 'yes'}\n" for i in range(50))
    path = write(tmp_path / "even.csv", content)
    data = load_csv(path)
    assert (data.name, data.task, data.class_names) == ("even", "classification", ("no", "yes"))
    assert (data.x.shape, data.x_test.shape) == ((40, 1), (10, 1))
    assert data.x.mean() == pytest.approx(0)
    assert data.x.std() == pytest.approx(1)
    column = data.encoder.columns[0]
    original = np.concatenate([data.x, data.x_test])[:, 0] * column.scale + column.shift
    assert sorted(original.round(9)) == list(range(50))
    np.testing.assert_array_equal(np.concatenate([data.y, data.y_test]), original.round() % 2 == 0)
    np.testing.assert_array_equal(load_csv(path).x, data.x)
    assert not np.array_equal(load_csv(path, seed=1).x, data.x)
    whole = load_csv(path, test_fraction=0)
    assert (whole.x.shape, whole.x_test, whole.y_test) == ((50, 1), None, None)


def test_ilpd_lacks_four_values():
    path = real("ilpd", "indian_liver_patient.csv")
    with pytest.raises(InputError, match=r"'Albumin_and_Globulin_Ratio' \(4\), of 583 rows"):
        load(path, test_fraction=0)
    dropped, filled = (load(path, missing=missing) for missing in ("drop", "impute"))
    assert len(dropped.x) + len(dropped.x_test) == 579
    assert filled.x.shape == (466, 11)
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
        missing="impute",
        test_fraction=0,
    )
    assert data.x.shape == (20640, 13)
    assert data.x[:, 8:].sum(axis=0).tolist() == [9136, 6551, 5, 2290, 2658]
    assert (data.x[:, data.feature_names.index("total_bedrooms")] == 0).sum() == 207
    assert data.y.max() == 500001


def test_adult_has_two_files_with_labels_written_differently():
    train = read_csv(real("adult", "adult.data"), header=False)
    test = read_csv(real("adult", "adult.test"), header=False, skip_lines=1)
    encoder = TableEncoder.fit(train, missing="impute", strip_label=".")
    x, y = encoder.transform(train)
    x_test, y_test = encoder.transform(test)
    assert (x.shape, x_test.shape) == ((32561, 108), (16281, 108))
    assert encoder.class_names == ("<=50K", ">50K")
    assert np.bincount(y).tolist() == [24720, 7841]
    assert np.bincount(y_test).tolist() == [12435, 3846]
    kept = TableEncoder.fit(train, missing="drop").kept_rows(train)
    assert len(train) - len(kept) == 2399
