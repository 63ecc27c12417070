"""Models without a fit: built from arrays, cut, joined, restored from a file."""

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
from parity.cases import FEATURES, INDICATORS, LABELS, OUTPUTS, TARGETS, VALUES, X
from sklearn.exceptions import NotFittedError
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from sklearn.preprocessing import LabelBinarizer

from drop_in.sides import QUIET, SMALL, base, begin, make, on_both_sides, same_or_refused

pytestmark = QUIET

OUTPUT_UNITS = {"binary": 1, "multiclass": 3, "multilabel": 3, "one output": 1, "outputs": 3}
CLASSES = {"binary": np.arange(2), "multiclass": np.arange(3), "multilabel": INDICATORS}


def built(nn, target, **parameters):
    """A model of random arrays, with only the attributes that scikit-learn needs for predictions."""
    random, sizes = np.random.RandomState(0), (FEATURES, 6, 5, OUTPUT_UNITS[target])
    model = make(nn, target, **parameters)
    model.coefs_ = [random.uniform(-0.5, 0.5, shape) for shape in pairwise(sizes)]
    model.intercepts_ = [random.uniform(-0.5, 0.5, units) for units in sizes[1:]]
    model.n_layers_ = len(sizes)
    model.out_activation_ = "identity"
    if target in CLASSES:
        model._label_binarizer = LabelBinarizer().fit(CLASSES[target])
        model.classes_ = model._label_binarizer.classes_
        model.out_activation_ = "softmax" if target == "multiclass" else "logistic"
    return model


def ready(model):
    """The same, with the attributes that scikit-learn needs for a step."""
    model.t_ = model.n_iter_ = model._no_improvement_count = 0
    model.loss_curve_, model.best_loss_ = [], np.inf
    return model


def trained(model):
    return model.coefs_, model.intercepts_, model.loss_curve_, model.loss_, model.t_, model.n_iter_, model.n_outputs_


@pytest.mark.parametrize("target", OUTPUT_UNITS)
@on_both_sides
def test_predictions(nn, target):
    model = built(nn, target)
    if target in CLASSES:
        model.n_outputs_ = OUTPUT_UNITS[target]
        yield model.predict_proba(X), model.predict_log_proba(X)
    yield model.predict(X), model.score(X, TARGETS[target]), model._forward_pass_fast(X)
    yield hasattr(model, "n_features_in_")


@pytest.mark.parametrize("target", OUTPUT_UNITS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@on_both_sides
def test_partial_fit(nn, target, solver):
    model = ready(built(nn, target, solver=solver))
    for _ in range(2):
        model.partial_fit(X, TARGETS[target])
        yield trained(model), model.predict(X)


@pytest.mark.parametrize("target", OUTPUT_UNITS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@on_both_sides
def test_warm_start(nn, target, solver):
    model = built(nn, target, solver=solver, warm_start=True)
    if solver != "lbfgs":
        ready(model)
    model.fit(X, TARGETS[target])
    return model.coefs_, model.intercepts_, model.loss_, model.n_iter_, model.predict(X)


@pytest.mark.parametrize("target", ["multiclass", "outputs"])
@on_both_sides
def test_fit_begins_again(nn, target):
    return built(nn, target).fit(X, TARGETS[target])


@on_both_sides
def test_classes_may_be_told_again(nn):
    """They must be the same."""
    model = ready(built(nn, "multiclass"))
    yield model.partial_fit(X, LABELS, classes=[0, 1, 2]).coefs_
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        model.partial_fit(X, LABELS, classes=[0, 1])


@on_both_sides
def test_parameter_of_other_layers(nn):
    """The arrays determine the layers, not `hidden_layer_sizes`, which is left at its default."""
    model = ready(built(nn, "outputs"))
    model.hidden_layer_sizes = (100, 100)
    yield model.predict(X)
    yield trained(model.partial_fit(X, OUTPUTS)), model.predict(X)


@on_both_sides
def test_optimizer_by_hand(nn):
    model = ready(built(nn, "outputs"))
    model._optimizer = AdamOptimizer(model.coefs_ + model.intercepts_, 0.003, beta_1=0.8, beta_2=0.99)
    assert model._optimizer.t == 0
    for _ in range(2):
        yield trained(model.partial_fit(X, OUTPUTS))
    yield model._optimizer.t, model._optimizer.ms, model._optimizer.vs


@on_both_sides
def test_weights_written_over_those_that_were_drawn(nn):
    """Set up without a step, then the arrays of a file, a new optimizer, and training."""
    model, arrays = base(nn, "one output")(**SMALL), built(nn, "one output")
    model._random_state = np.random.RandomState(0)
    model._initialize(np.zeros((1, 1)), [FEATURES, 6, 5, 1], np.dtype("float64"))
    model.n_features_in_ = FEATURES
    yield model.predict(X)
    model.coefs_, model.intercepts_ = arrays.coefs_, arrays.intercepts_
    model._best_coefs, model._best_intercepts = deepcopy(model.coefs_), deepcopy(model.intercepts_)
    model._optimizer = AdamOptimizer(model.coefs_ + model.intercepts_, learning_rate_init=0.003)
    yield model.predict(X)
    yield model.partial_fit(X, VALUES), model._optimizer.t


@on_both_sides
def test_restored_from_lists(nn):
    """As a file of JSON has them."""
    old = make(nn, "multiclass").fit(X, LABELS)
    lists = {name: [array.tolist() for array in getattr(old, name)] for name in ("coefs_", "intercepts_")}
    new = base(nn, "multiclass")(**{name: value for name, value in old.get_params().items() if value is not None})
    for name, arrays in lists.items():
        setattr(new, name, [np.array(array) for array in arrays])
    for name in ("loss_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_", "_label_binarizer"):
        setattr(new, name, getattr(old, name))
    new.classes_ = np.array(old.classes_.tolist())
    yield new.predict(X), new.predict_proba(X)
    new.t_, new.loss_curve_, new.best_loss_ = old.t_, list(old.loss_curve_), old.best_loss_
    new._no_improvement_count = old._no_improvement_count
    yield trained(new.partial_fit(X, LABELS))


@on_both_sides
def test_biases_as_lists_in_predictions(nn):
    model = built(nn, "outputs")
    model.intercepts_ = [biases.tolist() for biases in model.intercepts_]
    return [model.predict(X)]


@on_both_sides
def test_all_attributes_of_another_model(nn):
    old, new = begin(make(nn, "multiclass"), "multiclass"), make(nn, "multiclass")
    vars(new).update(deepcopy(vars(old)))
    yield new
    yield new.partial_fit(X, LABELS), old


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "exp"])
def test_output_activation_assigned_before_training(activation):
    def program(nn):
        model = begin(make(nn, "outputs"), "outputs")
        model.out_activation_ = activation
        return model.partial_fit(X, np.abs(OUTPUTS))

    same_or_refused(program, "out_activation_")


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
@on_both_sides
def test_counters_set_by_hand(nn, schedule):
    """Of samples, of epochs without improvement, and curves emptied between epochs."""
    settings = {"solver": "sgd", "learning_rate": schedule, "tol": 0.05, "n_iter_no_change": 1, "warm_start": True}
    model = begin(make(nn, "multiclass", **settings), "multiclass")
    for _ in range(3):
        model.partial_fit(X, LABELS)
    model.t_, model._no_improvement_count, model.best_loss_, model.loss_curve_ = 0, 0, np.inf, []
    yield model.partial_fit(X, LABELS), model._no_improvement_count, model._optimizer.learning_rate
    model._no_improvement_count = 5
    yield model.partial_fit(X, LABELS), model._no_improvement_count, model._optimizer.learning_rate
    model.best_loss_ = 0.0
    yield model.fit(X, LABELS), model._no_improvement_count, model._optimizer.learning_rate


@on_both_sides
def test_not_fitted(nn):
    for target in ("multiclass", "outputs"):
        with pytest.raises(NotFittedError):
            make(nn, target).predict(X)
        yield hasattr(make(nn, target), "coefs_")


@pytest.mark.parametrize("activation", [None, "identity", "relu", "tanh", "logistic", "softmax"])
@pytest.mark.parametrize("layers", [2, 3])
@on_both_sides
def test_hidden_layers_read(nn, layers, activation):
    """By fewer layers than there are weights; then all of them again."""
    model = make(nn, "outputs").fit(X, OUTPUTS)
    whole, model.n_layers_ = (model.n_layers_, model.out_activation_), layers
    if activation is not None:
        model.out_activation_ = activation
    yield model.predict(X), model._forward_pass_fast(X, check_input=False)
    model.n_layers_, model.out_activation_ = whole
    yield model
    yield model.partial_fit(X, OUTPUTS)


@pytest.mark.parametrize("target", ["binary", "multiclass"])
@on_both_sides
def test_hidden_layers_of_a_classifier(nn, target):
    model = make(nn, target, activation="tanh").fit(X, TARGETS[target])
    model.n_layers_, model.out_activation_, model.n_outputs_ = 3, "tanh", 5
    return [model.predict_proba(X)]


@on_both_sides
def test_last_layer_taken_away(nn):
    model = make(nn, "multiclass").fit(X, LABELS)
    model.n_layers_ -= 1
    model.n_outputs_, model.out_activation_ = model.hidden_layer_sizes[-1], "relu"
    model.hidden_layer_sizes = model.hidden_layer_sizes[:-1]
    model.coefs_, model.intercepts_ = model.coefs_[:-1], model.intercepts_[:-1]
    return [model.predict_proba(X)]


@on_both_sides
def test_encoder_and_decoder(nn):
    """Halves of an autoencoder, and the two joined again."""
    whole = base(nn, "outputs")(**SMALL | {"hidden_layer_sizes": (8, 2, 8), "activation": "tanh"}).fit(X, X)
    encoder, decoder = base(nn, "outputs")(activation="tanh"), deepcopy(whole)
    encoder.coefs_, encoder.intercepts_ = whole.coefs_[:2], whole.intercepts_[:2]
    encoder.n_layers_, encoder.out_activation_ = 3, "tanh"
    decoder.coefs_, decoder.intercepts_ = whole.coefs_[2:], whole.intercepts_[2:]
    decoder.n_layers_, decoder.n_features_in_ = 3, 2
    codes = encoder.predict(X)
    yield codes, decoder.predict(codes), whole.predict(X)
    encoder.coefs_, encoder.intercepts_ = encoder.coefs_ + decoder.coefs_, encoder.intercepts_ + decoder.intercepts_
    encoder.n_layers_, encoder.out_activation_ = 5, "identity"
    yield encoder.predict(X)
    whole.coefs_[0] *= 0.5  # the encoder has the same array
    yield encoder.predict(X), whole.predict(X)


@on_both_sides
def test_units_taken_away_and_added(nn):
    """The optimizer begins again, for it has moments of other shapes."""
    model = begin(make(nn, "multiclass"), "multiclass")
    keep = [0, 2, 3, 5]
    model.coefs_[0], model.intercepts_[0] = model.coefs_[0][:, keep], model.intercepts_[0][keep]
    model.coefs_[1] = model.coefs_[1][keep]
    model.hidden_layer_sizes = (4, 5)
    del model._optimizer
    yield model
    yield model.partial_fit(X, LABELS)
    model.coefs_[1] = np.hstack([model.coefs_[1], np.full((4, 2), 0.1)])
    model.coefs_[2] = np.vstack([model.coefs_[2], np.zeros((2, 3))])
    model.intercepts_[1] = np.append(model.intercepts_[1], [0.0, 0.1])
    model.hidden_layer_sizes = (4, 7)
    del model._optimizer
    yield model.partial_fit(X, LABELS)


@on_both_sides
def test_a_layer_more(nn):
    model = begin(make(nn, "outputs"), "outputs")
    model.coefs_.append(np.eye(3)[:, :2])
    model.intercepts_.append(np.zeros(2))
    model.n_layers_, model.n_outputs_ = 5, 2
    model.hidden_layer_sizes = (6, 5, 3)
    yield model.predict(X)
    del model._optimizer
    yield trained(model.partial_fit(X, OUTPUTS[:, :2]))
