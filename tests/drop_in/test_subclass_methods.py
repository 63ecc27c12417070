"""Subclasses that override public methods, change parameters in `fit`, are used in searches, or are refused."""

import copy
import pickle
from numbers import Real

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, X, outcome
from sklearn.base import TransformerMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import Interval, InvalidParameterError

import fastmlp
from drop_in.constructors import FORMS
from drop_in.sides import QUIET, SMALL, TOLERANCE, assert_same, base, begin, fitted, make, on_both_sides

pytestmark = QUIET
both_kinds = pytest.mark.parametrize("target", ["multiclass", "one output"])


@both_kinds
@on_both_sides
def test_fit_changes_parameters(nn, target):
    class Model(base(nn, target)):
        def __init__(self, random_state=0):
            super().__init__(max_iter=3, random_state=random_state)

        def fit(self, data, labels, epochs=1, **others):
            self.hidden_layer_sizes = (data.shape[1] // 2,)
            self.set_params(random_state=epochs)
            self.solver, self.batch_size, self.activation = "sgd", min(50, len(data)), "tanh"
            self.seen = len(data)
            return super().fit(data, labels, **others)

    model = Model()
    yield model.fit(X, TARGETS[target], epochs=2), model.seen
    yield model.fit(data=X[:90], labels=TARGETS[target][:90])


@on_both_sides
def test_predictions_of_its_own(nn):
    """`score` scores the overridden `predict`, early stopping does not."""

    class Cautious(nn.MLPClassifier):
        def predict_proba(self, X):
            return (super().predict_proba(X) + 0.1) / 1.3

        def predict(self, X):
            sure = self.predict_proba(X).max(axis=1) > 0.5
            return np.where(sure, super().predict(X), -1)

    model = Cautious(**SMALL, early_stopping=True).fit(X, LABELS)
    return model.validation_scores_, model.predict(X), model.predict_log_proba(X), model.score(X, LABELS)


@on_both_sides
def test_score_of_its_own(nn):
    class Negative(nn.MLPRegressor):
        def score(self, X, y, sample_weight=None):
            return -np.average((self.predict(X) - y) ** 2, weights=sample_weight)

    model = Negative(**SMALL, early_stopping=True).fit(X, VALUES)
    return model, model.score(X, VALUES)


@on_both_sides
def test_partial_fit_of_its_own(nn):
    """Several epochs a call."""

    class Thorough(nn.MLPRegressor):
        def partial_fit(self, X, y):
            for _ in range(3):
                super().partial_fit(X, y)
            return self

    return Thorough(**SMALL).partial_fit(X, VALUES).partial_fit(X, VALUES)


@on_both_sides
def test_autoencoder_that_is_a_transformer(nn):
    class AutoEncoder(TransformerMixin, nn.MLPRegressor):
        def fit(self, X, y=None):
            return super().fit(X, X)

        def transform(self, X):
            return np.maximum(X @ self.coefs_[0] + self.intercepts_[0], 0)

    features = AutoEncoder(**SMALL).fit_transform(X)
    pipeline = make_pipeline(AutoEncoder(**SMALL), nn.MLPClassifier(**SMALL)).fit(X, LABELS)
    return features, pipeline.predict_proba(X)


@on_both_sides
def test_search_over_a_parameter_of_its_own(nn):
    class Scaled(nn.MLPClassifier):
        def __init__(self, scale=1.0, alpha=1e-4, random_state=0):
            super().__init__((6,), max_iter=2, alpha=alpha, random_state=random_state)
            self.scale = scale

        def fit(self, X, y):
            return super().fit(self.scale * X, y)

    search = GridSearchCV(Scaled(), {"scale": [0.1, 1.0], "alpha": [1e-4, 1.0]}, cv=2).fit(X, LABELS)
    return search.cv_results_["mean_test_score"], search.best_params_, search.best_estimator_


@on_both_sides
def test_get_params_of_its_own(nn):
    """So that clones of a subclass with keywords keep them."""
    names = MLPRegressor._get_param_names()

    class Model(nn.MLPRegressor):
        def __init__(self, **given):
            super().__init__(**given)

        def get_params(self, deep=True):
            return {name: getattr(self, name) for name in names}

    model = clone(Model(**SMALL))
    return model.fit(X, VALUES), model.get_params(), model.set_params(alpha=1.0).fit(X, VALUES)


@on_both_sides
def test_constraints_of_its_own(nn):
    class Scaled(nn.MLPClassifier):
        _parameter_constraints = {  # noqa: RUF012
            **nn.MLPClassifier._parameter_constraints,
            "scale": [Interval(Real, 0, None, closed="neither")],
        }

        def __init__(self, scale=1.0, alpha=1e-4):
            super().__init__((6,), alpha=alpha, max_iter=2)
            self.scale = scale

    for wrong in ({"scale": -1.0}, {"alpha": -1.0}):
        with pytest.raises(InvalidParameterError) as error:
            Scaled(**wrong).fit(X, LABELS)
        yield str(error.value)


def unfit(nn, define):
    """The exceptions of fits of an invalid subclass."""
    model = define(nn.MLPRegressor)()
    return outcome(model.fit, X, VALUES)[1], hasattr(model, "coefs_")


@on_both_sides
def test_constructors_that_scikit_learn_refuses(nn):
    def varargs(base):
        class Model(base):
            def __init__(self, *given):
                super().__init__(*given)

        return Model

    def not_stored(base):
        class Model(base):
            def __init__(self, size=5):
                super().__init__(hidden_layer_sizes=(size,))

        return Model

    return unfit(nn, varargs), unfit(nn, not_stored)


@on_both_sides
def test_arguments_that_the_class_does_not_take(nn):
    class Model(nn.MLPRegressor):
        def __init__(self):
            super().__init__(hidden_layers=(5,))

    with pytest.raises(TypeError, match="unexpected keyword argument 'hidden_layers'") as error:
        Model()
    return [type(error.value).__name__]


@both_kinds
@on_both_sides
def test_slots(nn, target):
    """Such an estimator trains, but scikit-learn's refuse to be pickled."""

    class Model(base(nn, target)):
        __slots__ = ("note",)

        def __init__(self, note="", random_state=0):
            super().__init__(hidden_layer_sizes=(6,), max_iter=3, random_state=random_state)
            self.note = note

    model = Model("first")
    yield begin(model, target), model.note, clone(model).note
    yield model.fit(X, TARGETS[target])
    for copies in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="__slots__"):
            copies(model)


@on_both_sides
def test_equal_models_are_not_one(nn):
    """Two estimators that are equal, and have no hash, have weights of their own."""

    class Model(nn.MLPRegressor):
        def __eq__(self, other):
            return isinstance(other, Model)

    first, second = Model(**SMALL), Model(**SMALL | {"random_state": 1})
    assert first == second and Model.__hash__ is None
    for model in (first, second):
        model.fit(X, VALUES)
    first.partial_fit(X, VALUES)
    return first, second


@on_both_sides
def test_attributes_that_fits_leave_alone(nn):
    """Attributes of a user's own stay; those that a fit sets are set again."""
    model = make(nn, "outputs")
    model.note, model.out_activation_, model.history = "mine", "logistic", []
    model.fit(X, OUTPUTS)
    return model.note, model.out_activation_, model.history, model


@pytest.mark.parametrize("name", ["keywords", "one_parameter_and_keywords"])
@both_kinds
def test_from_scikit_learn(name, target):
    define, given = FORMS[name]
    theirs = begin({"multiclass": MLPClassifier, "one output": MLPRegressor}[target](**SMALL), target)
    extra = {name: value for name, value in given.items() if name not in SMALL}
    ours = define(base(fastmlp, target)).from_sklearn(theirs, **extra)
    assert type(ours).__name__ == "Model" and vars(ours).items() >= extra.items()
    assert_same(fitted(ours), fitted(theirs), TOLERANCE)
    assert_same(fitted(ours.partial_fit(X, TARGETS[target])), fitted(theirs.partial_fit(X, TARGETS[target])))
