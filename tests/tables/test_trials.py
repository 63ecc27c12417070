"""The choice between recipes by held-out samples."""

from dataclasses import replace

import numpy as np
import pytest

from fastmlp import MLP, TabularClassifier
from fastmlp.errors import DivergenceError
from fastmlp.recipes import candidates, tabular
from fastmlp.tables.trials import best_recipe

N = 150
RECIPE = tabular("classification", N, 6)


def samples(shift):
    """Three classes around points that far apart."""
    y = np.arange(N) % 3
    return np.random.RandomState(0).randn(N, 6) + shift * np.eye(6)[y], y


@pytest.mark.parametrize(("shift", "factor"), [(0, 3), (9, 0.3)])
def test_classes_that_are_hard_to_tell_apart_get_more_decay(shift, factor):
    x, y = samples(shift)
    model = TabularClassifier(backend="numpy", random_state=0).fit(x, y)
    more = {"hidden": (256, 128), "epochs": 80} if factor < 1 else {}
    assert model.recipe_ == replace(RECIPE, decay=factor * RECIPE.decay, **more)
    assert model.network_.sizes == (6, *model.recipe_.hidden, 3)
    assert len(model.network_.history) == model.recipe_.epochs


def test_what_is_given_holds_in_every_trial():
    x, y = samples(9)
    model = TabularClassifier(backend="numpy", epochs=3, hidden=[8]).fit(x, y)
    assert (model.recipe_.epochs, model.recipe_.hidden, model.network_.sizes) == (3, [8], (6, 8, 3))
    model = TabularClassifier(backend="numpy", epochs=1, decay=0.7).fit(x, y)
    assert model.recipe_ == replace(RECIPE, epochs=1, decay=0.7)


@pytest.mark.parametrize(
    ("task", "n", "decays"),
    [
        ("classification", 49, 1),
        ("classification", 50, 3),
        ("classification", 10_000, 3),
        ("classification", 10_001, 1),
        ("regression", 500, 1),
    ],
)
def test_how_many_decays_are_tried(task, n, decays):
    tried = candidates(task, n, 6)
    assert tried[0] == tabular(task, n, 6) and len({one.decay for one in tried}) == len(tried) == decays


class Trainer:
    """Trains nothing, notes what it gets; what a recipe's decay of 3 leads to can be said."""

    def __init__(self, model, then=None):
        self.model, self.then, self.seen = model, then, []

    def __call__(self, recipe, x, y, weights):
        self.seen.append((recipe, len(x), np.bincount(y)))
        if self.then is not None and recipe.decay == 3:
            raise self.then
        return self.model


def test_a_trial_is_short_and_leaves_a_fifth_of_each_class_out():
    x, y = samples(1)
    y = np.where(np.arange(N) < 10, 1, 0)
    train = Trainer(MLP([6, 2], loss="softmax_cross_entropy", backend="numpy"))
    recipes = candidates("classification", N, 6)
    assert best_recipe(recipes, x, y, y, train, 0) is recipes[0], "the first of equals"
    assert [recipe for recipe, _, _ in train.seen] == [
        replace(recipe, epochs=epochs) for recipe, epochs in zip(recipes, (10, 10, 20), strict=True)
    ]
    for _, n, classes in train.seen:
        assert n == 120 and classes.tolist() == [112, 8]


def test_a_recipe_that_diverges_is_out():
    x, y = samples(1)
    recipes = [replace(RECIPE, decay=decay) for decay in (3.0, 1.0)]
    train = Trainer(MLP([6, 3], loss="softmax_cross_entropy", backend="numpy"), DivergenceError("it did"))
    assert best_recipe(recipes, x, y, y, train, 0) is recipes[1]


def test_an_interrupt_ends_the_trials():
    x, y = samples(1)

    def interrupted(epoch):
        raise KeyboardInterrupt

    def train(recipe, x, y, weights):
        model = MLP([6, 3], loss="softmax_cross_entropy", backend="numpy")
        model.fit(x, y, callbacks=[interrupted], progress=False)
        return model

    with pytest.raises(KeyboardInterrupt):
        best_recipe(candidates("classification", N, 6), x, y, y, train, 0)
