"""Small data sets that need no file: four from scikit-learn, and two that are drawn at random."""

import math
from typing import Any

import numpy as np

from fastmlp.datasets.dataset import Dataset
from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.splits import check_seed, split_rows

__all__ = ["breast_cancer", "diabetes", "digits", "iris", "spirals", "xor"]

_TURN = 4.0  # radians from the inner to the outer end of a spiral


def digits(*, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels: x (N, 64) float32, the pixels divided by 16.

    Parameters
    ----------
    test_fraction : float
        Share of the rows to hold out for testing.
    seed : int
        Of the split; the same seed takes the same rows.
    """
    with no_fork():
        from sklearn.datasets import load_digits

        bunch = load_digits()
    train, test = split_rows(len(bunch.data), test_fraction, seed)
    return _dataset("digits", (bunch.data / 16).astype(np.float32), bunch, train, test)


def breast_cancer(*, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """569 tumours, malignant or benign: x (N, 30) float64, standardised by the training rows.

    Parameters
    ----------
    test_fraction : float
        Share of the rows to hold out for testing.
    seed : int
        Of the split; the same seed takes the same rows.
    """
    with no_fork():
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
    return _standardised("breast_cancer", bunch, test_fraction, seed)


def diabetes(*, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """442 patients and the progress of their disease, from 25 to 346: x (N, 10) float64, standardised.

    Parameters
    ----------
    test_fraction : float
        Share of the rows to hold out for testing.
    seed : int
        Of the split; the same seed takes the same rows.
    """
    with no_fork():
        from sklearn.datasets import load_diabetes

        bunch = load_diabetes(scaled=False)
    return _standardised("diabetes", bunch, test_fraction, seed)


def iris(*, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """150 flowers of three species: x (N, 4) float64, standardised by the training rows.

    Parameters
    ----------
    test_fraction : float
        Share of the rows to hold out for testing.
    seed : int
        Of the split; the same seed takes the same rows.
    """
    with no_fork():
        from sklearn.datasets import load_iris

        bunch = load_iris()
    return _standardised("iris", bunch, test_fraction, seed)


def spirals(n: int = 300, classes: int = 3, noise: float = 0.2, seed: int = 0) -> Dataset:
    """Points on spiral arms around the origin, one arm per class, and as many test points.

    Parameters
    ----------
    n : int
        Number of points N, at least one per class.
    classes : int
        Number of arms C, at least 2.
    noise : float
        Standard deviation of a point's angle, in radians.
    seed : int
        From 0 to 2**32 - 1.

    Returns
    -------
    Dataset
        With x (N, 2) float64, within the unit circle.

    Raises
    ------
    InputError
        If an argument is out of range.

    Notes
    -----
    Source: A. Karpathy, CS231n, "Neural networks case study", made for any number of arms.
    """
    if type(classes) is not int or classes < 2:
        raise InputError(f"classes={classes!r} cannot be told apart. Give a whole number from 2.")
    random = _random(n, classes, noise, seed)
    y = np.arange(n, dtype=np.int64) % classes
    steps = np.arange(n) // classes
    radius = steps / max(steps[-1], 1)

    def draw() -> np.ndarray:
        angle = 2 * math.pi / classes * y + _TURN * radius + noise * random.standard_normal(n)
        return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)

    return _drawn("spirals", draw(), draw(), y)


def xor(n: int = 200, noise: float = 0.1, seed: int = 0) -> Dataset:
    """Points around the corners of the unit square, of class 1 where the coordinates differ.

    There are as many to test with. `xor(4, noise=0)` gives the corners themselves: (0, 0), (0, 1), (1, 0) and
    (1, 1).

    Parameters
    ----------
    n : int
        Number of points N, at least 4.
    noise : float
        Standard deviation of a point's coordinates.
    seed : int
        From 0 to 2**32 - 1.

    Returns
    -------
    Dataset
        With x (N, 2) float64.

    Raises
    ------
    InputError
        If an argument is outside its range.
    """
    random = _random(n, 4, noise, seed)
    corner = np.arange(n, dtype=np.int64) % 4
    exact = np.stack([corner // 2, corner % 2], axis=1).astype(np.float64)

    def draw() -> np.ndarray:
        return exact + noise * random.standard_normal((n, 2))

    return _drawn("xor", draw(), draw(), corner // 2 ^ corner % 2)


def _standardised(name: str, bunch: Any, test_fraction: float, seed: int) -> Dataset:
    """Split a set of scikit-learn and scale its features to mean 0 and deviation 1 over the training rows."""
    train, test = split_rows(len(bunch.data), test_fraction, seed)
    x = (bunch.data - bunch.data[train].mean(axis=0)) / bunch.data[train].std(axis=0)
    return _dataset(name, x, bunch, train, test)


def _dataset(name: str, x: np.ndarray, bunch: Any, train: np.ndarray, test: np.ndarray) -> Dataset:
    class_names = tuple(map(str, bunch.get("target_names", ())))
    y = np.asarray(bunch.target, np.int64 if class_names else np.float64)
    return Dataset(
        name=name,
        x=x[train],
        y=y[train],
        x_test=x[test] if len(test) else None,
        y_test=y[test] if len(test) else None,
        class_names=class_names,
        feature_names=tuple(map(str, bunch.feature_names)),
    )


def _drawn(name: str, x: np.ndarray, x_test: np.ndarray, y: np.ndarray) -> Dataset:
    return Dataset(
        name=name,
        x=x,
        y=y,
        x_test=x_test,
        y_test=y.copy(),
        class_names=tuple(map(str, range(int(y.max()) + 1))),
        feature_names=("x0", "x1"),
    )


def _random(n: int, least: int, noise: float, seed: int) -> np.random.RandomState:
    if type(n) is not int or n < least:
        raise InputError(f"n={n!r} points are too few. Give a whole number from {least}.")
    if not 0 <= noise < math.inf:
        raise InputError(f"noise={noise!r} is no standard deviation. Give 0 or a finite number above it.")
    return np.random.RandomState(check_seed(seed))
