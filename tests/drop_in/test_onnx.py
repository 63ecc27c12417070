"""ONNX graphs of our estimators by skl2onnx; if it is not installed, only their formulas."""

import subprocess
import sys

import numpy as np
import pytest
from estimator_cases import LABELS, X, Y, fitted, ours
from scipy.special import erf, expit
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor
from fastmlp.activations import ACTIVATIONS, activate
from fastmlp.exporting.onnx_nodes import LINK_GRAPHS, activation_graph
from fastmlp.losses import LINKS, apply_link

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OPERATORS = {
    "Abs": np.abs,
    "Add": np.add,
    "Div": np.divide,
    "Erf": erf,
    "Exp": np.exp,
    "GreaterOrEqual": np.greater_equal,
    "Log": np.log,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Relu": lambda z: np.maximum(z, 0),
    "Sigmoid": expit,
    "Sign": np.sign,
    "Softmax": lambda z, axis: np.exp(z) / np.exp(z).sum(axis, keepdims=True),
    "Sub": np.subtract,
    "Tanh": np.tanh,
}


class Evaluated:
    """A stand-in for a graph under construction, whose values are arrays and whose operators are executed."""

    dtype = np.float64

    def __call__(self, operator, *inputs, **attributes):
        return OPERATORS[operator](*inputs, **attributes)

    def cast(self, value, dtype):
        return value.astype(dtype)


Z = np.random.RandomState(0).standard_normal((20, 5)) * 4
Z[0] = [-90, -1e-9, 0, 1e-9, 90]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formulas_of_activations(name):
    want = Z.copy()
    activate(ACTIVATIONS[name], want, np.empty_like(Z))
    np.testing.assert_allclose(activation_graph(ACTIVATIONS[name])(Evaluated(), Z), want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LINKS)
def test_formulas_of_links(name):
    np.testing.assert_allclose(LINK_GRAPHS[name](Evaluated(), Z), apply_link(name, Z.copy()), rtol=1e-12)


# ----------------------------------------------------------------- with skl2onnx and onnxruntime


def onnx_outputs(model, dtype, **options):
    """Of the model's graph on X: labels and what the options say of the probabilities, or predictions."""
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    if hasattr(model, "predict_proba"):
        options = {id(model): {"zipmap": False} | options}
    graph = skl2onnx.to_onnx(model, X[:1].astype(dtype), options=options)
    session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"X": X.astype(dtype)})
    for output, declared in zip(outputs, session.get_outputs(), strict=True):
        if isinstance(output, np.ndarray):
            assert declared.shape in ([None, *output.shape[1:]], list(output.shape))
    return outputs


def assert_same_in_onnx(model, dtype):
    outputs = onnx_outputs(model, dtype)
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(outputs[0], model.predict(X))
    want = (model.predict_proba if hasattr(model, "predict_proba") else model.predict)(X)
    assert outputs[-1].dtype == dtype
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]
    np.testing.assert_allclose(outputs[-1].reshape(want.shape), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("multiclass", {}),
        ("multiclass", {"activation": ["logistic", "gelu_tanh"]}),
        ("multiclass", {"activation": ["softplus", "threshold"]}),
        ("binary", {"activation": ["leaky_relu", "elu"]}),
        ("multilabel", {"activation": "tanh"}),
        ("regression", {"activation": ["silu", "softmax"], "loss": "huber"}),
        ("multioutput", {"hidden_layer_sizes": ()}),
    ],
)
def test_an_estimator(kind, params, dtype):
    assert_same_in_onnx(ours(kind, **params).fit(X, Y[kind]), dtype)


def test_gelu_and_the_link_of_poisson_regression():
    assert_same_in_onnx(ours("regression", loss="poisson", activation="gelu").fit(X, np.abs(X[:, 0])), "float32")


@pytest.mark.parametrize("labels", [[3, -1, 5_000_000_000], [2.0, 0.0, 7.0]])
def test_labels_that_are_numbers(labels):
    y = np.array(labels)[np.unique(LABELS, return_inverse=True)[1]]
    assert_same_in_onnx(ours("multiclass").fit(X, y), "float32")


def test_what_onnx_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="integers or strings"):
        onnx_outputs(ours("multiclass").fit(X, np.where(Y["binary"], 0, np.uint64(2**63))), "float32")
    with pytest.raises(ValueError, match="of one class"):
        onnx_outputs(ours("multiclass").fit(X, np.zeros(90, int)), "float32")
    with pytest.raises(NotFittedError):
        onnx_outputs(MLPRegressor(), "float32")


def test_options_of_classifiers():
    model = fitted()
    labels, table = onnx_outputs(model, "float32", zipmap=True)
    np.testing.assert_array_equal(labels, model.predict(X))
    assert list(table[0]) == list(model.classes_)
    numbers, _ = onnx_outputs(model, "float32", nocl=True)
    np.testing.assert_array_equal(model.classes_[numbers], model.predict(X))
    *_, classes = onnx_outputs(model, "float32", output_class_labels=True)
    assert list(classes) == list(model.classes_)


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        ("multiclass", lambda e: make_pipeline(StandardScaler(), e)),
        ("multiclass", lambda e: GridSearchCV(e, {"alpha": [0.1]}, cv=2)),
        ("multiclass", lambda e: VotingClassifier([("a", e), ("b", e)], voting="soft", flatten_transform=False)),
        ("regression", lambda e: BaggingRegressor(e, n_estimators=2, random_state=0)),
        ("regression", lambda e: StackingRegressor([("a", e), ("b", e)], cv=2)),
    ],
)
def test_an_estimator_within_another(kind, wrap):
    assert_same_in_onnx(wrap(ours(kind, activation="silu")).fit(X, Y[kind]), "float32")


IMPORTS = ["import fastmlp.estimators", "import skl2onnx", "from sklearn.ensemble import BaggingRegressor"]
PROGRAM = """
import warnings
warnings.simplefilter("ignore")
model = BaggingRegressor(fastmlp.MLPRegressor(max_iter=1, backend="numpy"), n_estimators=1)
model.fit([[0.0], [1.0]], [0.0, 1.0])
skl2onnx.convert_sklearn(model, initial_types=[("X", skl2onnx.common.data_types.FloatTensorType([None, 1]))])
"""


@pytest.mark.parametrize("first", [0, 1])
def test_either_package_may_be_imported_first_and_neither_imports_the_other(first):
    pytest.importorskip("skl2onnx")
    one, other = IMPORTS[first], IMPORTS[1 - first]
    alone = f"import sys; assert {other.split()[1].split('.')[0]!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", "\n".join([one, alone, other, IMPORTS[2], PROGRAM])], check=True)
