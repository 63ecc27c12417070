"""Comparison of the parameters of models, and a linear regression written out."""

import numpy as np
from numpy.testing import assert_allclose

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def parts(owner):
    """All weights, then all biases, of a model or of gradients."""
    return [*owner.weights, *owner.biases]


def copies(model):
    return [part.copy() for part in parts(model)]


def assert_parts(found, expected, rtol=1e-12):
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=rtol, atol=1e-14)


def descend(x, y, lr, epochs, batch_size):
    """Linear regression, update by update: w <- w - lr times the mean over the batch of (ŷ - y) x."""
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            batch = slice(start, start + batch_size)
            error = x[batch] @ w + b - y[batch]
            w, b = w - lr * x[batch].T @ error / len(error), b - lr * error.mean()
    return [w[:, None], np.array([b])]
