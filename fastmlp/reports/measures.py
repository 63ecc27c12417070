"""What a report measures besides the scores of the command line."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import numpy as np

__all__ = ["Bin", "ClassScores", "calibration", "class_scores", "drops", "interval"]

_Z = 1.959964  # normal quantile of a 95 % interval


class ClassScores(NamedTuple):
    """How well one class is recognised."""

    samples: int
    precision: float  # NaN if the class is never predicted
    recall: float  # NaN if there are no samples of it
    f1: float
    low: float  # 95 % interval of the recall
    high: float


class Bin(NamedTuple):
    """Predictions of about the same confidence."""

    confidence: float  # their mean
    accuracy: float
    samples: int


def interval(good: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of which `good` of n were seen.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = good / n, _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def class_scores(confusion: np.ndarray) -> list[ClassScores]:
    """Scores of each class, given how often (C, C) class i was predicted as class j."""
    right, true, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    scores = []
    for good, n, m in zip(right.tolist(), true.tolist(), predicted.tolist(), strict=True):
        precision, recall = good / m if m else np.nan, good / n if n else np.nan
        f1 = 2 * good / (n + m) if n + m else np.nan
        scores.append(ClassScores(n, precision, recall, f1, *interval(good, n)))
    return scores


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> tuple[list[Bin], float]:
    """Bins of equal width, those without a sample left out, and the expected calibration error.

    Parameters
    ----------
    confidence : (N,) probability of the predicted class.
    right : (N,) whether the prediction is right.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    found = [
        Bin(float(confidence[here].mean()), float(right[here].mean()), int(here.sum()))
        for here in (places == place for place in range(bins))
        if here.any()
    ]
    error = sum(one.samples * abs(one.confidence - one.accuracy) for one in found) / len(confidence)
    return found, error


def drops(
    score: Callable[[np.ndarray], float], x: np.ndarray, groups: list[list[int]], repeats: int, seed: int
) -> np.ndarray:
    """Permutation importance (groups, repeats): how far the score falls when features of a group change rows together.

    Parameters
    ----------
    score : of the samples' predictions, given features (N, W).
    x : (N, W).
    groups : indices of the features that belong together.

    Source: Breiman, "Random forests", 2001.
    """
    random, whole, result = np.random.RandomState(seed), score(x), np.empty((len(groups), repeats))
    changed = x.copy()
    for g, group in enumerate(groups):
        for repeat in range(repeats):
            changed[:, group] = x[random.permutation(len(x))][:, group]
            result[g, repeat] = whole - score(changed)
        changed[:, group] = x[:, group]
    return result
