"""The estimators in skl2onnx, also within pipelines and ensembles.

skl2onnx finds the converter of a model in a table by the model's class. Neither package needs the other, so our classes
are entered as soon as both have been imported.

skl2onnx's own converter of scikit-learn's MLP would not do: it knows one of four activations for all hidden layers and
no exp as output activation, and lays several outputs of a regressor end to end.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators.onnx import add_classifier, add_regressor, is_multilabel
from fastmlp.exporting.onnx_nodes import Graph, labels_in_onnx

__all__ = ["register"]


class _ScopedGraph(Graph):
    """The graph that skl2onnx builds, as its scope and container."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        double = type(operator.inputs[0].type).__name__ == "DoubleTensorType"
        super().__init__(np.float64 if double else np.float32)
        self.scope, self.container = scope, container

    def new_name(self, prefix: str) -> str:
        return self.scope.get_unique_variable_name(prefix)

    def add_tensor(self, name: str, array: np.ndarray) -> None:
        content = [text.encode() for text in array.ravel()] if array.dtype.kind == "O" else array.ravel()
        self.container.add_initializer(name, self.code_of(array.dtype), array.shape, content)

    def add_node(self, operator: str, inputs: list[str], out: str, attributes: Mapping[str, Any]) -> None:
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, inputs, [out], name=name, **attributes)

    def code_of(self, dtype: Any) -> int:
        helper = sys.modules["onnx.helper"]  # of skl2onnx, which is what calls this
        return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    g = _ScopedGraph(scope, operator, container)
    x = g.cast(operator.inputs[0].full_name, g.dtype)
    g("Identity", add_regressor(g, operator.raw_operator, x), out=operator.outputs[0].full_name)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    g, estimator = _ScopedGraph(scope, operator, container), operator.raw_operator
    numbered = is_multilabel(estimator) or scope.get_options(estimator, {"nocl": False})["nocl"]
    names = np.arange(len(estimator.classes_)) if numbered else labels_in_onnx(estimator.classes_)
    results = add_classifier(g, estimator, g.cast(operator.inputs[0].full_name, g.dtype), names)
    for output, value in zip(operator.outputs, results, strict=True):
        g("Identity", value, out=output.full_name)


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
            labels_in_onnx(estimator.classes_)  # says why there is no such graph
        shape_calculator.calculate_linear_classifier_output_shapes(operator)
        if is_multilabel(estimator):
            operator.outputs[0].type.shape = [n, n_outputs]

    options = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}
    update_registered_converter(classifier, "FastmlpMLPClassifier", shapes, _convert_classifier, options=options)
    update_registered_converter(regressor, "FastmlpMLPRegressor", shapes, _convert_regressor)
