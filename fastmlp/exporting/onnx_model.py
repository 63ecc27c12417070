"""ONNX files, made by the package onnx alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from fastmlp.errors import FastmlpError, InputError
from fastmlp.exporting.onnx_nodes import Graph
from fastmlp.files import atomic_write
from fastmlp.forks import no_fork

__all__ = ["OnnxModel", "onnx_package"]

# Versions of the operators, the oldest that have all that is used: older programs read the file, too
_OPSETS = {"": 13, "ai.onnx.ml": 2}
_IR_VERSION = 8
_LARGEST = 2**31 - 2**20  # bytes that protobuf can write, less some for the nodes
_ML_OPERATORS = ("LabelEncoder",)


@cache
def onnx_package() -> Any:
    """The package onnx.

    Raises
    ------
    FastmlpError : it cannot be imported.
    """
    with no_fork():
        try:
            import onnx
            import onnx.checker
            import onnx.helper
            import onnx.numpy_helper
        except ImportError as error:
            raise FastmlpError(
                f"ONNX files need the package onnx, which cannot be imported ({error}). Run: "
                "pip install 'fastmlp[onnx]'"
            ) from error
    return onnx


class OnnxModel(Graph):
    """A file under construction: inputs first, then nodes, then outputs.

    Parameters
    ----------
    dtype : of its arithmetic.
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__(dtype)
        self._onnx = onnx_package()
        self._names: set[str] = set()
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._numbers: dict[tuple[Any, float], str] = {}  # names of constants

    def add_input(self, name: str, dtype: Any, width: int, text: str = "") -> str:
        """Add an input (N, width) of real numbers or of strings (dtype object); returns its name.

        Raises
        ------
        InputError : an empty name, which ONNX has for inputs that are left out.
        """
        if not name:
            raise InputError("A column without a name cannot be an input in ONNX. Name it, and train again.")
        self._names.add(name)
        self._inputs.append(self._declared(name, dtype, ["N", width], text))
        return name

    def add_output(self, name: str, value: str, dtype: Any, shape: Sequence[int], text: str = "") -> None:
        """Make a value (N, *shape) an output of the graph, by this name, which an input may have taken."""
        while name in self._names:
            name += "_"
        self._names.add(name)
        self("Identity", value, out=name)
        self._outputs.append(self._declared(name, dtype, ["N", *shape], text))

    def new_name(self, prefix: str) -> str:
        n = len(self._nodes) + len(self._tensors)
        while f"{prefix}_{n}" in self._names:
            n += 1
        self._names.add(f"{prefix}_{n}")
        return f"{prefix}_{n}"

    def add_tensor(self, name: str, array: np.ndarray) -> None:
        self._tensors.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))

    def add_node(self, operator: str, inputs: list[str], out: str, attributes: Mapping[str, Any]) -> None:
        domain = "ai.onnx.ml" if operator in _ML_OPERATORS else ""
        outs = [out, self.new_name("indexes")] if operator == "TopK" else [out]
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, outs, domain=domain, **attributes))

    def code_of(self, dtype: Any) -> int:
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def __call__(self, operator: str, *inputs: str | float, out: str | None = None, **attributes: Any) -> str:
        return super().__call__(operator, *map(self._shared, inputs), out=out, **attributes)

    def write(self, path: str | os.PathLike[str], notes: Mapping[str, str]) -> None:
        """Write the file, whole or not at all; notes are its metadata.

        Raises
        ------
        InputError : more weights than an ONNX file can hold, or a path that cannot be written.
        """
        with no_fork():
            from fastmlp import __version__

        size = sum(tensor.ByteSize() for tensor in self._tensors)
        if size >= _LARGEST:
            raise InputError(f"The weights take {size:,} bytes, but an ONNX file holds less than {_LARGEST:,}.")
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, "fastmlp", self._inputs, self._outputs, self._tensors)
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=_IR_VERSION,
            producer_name="fastmlp",
            producer_version=__version__,
        )
        helper.set_model_props(model, dict(notes))
        self._onnx.checker.check_model(model)
        with atomic_write(path) as file:
            file.write(model.SerializeToString(deterministic=True))

    def _shared(self, value: str | float) -> str:
        """A name; that of a number is the same wherever it is used."""
        if isinstance(value, str):
            return value
        key = self.dtype, float(value)
        if key not in self._numbers:
            self._numbers[key] = self.constant(float(value))
        return self._numbers[key]

    def _declared(self, name: str, dtype: Any, shape: list[Any], text: str) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self.code_of(dtype), shape, text)
