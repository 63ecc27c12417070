"""Bins, indicators and means of the target: their features, their saved form, and that they do not leak targets."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import TargetEncoder

from fastmlp.datasets import TableEncoder
from fastmlp.errors import InputError
from fastmlp.recipes import tabular
from fastmlp.tables.features.bins import Binned
from fastmlp.tables.features.categories import Indicators, TargetMeans
from fastmlp.tables.features.expansion import Expansion
from fastmlp.tables.features.scaling import Range


def written(column, values):
    out = np.full((len(values), column.width), np.nan, np.float32)
    column.write(np.asarray(values, float), out)
    return out


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(0, 16))
def test_bins_add_up_to_the_place_among_the_edges(numbers, bins):
    values = np.array(numbers)
    column = Binned.fit(values, bins)
    out = written(column, values)
    np.testing.assert_array_equal(out[:, 0], values.astype(np.float32))
    if column.edges:
        place = np.interp(values, column.edges, np.arange(len(column.edges)))
        np.testing.assert_allclose(out[:, 1:].sum(axis=1), place, atol=1e-3)
        assert len(column.edges) <= bins + 1 and (column.edges[0], column.edges[-1]) == (values.min(), values.max())


def test_few_bins_where_values_repeat():
    assert Binned.fit(np.zeros(50), 16).width == 1
    assert Binned.fit(np.arange(50) % 2, 16).width == 1
    assert Binned.fit(np.arange(50) % 3, 16).edges == (0.0, 1.0, 2.0)


def test_indicators():
    np.testing.assert_array_equal(written(Indicators(3), [2, 0, -1]), [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(written(Indicators(2), [1, 0, -1]), [[1], [-1], [0]])
    np.testing.assert_array_equal(written(Indicators(1), [0, -1]), [[1], [0]])


def test_target_means_are_those_of_scikit_learn():
    random = np.random.RandomState(0)
    codes, targets = random.randint(12, size=400), random.randn(400, 1)
    targets[:, 0] += codes**2 / 30
    column, features = TargetMeans.fit(codes.astype(float), 13, targets, seed=0)
    theirs = TargetEncoder(target_type="continuous").fit(codes[:, None], targets[:, 0])
    codes = np.arange(12)
    ours, expected = written(column, codes)[:, 0], theirs.transform(codes[:, None])[:, 0]
    slope, shift = np.polyfit(expected, ours, 1)  # the same but for the scale
    np.testing.assert_allclose(ours, slope * expected + shift, atol=1e-5)
    np.testing.assert_allclose(written(column, [-1, 12]), np.full((2, 1), slope * targets.mean() + shift), atol=1e-5)
    np.testing.assert_allclose([features.mean(), features.std()], [0, 1], atol=1e-9)


def test_no_row_is_told_its_own_target():
    random = np.random.RandomState(0)
    codes, targets = np.arange(1000) // 2, random.randn(1000, 1)  # two rows a category, and nothing to learn
    column, features = TargetMeans.fit(codes.astype(float), 500, targets, seed=0)
    assert np.corrcoef(features[:, 0], targets[:, 0])[0, 1] < 0.1
    assert np.corrcoef(written(column, codes)[:, 0], targets[:, 0])[0, 1] > 0.5


def test_an_encoder_gives_codes_for_the_features_to_encode():
    table = pl.DataFrame({"size": [1, 3, 2], "colour": ["red", "blue", ""], "y": [1.5, 2.5, 3.5]})
    encoder = TableEncoder.fit(table, "y", missing="impute", codes=True)
    assert encoder.category_counts == (0, 3) and encoder.feature_names == ("size", "colour")
    np.testing.assert_array_equal(encoder.transform(table)[0][:, 1], [1, 0, 2])
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again == encoder
    unseen = pl.DataFrame({"size": [1], "colour": ["green"]})
    np.testing.assert_array_equal(again.transform(unseen)[0][:, 1], [-1])


def columns():
    random = np.random.RandomState(0)
    codes = [random.randint(low, high, 600) for low, high in ((0, 2), (-1, 4), (0, 30))]
    return np.column_stack([random.randn(600), *codes]), random.randn(600, 2)


def test_every_column_gets_what_suits_it_and_json_keeps_it():
    x, targets = columns()
    features, out = Expansion.fit(x, targets, [0, 2, 4, 30], bins=6, one_hot=9, seed=0)
    assert [column.width for column in features.columns] == [7, 1, 4, 2]
    assert out.shape == (600, features.width) and out.dtype == np.float32
    again = features.transform(x)
    np.testing.assert_array_equal(out[:, :12], again[:, :12])
    assert not np.array_equal(out[:, 12:], again[:, 12:])
    assert features.category_counts == (0, 2, 4, 30) and not features.changes_nothing
    kept = Expansion.from_dict(json.loads(json.dumps(features.to_dict())))
    assert kept == features
    np.testing.assert_array_equal(kept.transform(x), again)
    with pytest.raises(InputError, match="3 columns"):
        kept.transform(x[:, :3])


def test_means_take_the_place_of_indicators_only_where_they_are_fewer():
    x, _ = columns()
    classes = np.eye(30)[np.arange(600) % 30]
    features, _ = Expansion.fit(x[:, 3:], classes, [30], bins=0, one_hot=9, seed=0)
    assert isinstance(features.columns[0], Indicators)


def test_numbers_without_bins_change_nothing():
    x, targets = columns()
    assert Expansion.fit(x[:, :1], targets, [0], bins=0, one_hot=9, seed=0)[0].changes_nothing


def test_a_range_keeps_values_within():
    bounds = Range.of(np.array([[0.0, 5.0], [1.0, -5.0]]))
    np.testing.assert_array_equal(bounds.clip(np.array([[-1.0, 9.0], [0.5, 0.0]])), [[0, 5], [0.5, 0]])
    assert Range.from_dict(bounds.to_dict()) == bounds


@pytest.mark.parametrize(
    ("n", "columns", "bins"),
    [(399, 8, 0), (400, 8, 4), (900, 8, 9), (1600, 8, 16), (10**5, 20, 16), (10**6, 20, 0), (5000, 5000, 0)],
)
def test_bins_by_the_size_of_the_table(n, columns, bins):
    assert tabular("regression", n, columns).bins == bins
    assert tabular("classification", n, columns).bins == 0
