"""Sample weights that ensembles pass to a network."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor, BaggingClassifier

from meta_estimators.cases import VALUES, X, Y, assert_same_network, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_bagging_hands_over_all_rows_with_counts(fits):
    """A full batch is a fit on the drawn rows, with the penalty divided by their number."""
    bagging = BaggingClassifier(classifier(), n_estimators=1, max_samples=75, random_state=0).fit(X, Y)
    ((rows, counts, _),) = fits
    assert (rows, counts.sum()) == (150, 75) and 0.3 < np.mean(counts > 0) < 0.5
    member, drawn = bagging.estimators_[0], bagging.estimators_samples_[0]
    assert_same_network(member, clone(member).fit(X[drawn], Y[drawn]))
    bagging = BaggingClassifier(classifier(batch_size=20), n_estimators=1, max_samples=15, random_state=0).fit(X, Y)
    _, counts, _ = fits[-1]
    assert bagging.estimators_[0].t_ == 5 * 150 and counts.sum() == 15


def test_early_stopping_in_bagging_looks_at_rows_without_weight(routing):
    held = []

    def scorer(estimator, X, y, sample_weight):
        held.append((set(X[:, 0]), sample_weight))
        return estimator.score(X, y, sample_weight)

    early = classifier(early_stopping=True, early_stopping_metric=scorer).set_fit_request(sample_weight=True)
    bagging = BaggingClassifier(early, n_estimators=1, random_state=0)
    bagging.fit(X, Y)
    weights = held[-1][1]
    assert len(weights) == 15 and 0 < np.count_nonzero(weights) < 15
    with pytest.raises(ValueError, match="sample_weight of the validation samples"):
        BaggingClassifier(early, n_estimators=9, max_samples=4, random_state=0).fit(X, Y)


def test_bagging_draws_rows_if_weights_are_not_requested(fits, routing):
    held = []

    def scorer(estimator, X, y):
        held.append(X[:, 0])
        return estimator.score(X, y)

    wanted = classifier(early_stopping=True, early_stopping_metric=scorer).set_fit_request(sample_weight=False)
    bagging = BaggingClassifier(wanted, n_estimators=1, max_samples=100, random_state=0).fit(X, Y)
    assert fits == [(100, None, None)]
    member, drawn = bagging.estimators_[0], bagging.estimators_samples_[0]
    assert_same_network(member, clone(member).fit(X[drawn], Y[drawn]))
    times = [(np.sum(X[drawn, 0] == value), np.sum(held[-1] == value)) for value in held[-1]]
    assert any(of_all > of_held for of_all, of_held in times)  # copies that are trained on


def test_adaboost_multiplies_alpha_by_the_number_of_rows(fits):
    weak = {"hidden_layer_sizes": (2,), "alpha": 0.3}
    boosted = AdaBoostClassifier(classifier(**weak), n_estimators=2, random_state=0).fit(X, Y)
    assert [pytest.approx(1)] * 2 == [weights.sum() for _, weights, _ in fits]
    first = boosted.estimators_[0]
    assert_same_network(first, clone(first).set_params(alpha=150 * 0.3).fit(X, Y))
    boosted = AdaBoostClassifier(classifier(**weak | {"alpha": 0.3 / 150}), n_estimators=1, random_state=0).fit(X, Y)
    first = boosted.estimators_[0]
    assert_same_network(first, clone(first).set_params(alpha=0.3).fit(X, Y))
    strong = classifier(hidden_layer_sizes=(30,), alpha=0, max_iter=100)
    assert len(AdaBoostClassifier(strong, n_estimators=2, random_state=0).fit(X, Y).estimators_) == 1


def test_adaboost_of_regressors_draws_rows(fits):
    AdaBoostRegressor(regressor(), n_estimators=2, random_state=0).fit(X, VALUES)
    assert set(fits) == {(150, None, None)}
