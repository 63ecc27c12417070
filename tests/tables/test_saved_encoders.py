"""Encoders as JSON: a saved encoder comes back equal, and a damaged one is refused."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tables import REPEATED, SMALL

from fastmlp.datasets import Table, TableEncoder
from fastmlp.errors import InputError


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
