"""Table columns as arrays: numbers, categories, classes, targets and missing values."""

import numpy as np
import polars as pl
import pytest
from small_tables import SMALL, table

from fastmlp.datasets import TableEncoder
from fastmlp.errors import InputError


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
    assert "missing in 'size' (1), 'colour' (1); training had none there: imputed" in caplog.text


def test_unseen_categories_are_counted_and_said(caplog):
    encoder = TableEncoder.fit(SMALL)
    x, _ = encoder.transform(table(size="1 1 1", colour="violet red violet"))
    assert x[:, 1:].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert "column 'colour' holds 2 values not seen in training, such as 'violet'" in caplog.text


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
