"""Validation data in meta-estimators."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from meta_estimators.cases import HELD, TRAIN, VALUES, X, Y, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
EARLY = {"early_stopping": True, "n_iter_no_change": 5, "max_iter": 100}
WORDS = np.array(["ant", "bee", "cat"])[Y]


def test_a_pipeline_does_not_scale_validation_data(routing):
    far = 100 * X + 500
    asking = classifier(**EARLY).set_fit_request(X_val=True, y_val=True)
    found = {}
    for transformed in (None, ["X_val"]):
        pipeline = make_pipeline(StandardScaler(), asking, transform_input=transformed)
        pipeline.fit(far[TRAIN], Y[TRAIN], X_val=far[HELD], y_val=Y[HELD])
        best = pipeline[-1].best_validation_score_
        found[transformed is None] = pipeline.score(far[HELD], Y[HELD]), best, pipeline[-1].best_epoch_
    assert found[False][0] == found[False][1] > 0.75
    assert found[True][0] < 0.6 and found[True][2] < found[False][2]


def test_a_search_cuts_validation_data_of_as_many_rows(fits):
    def rows(n):
        fits.clear()
        GridSearchCV(classifier(), {"alpha": [0.1]}, cv=4).fit(X[:80], Y[:80], X_val=X[-n:], y_val=Y[-n:])
        return [(n_train, n_val) for n_train, _, n_val in fits]

    assert rows(79) == [(60, 79)] * 4 + [(80, 79)]
    assert rows(80) == [(60, 60)] * 4 + [(80, 80)]


def test_a_transformed_target_leaves_y_val_as_it_is():
    model = TransformedTargetRegressor(regressor(**EARLY), transformer=StandardScaler())
    model.fit(X[TRAIN], VALUES[TRAIN], X_val=X[HELD], y_val=VALUES[HELD])
    assert model.regressor_.best_validation_score_ < -10
    blind = model.score(X[HELD], VALUES[HELD])
    scaled = StandardScaler().fit(VALUES[TRAIN, None]).transform(VALUES[HELD, None]).ravel()
    model.fit(X[TRAIN], VALUES[TRAIN], X_val=X[HELD], y_val=scaled)
    assert model.score(X[HELD], VALUES[HELD]) == pytest.approx(model.regressor_.best_validation_score_)
    assert model.regressor_.best_validation_score_ > max(0.8, blind)


NUMBERING = {
    "bagging": lambda e: BaggingClassifier(e, n_estimators=1, random_state=0),
    "voting": lambda e: VotingClassifier([("only", e)], voting="soft"),
}


@pytest.mark.parametrize("kind", NUMBERING)
def test_labels_are_numbered_but_not_those_of_validation_data(kind, routing):
    asking = classifier(max_iter=30).set_fit_request(X_val=True, y_val=True, sample_weight=True)
    rows = Y != 2

    def scores(y):
        """The last validation score of the network, and the score of the ensemble."""
        model = NUMBERING[kind](asking).fit(X, y, X_val=X[rows], y_val=y[rows])
        return model.estimators_[0].validation_scores_[-1], model.score(X[rows], y[rows])

    with pytest.raises(ValueError, match=r"y_val has classes \['ant' 'bee'\] .* of y, \[0 1 2\]"):
        scores(WORDS)
    seen, true = scores(Y + 1)
    assert seen < 0.5 < true
    seen, true = scores(Y)
    assert seen == true > 0.5


@pytest.mark.parametrize("kind", NUMBERING)
def test_labels_are_numbered_but_not_those_of_class_weights(kind):
    def likeliest(y, class_weight):
        wrapped = NUMBERING[kind](classifier(max_iter=30, class_weight=class_weight))
        return wrapped.fit(X, y).predict_proba(X).mean(axis=0).argmax()

    with pytest.raises(ValueError, match=r"The classes, \[0, 1, 2\], are not in class_weight"):
        likeliest(WORDS, {"ant": 1, "bee": 50, "cat": 1})
    with pytest.raises(ValueError, match=r"The classes, \[0, 1, 2\], are not in class_weight"):
        StackingClassifier([("only", classifier(class_weight={"ant": 1, "bee": 50, "cat": 1}))]).fit(X, WORDS)
    assert likeliest(Y, {0: 1, 1: 50, 2: 1}) == 1
    assert likeliest(Y + 1, {1: 50}) == 1  # which is class 2


def test_validation_data_of_another_target_are_refused(routing):
    asking = classifier().set_fit_request(X_val=True, y_val=True)
    many = (X[:, :2] > 0).astype(int)
    with pytest.raises(ValueError, match="y_val is multilabel-indicator, but y is binary"):
        MultiOutputClassifier(asking).fit(X, many, X_val=X, y_val=many)
    with pytest.raises(ValueError, match=r"y_val has classes \[2\]"):
        OneVsRestClassifier(asking).fit(X, Y, X_val=X, y_val=Y)
    both = np.column_stack([VALUES, X[:, 0]])
    for kind in (MultiOutputRegressor, RegressorChain):
        with pytest.raises(ValueError, match="y_val has 2 columns, but y has 1"):
            kind(regressor().set_fit_request(X_val=True, y_val=True)).fit(X, both, X_val=X, y_val=both)
    # one network takes all of them
    assert regressor().fit(X, both, X_val=X, y_val=both).predict(X).shape == (150, 2)
    assert classifier().fit(X, many, X_val=X, y_val=many).predict(X).shape == (150, 2)


def test_early_stopping_does_not_know_groups():
    groups, rows_held = np.arange(150) // 5, []

    def scorer(estimator, X, y):
        rows_held.append(np.bincount(X[:, -1].astype(int)))
        return estimator.score(X, y)

    early = classifier(early_stopping=True, early_stopping_metric=scorer, max_iter=1)
    cross_validate(early, np.column_stack([X, groups]), Y, groups=groups, cv=GroupKFold(3))
    assert len(rows_held) == 3
    for of_group in rows_held:
        assert ((of_group > 0) & (of_group < 5)).any()  # the others are trained on
