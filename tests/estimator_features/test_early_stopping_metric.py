"""`early_stopping_metric`: scores by name, by function and of several quantiles, computed independently."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import f1_score, log_loss, make_scorer, r2_score

from estimator_features.cases import HELD, LABELS, TRAIN, VALUES, X, data_loss, make

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

METRICS = {
    "score": lambda model, x, y: model.score(x, y),
    "loss": lambda model, x, y: -data_loss(model, x, y),
    "f1_macro": lambda model, x, y: f1_score(y, model.predict(x), average="macro"),
    "neg_log_loss": lambda model, x, y: -log_loss(y, model.predict_proba(x), labels=model.classes_),
    "callable": lambda model, x, y: model.predict_proba(x)[:, 1].mean(),
}


@pytest.mark.parametrize("name", METRICS)
def test_early_stopping_metric(backend, name):
    by_hand, metric = [], METRICS[name]
    found = make(
        LABELS, backend=backend, early_stopping=True, n_iter_no_change=4, max_iter=40,
        early_stopping_metric=metric if name == "callable" else name,
        callbacks=[lambda epoch: by_hand.append(metric(epoch.model, X[HELD], LABELS[HELD]))],
    ).fit(X[TRAIN], LABELS[TRAIN], X_val=X[HELD], y_val=LABELS[HELD])  # fmt: skip
    assert_allclose(found.validation_scores_, by_hand, rtol=1e-10)
    assert metric(found, X[HELD], LABELS[HELD]) == pytest.approx(max(by_hand), rel=1e-10)


def test_a_metric_of_held_out_samples_and_sparse_rows(backend):
    scores = [
        make(LABELS, backend=backend, early_stopping=True, early_stopping_metric="f1_macro")
        .fit(x, LABELS)
        .validation_scores_
        for x in (X, sparse.csr_array(X))
    ]
    assert_allclose(scores[0], scores[1], rtol=1e-10)


def test_a_scorer_for_the_regressor():
    found = make(
        VALUES, early_stopping=True, early_stopping_metric="neg_mean_absolute_error", max_iter=10
    ).fit(X[TRAIN], VALUES[TRAIN], X_val=X[HELD], y_val=VALUES[HELD])  # fmt: skip
    expected = -np.abs(found.predict(X[HELD]) - VALUES[HELD]).mean()
    assert found.best_validation_score_ == pytest.approx(expected)


@pytest.mark.parametrize(
    "metric", ["r2", "neg_mean_absolute_error", make_scorer(r2_score), lambda *_: 1 / 0], ids=lambda m: type(m).__name__
)
def test_a_metric_that_cannot_take_several_quantiles_is_refused_before_training(metric):
    told = []
    options = {"early_stopping_metric": metric, "callbacks": [told.append]}
    model = make(VALUES, loss="quantile", quantile=[0.1, 0.9], **options)
    message = r"(?s)early_stopping_metric=.* cannot score 2 quantiles of one y: .*Choose 'loss', 'score'"
    for y in (VALUES, VALUES.reshape(-1, 1)):
        with pytest.raises(ValueError, match=message), warnings.catch_warnings():
            warnings.simplefilter("ignore", DataConversionWarning)
            model.set_params(early_stopping=True).fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.set_params(early_stopping=False).fit(X, VALUES, X_val=X, y_val=VALUES)
    assert not told
    model.fit(X, VALUES)  # there it is not looked at
    both = np.column_stack([VALUES, VALUES])
    if isinstance(metric, str):
        assert len(model.set_params(early_stopping=True).fit(X, both).validation_scores_) == 6


def test_a_metric_of_ones_own_takes_several_quantiles():
    def covered(model, x, y):
        low, high = model.predict(x).T
        return np.mean((low < y) & (y < high))

    model = make(VALUES, loss="quantile", quantile=[0.1, 0.9], early_stopping=True, early_stopping_metric=covered)
    assert len(model.fit(X, VALUES).validation_scores_) == 6
