"""The estimators as ONNX graphs, whoever builds the graph, and as files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastmlp.activations import activation_of
from fastmlp.errors import InputError
from fastmlp.estimators.fitted_weights import arithmetic, fitted_arrays
from fastmlp.estimators.hooks import overridden
from fastmlp.estimators.parameters import ALIASES, hidden_activations
from fastmlp.exporting.layers import Layers
from fastmlp.exporting.onnx_model import OnnxModel
from fastmlp.exporting.onnx_nodes import LINK_GRAPHS, Graph, add_layers, labels_in_onnx

__all__ = ["add_classifier", "add_regressor", "is_multilabel", "write_estimator"]


def write_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to an ONNX file, whole or not at all; see `MLPClassifier.to_onnx`.

    Raises
    ------
    InputError : a subclass predicts in a way of its own; labels that ONNX does not have.
    """
    check_is_fitted(estimator, "coefs_")
    if overridden(estimator, "_forward_pass_fast"):
        raise InputError(
            f"{type(estimator).__name__} has a method _forward_pass_fast of its own, which ONNX cannot hold. Export an "
            "estimator without it."
        )
    g = OnnxModel(arithmetic(*fitted_arrays(estimator)))
    x = g.add_input("X", g.dtype, len(estimator.coefs_[0]))
    if not is_classifier(estimator):
        predicted = add_regressor(g, estimator, x)
        g.add_output("prediction", predicted, g.dtype, [len(estimator.intercepts_[-1])])
        g.write(path, {})
        return
    several = is_multilabel(estimator)
    names = np.arange(len(estimator.classes_)) if several else labels_in_onnx(estimator.classes_)
    labels, probabilities = add_classifier(g, estimator, x, names)
    width = [len(estimator.classes_)]
    g.add_output("label", labels, np.int64 if several else names.dtype, width if several else [])
    g.add_output("probabilities", probabilities, g.dtype, width)
    g.write(path, {})


def add_regressor(g: Graph, estimator: Any, x: str) -> str:
    """Add a regressor: what it predicts (N, O)."""
    return add_layers(g, _layers_of(estimator), x)


def add_classifier(g: Graph, estimator: Any, x: str, names: np.ndarray) -> tuple[str, str]:
    """Add a classifier: labels (N,), or 0 and 1 (N, C) of several labels, and probabilities (N, C).

    Parameters
    ----------
    g : the graph.
    estimator : a fitted one.
    x : samples (N, I) of the graph's dtype.
    names : (C,) integers or strings to give for the classes.
    """
    layers = _layers_of(estimator)
    if is_multilabel(estimator):
        probabilities = add_layers(g, layers, x)
        return g.cast(g("Greater", probabilities, 0.5), np.int64), probabilities
    if layers.link == "sigmoid" and layers.sizes[-1] == 1:
        layers = layers.with_both_classes()
    probabilities = add_layers(g, layers, x)
    return g("Gather", g.constant(names), g("ArgMax", probabilities, axis=1, keepdims=0), axis=0), probabilities


def is_multilabel(estimator: Any) -> bool:
    """Whether a sample has several labels."""
    return estimator._label_binarizer.y_type_.startswith("multilabel")


def _layers_of(estimator: Any) -> Layers:
    arrays = [np.asarray(array) for array in fitted_arrays(estimator)]
    weights, biases = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    link = ALIASES.get(estimator.out_activation_, estimator.out_activation_)
    used = [*hidden_activations(estimator, len(weights) - 1), "identity" if link in LINK_GRAPHS else link]
    activations = [activation_of(one) for one in used]
    return Layers(
        weights, biases, activations, link if link in LINK_GRAPHS else "identity", is_classifier(estimator)
    ).checked()
