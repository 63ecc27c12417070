"""One checkpoint for many fits, and worker processes."""

import joblib
import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV

from fastmlp import InputError
from fastmlp.backends.threads import available_threads, cores
from meta_estimators.cases import X, Y, assert_same_network, classifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_one_checkpoint_is_not_that_of_every_fold(tmp_path):
    for resume, message in ((False, "is there already"), (True, "is of another run: .*features")):
        path = tmp_path / f"{resume}"
        search = GridSearchCV(classifier(), {"alpha": [1e-4]}, cv=3, refit=False)
        with pytest.warns(FitFailedWarning, match=f"(?s)2 fits failed.*{message}"), pytest.warns(UserWarning):
            search.fit(X, Y, checkpoint=path, resume=resume)
        assert [np.isnan(search.cv_results_[f"split{i}_test_score"][0]) for i in range(3)] == [False, True, True]
    best = GridSearchCV(classifier(), {"alpha": [1e-4, 1.0]}, cv=3, refit=False).fit(X, Y).best_params_
    refitted = classifier(**best).fit(X, Y, checkpoint=tmp_path / "c", resume=True)
    assert_same_network(refitted, GridSearchCV(classifier(), {"alpha": [1e-4, 1.0]}, cv=3).fit(X, Y).best_estimator_)


def test_members_of_an_ensemble_do_not_resume_from_one_another(tmp_path, routing):
    asking = classifier().set_fit_request(checkpoint=True, resume=True, sample_weight=True)
    bagging = BaggingClassifier(asking, n_estimators=2, bootstrap=False, random_state=0)
    with pytest.raises(InputError, match=r"of another run: random_state \d+ then, \d+ now"):
        bagging.fit(X, Y, checkpoint=tmp_path / "c", resume=True)


@pytest.mark.parametrize("kind", ["loky", "threading"])
def test_workers_share_the_cores(kind, monkeypatch):
    for name in ("FASTMLP_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with joblib.parallel_config(backend=kind):
        (threads,) = set(joblib.Parallel(n_jobs=2)(joblib.delayed(available_threads)() for _ in range(2)))
    assert threads == (max(1, cores() // 2) if kind == "loky" else cores())
