"""Networks and estimators as ONNX files, computed by onnxruntime, against themselves."""

import sys

import numpy as np
import pytest
from estimator_cases import LABELS, X, Y, fitted, ours
from scipy import special

from exporting.networks import LOSSES, SHAPES, SQUARE, assert_same, network, samples
from exporting.onnx_sessions import needs_onnx, outputs
from fastmlp import MLP, MLPRegressor
from fastmlp.activations import ACTIVATIONS, custom_activation
from fastmlp.errors import FastmlpError, InputError
from fastmlp.exporting import onnx_model
from fastmlp.formulas.expressions import erf

pytestmark = [needs_onnx(), pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, SQUARE], ids=[*ACTIVATIONS, "custom"])
def test_networks(shape, loss, activation, dtype, tmp_path):
    model, x = network(shape, activation, loss, dtype), samples(20, dtype)
    model.to_onnx(tmp_path / "m.onnx")
    got = outputs(tmp_path / "m.onnx", x=x)
    if model.loss.classifies:
        np.testing.assert_array_equal(got.pop("label"), model.predict(x))
    ((name, value),) = got.items()
    assert name == ("probabilities" if model.loss.classifies else "prediction")
    assert_same(value, model.predict_proba(x))


def test_several_labels(dtype, tmp_path):
    model, x = network([4, 5, 2], "relu", "binary_cross_entropy", dtype, outputs=2), samples(9, dtype)
    model.to_onnx(tmp_path / "m.onnx")
    got = outputs(tmp_path / "m.onnx", x=x)
    np.testing.assert_array_equal(got["label"], model.predict(x))
    assert_same(got["probabilities"], model.predict_proba(x))


def test_small_probabilities_keep_their_digits(tmp_path):
    model = MLP([1, 1], "sigmoid", backend="numpy")
    model.set_parameters([[[1.0]]], [[0.0]])
    model.to_onnx(tmp_path / "m.onnx")
    x = np.linspace(-80, 20, 101, dtype=np.float32)[:, None]
    np.testing.assert_allclose(outputs(tmp_path / "m.onnx", x=x)["probabilities"], model.predict_proba(x), rtol=1e-5)


def test_erf_in_float64(tmp_path):
    model = MLP([1, 1], custom_activation(erf, lambda z: z, "erf"), dtype="float64", backend="numpy")
    model.set_parameters([[[1.0]]], [[0.0]])
    model.to_onnx(tmp_path / "m.onnx")
    x = np.concatenate([np.linspace(-9, 9, 4001), [0.0, 1e-300, -1e-9, 1e9]])[:, None]
    np.testing.assert_allclose(outputs(tmp_path / "m.onnx", x=x)["prediction"], special.erf(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("multiclass", {"activation": ["logistic", "gelu"]}),
        ("binary", {"activation": ["leaky_relu", "elu"]}),
        ("multilabel", {"activation": "tanh"}),
        ("regression", {"activation": ["silu", "softmax"], "loss": "huber"}),
        ("multioutput", {"hidden_layer_sizes": ()}),
    ],
)
def test_estimators(kind, params, dtype, tmp_path):
    x = X.astype(dtype)
    model = ours(kind, **params).fit(x, Y[kind])
    model.to_onnx(tmp_path / "m.onnx")
    got = outputs(tmp_path / "m.onnx", X=x)
    if kind in ("regression", "multioutput"):
        want = model.predict(x)
        assert_same(got["prediction"].reshape(want.shape), want)
        return
    np.testing.assert_array_equal(got["label"], model.predict(x))
    assert_same(got["probabilities"], model.predict_proba(x))


@pytest.mark.parametrize("labels", [[3, -1, 5_000_000_000], [2.0, 0.0, 7.0], ["b", "ä", "a"]])
def test_labels_are_as_in_training(labels, tmp_path):
    y = np.array(labels)[np.unique(LABELS, return_inverse=True)[1]]
    model = ours("multiclass").fit(X, y)
    model.to_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(outputs(tmp_path / "m.onnx", X=X)["label"], model.predict(X))


def test_estimators_that_have_no_onnx(tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(InputError, match="integers or strings"):
        ours("multiclass").fit(X, np.where(Y["binary"], 0, np.uint64(2**63))).to_onnx(path)
    with pytest.raises(InputError, match="of one class"):
        ours("multiclass").fit(X, np.zeros(90, int)).to_onnx(path)
    with pytest.raises(ValueError, match="not fitted"):
        MLPRegressor().to_onnx(path)
    model = fitted()
    model._forward_pass_fast = lambda X, check_input=True: np.zeros((len(X), 3))
    with pytest.raises(InputError, match="_forward_pass_fast of its own"):
        model.to_onnx(path)
    assert not path.exists()


def test_what_an_onnx_file_cannot_hold(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="column without a name"):
        onnx_model.OnnxModel(np.float32).add_input("", np.float32, 1)
    monkeypatch.setattr(onnx_model, "_LARGEST", 40)
    with pytest.raises(InputError, match="an ONNX file holds less than 40"):
        MLP([4, 4], backend="numpy").to_onnx(tmp_path / "m.onnx")


def test_without_the_package(monkeypatch, tmp_path):
    onnx_model.onnx_package.cache_clear()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FastmlpError, match=r"pip install 'fastmlp\[onnx\]'"):
        MLP([2, 1], backend="numpy").to_onnx(tmp_path / "m.onnx")
