"""The same numbers on every backend, in either dtype, with any number of threads and from sparse samples."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from estimator_features.cases import LABELS, MANY, OUTPUTS, VALUES, WEIGHTS, X, assert_same, make
from fastmlp import SGD
from fastmlp.activations import ACTIVATIONS
from fastmlp.estimators.parameters import REGRESSION_LOSSES
from fastmlp.losses import custom_loss
from fastmlp.schedules import SCHEDULES, Cosine, WarmUp

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")

ALIKE = {
    "balanced": (LABELS, {"class_weight": "balanced"}),
    "dropout": (LABELS, {"dropout": 0.3}),
    "dropout by layer": (VALUES, {"dropout": [0, 0.5]}),
    "l1": (VALUES, {"l1": 0.05}),
    "max_norm": (LABELS, {"max_norm": 0.1}),
    "layers": (LABELS, {"activation": ["gelu", "tanh"]}),
    "adamw": (LABELS, {"solver": "adamw"}),
    "rmsprop": (OUTPUTS, {"solver": "rmsprop"}),
    "optimizer": (LABELS, {"solver": SGD(0.05, momentum=0.9), "learning_rate": WarmUp(2, Cosine())}),
    "early stopping": (MANY, {"early_stopping": True, "early_stopping_metric": "loss", "max_iter": 20}),
    "quantiles": (VALUES, {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}),
    **{f"activation {name}": (LABELS, {"activation": name}) for name in ACTIVATIONS},
    **{f"loss {name}": (np.abs(VALUES), {"loss": name}) for name in sorted(REGRESSION_LOSSES)},
    **{f"schedule {name}": (LABELS, {"learning_rate": name, "learning_rate_init": 0.01}) for name in SCHEDULES},
}


def assert_backends_agree(backend, y, **parameters):
    reference = make(y, backend="numpy", **parameters).fit(X, y, sample_weight=WEIGHTS)
    found = make(y, backend=backend, **parameters).fit(X, y, sample_weight=WEIGHTS)
    assert_same(found, reference)
    assert_allclose(found.predict(X), reference.predict(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ALIKE)
def test_backends_agree(backend, name):
    y, parameters = ALIKE[name]
    assert_backends_agree(backend, y, **parameters)


def test_backends_agree_about_a_custom_loss(cpu_backend):
    loss = custom_loss(lambda z, y: np.log(np.cosh(z - y)), lambda z, y: np.tanh(z - y), name="log-cosh")
    assert_backends_agree(cpu_backend, VALUES, loss=loss)


def test_dtype(backend):
    single = make(LABELS, backend=backend, dtype="float32").fit(X, LABELS)
    assert {w.dtype for w in single.coefs_ + single.intercepts_} == {np.dtype("float32")}
    assert single.predict_proba(X.astype("float32")).dtype == np.float32
    assert_same(single, make(LABELS, backend=backend).fit(X.astype("float32"), LABELS), 1e-6)
    double = make(LABELS, backend=backend, dtype="float64").fit(X.astype("float32"), LABELS)
    assert {w.dtype for w in double.coefs_} == {np.dtype("float64")}
    assert_same(single, double, 1e-4)


@pytest.mark.parametrize(
    "parameters", [{}, {"dropout": 0.3, "solver": "sgd"}, {"solver": "lbfgs", "tol": 1.0}], ids=str
)
def test_threads(backend, parameters):
    one, two, again = (make(OUTPUTS, backend=backend, **parameters).set_params(n_threads=n) for n in (1, 2, 2))
    for model in (one, two, again):
        model.fit(X, OUTPUTS)
    for a, b, c in zip(one.coefs_, two.coefs_, again.coefs_, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-9)
        assert_array_equal(b, c)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("parameters", [{"dropout": 0.3}, {"l1": 0.1, "solver": "adamw"}], ids=str)
def test_sparse_samples(backend, kind, parameters):
    x = np.where(np.abs(X) > 0.8, X, 0)
    dense = make(LABELS, backend=backend, **parameters).fit(x, LABELS, X_val=x, y_val=LABELS)
    found = make(LABELS, backend=backend, **parameters).fit(kind(x), LABELS, X_val=kind(x), y_val=LABELS)
    assert_same(found, dense, 1e-9)
    assert_allclose(found.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-9)
    assert_allclose(found.hidden_activations(kind(x)), dense.hidden_activations(x), rtol=1e-7, atol=1e-9)
