"""ONNX files computed by onnxruntime."""

from importlib.util import find_spec

import pytest


def needs_onnx():
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def outputs(path, **inputs):
    """What onnxruntime gives for the inputs, by the names of the outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    results = dict(zip(names, session.run(None, inputs), strict=True))
    for declared in session.get_outputs():
        assert declared.shape == ["N", *results[declared.name].shape[1:]]
    return results
