"""A network as nodes of an ONNX graph, whoever builds the graph.

The operators used here are those that onnxruntime has in float32 and float64. It has no float64 Elu, LeakyRelu,
Softplus or Erf, so these are composed of simpler operators, by their formulas.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastmlp.activations import Activation
from fastmlp.errors import InputError
from fastmlp.exporting.layers import Layers, formula_of
from fastmlp.formulas.onnx_graph import onnx_value

__all__ = ["LINK_GRAPHS", "Graph", "activation_graph", "add_layers", "labels_in_onnx"]


class Graph(ABC):
    """The graph under construction: names stand for values, and arithmetic is in one dtype.

    Attributes
    ----------
    dtype : np.float32 or np.float64.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype: Any = np.dtype(dtype).type

    @abstractmethod
    def new_name(self, prefix: str) -> str:
        """A name that nothing in the graph has."""

    @abstractmethod
    def add_tensor(self, name: str, array: np.ndarray) -> None:
        """Add a constant of numbers or of strings (dtype object)."""

    @abstractmethod
    def add_node(self, operator: str, inputs: list[str], out: str, attributes: Mapping[str, Any]) -> None:
        """Add a node of one output."""

    @abstractmethod
    def code_of(self, dtype: Any) -> int:
        """ONNX's number for a dtype."""

    def constant(self, value: Any) -> str:
        """A tensor of real numbers in the graph's dtype, of integers, booleans or strings."""
        array = np.asarray(value)
        array = array.astype({"f": self.dtype, "U": object}.get(array.dtype.kind, array.dtype))
        name = self.new_name("constant")
        self.add_tensor(name, array)
        return name

    def __call__(self, operator: str, *inputs: str | float, out: str | None = None, **attributes: Any) -> str:
        """The value of an operator; inputs are names or real numbers."""
        names = [value if isinstance(value, str) else self.constant(float(value)) for value in inputs]
        out = out or self.new_name(operator.lower())
        self.add_node(operator, names, out, attributes)
        return out

    def cast(self, value: str, dtype: Any, out: str | None = None) -> str:
        """The value as another dtype."""
        return self("Cast", value, out=out, to=self.code_of(dtype))


_Unary = Callable[[Graph, str], str]


def activation_graph(activation: Activation) -> _Unary:
    """What adds an activation to a graph: by hand where its kernels are, else by its formula."""
    if activation.value is None:
        return _BY_HAND[activation.name]
    expression = formula_of(activation)
    return lambda g, z: onnx_value(g, expression, {"z": z})


def _sigmoid(g: Graph, z: str) -> str:
    # onnxruntime's Sigmoid in float32 is exactly 0 below -18
    return g("Div", 1.0, g("Add", g("Exp", g("Neg", z)), 1.0))


_BY_HAND: dict[str, _Unary] = {
    "identity": lambda g, z: z,
    "relu": lambda g, z: g("Relu", z),
    "softmax": lambda g, z: g("Softmax", z, axis=1),
    "threshold": lambda g, z: g.cast(g("GreaterOrEqual", z, 0), g.dtype),
}
LINK_GRAPHS: dict[str, _Unary] = {
    "identity": _BY_HAND["identity"],
    "sigmoid": _sigmoid,
    "softmax": _BY_HAND["softmax"],
    "exp": lambda g, z: g("Exp", z),
}


def add_layers(g: Graph, layers: Layers, x: str) -> str:
    """Add a network; what it predicts (N, O) for samples x (N, I) of the graph's dtype."""
    value = x
    for weights, bias, activation in zip(layers.weights, layers.biases, layers.activations, strict=True):
        product = g("MatMul", value, g.constant(weights))
        value = activation_graph(activation)(g, g("Add", product, g.constant(np.reshape(bias, (1, -1)))))
    return LINK_GRAPHS[layers.link](g, value)


def labels_in_onnx(classes: np.ndarray) -> np.ndarray:
    """Labels (C,) as ONNX has them: int64, or strings (dtype object).

    Raises
    ------
    InputError : others.
    """
    if len(classes) == 1:
        raise InputError(f"There is no ONNX of a classifier of one class, but the classes are {classes}.")
    if all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    if classes.dtype.kind in "biuf" and (classes == classes.astype(np.int64)).all():
        return classes.astype(np.int64)
    raise InputError(f"Labels in ONNX are integers or strings, but the classes are {classes}. Encode them as integers.")
