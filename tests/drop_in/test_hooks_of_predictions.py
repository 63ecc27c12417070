"""A user's `_forward_pass_fast` and `_predict`, in predictions, probabilities and scores."""

import numpy as np
import pytest
from parity.cases import LABELS, OUTPUTS, TARGETS, VALUES, X

from drop_in.overriding import in_every_way, overridden
from drop_in.sides import QUIET, SMALL, base, make, on_both_sides

pytestmark = QUIET


def answers(model, X):
    """The results of the public methods for X, including the classifier's probabilities."""
    names = ("predict", "predict_proba", "predict_log_proba")
    return {name: getattr(model, name)(X) for name in names if hasattr(model, name)}


@in_every_way
@pytest.mark.parametrize("target", ["binary", "strings", "multilabel", "one output", "outputs"])
@on_both_sides
def test_outputs_of_its_own(nn, way, target, monkeypatch):
    calls = []

    def clipped(original):
        def _forward_pass_fast(self, X, check_input=True):
            calls.append(check_input)
            return np.clip(original(self, X, check_input=check_input), 0.4, 0.6)

        return _forward_pass_fast

    with monkeypatch.context() as patch:
        model = overridden(way, base(nn, target), "_forward_pass_fast", clipped, patch)(**SMALL)
        model.fit(X, TARGETS[target])
        yield answers(model, X), model.score(X, TARGETS[target])
        yield model._predict(X, check_input=False)
        yield calls


@in_every_way
@pytest.mark.parametrize("target", ["strings", "outputs"])
@on_both_sides
def test_predictions_of_its_own(nn, way, target, monkeypatch):
    """`predict` and `score` call `_predict`, probabilities do not."""

    def backwards(original):
        def _predict(self, X, check_input=True):
            return original(self, X, check_input=check_input)[::-1]

        return _predict

    with monkeypatch.context() as patch:
        model = overridden(way, base(nn, target), "_predict", backwards, patch)(**SMALL)
        model.fit(X, TARGETS[target])
        yield answers(model, X), model.score(X, TARGETS[target])


@on_both_sides
def test_predictions_that_are_the_outputs(nn):
    """A classifier that predicts its probabilities."""

    class Model(nn.MLPClassifier):
        def _predict(self, X, check_input=True):
            return super()._forward_pass_fast(X)

    return answers(Model(**SMALL).fit(X, LABELS), X)


@on_both_sides
def test_outputs_of_the_last_hidden_layer(nn):
    class Features(nn.MLPRegressor):
        def _forward_pass_fast(self, X, check_input=True):
            return self._forward_pass([np.asarray(X), *[None] * (self.n_layers_ - 1)])[-2]

    return Features(**SMALL).fit(X, VALUES).predict(X)


@on_both_sides
def test_ensemble_in_one_model(nn):
    """The mean of the outputs of several sets of weights, one after the other in `coefs_`."""

    class Ensemble(nn.MLPClassifier):
        def fit(self, X, y):
            self.members = []
            for seed in range(3):
                self.random_state = seed
                super().fit(X, y)
                self.members.append((self.coefs_, self.intercepts_))
            return self

        def _forward_pass_fast(self, X, check_input=True):
            outputs = []
            for member in self.members:
                self.coefs_, self.intercepts_ = member
                outputs.append(super()._forward_pass_fast(X, check_input))
            return np.mean(outputs, axis=0)

    return answers(Ensemble(**SMALL).fit(X, LABELS), X)


@on_both_sides
def test_instance_method_taken_away_again(nn):
    model = make(nn, "outputs").fit(X, OUTPUTS)
    model._forward_pass_fast = lambda X, check_input=True: np.zeros((len(X), 3))
    yield model.predict(X)
    del model._forward_pass_fast
    yield model.predict(X)
