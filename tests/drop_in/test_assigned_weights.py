"""`coefs_` and `intercepts_` that a user changes, in place or by assignment, and arrays that a user keeps."""

import copy
import pickle

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, X

from drop_in.sides import QUIET, base, begin, make, on_both_sides

pytestmark = QUIET

CHANGES = {}  # by name, of a fitted model


def change(function):
    CHANGES[function.__name__] = function
    return function


def others(arrays):
    """Other arrays of the same shapes."""
    random = np.random.RandomState(7)
    return [0.3 * random.standard_normal(array.shape) for array in arrays]


@change
def scaled(model):
    model.coefs_[0] *= 0.5


@change
def filled(model):
    model.coefs_[-1][...] = 0.1
    model.intercepts_[0].fill(-0.2)


@change
def pruned(model):
    for weights in model.coefs_:
        weights[np.abs(weights) < 0.2] = 0


@change
def clipped(model):
    for array in model.coefs_ + model.intercepts_:
        np.clip(array, -0.1, 0.2, out=array)


@change
def units_swapped(model):
    model.coefs_[0][:, [0, 1]] = model.coefs_[0][:, [1, 0]]


@change
def copied_into(model):
    for array, other in zip(model.coefs_ + model.intercepts_, others(model.coefs_ + model.intercepts_), strict=True):
        array[:] = other


@change
def item_assigned(model):
    model.coefs_[1] = others(model.coefs_)[1]


@change
def items_assigned(model):
    for layer in range(len(model.coefs_)):
        model.coefs_[layer] = model.coefs_[layer] + 0.05
        model.intercepts_[layer] = 0.9 * model.intercepts_[layer]


@change
def weights_assigned(model):
    model.coefs_ = others(model.coefs_)


@change
def biases_assigned(model):
    model.intercepts_ = others(model.intercepts_)


@change
def everything_assigned(model):
    model.coefs_, model.intercepts_ = others(model.coefs_), others(model.intercepts_)


@change
def assigned_then_changed(model):
    model.coefs_ = others(model.coefs_)
    model.coefs_[0] += 0.1
    model.coefs_[0][0] = 0


@change
def assigned_to_itself(model):
    model.coefs_ = list(model.coefs_)
    model.intercepts_ = model.intercepts_[:]


@change
def copies_assigned(model):
    model.coefs_, model.intercepts_ = copy.deepcopy(model.coefs_), [b.copy() for b in model.intercepts_]


@change
def columns_first(model):
    model.coefs_ = [np.asfortranarray(weights) for weights in others(model.coefs_)]


@change
def views_of_a_vector(model):
    sizes = [array.size for array in model.coefs_]
    parts = np.split(np.linspace(-0.5, 0.5, sum(sizes)), np.cumsum(sizes)[:-1])
    model.coefs_ = [part.reshape(w.shape) for part, w in zip(parts, model.coefs_, strict=True)]


@change
def every_second_element(model):
    model.coefs_[0] = np.repeat(others(model.coefs_)[0], 2, axis=1)[:, ::2]
    model.intercepts_[0] = np.repeat(others(model.intercepts_)[0], 2)[::-2]


@change
def biases_as_rows(model):
    model.intercepts_ = [biases.reshape(1, -1) for biases in others(model.intercepts_)]


@change
def reversed_rows(model):
    model.coefs_[0] = model.coefs_[0][::-1]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("target, solver", [("multiclass", "adam"), ("one output", "sgd")])
@on_both_sides
def test_changes_between_calls(nn, name, target, solver):
    """Before predictions, a partial fit, a warm start and a fit."""
    y, change = TARGETS[target], CHANGES[name]
    model = begin(make(nn, target, solver=solver), target)
    change(model)
    yield model
    yield model.partial_fit(X, y)
    change(model)
    yield model.partial_fit(X[:90], y[:90])
    change(model)
    yield model.set_params(warm_start=True).fit(X, y)
    change(model)
    yield model.predict(X), model.score(X, y)
    yield model.set_params(warm_start=False).fit(X, y)


@pytest.mark.parametrize("name", CHANGES)
@on_both_sides
def test_changes_before_a_warm_start_of_lbfgs(nn, name):
    model = make(nn, "outputs", solver="lbfgs", warm_start=True).fit(X, OUTPUTS)
    CHANGES[name](model)
    yield model.predict(X)
    yield model.fit(X, OUTPUTS).loss_, model.predict(X)
    CHANGES[name](model)
    yield model.predict(X)


@pytest.mark.parametrize("name", CHANGES)
@on_both_sides
def test_changes_before_early_stopping(nn, name):
    model = make(nn, "multiclass", early_stopping=True, warm_start=True).fit(X, LABELS)
    CHANGES[name](model)
    yield model.predict_proba(X)
    yield model.fit(X, LABELS)


@pytest.mark.parametrize("name", CHANGES)
@on_both_sides
def test_copies_of_changed_models(nn, name):
    model = begin(make(nn, "multiclass"), "multiclass")
    CHANGES[name](model)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        yield again.predict_proba(X)
        yield again.partial_fit(X, LABELS).predict_proba(X)
    yield model


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_arrays_that_are_held(nn, solver):
    """They are trained by partial fits and warm starts; a fit leaves them unchanged and makes new ones."""
    model = begin(make(nn, "multiclass", solver=solver), "multiclass")
    held, lists = model.coefs_ + model.intercepts_, (model.coefs_, model.intercepts_)
    yield model.partial_fit(X, LABELS), held
    yield lists[0] is model.coefs_, lists[1] is model.intercepts_
    yield [one is other for one, other in zip(held, model.coefs_ + model.intercepts_, strict=True)]
    yield model.set_params(warm_start=True).fit(X, LABELS), held
    held[0] *= 0.5
    lists[1][-1] = np.array([0.1, 0.0, -0.1])
    yield model.predict_proba(X)
    yield model.partial_fit(X, LABELS), held, lists[1]
    yield model.set_params(warm_start=False).fit(X, LABELS), held, lists[1]
    held[1][...] = 0
    yield model.predict_proba(X)


@on_both_sides
def test_a_list_that_is_held_and_changed_after_training(nn):
    model = begin(make(nn, "one output"), "one output")
    for _ in range(3):
        weights = model.coefs_
        model.partial_fit(X, VALUES)
        weights[0] = others(weights)[0]
        weights[1][...] *= 0.9
        yield model.predict(X)
        yield model.partial_fit(X, VALUES)


@pytest.mark.parametrize("name", ["columns_first", "every_second_element", "views_of_a_vector", "biases_as_rows"])
@on_both_sides
def test_assigned_arrays_are_trained(nn, name):
    """Whatever their layout: also the user's memory behind them."""
    model = begin(make(nn, "multiclass"), "multiclass")
    before = model.coefs_ + model.intercepts_
    CHANGES[name](model)
    held = [array for array in model.coefs_ + model.intercepts_ if all(array is not old for old in before)]
    behind = [array if array.base is None else array.base for array in held]
    model.partial_fit(X, LABELS)
    yield held, [array.flags.f_contiguous for array in held], [array.shape for array in model.intercepts_]
    yield behind
    yield model.set_params(warm_start=True).fit(X, LABELS), held


@on_both_sides
def test_lbfgs_puts_arrays_of_its_own_into_the_lists(nn):
    model = make(nn, "one output", solver="lbfgs", warm_start=True).fit(X, VALUES)
    lists, held = (model.coefs_, model.intercepts_), model.coefs_ + model.intercepts_
    model.fit(X, VALUES)
    yield model, lists, held
    yield lists[0] is model.coefs_, lists[1] is model.intercepts_


@on_both_sides
def test_best_weights_are_arrays_of_their_own(nn):
    """Arrays held from before are trained to the last epoch; the model goes back to its best one."""
    model = make(nn, "multiclass", warm_start=True, max_iter=8).fit(X, LABELS)
    held = model.coefs_ + model.intercepts_
    model.set_params(early_stopping=True, warm_start=False).fit(X, LABELS)
    yield model, held
    held = model.coefs_ + model.intercepts_
    yield model.set_params(warm_start=True).fit(X, LABELS)
    yield held


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.bool_], ids=lambda dtype: dtype.__name__)
@on_both_sides
def test_other_dtypes_in_predictions(nn, dtype):
    for target in ("multiclass", "one output"):
        model = make(nn, target).fit(X, TARGETS[target])
        model.coefs_ = [(2 * weights).astype(dtype) for weights in model.coefs_]
        yield model.predict(X)
        model.intercepts_ = [biases.astype(dtype) for biases in model.intercepts_]
        yield model.predict(X), model.score(X, TARGETS[target])


@on_both_sides
def test_half_precision_to_save_space(nn):
    """Weights are converted to 16 bits and the optimizer is removed, for a small pickle."""
    model = make(nn, "multiclass").fit(X, LABELS)
    for layer in range(len(model.coefs_)):
        model.coefs_[layer] = model.coefs_[layer].astype(np.float16)
        model.intercepts_[layer] = model.intercepts_[layer].astype(np.float16)
    model._optimizer = model._best_coefs = model._best_intercepts = None
    again = pickle.loads(pickle.dumps(model))
    yield again.predict_proba(X), again.predict(X)
    yield [array.dtype.name for array in again.coefs_ + again.intercepts_]


@on_both_sides(tolerance=1e-4)
def test_single_precision_in_training(nn):
    """The arrays keep their dtype, and are trained."""
    model = begin(make(nn, "one output", solver="sgd"), "one output")
    model.coefs_ = [weights.astype(np.float32) for weights in others(model.coefs_)]
    held = model.coefs_[0]
    model.partial_fit(X, VALUES)
    return model.coefs_[0], model.predict(X), held


@on_both_sides
def test_read_only_arrays(nn):
    """As from a file or a message; no training writes to them."""
    model = begin(make(nn, "outputs"), "outputs")
    model.coefs_ = [np.frombuffer(w.tobytes(), w.dtype).reshape(w.shape) for w in others(model.coefs_)]
    held, before = model.coefs_[0], model.coefs_[0].copy()
    yield model.predict(X)
    try:
        model.partial_fit(X, OUTPUTS)
    except ValueError as error:
        assert "read-only" in str(error)
    np.testing.assert_array_equal(held, before)


@pytest.mark.parametrize("container", [tuple, lambda arrays: np.array([*arrays, None], dtype=object)[:-1]])
@on_both_sides
def test_other_containers(nn, container):
    """A tuple, and the array of arrays that `np.savez` makes of a list."""
    for target in ("multiclass", "one output"):
        model = make(nn, target).fit(X, TARGETS[target])
        model.coefs_, model.intercepts_ = container(model.coefs_), container(model.intercepts_)
        yield model.predict(X), model.score(X, TARGETS[target])


@on_both_sides
def test_biases_that_are_broadcast(nn):
    model = make(nn, "outputs").fit(X, OUTPUTS)
    model.intercepts_[0], model.intercepts_[1] = np.array([0.1]), np.float64(0.2)
    return [model.predict(X)]


@pytest.mark.parametrize(
    "layer, shape", [(0, (12, 7)), (1, (5, 5)), (2, (5, 4)), (0, (11, 6))], ids=lambda part: str(part)
)
@on_both_sides
def test_shapes_that_do_not_fit(nn, layer, shape):
    """Predictions raise an error; with the old array the model works again."""
    model = make(nn, "outputs").fit(X, OUTPUTS)
    right, model.coefs_[layer] = model.coefs_[layer], np.ones(shape)
    with pytest.raises(ValueError):
        model.predict(X)
    model.coefs_[layer] = right
    return model, base(nn, "outputs").__name__
