"""What a report measures, on cases worked out by hand."""

import numpy as np
import pytest

from fastmlp.reports.measures import calibration, class_scores, drops, interval


def test_intervals_are_wilsons():
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert interval(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)
    assert interval(0, 0) == (0, 1)


def test_scores_of_classes():
    first, second, third = class_scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert (first.samples, first.recall, first.precision) == (4, 0.75, 0.6)
    assert first.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert (second.recall, second.precision) == (pytest.approx(2 / 3), 0.8)
    assert (first.low, first.high) == interval(3, 4)
    assert third.samples == 0 and np.isnan([third.recall, third.precision, third.f1]).all()


def test_calibration():
    confidence, right = np.array([0.62, 0.68, 0.91, 1.0]), np.array([True, False, True, True])
    bins, error = calibration(confidence, right)
    assert [one.samples for one in bins] == [2, 2]
    assert [one.accuracy for one in bins] == [0.5, 1.0]
    assert bins[0].confidence == pytest.approx(0.65)
    assert error == pytest.approx(0.5 * 0.15 + 0.5 * (1 - 0.955))


def test_only_columns_that_are_used_have_importance():
    x = np.random.RandomState(0).standard_normal((200, 4))
    y, before = x[:, 0] + x[:, 1] > 0, x.copy()

    def score(x):
        return float(np.mean((x[:, 0] + x[:, 1] > 0) == y))

    falls = drops(score, x, [[0], [1, 2], [3]], repeats=4, seed=0)
    assert falls.shape == (3, 4)
    assert (falls[:2] > 0.1).all() and (falls[2] == 0).all()
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(falls, drops(score, x, [[0], [1, 2], [3]], repeats=4, seed=0))
