"""The sets of scikit-learn and the random ones: their contents, splits and seeds."""

import numpy as np
import pytest
import sklearn.datasets

from fastmlp import datasets
from fastmlp.datasets import load
from fastmlp.errors import InputError


@pytest.mark.parametrize(
    ("name", "task", "rows", "features", "classes"),
    [
        ("digits", "classification", 1797, 64, 10),
        ("breast_cancer", "classification", 569, 30, 2),
        ("diabetes", "regression", 442, 10, 0),
        ("iris", "classification", 150, 4, 3),
    ],
)
def test_the_sets_of_scikit_learn(name, task, rows, features, classes):
    data = load(name)
    assert (data.name, data.task) == (name, task)
    assert (len(data.class_names), len(data.feature_names)) == (classes, features)
    n_test = -(-rows // 5)
    assert (data.x.shape, data.x_test.shape) == ((rows - n_test, features), (n_test, features))
    assert (data.y.shape, data.y_test.shape) == ((rows - n_test,), (n_test,))
    assert data.y.dtype == (np.float64 if task == "regression" else np.int64)
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_array_equal(
        np.sort(np.concatenate([data.y, data.y_test])), np.sort(bunch.target).astype(data.y.dtype)
    )
    np.testing.assert_array_equal(load(name).x, data.x)
    assert not np.array_equal(load(name, seed=1).x, data.x)
    whole = load(name, test_fraction=0)
    assert (len(whole.x), whole.x_test, whole.y_test) == (rows, None, None)
    if name == "digits":
        assert data.x.dtype == np.float32
        assert (data.x.min(), data.x.max()) == (0, 1)
    else:
        np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(data.x.std(axis=0), 1)
        assert abs(data.x_test.mean(axis=0)).max() > 1e-3


def test_inputs_and_labels_stay_together_in_the_split():
    data, bunch = load("digits"), sklearn.datasets.load_digits()
    labels = {row.tobytes(): label for row, label in zip(bunch.data, bunch.target, strict=True)}
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        assert [labels[(16.0 * row.astype(np.float64)).tobytes()] for row in x] == y.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 1}, "test_fraction=1 is not a share"),
        ({"test_fraction": -0.1}, "test_fraction=-0.1"),
        ({"test_fraction": float("nan")}, "test_fraction=nan"),
        ({"test_fraction": 0.9999}, "150 rows .* leave none to train on"),
        ({"seed": -1}, "seed=-1 is no seed"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_a_split_out_of_range_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        load("iris", **options)


def test_spirals_wind_outwards_without_noise():
    data = datasets.spirals(n=31, classes=3, noise=0)
    radius = np.hypot(*data.x.T)
    assert (data.x.shape, data.x.dtype, data.y.dtype) == ((31, 2), np.float64, np.int64)
    assert np.bincount(data.y).tolist() == [11, 10, 10]
    assert data.class_names == ("0", "1", "2")
    for label in range(3):
        arm = radius[data.y == label]
        assert arm[0] == 0
        assert (np.diff(arm) > 0).all()
        assert arm[-1] <= 1 + 1e-12
    # One arm turned by a third of a circle lies on the next.
    turn = np.exp(2j * np.pi / 3)
    arms = [(data.x[data.y == label] @ [1j, 1])[:10] for label in range(3)]
    np.testing.assert_allclose(arms[0] * turn, arms[1], atol=1e-12)
    np.testing.assert_allclose(arms[1] * turn, arms[2], atol=1e-12)


def test_xor_is_exact_without_noise():
    data = datasets.xor(4, noise=0)
    np.testing.assert_array_equal(data.x, [[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(data.y, np.array([0, 1, 1, 0], np.int64), strict=True)
    noisy = datasets.xor(2000, noise=0.1)
    assert (noisy.x - noisy.x.round()).std() == pytest.approx(0.1, rel=0.1)
    np.testing.assert_array_equal(noisy.y, np.logical_xor(*(noisy.x > 0.5).T))


@pytest.mark.parametrize("draw", [datasets.spirals, datasets.xor])
def test_drawn_sets_follow_their_seed(draw):
    first, again, other = draw(), draw(), draw(seed=1)
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x, other.x)
    assert not np.array_equal(first.x, first.x_test)
    np.testing.assert_array_equal(first.y, first.y_test)
    assert first.y is not first.y_test


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (datasets.spirals, {"n": 2}, "n=2 points are too few. Give a whole number from 3"),
        (datasets.spirals, {"n": 30.0}, "n=30.0"),
        (datasets.spirals, {"classes": 1}, "classes=1 cannot be told apart"),
        (datasets.spirals, {"noise": -1}, "noise=-1 is no standard deviation"),
        (datasets.xor, {"n": 3}, "n=3 points are too few"),
        (datasets.xor, {"noise": float("inf")}, "noise=inf"),
        (datasets.xor, {"noise": float("nan")}, "noise=nan"),
        (datasets.xor, {"seed": "0"}, "seed='0' is no seed"),
    ],
)
def test_drawn_sets_refuse_what_is_out_of_range(draw, options, message):
    with pytest.raises(InputError, match=message):
        draw(**options)
