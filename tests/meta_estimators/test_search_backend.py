"""joblib's backend "fastmlp": scikit-learn's results, but for times."""

import signal
import threading

import numpy as np
import pytest
import sklearn
from joblib import Parallel, delayed, parallel_config
from scipy.stats import uniform
from sklearn.ensemble import BaggingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((90, 5))
Y = (X @ RANDOM.standard_normal((5, 3))).argmax(axis=1)
GRID = {"hidden_layer_sizes": [(4,), (6, 3)], "alpha": [1e-4, 1.0]}


def classifier(**options):
    return MLPClassifier(max_iter=8, tol=0.1, n_iter_no_change=3, random_state=0, **options)


SEARCHES = {
    "grid": lambda: GridSearchCV(classifier(), GRID, cv=3, return_train_score=True),
    "regression": lambda: GridSearchCV(MLPRegressor(max_iter=8, tol=9.0, random_state=0), GRID, cv=2),
    "random": lambda: RandomizedSearchCV(classifier(), {"alpha": uniform(0, 1)}, n_iter=5, cv=2, random_state=1),
    "halving": lambda: HalvingGridSearchCV(classifier(), GRID, cv=2, random_state=0),
    "pipeline": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), classifier()),
        {"mlpclassifier__alpha": [0.1, 1.0]},
        cv=2,
        scoring="neg_log_loss",
    ),
}


def without_times(results):
    return {name: np.array(values).tolist() for name, values in results.items() if "time" not in name}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_the_results_of_a_search_in_turn(search):
    alone = search().fit(X, Y)
    with parallel_config(backend="fastmlp", n_jobs=2):
        together = search().fit(X, Y)
    assert without_times(together.cv_results_) == without_times(alone.cv_results_)
    assert together.best_params_ == alone.best_params_
    np.testing.assert_array_equal(together.predict(X), alone.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ensembles_within_cross_validation_and_settings_of_this_thread():
    weights = np.arange(90.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        ensemble = BaggingClassifier(model, n_estimators=2, random_state=0)
        alone = cross_validate(ensemble, X, Y, cv=2, params={"sample_weight": weights})
        with parallel_config(backend="fastmlp"):
            together = cross_validate(ensemble.set_params(n_jobs=2), X, Y, cv=2, params={"sample_weight": weights})
    assert without_times(together) == without_times(alone)


def test_an_error_ends_the_search():
    with parallel_config(backend="fastmlp", n_jobs=2), pytest.raises(ValueError, match="'alpha' parameter"):
        GridSearchCV(classifier(), {"alpha": [-1.0, 1.0]}, cv=2, error_score="raise").fit(X, Y)
    with pytest.raises(ValueError, match="n_jobs=0 has no meaning"), parallel_config(backend="fastmlp"):
        Parallel(n_jobs=0)(delayed(int)(k) for k in range(2))


def test_number_of_jobs(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "1")
    with parallel_config(backend="fastmlp"):
        assert Parallel()._effective_n_jobs() == 1
    with parallel_config(backend="fastmlp", n_jobs=3):
        assert Parallel()._effective_n_jobs() == 3
        assert Parallel()(delayed(int)(k) for k in range(9)) == list(range(9))


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
def test_ctrl_c_ends_the_fits_in_training_and_begins_no_others():
    begun = []

    def interrupt(epoch):
        if epoch.number == 1:
            begun.append(epoch.model)
            if len(begun) == 2:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    model = classifier(callbacks=[interrupt]).set_params(max_iter=10**7, n_iter_no_change=np.inf)
    with parallel_config(backend="fastmlp", n_jobs=2), pytest.raises(KeyboardInterrupt):
        GridSearchCV(model, GRID, cv=3).fit(X, Y)
    assert len(begun) == 2
