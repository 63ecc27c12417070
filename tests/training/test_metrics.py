"""Metrics: examples, and agreement with scikit-learn."""

import math
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.errors import InputError
from fastmlp.metrics import accuracy_score, confusion_matrix, get_metric, per_class_accuracy, r2_score

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def test_two_of_four_right_are_50_percent():
    assert accuracy_score([0, 0, 1, 1], [0, 1, 1, 0]) == 0.5


def test_three_of_five_right_are_60_percent_and_each_class_has_its_share():
    true, predicted = (0, 1, 3, 5, 1), (0, 7, 8, 5, 1)
    assert accuracy_score(true, predicted) == 0.6
    assert per_class_accuracy(true, predicted) == {0: 1.0, 1: 0.5, 3: 0.0, 5: 1.0}


@given(PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_accuracy_agrees_with_scikit_learn(pairs, random):
    true, predicted = np.array(pairs).T
    weight = [random.random() + 0.1 for _ in pairs]
    assert accuracy_score(true, predicted) == sklearn.metrics.accuracy_score(true, predicted)
    assert accuracy_score(true, predicted, weight) == pytest.approx(weight @ (true == predicted) / sum(weight))


@given(PAIRS)
@settings(max_examples=50)
def test_the_confusion_matrix_agrees_with_scikit_learn_and_with_the_other_scores(pairs):
    true, predicted = np.array(pairs).T
    counts = confusion_matrix(true, predicted, n_classes=4)
    labels = [0, 1, 2, 3]
    np.testing.assert_array_equal(counts, sklearn.metrics.confusion_matrix(true, predicted, labels=labels))
    assert counts.dtype == np.int64
    assert counts.trace() / len(pairs) == pytest.approx(accuracy_score(true, predicted))
    for label, share in per_class_accuracy(true, predicted, n_classes=4).items():
        assert math.isnan(share) if counts[label].sum() == 0 else share == counts[label, label] / counts[label].sum()


def test_without_a_number_of_classes_the_labels_are_those_that_occur():
    assert confusion_matrix(["b", "a", "b"], ["b", "c", "c"]).tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 0]]
    assert confusion_matrix([7, 7], [7, 7]).tolist() == [[2]]
    assert per_class_accuracy(["b", "a", "b"], ["b", "c", "c"]) == {"a": 0.0, "b": 0.5}


def test_labels_of_dtype_object_are_compared_by_value():
    true, predicted = np.array(["a", "b"], object), np.array(["a", "a"])
    assert per_class_accuracy(true, predicted) == {"a": 1.0, "b": 0.0}
    assert confusion_matrix(true, predicted).tolist() == [[1, 0], [1, 0]]


def test_labels_of_per_class_accuracy_are_plain_python_values():
    assert [type(label) for label in per_class_accuracy(np.array([1, 2]), np.array([1, 2]))] == [int, int]


@pytest.mark.parametrize("shape", [(12,), (12, 1), (12, 3)])
def test_r2_agrees_with_scikit_learn(shape):
    rng = np.random.RandomState(0)
    true, predicted, weight = rng.normal(size=shape), rng.normal(size=shape), rng.uniform(size=12)
    assert r2_score(true, predicted) == sklearn.metrics.r2_score(true, predicted)
    assert r2_score(true, predicted, weight) == sklearn.metrics.r2_score(true, predicted, sample_weight=weight)
    assert r2_score(true, true) == 1.0
    assert r2_score(true, np.broadcast_to(true.mean(axis=0), shape)) == pytest.approx(0.0)


def test_r2_of_several_outputs_is_their_mean():
    true = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    predicted = true * [1.0, -1.0]
    each = [r2_score(true[:, output], predicted[:, output]) for output in range(2)]
    assert r2_score(true, predicted) == pytest.approx(np.mean(each))


def test_r2_of_constant_targets_is_1_if_exact_else_0():
    assert r2_score([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert r2_score([2.0, 2.0], [2.0, 3.0]) == 0.0


def test_get_metric_gives_the_functions():
    assert get_metric("accuracy") is accuracy_score
    assert get_metric("r2") is r2_score
    with pytest.raises(InputError, match=r"metric='f1' is unknown\. Choose 'accuracy' or 'r2'"):
        get_metric("f1")


@pytest.mark.parametrize("score", [accuracy_score, r2_score, per_class_accuracy, confusion_matrix])
def test_empty_and_mismatched_arrays_are_refused(score):
    with pytest.raises(InputError, match="no samples"):
        score([], [])
    with pytest.raises(InputError, match="no samples"):
        score(1, 1)
    with pytest.raises(InputError, match=r"\(3,\) and y_pred \(2,\)"):
        score([0, 1, 1], [0, 1])
    with pytest.raises(InputError, match=r"\(2, 1\) and y_pred \(2,\)"):
        score([[0], [1]], [0, 1])


@pytest.mark.parametrize("weight", [[1.0], [1.0, -1.0], [1.0, np.nan], [0.0, 0.0], [[1.0, 1.0]]])
@pytest.mark.parametrize("score", [accuracy_score, r2_score])
def test_weights_that_cannot_weigh_are_refused(score, weight):
    with pytest.raises(InputError, match=r"[Ww]eights?"):
        score([0, 1], [0, 1], weight)


def test_what_scikit_learn_refuses_is_an_input_error():
    with pytest.raises(InputError, match="NaN"):
        r2_score([1.0, 2.0], [1.0, np.nan])
    with pytest.raises(InputError, match="continuous"):
        accuracy_score([0.5, 1.0], [0, 1])


@pytest.mark.parametrize("score", [per_class_accuracy, confusion_matrix])
def test_labels_out_of_place_are_refused(score):
    with pytest.raises(InputError, match=r"y_pred holds the label 4, but n_classes=4 .* 0 to 3\."):
        score([0, 1], [0, 4], n_classes=4)
    with pytest.raises(InputError, match="y_true holds the label -1"):
        score([0, -1], [0, 1], n_classes=4)
    with pytest.raises(InputError, match="same kind"):
        score(["0", "1"], [0, 1])
    with pytest.raises(InputError, match="argmax"):
        score(np.eye(2), np.eye(2))


def test_importing_the_module_does_not_import_scikit_learn():
    program = "import sys, fastmlp.metrics; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
