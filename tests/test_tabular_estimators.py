"""TabularClassifier and TabularRegressor: scikit-learn's checks, and frames with categories and holes."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import TabularClassifier, TabularRegressor

SMALL = {"hidden": [16], "epochs": 30, "backend": "numpy", "random_state": 0}
CHECKS = parametrize_with_checks([TabularClassifier(**SMALL), TabularRegressor(**SMALL)]).mark


@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def pandas():
    return pytest.importorskip("pandas", reason="frames of pandas")


@pytest.fixture(scope="module")
def cars(pandas):
    """Prices of cars by a number, a colour, and a town of forty; some are missing."""
    random = np.random.RandomState(0)
    n = 600
    power, colour, town = random.randn(n), random.choice(["red", "green", "blue"], n), random.randint(40, size=n)
    frame = pandas.DataFrame({"power": power, "colour": colour, "town": [f"town {t}" for t in town]})
    price = 1e4 + 3e3 * power + 2e3 * (colour == "red") + 4e3 * np.sin(town)
    frame.loc[::50, "power"] = np.nan
    frame.loc[5::50, "colour"] = None
    return frame, price


def test_a_frame_with_categories_and_holes(cars, pandas):
    frame, price = cars
    model = TabularRegressor(backend="numpy", random_state=0).fit(frame[:500], price[:500])
    assert model.score(frame[500:], price[500:]) > 0.85
    assert [*model.feature_names_in_] == ["power", "colour", "town"]
    assert [column.width for column in model.expansion_.columns] == [6, 1, 4, 1]
    unseen = pandas.DataFrame({"power": [100.0], "colour": ["pink"], "town": ["elsewhere"]})
    assert price[:500].min() <= model.predict(unseen)[0] <= price[:500].max()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(frame), model.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"power": "strength"}))


def test_labels_of_any_kind(cars):
    frame, price = cars
    labels = np.where(price > 1e4, "dear", "cheap").astype(object)
    model = TabularClassifier(**SMALL)
    assert cross_val_score(clone(model), frame, labels, cv=2).min() > 0.8
    shares = model.fit(frame, labels).predict_proba(frame)
    assert [*model.classes_] == ["cheap", "dear"] and shares.shape == (600, 2)
    np.testing.assert_array_equal(model.predict(frame), model.classes_[shares.argmax(axis=1)])


def test_parameters_take_the_place_of_the_recipe(cars):
    frame, price = cars
    model = TabularRegressor(**SMALL, dropout=0, lr=0.02, decay=0.1, batch_size=50, bins=3, one_hot=2, clip=False)
    model.fit(frame, np.column_stack([price, -price]))
    assert (model.network_.sizes, model.network_.dropout) == ((1 + 3 + 1 + 2 + 2, 16, 2), [0.0])
    assert model.predict(frame).shape == (600, 2)
    assert len(model.network_.history) == 30
    recipe = model.recipe_
    assert (recipe.lr, recipe.decay, recipe.batch_size, recipe.clip) == (0.02, 0.1, 50, False)


def test_the_seed_repeats_a_fit(cars):
    frame, price = cars
    one, two = (TabularRegressor(**SMALL | {"epochs": 2}).fit(frame, price).predict(frame) for _ in range(2))
    np.testing.assert_array_equal(one, two)
