"""`class_weight` compared with the same weights given as sample weights."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.utils import compute_sample_weight

from estimator_features.cases import HELD, LABELS, MANY, TARGETS, TRAIN, WEIGHTS, N, X, assert_same, differs, make
from fastmlp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

DICT = {0: 0.5, 1: 2.0, 2: 3.5}


@pytest.mark.parametrize("own", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(("target", "given"), [("multiclass", DICT), *((t, "balanced") for t in list(TARGETS)[:3])])
def test_class_weight_is_a_sample_weight(backend, target, given, own):
    y = TARGETS[target]
    by_hand = compute_sample_weight(given, y) * (1 if own is None else own)
    expected = make(y, backend=backend).fit(X, y, sample_weight=by_hand)
    found = make(y, backend=backend, class_weight=given).fit(X, y, sample_weight=own)
    assert_same(found, expected, 0)
    assert differs(found, make(y, backend=backend).fit(X, y))


@pytest.mark.parametrize("early", [False, True])
def test_class_weights_in_lbfgs_and_in_part_of_the_samples(backend, early):
    parameters = {"backend": backend} | ({"early_stopping": True} if early else {"solver": "lbfgs", "alpha": 1})
    found = make(LABELS, class_weight=DICT, **parameters)
    expected = make(LABELS, **parameters)
    weights = compute_sample_weight(DICT, LABELS)
    if early:  # the score of the part held out is weighted by sample weights only
        found.fit(X, LABELS)
        expected.fit(X, LABELS, sample_weight=weights)
        assert found.loss_curve_ == expected.loss_curve_
        return
    with pytest.warns(match="lbfgs failed to converge"):
        found.fit(X, LABELS)
    with pytest.warns(match="lbfgs failed to converge"):
        expected.fit(X, LABELS, sample_weight=weights)
    assert_allclose(found.coefs_[0], expected.coefs_[0], rtol=1e-10)


def test_class_weight_of_partial_fit():
    classes = [0, 1, 2]
    found, expected = make(LABELS, class_weight=DICT), make(LABELS)
    for rows in (TRAIN, HELD):
        found.partial_fit(X[rows], LABELS[rows], classes=classes)
        expected.partial_fit(X[rows], LABELS[rows], compute_sample_weight(DICT, LABELS[rows]), classes=classes)
    assert_same(found, expected, 0)
    with pytest.raises(ValueError, match=r"class_weight='balanced' is not supported by partial_fit.*as a dict"):
        make(LABELS, class_weight="balanced").partial_fit(X, LABELS, classes=classes)


def test_class_weights_of_several_labels():
    given = [{0: 1, 1: 2}, {0: 3, 1: 0.5}, {0: 1, 1: 1}]
    by_hand = np.prod([np.where(MANY[:, i], w[1], w[0]) for i, w in enumerate(given)], axis=0)
    found = make(MANY, class_weight=given).fit(X, MANY)
    assert_same(found, make(MANY).fit(X, MANY, sample_weight=by_hand), 0)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel"])
def test_validation_samples_are_balanced_as_those_trained_on(backend, target):
    y = TARGETS[target]
    few = np.sort(np.argsort(y.reshape(N, -1)[:, 0])[20:])  # other frequencies than in all
    by_hand = make(y, backend=backend).fit(
        X, y, compute_sample_weight("balanced", y), X_val=X[few], y_val=y[few],
        sample_weight_val=compute_sample_weight("balanced", y)[few],
    )  # fmt: skip
    found = make(y, backend=backend, class_weight="balanced").fit(X, y, X_val=X[few], y_val=y[few])
    assert_same(found, by_hand, 0)
    assert_allclose(found.validation_loss_curve_, by_hand.validation_loss_curve_, rtol=1e-12)
    assert not np.allclose(compute_sample_weight("balanced", y)[few], compute_sample_weight("balanced", y[few]))


def test_class_weights_of_a_batch_that_lacks_a_class():
    model = MLPClassifier((8,), class_weight={0: 1.0, 2: 5.0}, random_state=0)
    model.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(X[LABELS < 2], LABELS[LABELS < 2])
