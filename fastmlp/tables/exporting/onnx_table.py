"""A model with its preparation as an ONNX file: from columns, or raw samples, to labels or numbers in their unit."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.exporting.layers import Layers
from fastmlp.exporting.onnx_model import OnnxModel
from fastmlp.exporting.onnx_nodes import add_layers, labels_in_onnx
from fastmlp.mlp import MLP
from fastmlp.tables.exporting.onnx_columns import add_columns
from fastmlp.tables.exporting.onnx_expansion import add_expansion
from fastmlp.tables.preparation import Preparation

__all__ = ["write_prepared"]


def write_prepared(
    model: MLP,
    preparation: Preparation,
    path: str | os.PathLike[str],
    *,
    labels: np.ndarray | None = None,
    ascending: bool = False,
) -> None:
    """Write the file, whole or not at all.

    Of a table each column is an input (N, 1): numbers float64, categories texts. Of arrays there is one, ``x`` (N, I),
    of the network's dtype. Outputs are ``label`` (N,) and ``probabilities`` (N, C), or ``prediction`` (N, O) float64.

    Parameters
    ----------
    model : the network.
    preparation : what was done to the data that it was trained on.
    path : of the file.
    labels : (C,) what the classes are called; default: the names in the preparation, as numbers if all are whole ones.
    ascending : whether the outputs are quantiles of one target, which are put in order.

    Raises
    ------
    InputError : the network has a custom activation that cannot be translated, or labels that ONNX does not have.
    """
    layers = Layers.of(model)
    g = OnnxModel(np.float64)
    x = _inputs(g, preparation, layers)
    if preparation.class_names:
        names = labels_in_onnx(_labels_of(preparation.class_names) if labels is None else labels)
        _add_classes(g, layers, x, names)
        g.write(path, {"classes": json.dumps(names.tolist())})
    else:
        _add_numbers(g, preparation, layers, x, ascending)
        targets = () if preparation.encoder is None else preparation.encoder.target_names
        g.write(path, {"targets": json.dumps(targets)} if targets else {})


def _labels_of(names: Sequence[str]) -> np.ndarray:
    whole = all(re.fullmatch("-?[1-9][0-9]{0,17}|0", name) for name in names)
    return np.array([int(name) for name in names] if whole else names)


def _inputs(g: OnnxModel, preparation: Preparation, layers: Layers) -> str:
    """The features (N, I) of the network's dtype."""
    dtype: Any = layers.dtype.type
    if preparation.encoder is not None:
        x, given = add_columns(g, preparation.encoder), np.float32
    else:
        expansion = preparation.expansion
        width = layers.sizes[0] if expansion is None else len(expansion.columns)
        x, given = g.add_input("x", dtype, width), dtype
        if preparation.features is not None:
            mean, std = (g.constant(np.array([part])) for part in (preparation.features.mean, preparation.features.std))
            x = g.cast(g("Div", g("Sub", g.cast(x, g.dtype), mean), std), dtype)
    if preparation.expansion is not None:
        x = add_expansion(g, preparation.expansion, x, given)
    return x if given == dtype else g.cast(x, dtype)


def _predicted(g: OnnxModel, layers: Layers, x: str) -> str:
    """What the network predicts (N, O), in its own dtype; the graph goes on in float64."""
    before, g.dtype = g.dtype, layers.dtype.type
    value = add_layers(g, layers, x)
    g.dtype = before
    return value


def _add_classes(g: OnnxModel, layers: Layers, x: str, names: np.ndarray) -> None:
    single = layers.sizes[-1] == 1
    both = single and layers.link == "sigmoid"
    value = _predicted(g, layers.with_both_classes() if both else layers, x)
    if single:
        second = g("Gather", value, g.constant(np.array([1])), axis=1) if both else value
        is_second = g("GreaterOrEqual", g.cast(second, g.dtype), 0.5)
        code = g("Reshape", g.cast(is_second, np.int64), g.constant(np.array([-1])))
    else:
        code = g("ArgMax", value, axis=1, keepdims=0)
    g.add_output("label", g("Gather", g.constant(names), code, axis=0), names.dtype, [])
    name = "probabilities" if layers.classifies else "prediction"
    g.add_output(name, value, layers.dtype, [2 if both else layers.sizes[-1]])


def _add_numbers(g: OnnxModel, preparation: Preparation, layers: Layers, x: str, ascending: bool) -> None:
    value = g.cast(_predicted(g, layers, x), g.dtype)
    if (target := preparation.target) is not None:
        value = g("Add", g("Mul", value, g.constant(np.array([target.std]))), g.constant(np.array([target.mean])))
    if (bounds := preparation.bounds) is not None:
        value = g("Min", g("Max", value, g.constant(np.array([bounds.low]))), g.constant(np.array([bounds.high])))
    if ascending:
        width = g.constant(np.array([layers.sizes[-1]]))
        value = g("TopK", value, width, axis=1, largest=0, sorted=1)
    g.add_output("prediction", value, g.dtype, [layers.sizes[-1]])
