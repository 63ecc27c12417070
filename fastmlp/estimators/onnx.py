"""The estimators as ONNX graphs, made by skl2onnx.

skl2onnx finds the converter of a model, also of one within a pipeline or an ensemble, in a table by the model's class.
Neither package needs the other, so our classes are entered as soon as both have been imported.

skl2onnx's own converter of scikit-learn's MLP would not do: it knows one of four activations for all hidden layers and
no exp as output activation, and lays several outputs of a regressor end to end. The operators used here are those that
onnxruntime has in float32 and float64; only Erf, in "gelu", it has in float32 alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastmlp.activations import Activation, activation_of
from fastmlp.estimators.parameters import hidden_activations
from fastmlp.formulas.expressions import trace
from fastmlp.formulas.onnx_graph import onnx_value

__all__ = ["LINK_GRAPHS", "activation_graph", "register"]


class _Graph:
    """The graph under construction: names stand for values, and arithmetic is in one dtype."""

    def __init__(self, scope: Any, container: Any, dtype: type) -> None:
        self.scope, self.container, self.dtype = scope, container, dtype

    def constant(self, value: Any) -> str:
        """A tensor of numbers in the graph's dtype, of integers or of strings."""
        helper = sys.modules["onnx.helper"]  # of skl2onnx, which is what calls this
        array = np.asarray(value)
        array = array.astype(self.dtype) if array.dtype.kind == "f" else array
        content = [text.encode() for text in array.ravel()] if array.dtype.kind in "OU" else array.ravel()
        name = self.scope.get_unique_variable_name("constant")
        self.container.add_initializer(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, content)
        return name

    def __call__(self, operator: str, *inputs: str | float, out: str | None = None, **attributes: Any) -> str:
        """The value of an operator; inputs are names or real numbers."""
        names = [value if isinstance(value, str) else self.constant(float(value)) for value in inputs]
        out = out or self.scope.get_unique_variable_name(operator.lower())
        self.container.add_node(
            operator, names, [out], name=self.scope.get_unique_operator_name(operator), **attributes
        )
        return out

    def cast(self, value: str, dtype: type, out: str | None = None) -> str:
        helper = sys.modules["onnx.helper"]  # of skl2onnx, which is what calls this
        return self("Cast", value, out=out, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


_Unary = Callable[[_Graph, str], str]


def activation_graph(activation: Activation) -> _Unary:
    """What adds an activation to a graph: by hand where its kernels are, else by its formula."""
    if activation.value is None:
        return _BY_HAND[activation.name]
    (expression,) = trace(activation.value, "z", f"The activation {activation.name!r}")
    return lambda g, z: onnx_value(g, expression, {"z": z})


_BY_HAND: dict[str, _Unary] = {
    "identity": lambda g, z: z,
    "relu": lambda g, z: g("Relu", z),
    "softmax": lambda g, z: g("Softmax", z, axis=1),
    "threshold": lambda g, z: g.cast(g("GreaterOrEqual", z, 0), g.dtype),
}
# by `out_activation_`
LINK_GRAPHS: dict[str, _Unary] = {
    "identity": _BY_HAND["identity"],
    "logistic": lambda g, z: g("Sigmoid", z),
    "sigmoid": lambda g, z: g("Sigmoid", z),
    "softmax": _BY_HAND["softmax"],
    "exp": lambda g, z: g("Exp", z),
}


def _predicted(g: _Graph, estimator: Any, x: str) -> str:
    """What the network predicts, (N, O)."""
    value = g.cast(x, g.dtype)
    used = map(activation_of, hidden_activations(estimator, len(estimator.coefs_) - 1))
    functions = [activation_graph(activation) for activation in used]
    for weights, bias, function in zip(
        estimator.coefs_, estimator.intercepts_, [*functions, LINK_GRAPHS[estimator.out_activation_]], strict=True
    ):
        product = g("MatMul", value, g.constant(weights))
        value = function(g, g("Add", product, g.constant(np.reshape(bias, (1, -1)))))
    return value


def _graph(scope: Any, operator: Any, container: Any) -> _Graph:
    double = type(operator.inputs[0].type).__name__ == "DoubleTensorType"
    return _Graph(scope, container, np.float64 if double else np.float32)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    g = _graph(scope, operator, container)
    predicted = _predicted(g, operator.raw_operator, operator.inputs[0].full_name)
    g("Identity", predicted, out=operator.outputs[0].full_name)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    g, estimator = _graph(scope, operator, container), operator.raw_operator
    labels, probabilities = (output.full_name for output in operator.outputs)
    predicted = _predicted(g, estimator, operator.inputs[0].full_name)
    if estimator.out_activation_ == "logistic" and len(estimator.intercepts_[-1]) == 1:
        g("Concat", g("Sub", 1, predicted), predicted, out=probabilities, axis=1)
    else:
        g("Identity", predicted, out=probabilities)
    if _is_multilabel(estimator):
        g.cast(g("Greater", predicted, 0.5), np.int64, out=labels)
    else:
        indexes = g("ArgMax", probabilities, axis=1, keepdims=0)
        g("Gather", g.constant(_labels(scope, estimator)), indexes, out=labels, axis=0)


def _labels(scope: Any, estimator: Any) -> np.ndarray:
    """Labels (C,) as ONNX has them, integers or strings; their numbers with skl2onnx's option `nocl`."""
    classes = estimator.classes_
    if scope.get_options(estimator, {"nocl": False})["nocl"]:
        return np.arange(len(classes))
    if all(isinstance(label, str) for label in classes):
        return classes
    if classes.dtype.kind in "biuf" and (classes == classes.astype(np.int64)).all():
        return classes.astype(np.int64)
    raise ValueError(f"Labels in ONNX are integers or strings, but classes_ is {classes}. Encode y as integers.")


def _is_multilabel(estimator: Any) -> bool:
    return estimator._label_binarizer.y_type_.startswith("multilabel")


def register(classifier: type, regressor: type) -> None:
    """Enter our two classes into skl2onnx's tables; to be called when skl2onnx has been imported."""
    # The bodies of modules call this, which may not wait for a fork: so nothing is imported here.
    shape_calculator = sys.modules["skl2onnx.common.shape_calculator"]
    update_registered_converter = sys.modules["skl2onnx"].update_registered_converter

    def shapes(operator: Any) -> None:
        estimator = operator.raw_operator
        check_is_fitted(estimator, "coefs_")
        n, n_outputs = operator.inputs[0].get_first_dimension(), len(np.ravel(estimator.intercepts_[-1]))
        if not is_classifier(estimator):
            shape_calculator.calculate_linear_regressor_output_shapes(operator)
            operator.outputs[0].type.shape = [n, n_outputs]
            return
        if len(estimator.classes_) == 1:
            raise ValueError(f"There is no ONNX of a classifier of one class, but classes_ is {estimator.classes_}.")
        shape_calculator.calculate_linear_classifier_output_shapes(operator)
        if _is_multilabel(estimator):
            operator.outputs[0].type.shape = [n, n_outputs]

    options = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}
    update_registered_converter(classifier, "FastmlpMLPClassifier", shapes, _convert_classifier, options=options)
    update_registered_converter(regressor, "FastmlpMLPRegressor", shapes, _convert_regressor)
