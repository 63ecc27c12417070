"""Selection of columns, calibration and stacking of trained networks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance

from meta_estimators.cases import HELD, TRAIN, X, Y, classifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_selection_by_weights_needs_to_be_told_how():
    def of_inputs(e):
        return np.abs(e.coefs_[0]).sum(axis=1)

    noisy = np.column_stack([X, np.random.RandomState(1).standard_normal((150, 2))])
    trained = classifier(max_iter=60)
    with pytest.raises(ValueError, match="importance_getter"):
        RFE(trained, n_features_to_select=4).fit(noisy, Y)
    with pytest.raises(ValueError, match="importance_getter"):
        SelectFromModel(trained).fit(noisy, Y).transform(noisy)
    support = [True] * 4 + [False] * 2
    assert_array_equal(
        RFE(trained, n_features_to_select=4, importance_getter=of_inputs).fit(noisy, Y).support_, support
    )
    chosen = SelectFromModel(trained, max_features=4, threshold=-np.inf, importance_getter=of_inputs).fit(noisy, Y)
    assert_array_equal(chosen.get_support(), support)
    found = permutation_importance(trained.fit(noisy, Y), noisy, Y, n_repeats=3, random_state=0).importances_mean
    assert found[:4].min() > found[4:].max()


def test_calibration_trains_anew_unless_the_network_is_frozen(fits):
    CalibratedClassifierCV(classifier(), cv=3).fit(X, Y)
    assert [rows for rows, _, _ in fits] == [100] * 3
    trained = classifier().fit(X[TRAIN], Y[TRAIN])
    fits.clear()
    calibrated = CalibratedClassifierCV(FrozenEstimator(trained)).fit(X[HELD], Y[HELD])
    assert fits == []
    assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    StackingClassifier([("net", trained)], cv="prefit").fit(X[HELD], Y[HELD])
    assert fits == []
