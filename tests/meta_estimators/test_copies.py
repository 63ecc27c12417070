"""Clones of a network: their callbacks, seeds and warm starts, and rounds of training."""

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from meta_estimators.cases import X, Y, assert_same_network, classifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Notes:
    def __init__(self):
        self.epochs = []

    def __call__(self, epoch):
        self.epochs.append(epoch.number)

    note = __call__


def test_clones_share_functions_and_copy_objects():
    told, whole, bound = [], Notes(), Notes()
    callbacks = [lambda epoch: told.append(epoch.number), whole, bound.note]
    folds = cross_validate(classifier(callbacks=callbacks), X, Y, cv=2, return_estimator=True)["estimator"]
    assert told == [1, 2, 3, 4, 5] * 2
    assert whole.epochs == bound.epochs == []
    assert [fold.callbacks[1].epochs for fold in folds] == [[1, 2, 3, 4, 5]] * 2


def test_what_a_function_notes_in_another_process_stays_there():
    told = []
    cross_validate(classifier(callbacks=[lambda epoch: told.append(epoch.number)]), X, Y, cv=2, n_jobs=2)
    assert told == []


def test_what_a_function_keeps_goes_from_fold_to_fold():
    def patience(epochs, fresh):
        kept = {}

        def stop(epoch):
            if not kept or (fresh and epoch.number == 1):
                kept.update(best=np.inf, waited=0)
            better = epoch.history["loss"][-1] < kept["best"]
            kept.update(best=epoch.history["loss"][-1], waited=0) if better else kept.update(waited=kept["waited"] + 1)
            return kept["waited"] == epochs

        return stop

    def epochs_of_folds(fresh):
        e = classifier(callbacks=[patience(4, fresh)], max_iter=8)
        return [fold.n_iter_ for fold in cross_validate(e, X, Y, cv=2, return_estimator=True)["estimator"]]

    assert epochs_of_folds(fresh=True) == [8, 8]
    assert epochs_of_folds(fresh=False) == [8, 4]


def test_seeds_of_folds_and_members():
    def weights(seed):
        e = classifier(random_state=seed, learning_rate_init=1e-12)
        return {round(e.coefs_[0][0, 0], 9) for e in cross_validate(e, X, Y, cv=3, return_estimator=True)["estimator"]}

    assert len(weights(0)) == len(weights(np.random.RandomState(0))) == 1
    assert len(weights(None)) == 3
    for kind in (BaggingClassifier, AdaBoostClassifier):
        members = kind(classifier(hidden_layer_sizes=(2,)), n_estimators=2, random_state=7).fit(X, Y).estimators_
        assert len({0, *(member.random_state for member in members)}) == 3
    assert_same_network(*VotingClassifier([("a", classifier()), ("b", classifier())]).fit(X, Y).estimators_)


def test_a_warm_start_lasts_only_where_nothing_is_cloned():
    warm = classifier(warm_start=True).fit(X, Y)
    folds = cross_validate(warm, X, Y, cv=2, return_estimator=True)["estimator"]
    assert [len(fold.loss_curve_) for fold in folds] == [5, 5]
    pipeline = make_pipeline(StandardScaler(), classifier(warm_start=True))
    assert len(pipeline.fit(X, Y).fit(X, Y)[-1].loss_curve_) == 10
    some = np.where(np.arange(150) < 30, Y, -1)
    for warm in (True, False):
        model = SelfTrainingClassifier(classifier(warm_start=warm), threshold=0.5, max_iter=3).fit(X, some)
        assert model.n_iter_ > 1  # after which it is fitted once more
        assert len(model.estimator_.loss_curve_) == (5 * (model.n_iter_ + 1) if warm else 5)


def test_incremental_learning_is_one_epoch_a_size(fits):
    settings = {"train_sizes": [0.5, 1.0], "cv": 2}
    e = classifier(max_iter=50)
    _, _, whole = learning_curve(e, X, Y, **settings)
    assert len(fits) == 4
    _, _, parts = learning_curve(e, X, Y, **settings, exploit_incremental_learning=True)
    assert len(fits) == 4  # the rest were partial_fit's
    assert parts.max() < whole.min()


def test_halving_by_epochs_begins_anew_in_each_round(fits):
    search = HalvingGridSearchCV(
        classifier(warm_start=True), {"alpha": [1e-4, 1e-2, 1.0, 100.0]}, cv=2, factor=2,
        resource="max_iter", min_resources=2, max_resources=8,
    ).fit(X, Y)  # fmt: skip
    assert (search.n_candidates_, search.n_resources_) == ([4, 2, 1], [2, 4, 8])
    assert len(fits) == 2 * (4 + 2 + 1) + 1
    assert search.best_estimator_.max_iter == len(search.best_estimator_.loss_curve_) == 8
