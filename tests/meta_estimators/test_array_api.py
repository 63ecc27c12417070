"""Arrays of other libraries in pipelines and searches."""

import os
import subprocess
import sys
import textwrap

import pytest

DISPATCHED = textwrap.dedent("""
    import importlib, sys, warnings
    import numpy as np, sklearn
    from sklearn import neural_network
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import BaggingClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    import fastmlp
    warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
    library = importlib.import_module(sys.argv[1])
    X = np.random.RandomState(0).standard_normal((60, 3))
    y = X.argmax(axis=1)
    def network(module):
        return module.MLPClassifier((4,), max_iter=5, random_state=0)
    def search(module):
        model = make_pipeline(StandardScaler(), network(module))
        return GridSearchCV(model, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2, error_score="raise")
    def raises(model, *errors):
        try:
            model.fit(given, labels).predict(given)
        except errors:
            return
        raise AssertionError(f"{model} takes them by now")
    given, labels = library.asarray(X), library.asarray(y)
    plain = search(fastmlp).fit(X, y)
    with sklearn.config_context(array_api_dispatch=True):
        found = search(fastmlp).fit(given, labels)
        assert type(found.predict(given)) is type(labels)
        assert type(found.best_estimator_[-1].coefs_[0]) is np.ndarray
        np.testing.assert_allclose(found.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
        raises(search(neural_network), TypeError)
        for wrap in (BaggingClassifier, CalibratedClassifierCV):
            raises(wrap(network(fastmlp)), TypeError, IndexError)
""")


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_arrays_of_other_libraries_go_through_pipeline_and_search(library):
    pytest.importorskip(library)
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "FASTMLP_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", DISPATCHED, library], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
