"""Multilayer perceptrons in ONNX files: products with constant matrices, and functions of one number in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastmlp.errors import InputError, ModelFileError
from fastmlp.exporting.imported import ImportedNetwork
from fastmlp.exporting.onnx_functions import GRID, OPERATORS, known_function
from fastmlp.exporting.onnx_model import onnx_package

__all__ = ["read_onnx"]

_LABELS = ("ArgMax", "Gather", "Reshape", "LabelEncoder", "ZipMap", "ArrayFeatureExtractor", "TopK")
_REMEDY = "A graph that can be read has layers (MatMul and Add, or Gemm) with an activation of fastmlp after each."


@dataclass(eq=False)
class _Linear:
    """z = s w + b of the values s of the layer before."""

    source: _Value
    weights: np.ndarray
    bias: np.ndarray | None = None


@dataclass(eq=False)
class _Value:
    """A function of the values z of a layer, or of the network's input."""

    layer: _Linear | None
    at_grid: np.ndarray  # (G,)
    is_softmax: bool = False

    @property
    def is_z(self) -> bool:
        return not self.is_softmax and self.at_grid is GRID


def read_onnx(path: str | os.PathLike[str]) -> ImportedNetwork:
    """Return the layers of the network in a file.

    Raises
    ------
    ModelFileError : no ONNX file.
    InputError : the graph is no multilayer perceptron, or has an activation that fastmlp has not.
    """
    onnx = onnx_package()
    try:
        graph = onnx.load(os.fspath(path)).graph
    except Exception as error:  # whatever onnx and protobuf raise
        raise ModelFileError(f"{os.fspath(path)!r} is no readable ONNX file: {error}") from error
    try:
        return _Reader(onnx, graph).layers()
    except InputError as error:
        raise InputError(f"The graph in {os.fspath(path)!r} is not an MLP of fastmlp: {error} {_REMEDY}") from error


class _Reader:
    """The values of a graph by their names, found in the order of its nodes."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph
        self._known: dict[str, Any] = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
        inputs = [one.name for one in graph.input if one.name not in self._known]
        if len(inputs) != 1:
            raise InputError(f"it has {len(inputs)} inputs, not one.")
        self._known[inputs[0]] = _Value(None, GRID)

    def layers(self) -> ImportedNetwork:
        """Those on the way to the output."""
        for node in self._graph.node:
            self._read(node)
        real = [one.name for one in self._graph.output if one.type.tensor_type.elem_type in self._real_types()]
        values = [self._known[name] for name in real if isinstance(self._known[name], _Value)]
        if not values:
            raise InputError("none of its outputs are numbers that a network gives.")
        value, found = values[0], list[tuple[np.ndarray, np.ndarray, str]]()
        while value.layer is not None:
            layer = value.layer
            bias = np.zeros(layer.weights.shape[1], layer.weights.dtype) if layer.bias is None else layer.bias
            found.insert(0, (layer.weights, bias, self._name_of(value)))
            value = layer.source
        if not found or not value.is_z:
            raise InputError("its input goes through something else before the first layer.")
        weights, biases, names = map(list, zip(*found, strict=True))
        return ImportedNetwork(weights, biases, names)

    def _real_types(self) -> tuple[int, ...]:
        """ONNX's numbers for the types of predictions, not of labels."""
        types = self._onnx.TensorProto
        return types.FLOAT, types.DOUBLE, types.FLOAT16

    def _name_of(self, value: _Value) -> str:
        name = "softmax" if value.is_softmax else known_function(value.at_grid)
        if name is None:
            raise InputError("one of its layers has an activation that is not among those of fastmlp.")
        return name

    def _read(self, node: Any) -> None:
        operator, out = node.op_type, node.output[0]
        given = [self._known.get(name) for name in node.input if name]
        attributes = {one.name: self._onnx.helper.get_attribute_value(one) for one in node.attribute}
        attributes = {key: value.decode() if isinstance(value, bytes) else value for key, value in attributes.items()}
        if operator == "Constant":
            value = attributes.get("value", attributes.get("value_float"))
            self._known[out] = np.asarray(value if np.isscalar(value) else self._onnx.numpy_helper.to_array(value))
        elif operator in _LABELS or any(one is None for one in given):
            self._known[out] = None  # what follows from the outputs
        elif operator in ("MatMul", "Gemm"):
            self._known[out] = _product(operator, given, attributes)
        elif operator in ("Softmax", "LogSoftmax"):
            self._known[out] = _softmax(operator, given[0])
        else:
            self._known[out] = _function(operator, given, attributes)


def _product(operator: str, given: list[Any], attributes: dict[str, Any]) -> _Value:
    x, weights, *rest = given
    if not isinstance(x, _Value) or not isinstance(weights, np.ndarray) or weights.ndim != 2:
        raise InputError(f"it has a {operator} of other than values and a constant matrix.")
    if operator == "MatMul":
        return _Value(_Linear(x, weights), GRID)
    if attributes.get("transA"):
        raise InputError("it has a Gemm of transposed values.")
    weights = weights.T if attributes.get("transB") else weights
    layer = _Linear(x, weights * weights.dtype.type(attributes.get("alpha", 1.0)))
    if rest:
        layer.bias = _bias(layer, rest[0] * rest[0].dtype.type(attributes.get("beta", 1.0)))
    return _Value(layer, GRID)


def _bias(layer: _Linear, constant: np.ndarray) -> np.ndarray:
    outputs = layer.weights.shape[1]
    if constant.size not in (1, outputs):
        raise InputError(f"it adds an array of shape {constant.shape} to a layer of {outputs} outputs.")
    return np.broadcast_to(constant.ravel(), (outputs,)).astype(layer.weights.dtype)


def _softmax(operator: str, value: Any) -> _Value:
    if operator == "LogSoftmax" or not isinstance(value, _Value) or not value.is_z:
        raise InputError(f"it has a {operator} that is not the activation of a layer.")
    return replace(value, is_softmax=True)


def _function(operator: str, given: list[Any], attributes: dict[str, Any]) -> Any:
    """What an operator gives that goes number by number."""
    values = [one for one in given if isinstance(one, _Value)]
    if operator not in OPERATORS:
        raise InputError(f"it has the operator {operator}.")
    compute: Callable[..., Any] = OPERATORS[operator]
    if not values:
        return np.asarray(compute(*given, **attributes))
    value = values[0]
    if operator in ("Identity", "Dropout", "Flatten", "Cast") and value.at_grid is GRID:
        return value
    if any(one.layer is not value.layer or one.is_softmax for one in values):
        raise InputError(f"it has a {operator} of values of several layers, or of a softmax.")
    if operator == "Add" and len(values) == 1 and value.is_z and value.layer and value.layer.bias is None:
        constant = given[1] if given[0] is value else given[0]
        return _Value(replace(value.layer, bias=_bias(value.layer, constant)), GRID)
    if any(not isinstance(one, _Value) and np.size(one) != 1 for one in given):
        raise InputError(f"it has a {operator} with an array, which is no function of one number.")
    numbers = [one.at_grid if isinstance(one, _Value) else np.asarray(one, np.float64).item() for one in given]
    with np.errstate(all="ignore"):
        return _Value(value.layer, np.asarray(compute(*numbers, **attributes)))
