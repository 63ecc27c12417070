"""Folders of image files: small ones, refused ones, and the real data."""

import os
from pathlib import Path

import numpy as np
import pytest
from dataset_files import image_files

from fastmlp.datasets import load, load_idx_folder
from fastmlp.errors import InputError


def real(name: str) -> Path:
    """A folder of the real data; skips the test without it."""
    if "FASTMLP_DATA" not in os.environ:
        pytest.skip("the environment variable FASTMLP_DATA does not name the folder of the real data")
    return Path(os.environ["FASTMLP_DATA"], name)


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_images_is_loaded_under_each_naming(tmp_path, mark, suffix):
    data = load_idx_folder(image_files(tmp_path, mark, suffix), "toy")
    expected = (np.arange(30, dtype=np.float32).reshape(5, 6) * 8) / np.float32(255)
    np.testing.assert_array_equal(data.x, expected, strict=True)
    np.testing.assert_array_equal(data.y, np.array([0, 2, 1, 0, 2], np.int64), strict=True)
    np.testing.assert_array_equal(data.x_test, np.ones((3, 6), np.float32), strict=True)
    assert data.y_test.tolist() == [1, 0, 2]
    assert (data.name, data.task, data.class_names) == ("toy", "classification", ("0", "1", "2"))
    assert data.feature_names[-1] == "pixel5"


def test_a_folder_gives_its_name_and_fashion_its_classes(tmp_path, monkeypatch):
    (tmp_path / "fashion-mnist").mkdir()
    monkeypatch.chdir(image_files(tmp_path / "fashion-mnist"))
    data = load_idx_folder(".")
    assert data.name == "fashion-mnist"
    assert (data.class_names[0], data.class_names[9]) == ("T-shirt/top", "Ankle boot")


def test_a_missing_image_file_is_named_with_the_places_looked_at(tmp_path):
    image_files(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"lacks the t10k-labels .*t10k-labels\.idx1-ubyte\.gz"):
        load_idx_folder(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(4, np.uint8)}, r"training images .* \(5, 2, 3\) .* labels \(4,\)"),
        ({"t10k_labels": np.zeros((3, 1), np.uint8)}, r"test images .* labels \(3, 1\)"),
        ({"t10k_images": np.zeros((3, 3, 2), np.uint8)}, r"\(2, 3\) for training and \(3, 2\) for testing"),
        ({"train_images": np.zeros(5, np.uint8)}, r"have the shape \(5,\)"),
        ({"train_images": np.zeros((5, 2, 3), np.float32)}, "are float32 and their labels uint8"),
        ({"t10k_labels": np.zeros(3, np.int32)}, "labels int32"),
        ({"t10k_labels": np.full(3, 10, np.uint8)}, "have the label 10. Only 0 to 9"),
    ],
)
def test_image_files_that_do_not_belong_together_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        load_idx_folder(image_files(tmp_path, **changes), "fashion-mnist")


@pytest.mark.parametrize(
    ("name", "ink", "train_counts", "test_counts"),
    [
        (
            "mnist",
            33.318,
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        ),
        ("fashion-mnist", 72.940, [6000] * 10, [1000] * 10),
    ],
)
def test_the_real_image_sets(name, ink, train_counts, test_counts):
    real(name)
    data = load(name)
    assert (data.x.shape, data.x.dtype, data.x_test.shape) == ((60000, 784), np.float32, (10000, 784))
    assert np.bincount(data.y).tolist() == train_counts
    assert np.bincount(data.y_test).tolist() == test_counts
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert data.x.mean(dtype=np.float64) * 255 == pytest.approx(ink, abs=1e-3)
    assert len(data.class_names) == 10
