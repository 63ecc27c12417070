"""Table files as data sets: splits, and the real tables."""

import os
from pathlib import Path

import numpy as np
import pytest

from fastmlp.datasets import TableEncoder, load, load_table, read_table
from fastmlp.errors import InputError
from fastmlp.splits import split_rows


def real(*parts: str) -> Path:
    """A file of the real data; skips the test without it."""
    if "FASTMLP_DATA" not in os.environ:
        pytest.skip("the environment variable FASTMLP_DATA does not name the folder of the real data")
    return Path(os.environ["FASTMLP_DATA"], *parts)


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
