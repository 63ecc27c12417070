"""A user's `_validate_input` and `_label_binarizer`, which change the training data and the meaning of predictions."""

import numpy as np
import pytest
from parity.cases import INDICATORS, LABELS, OUTPUTS, TARGETS, VALUES, WEIGHTS, N, X
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer

from drop_in.overriding import in_every_way, overridden
from drop_in.sides import QUIET, SMALL, base, begin, make, on_both_sides

pytestmark = QUIET

ONE_HOT = np.eye(3)[LABELS]
SOFT = 0.7 * ONE_HOT + 0.1  # probabilities, whose largest is that of the label


class Distributions:
    """Takes the place of a LabelBinarizer: y has a probability for each class."""

    y_type_ = "multiclass"

    def transform(self, y):
        return y

    def inverse_transform(self, y):
        return np.argmax(y, axis=-1)


def classifier_of_distributions(nn, binarizer, classes):
    class Model(nn.MLPClassifier):
        def _validate_input(self, X, y, incremental, reset):
            X, y = np.asarray(X), np.asarray(y)
            if reset:
                self.n_features_in_ = X.shape[1]
                self._label_binarizer, self.classes_ = binarizer, classes
            return X, y

    return Model


@in_every_way
@pytest.mark.parametrize("target", ["multiclass", "multilabel", "outputs"])
@on_both_sides
def test_samples_of_its_own(nn, way, target, monkeypatch):
    """Its result is trained on; its arguments say whether the call is incremental and whether it is the first."""

    def without_outliers(original):
        def _validate_input(self, X, y, incremental, reset):
            self.calls = [*getattr(self, "calls", []), (incremental, reset)]
            X, y = original(self, X, y, incremental, reset)
            keep = np.abs(X).max(axis=1) < 2
            return np.tanh(X[keep]), y[keep]

        return _validate_input

    y = TARGETS[target]
    with monkeypatch.context() as patch:
        construct = overridden(way, base(nn, target), "_validate_input", without_outliers, patch)
        model = construct(**SMALL)
        for warm in (False, False, True):
            yield model.set_params(warm_start=warm).fit(X, y)
        yield model.partial_fit(X, y)
        first = begin(construct(**SMALL), target)
        yield first
        yield model.calls, first.calls


@on_both_sides
def test_weights_are_of_the_samples_that_it_returns(nn):
    class Model(nn.MLPRegressor):
        def _validate_input(self, X, y, incremental, reset):
            X, y = super()._validate_input(X, y, incremental, reset)
            return X[:100], y[:100]

    yield Model(**SMALL).fit(X, VALUES, sample_weight=WEIGHTS[:100])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(230,\), expected \(100,\)"):
        Model(**SMALL).fit(X, VALUES, sample_weight=WEIGHTS)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("y", [ONE_HOT, ONE_HOT.astype(int), ONE_HOT.astype(bool), SOFT], ids=["1.0", "1", "True", "p"])
@on_both_sides
def test_distributions_over_classes(nn, y, solver):
    """A softmax is trained, not one logistic output for each column."""
    model = classifier_of_distributions(nn, Distributions(), 3)(**SMALL, solver=solver).fit(X, y)
    yield model.out_activation_, model.coefs_, model.loss_, model.predict_proba(X), model.predict(X)
    yield model.score(X, LABELS)


@on_both_sides
def test_distributions_with_weights_and_partial_fit(nn):
    model = classifier_of_distributions(nn, LabelBinarizer().fit(LABELS), np.arange(3))(**SMALL)
    yield model.fit(X, SOFT, sample_weight=WEIGHTS)
    yield model.partial_fit(X, ONE_HOT)
    yield model.partial_fit(X[:70], SOFT[:70], sample_weight=WEIGHTS[:70])


@pytest.mark.parametrize("binarizer", [Distributions(), LabelBinarizer().fit(LABELS)], ids=["own", "LabelBinarizer"])
@on_both_sides
def test_distributions_with_early_stopping(nn, binarizer):
    """Scores use the most probable class."""
    model = classifier_of_distributions(nn, binarizer, np.arange(3))(**SMALL, early_stopping=True).fit(X, SOFT)
    return model.validation_scores_, model.best_validation_score_, model.coefs_, model.predict(X)


@pytest.mark.parametrize(
    "labels, y",
    [(LABELS > 0, np.clip(VALUES[:, None] / 4 + 0.5, 0, 1)), (INDICATORS, 0.8 * INDICATORS + 0.1)],
    ids=["one probability", "a probability for each label"],
)
@on_both_sides
def test_probabilities(nn, labels, y):
    binarizer = LabelBinarizer().fit(labels)
    return classifier_of_distributions(nn, binarizer, binarizer.classes_)(**SMALL).fit(X, y)


@pytest.mark.parametrize("y", [VALUES, VALUES[:, None], OUTPUTS], ids=lambda y: str(y.shape))
@on_both_sides
def test_values_of_its_own(nn, y):
    class Model(nn.MLPRegressor):
        def _validate_input(self, X, y, incremental, reset):
            return np.asarray(X), np.arctan(y)

    model = Model(**SMALL)
    yield model.fit(X, y)
    yield model.partial_fit(X, y)
    yield Model(**SMALL, early_stopping=True).fit(X, y)


@on_both_sides
def test_features_of_its_own(nn):
    """An additional column, in training and in predictions."""

    class Model(nn.MLPClassifier):
        def _validate_input(self, X, y, incremental, reset):
            X, y = super()._validate_input(X, y, incremental, reset)
            return np.column_stack([X, X[:, 0] * X[:, 1]]), y

        def _forward_pass_fast(self, X, check_input=True):
            X = np.asarray(X)
            return super()._forward_pass_fast(np.column_stack([X, X[:, 0] * X[:, 1]]), check_input=False)

    model = Model(**SMALL).fit(X, LABELS)
    return model, [w.shape for w in model.coefs_], model.n_features_in_, model.score(X, LABELS)


@pytest.mark.parametrize("dense", [False, True])
@on_both_sides
def test_samples_of_another_format(nn, dense):
    class Model(nn.MLPRegressor):
        def _validate_input(self, X, y, incremental, reset):
            X, y = super()._validate_input(X, y, incremental, reset)
            return X.toarray() if dense else sparse.csr_array(X), y

    return Model(**SMALL).fit(sparse.csr_matrix(X) if dense else X, VALUES)


@on_both_sides(tolerance=1e-5)
def test_samples_of_another_dtype(nn):
    class Model(nn.MLPRegressor):
        def _validate_input(self, X, y, incremental, reset):
            X, y = super()._validate_input(X, y, incremental, reset)
            return X.astype(np.float32), y.astype(np.float32)

    model = Model(**SMALL).fit(X, VALUES)
    return model.coefs_, model.intercepts_, model.predict(X), model.loss_curve_


@on_both_sides
def test_validation_called_by_hand(nn):
    for target in ("strings", "multilabel", "outputs"):
        model = make(nn, target)
        samples, encoded = model._validate_input(X[:50].tolist(), TARGETS[target][:50], False, reset=True)
        yield samples, np.asarray(encoded, float), model.n_features_in_, list(getattr(model, "classes_", []))
        model.fit(X, TARGETS[target])
        yield np.asarray(model._validate_input(X, TARGETS[target], True, False)[1], float)
        with pytest.raises(ValueError, match="features"):
            model._validate_input(X[:, :3], TARGETS[target], True, reset=False)


@on_both_sides
def test_binarizer_replaced_after_a_fit(nn):
    model = make(nn, "multiclass").fit(X, LABELS)
    names = np.array(["low", "middle", "high"])

    class Named(Distributions):
        def inverse_transform(self, y):
            return names[super().inverse_transform(y)]

    model._label_binarizer = Named()
    return model.predict(X), model.score(X, names[LABELS]), model.predict_proba(X)


@on_both_sides
def test_classes_renamed(nn):
    model = make(nn, "multiclass").fit(X, LABELS)
    names = np.array(["a", "b", "c"])
    model.classes_ = model._label_binarizer.classes_ = names
    yield model.predict(X)
    yield model.partial_fit(X, names[LABELS])
    yield model.predict(X)


@pytest.mark.parametrize("target", ["multilabel", "binary"])
@on_both_sides
def test_threshold_of_its_own(nn, target):
    """In predictions, and in the scores of early stopping."""

    class Eager(LabelBinarizer):
        def inverse_transform(self, Y, threshold=None):
            return super().inverse_transform(Y, threshold=0.3)

    class Model(nn.MLPClassifier):
        def _validate_input(self, X, y, incremental, reset):
            X, y = super()._validate_input(X, y, incremental, reset)
            self._label_binarizer.__class__ = Eager
            return X, y

    model = Model(**SMALL | {"early_stopping": True, "max_iter": 6}).fit(X, TARGETS[target])
    return model, model.score(X, TARGETS[target]), np.shape(model.predict(X[: N // 2]))
