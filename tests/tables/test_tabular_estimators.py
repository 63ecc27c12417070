"""TabularClassifier and TabularRegressor: scikit-learn's checks, and frames with categories and missing values."""

import pickle

import numpy as np
import polars as pl
import pytest
from cli.command import fail, predictions, run
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLP, InputError, ModelFileError, TabularClassifier, TabularRegressor

SMALL = {"hidden": [16], "epochs": 30, "backend": "numpy", "random_state": 0}
# Twice a sample is another order of the samples, another quantile, another number of updates.
REPEATED = {"check_sample_weight_equivalence_on_dense_data": "a weight of 2 is not a sample that comes twice"}
CHECKS = parametrize_with_checks(
    [TabularClassifier(**SMALL), TabularRegressor(**SMALL)], expected_failed_checks=lambda estimator: REPEATED
).mark


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
    assert [column.width for column in model.preparation_.expansion.columns] == [6, 1, 4, 1]
    unseen = pandas.DataFrame({"power": [100.0], "colour": ["pink"], "town": ["elsewhere"]})
    assert price[:500].min() <= model.predict(unseen)[0] <= price[:500].max()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(frame), model.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"power": "strength"}))


def test_frames_of_polars(cars):
    frame, price = cars
    model = TabularRegressor(**SMALL | {"epochs": 3}).fit(frame, price)
    polars_frame = pl.from_pandas(frame)
    other = TabularRegressor(**SMALL | {"epochs": 3}).fit(polars_frame.lazy(), price)
    np.testing.assert_array_equal(other.predict(polars_frame), model.predict(frame))
    np.testing.assert_array_equal(other.predict(polars_frame.lazy()), model.predict(frame))


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


def test_weights_of_samples_and_classes(cars):
    frame, price = cars
    labels = np.where(price > 1e4, "dear", "cheap")
    plain = TabularClassifier(**SMALL).fit(frame, labels).predict(frame)
    weights = np.where(labels == "dear", 50.0, 1.0)
    by_sample = TabularClassifier(**SMALL).fit(frame, labels, weights).predict(frame)
    by_class = TabularClassifier(**SMALL, class_weight={"dear": 50.0}).fit(frame, labels).predict(frame)
    assert (by_sample == "dear").sum() > (plain == "dear").sum()
    np.testing.assert_array_equal(by_sample, by_class)
    balanced = TabularClassifier(**SMALL, class_weight="balanced").fit(frame, labels)
    assert balanced.score(frame, labels) > 0.8
    with pytest.raises(ValueError, match="Negative"):
        TabularRegressor(**SMALL).fit(frame, price, -weights)


@pytest.mark.parametrize("kind", ["texts", "whole numbers", "bools", "numbers", "two columns of numbers"])
def test_a_file_keeps_everything(cars, kind, tmp_path):
    frame, price = cars
    y = {
        "texts": np.array(["low", "mid", "high"])[np.digitize(price, [9e3, 1.2e4])],
        "whole numbers": 7 - np.digitize(price, [9e3, 1.2e4]),
        "bools": price > 1e4,
        "numbers": price,
        "two columns of numbers": np.column_stack([price, -price]),
    }[kind]
    estimator = TabularRegressor if "numbers" in kind and "whole" not in kind else TabularClassifier
    model = estimator(**SMALL | {"epochs": 3}).fit(frame, y)
    model.save(tmp_path / "m.safetensors")
    again = estimator.load(tmp_path / "m.safetensors", backend="numpy")
    predicted = again.predict(frame)
    np.testing.assert_array_equal(predicted, model.predict(frame))
    assert predicted.dtype == model.predict(frame).dtype and [*again.feature_names_in_] == ["power", "colour", "town"]
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame[["colour", "power", "town"]])
    other = TabularClassifier if estimator is TabularRegressor else TabularRegressor
    with pytest.raises(ModelFileError, match=f"holds a model for .*; {other.__name__} reads"):
        other.load(tmp_path / "m.safetensors")


def test_the_command_line_and_the_estimators_read_each_other(cars, tmp_path):
    frame, price = cars
    table = tmp_path / "cars.csv"
    frame.assign(price=price).to_csv(table, index=False)
    TabularRegressor(**SMALL | {"epochs": 3}).fit(frame, price).save(tmp_path / "python.safetensors")
    mine = TabularRegressor.load(tmp_path / "python.safetensors").predict(frame)
    rows = predictions(tmp_path / "python.safetensors", table)
    np.testing.assert_allclose(np.array(rows, float)[:, 0], mine, rtol=1e-6)
    fail("evaluate", tmp_path / "python.safetensors", table, about="what column holds the targets is not known")
    out = ["--out", tmp_path / "shell.safetensors", "--quiet", "--epochs", 2]
    assert run("train", table, "--target", "price", "--backend", "numpy", *out).code == 0
    theirs = TabularRegressor.load(tmp_path / "shell.safetensors").predict(frame)
    rows = predictions(tmp_path / "shell.safetensors", table)
    np.testing.assert_allclose(np.array(rows, float)[:, 0], theirs, rtol=1e-6)
    with pytest.raises(ValueError, match="lacks the columns 'town'"):
        TabularRegressor.load(tmp_path / "shell.safetensors").predict(frame[["power", "colour"]])
    assert run("train", "iris", "--backend", "numpy", *out).code == 0
    with pytest.raises(ModelFileError, match="other data than a table"):
        TabularClassifier.load(tmp_path / "shell.safetensors")


def test_labels_that_no_file_holds(cars, tmp_path):
    frame, price = cars
    labels = np.where(price > 1e4, 1 + 0j, 2 + 0j).astype(object)
    model = TabularClassifier(**SMALL | {"epochs": 1}).fit(frame, (price > 1e4).astype(int))
    model.classes_ = np.unique(labels.astype(complex))
    with pytest.raises(InputError, match="texts, bools or numbers"):
        model.save(tmp_path / "m.safetensors")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", ["a", "b"]), ("labels", [1, None]), ("labels", 5), ("feature_names", [1]), ("more", 1)],
)
def test_a_damaged_file_is_refused(cars, key, value, tmp_path):
    frame, price = cars
    model = TabularClassifier(**SMALL | {"epochs": 1}).fit(frame, (price > 1e4).astype(int))
    model.save(tmp_path / "m.safetensors")
    network = MLP.load(tmp_path / "m.safetensors")
    network.metadata["fastmlp.tables.estimators"][key] = value
    network.save(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="is damaged"):
        TabularClassifier.load(tmp_path / "m.safetensors")


def test_the_seed_repeats_a_fit(cars):
    frame, price = cars
    one, two = (TabularRegressor(**SMALL | {"epochs": 2}).fit(frame, price).predict(frame) for _ in range(2))
    np.testing.assert_array_equal(one, two)
