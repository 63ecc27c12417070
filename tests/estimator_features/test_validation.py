"""Given validation data, early stopping on them, and callbacks, epoch by epoch."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator_features.cases import HELD, LABELS, TARGETS, TRAIN, WEIGHTS, X, assert_same, data_loss, make

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_validation_data_of_ones_own(backend, target, weighted):
    y, weights = TARGETS[target], WEIGHTS[HELD] if weighted else None
    seen = []

    def note(epoch):
        model = epoch.model
        score = model.score(X[HELD], y[HELD], sample_weight=weights)
        seen.append((data_loss(model, X[HELD], y[HELD], weights), score))

    found = make(y, backend=backend, callbacks=[note])
    found.fit(X[TRAIN], y[TRAIN], X_val=X[HELD], y_val=y[HELD], sample_weight_val=weights)
    losses, scores = np.transpose(seen)
    assert_allclose(found.validation_loss_curve_, losses, rtol=1e-12)
    assert_allclose(found.validation_scores_, scores, rtol=1e-10)
    assert found.best_validation_score_ == max(found.validation_scores_)
    assert found.validation_scores_[found.best_epoch_ - 1] == found.best_validation_score_
    # looking on changes nothing
    assert_same(found, make(y, backend=backend).fit(X[TRAIN], y[TRAIN]), 0)


@pytest.mark.parametrize("target", TARGETS)
def test_early_stopping_on_validation_data_of_ones_own(backend, target):
    y, weights = TARGETS[target], []
    found = make(
        y, backend=backend, early_stopping=True, n_iter_no_change=3, max_iter=300, learning_rate_init=0.02,
        callbacks=[lambda epoch: weights.append([w.copy() for w in epoch.model.coefs_])],
    ).fit(X[TRAIN], y[TRAIN], X_val=X[HELD], y_val=y[HELD])  # fmt: skip
    assert found.best_epoch_ == 1 + np.argmax(found.validation_scores_)
    assert found.n_iter_ == len(found.validation_scores_) == len(found.validation_loss_curve_) < 300
    for w, best in zip(found.coefs_, weights[found.best_epoch_ - 1], strict=True):
        assert_array_equal(w, best)
    assert found.score(X[HELD], y[HELD]) == pytest.approx(found.best_validation_score_)
    assert found.t_ == 60 * found.n_iter_  # all of X is trained on


@pytest.mark.parametrize(
    ("first", "then"),
    [({}, {"early_stopping": True}), ({"early_stopping": True}, {}), ({"solver": "lbfgs", "tol": 1.0}, {})],
    ids=str,
)
def test_a_warm_start_of_another_kind(first, then):
    """Curves go on, or begin where there are none."""
    model = make(LABELS, warm_start=True, **first).fit(X, LABELS)
    epochs = len(getattr(model, "loss_curve_", []))
    model.set_params(solver="adam", early_stopping=False, n_iter_no_change=4, tol=0).set_params(**then)
    model.fit(X[TRAIN], LABELS[TRAIN], X_val=X[HELD], y_val=LABELS[HELD])
    assert model.n_iter_ == 6
    assert len(model.loss_curve_) == epochs + 6
    assert (
        len(model.validation_scores_)
        == len(model.validation_loss_curve_)
        == 6 + (6 if first.get("early_stopping") else 0)
    )
    assert (model.best_loss_ is None) == model.early_stopping


def test_a_new_fit_forgets_the_best_epoch():
    model = make(LABELS, early_stopping=True).fit(X, LABELS).set_params(early_stopping=False).fit(X, LABELS)
    assert model.validation_scores_ is model.validation_loss_curve_ is None
    assert not hasattr(model, "best_epoch_")


def test_callbacks(backend):
    told = []

    def note(epoch):
        told.append((epoch.number, epoch.history["loss"][-1], epoch.model.loss_, epoch.model.n_iter_))

    def stop(epoch):
        return epoch.number == 4

    model = make(LABELS, backend=backend, callbacks=[stop, note]).fit(X, LABELS)
    assert [row[0] for row in told] == [1, 2, 3, 4]
    assert all(loss == of_model and number == iterations for number, loss, of_model, iterations in told)
    assert model.n_iter_ == 4
    assert_same(model, make(LABELS, backend=backend, max_iter=4).fit(X, LABELS), 0)
