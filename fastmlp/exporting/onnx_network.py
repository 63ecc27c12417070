"""A network for arrays as an ONNX file."""

from __future__ import annotations

import os

import numpy as np

from fastmlp.exporting.layers import Layers
from fastmlp.exporting.onnx_model import OnnxModel
from fastmlp.exporting.onnx_nodes import add_layers

__all__ = ["write_layers"]


def write_layers(layers: Layers, path: str | os.PathLike[str]) -> None:
    """Write the file, whole or not at all; see `MLP.to_onnx`."""
    g = OnnxModel(layers.dtype)
    predicted = add_layers(g, layers, g.add_input("x", g.dtype, layers.sizes[0]))
    outputs = layers.sizes[-1]
    if not layers.classifies:
        g.add_output("prediction", predicted, g.dtype, [outputs])
    elif layers.link == "softmax":
        g.add_output("label", g("ArgMax", predicted, axis=1, keepdims=0), np.int64, [])
        g.add_output("probabilities", predicted, g.dtype, [outputs])
    else:
        labels = g.cast(g("GreaterOrEqual", predicted, 0.5), np.int64)
        if outputs == 1:
            labels = g("Reshape", labels, g.constant(np.array([-1])))
        g.add_output("label", labels, np.int64, [outputs] if outputs > 1 else [])
        g.add_output("probabilities", predicted, g.dtype, [outputs])
    g.write(path, {})
