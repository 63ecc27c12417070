"""Networks from ONNX files and from PyTorch, and back."""

import numpy as np
import pytest

from exporting.networks import LOSSES, SHAPES, SQUARE, assert_same, network, samples
from exporting.onnx_sessions import needs_onnx
from fastmlp import MLP
from fastmlp.activations import ACTIVATIONS
from fastmlp.errors import InputError, ModelFileError

OF_TORCH = [name for name in ACTIVATIONS if name != "threshold"]


@needs_onnx()
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_networks_there_and_back(shape, loss, dtype, tmp_path):
    model, x = network(shape, "elu", loss, dtype), samples(20, dtype)
    model.to_onnx(tmp_path / "m.onnx")
    back = MLP.from_onnx(tmp_path / "m.onnx", backend="numpy")
    assert back.dtype == model.dtype and back.sizes == model.sizes
    np.testing.assert_array_equal(back.predict_proba(x), model.predict_proba(x))
    if loss != "squared_error":
        assert back.loss.name == loss


@needs_onnx()
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_there_and_back(activation, dtype, tmp_path):
    model = network(SHAPES[-1], activation, "squared_error", dtype)
    model.to_onnx(tmp_path / "m.onnx")
    back = MLP.from_onnx(tmp_path / "m.onnx", loss="huber", backend="numpy")
    assert back.activations == [activation, activation, "identity"] and back.loss.name == "huber"
    np.testing.assert_array_equal(back.weights[1], model.weights[1])


def graph_of(path, nodes, weights=(3, 2), inputs=("x",)):
    """An ONNX file of nodes (operator, inputs, output, attributes), where w is a matrix and y the output."""
    onnx = pytest.importorskip("onnx")
    values = {
        "w": np.random.RandomState(0).randn(*weights).astype(np.float32),
        "b": np.arange(weights[-1], dtype=np.float32),
        "two": np.float32(2),
    }
    make, real = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node(operator, names, [out], **attributes) for operator, names, out, attributes in nodes],
        "g",
        [make.make_tensor_value_info(name, real, ["N", 3]) for name in inputs],
        [make.make_tensor_value_info("y", real, ["N", 2])],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 20)], ir_version=8), str(path))
    return values


@needs_onnx()
def test_graphs_of_other_programs(tmp_path):
    path, x = tmp_path / "m.onnx", samples(9, "float32")[:, :3]
    values = graph_of(
        path,
        [("Flatten", ["x"], "f", {}), ("Gemm", ["f", "w", "b"], "z", {"alpha": 2.0}), ("Gelu", ["z"], "y", {})],
    )
    model = MLP.from_onnx(path, backend="numpy")
    assert model.activations == ["gelu"]
    np.testing.assert_allclose(model.weights[0], 2 * values["w"])
    np.testing.assert_allclose(model.predict_raw(x[:1]).shape, (1, 2))
    graph_of(path, [("MatMul", ["x", "w"], "z", {}), ("Elu", ["z"], "y", {})])
    assert MLP.from_onnx(path, backend="numpy").activations == ["elu"]


@needs_onnx()
@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ([("MatMul", ["x", "w"], "z", {}), ("Elu", ["z"], "y", {"alpha": 0.5})], "an activation that is not among"),
        ([("MatMul", ["x", "w"], "z", {}), ("LogSoftmax", ["z"], "y", {})], "LogSoftmax that is not the activation"),
        ([("Mul", ["x", "two"], "z", {}), ("MatMul", ["z", "w"], "y", {})], "before the first layer"),
        ([("MatMul", ["x", "w"], "z", {}), ("Mul", ["z", "b"], "y", {})], "a Mul with an array"),
        ([("MatMul", ["x", "w"], "z", {}), ("ReduceMax", ["z"], "y", {})], "the operator ReduceMax"),
        ([("MatMul", ["x", "w"], "z", {}), ("MatMul", ["x", "w"], "a", {}), ("Add", ["z", "a"], "y", {})], "several"),
    ],
)
def test_graphs_that_are_none(nodes, problem, tmp_path):
    graph_of(tmp_path / "m.onnx", nodes)
    with pytest.raises(InputError, match=problem):
        MLP.from_onnx(tmp_path / "m.onnx", backend="numpy")


@needs_onnx()
def test_files_that_are_none(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no graph at all")
    with pytest.raises(ModelFileError, match="no readable ONNX file"):
        MLP.from_onnx(tmp_path / "m.onnx")
    graph_of(tmp_path / "m.onnx", [("MatMul", ["x", "w"], "y", {})], inputs=("x", "x2"))
    with pytest.raises(InputError, match="2 inputs, not one"):
        MLP.from_onnx(tmp_path / "m.onnx")
    model = network(SHAPES[-1], SQUARE, "poisson", "float32")
    model.to_onnx(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="an activation that is not among those of fastmlp"):
        MLP.from_onnx(tmp_path / "m.onnx")


# ----------------------------------------------------------------- with PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch")


@pytest.mark.parametrize("activation", OF_TORCH)
def test_networks_to_torch_and_back(activation, dtype, torch):
    model, x = network(SHAPES[-1], activation, "softmax_cross_entropy", dtype), samples(20, dtype)
    module = model.to_torch()
    with torch.no_grad():
        assert_same(module(torch.from_numpy(x)).numpy(), model.predict_raw(x))
    back = MLP.from_torch(module, loss="softmax_cross_entropy", backend="numpy")
    np.testing.assert_array_equal(back.predict_proba(x), model.predict_proba(x))


def test_modules_of_others(torch):
    nn = torch.nn
    x = samples(9, "float32")
    module = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(4, 5, bias=False), nn.SiLU()),
        nn.Dropout(0.25),
        nn.Linear(5, 3),
        nn.Softmax(1),
    ).eval()
    model = MLP.from_torch(module, backend="numpy")
    assert model.loss.name == "softmax_cross_entropy" and model.dropout == [0.25]
    with torch.no_grad():
        assert_same(model.predict_proba(x), module(torch.from_numpy(x)).numpy())
    assert [type(one).__name__ for one in model.to_torch()] == ["Linear", "SiLU", "Dropout", "Linear"]


def test_modules_that_are_none(torch):
    nn = torch.nn
    for modules in (
        [nn.Linear(4, 3), nn.LogSoftmax(1)],
        [nn.Linear(4, 3), nn.LeakyReLU(0.2), nn.Linear(3, 1)],
        [nn.Linear(4, 3), nn.ReLU(), nn.Tanh()],
        [nn.ReLU(), nn.Linear(4, 3)],
        [nn.Linear(4, 3), nn.Dropout(0.5), nn.Tanh(), nn.Linear(3, 1)],
        [nn.Conv1d(1, 1, 1)],
        [nn.Linear(4, 3), nn.Dropout(0.5)],
        [],
    ):
        with pytest.raises(InputError, match=r"no MLP of fastmlp|no Linear"):
            MLP.from_torch(nn.Sequential(*modules))
    with pytest.raises(InputError, match="no module for the activation 'threshold'"):
        MLP([2, 3, 1], "threshold", backend="numpy").to_torch()
