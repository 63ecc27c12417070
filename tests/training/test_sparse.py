"""Sparse features: the same results as with the dense array, which is never made."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from fastmlp import MLP, InputError, MLPClassifier, MLPRegressor

FEATURES, OUTPUTS = 40, 3
FORMATS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "coo_matrix": sparse.coo_matrix,
    "lil_array": sparse.lil_array,
}


def draw(samples, density=0.1):
    """Dense features, some rows and columns without entries, and targets."""
    random = np.random.RandomState(samples)
    x = random.standard_normal((samples, FEATURES)) * (random.uniform(size=(samples, FEATURES)) < density)
    x[::7] = 0
    x[:, -2:] = 0
    return x, random.standard_normal((samples, OUTPUTS))


def model(dtype="float64", backend="numpy", **options):
    options = {"loss": "mean_squared_error", "seed": 1} | options
    return MLP([FEATURES, 20, OUTPUTS], "tanh", dtype=dtype, backend=backend, **options)


def assert_same(found, expected, tolerance):
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, other, **tolerance)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_as_the_dense_array(backend, dtype, tolerance, form):
    x, y = draw(130)
    net, other = model(dtype, backend), FORMATS[form](x)
    weight = np.linspace(0, 2, len(x))
    np.testing.assert_allclose(net.predict_raw(other), net.predict_raw(x), **tolerance)
    found, expected = (net.evaluate(each, y, weight)["loss"] for each in (other, x))
    assert found == pytest.approx(expected, rel=tolerance["rtol"])
    for per_sample in (False, True):
        dense, ours = (net.gradients(each, y, weight, per_sample=per_sample) for each in (x, other))
        np.testing.assert_allclose(ours.loss, dense.loss, **tolerance)
        assert_same(ours.weights + ours.biases, dense.weights + dense.biases, tolerance)


def test_strided_arrays_are_read(backend):
    x, _ = draw(30)
    packed = sparse.csr_array(x)
    strided = [np.repeat(part, 2)[::2] for part in (packed.data, packed.indices, packed.indptr)]
    net = model(backend=backend)
    found = net.predict_raw(sparse.csr_array(tuple(strided), shape=x.shape))
    np.testing.assert_array_equal(found, net.predict_raw(packed))


def test_entries_of_one_place_add_up_and_need_no_order(backend):
    rows, columns, values = [0, 0, 0, 2, 2], [7, 1, 7, 39, 0], [1.0, 2.0, 3.0, 4.0, 0.0]
    dense = np.zeros((3, FEATURES))
    np.add.at(dense, (rows, columns), values)
    unsorted = sparse.csr_array((values, columns, [0, 3, 3, 5]), shape=dense.shape)
    assert not unsorted.has_canonical_format
    net, y = model(backend=backend), np.ones((3, OUTPUTS))
    for x in (unsorted, sparse.coo_array((values, (rows, columns)), shape=dense.shape)):
        assert_same(net.gradients(x, y).weights, net.gradients(dense, y).weights, {"rtol": 1e-12, "atol": 1e-15})
    np.testing.assert_array_equal(unsorted.indices, columns)  # the caller's matrix is as it was


@pytest.mark.parametrize("kind", [bool, np.int8, np.float32, np.int64])
def test_numbers_of_every_real_type_are_read(backend, dtype, kind):
    x, _ = draw(30)
    x = (3 * x).astype(kind)
    net = model(dtype, backend)
    np.testing.assert_allclose(net.predict_raw(sparse.csr_array(x)), net.predict_raw(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    ("batch_size", "optimizer", "options"),
    [
        (32, "sgd", {}),  # the last batch is ragged; the gradient goes straight into the weights
        (700, "sgd", {"l2": 0.1}),  # two chunks
        ("full", "adam", {"dropout": 0.3, "l1": 0.01}),
        (1, "rmsprop", {"reduction": "sum"}),
    ],
)
def test_training_is_that_on_the_dense_array(backend, dtype, batch_size, optimizer, options, n_threads):
    x, y = draw(1300 if batch_size != 1 else 20)
    dense, ours = (model(dtype, backend, n_threads=n_threads, **options) for _ in range(2))
    given = {"epochs": 2, "batch_size": batch_size, "optimizer": optimizer, "lr": 0.01, "gradient_norms": True}
    expected = dense.fit(x, y, validation_data=(x[:9], y[:9]), **given)
    found = ours.fit(sparse.csr_array(x), y, validation_data=(sparse.csr_array(x[:9]), y[:9]), **given)
    tolerance = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-10, "atol": 1e-12}}[dtype]
    for column in ("loss", "val_loss", "gradient_norms"):
        np.testing.assert_allclose(found[column], expected[column], **tolerance)
    assert_same(ours.weights + ours.biases, dense.weights + dense.biases, tolerance)


def test_dense_and_sparse_data_take_turns_on_one_model(backend):
    x, y = draw(30)
    net, other = model(backend=backend), sparse.csr_array(x)
    expected = net.predict_raw(x)
    for given in (other, x, other):
        np.testing.assert_allclose(net.predict_raw(given), expected, rtol=1e-12)
        net.gradients(given, y)


@pytest.mark.parametrize("outputs", [1, 20, 100])
def test_a_team_of_any_size_gives_the_same_bits(dtype, outputs):
    x, _ = draw(130)
    y = np.random.RandomState(0).standard_normal((130, outputs))
    options = {"loss": "half_squared_error", "dtype": dtype, "seed": 1, "backend": "numba"}
    found = [
        MLP([FEATURES, outputs], "identity", n_threads=n_threads, **options).gradients(sparse.csr_array(x), y)
        for n_threads in (1, 2, 3)
    ]
    assert found[0].weights[0].any()
    for other in found[1:]:
        assert other.loss == found[0].loss
        assert_same(other.weights + other.biases, found[0].weights + found[0].biases, {"rtol": 0})


def rows_of(columns, starts):
    return sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(len(starts) - 1, FEATURES))


def spoilt(value, dtype=None):
    x = sparse.csr_array(draw(5, 0.5)[0], dtype=dtype)
    x.data[3] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (spoilt(np.nan), r"x.data contains NaN, first at index \(3,\)"),
        (spoilt(-np.inf), r"x.data contains infinity, first at index \(3,\)"),
        (spoilt(1j, np.complex128), "x.data has dtype complex128, but must hold real numbers"),
        (spoilt(1e300), "beyond the range of float32"),
        (sparse.csr_array((5, FEATURES - 1)), r"39 features \(shape \(5, 39\)\), but the network takes 40"),
        (sparse.csr_array((0, FEATURES)), "no samples"),
        (sparse.coo_array(np.ones(FEATURES)), r"shape \(40,\), but must have two dimensions"),
        (rows_of([0, FEATURES], [0, 1, 2]), "x is no valid sparse matrix: "),
        (rows_of([0, -1], [0, 1, 2]), "x is no valid sparse matrix: "),
        (rows_of([0, 1], [0, 2, 1, 2]), "x is no valid sparse matrix: "),
    ],
)
def test_what_cannot_be_used_is_refused(backend, x, message):
    net = model("float32", backend)
    y = np.zeros((x.shape[0], OUTPUTS))
    for call in (net.predict, lambda x: net.fit(x, y), lambda x: net.gradients(x, y)):
        with pytest.raises(InputError, match=message):
            call(x)


def damaged(form, change):
    """A valid matrix (6, 4) with some indices changed afterwards, as by a damaged file or another thread."""
    x = getattr(sparse, form)(np.random.RandomState(0).standard_normal((6, FEATURES)))
    change(x)
    return x


def put(name, at, value):
    def change(x):
        getattr(x, name)[at] = value

    return change


def cut(x):
    x.indices = x.indices[:-3]


DAMAGED = {
    "column beyond": damaged("csr_array", put("indices", 5, FEATURES)),
    "column far beyond": damaged("csr_matrix", put("indices", 5, 10**9)),
    "negative column": damaged("csr_array", put("indices", 5, -3)),
    "row starts that fall": damaged("csr_array", put("indptr", 2, 200)),
    "an end beyond": damaged("csr_array", put("indptr", -1, 10**6)),
    "a start before": damaged("csr_array", put("indptr", 0, -1)),
    "fewer numbers than values": damaged("csr_array", cut),
    "row beyond, by columns": damaged("csc_array", put("indices", 5, 10**8)),
    "row beyond, by coordinates": damaged("coo_array", put("row", 5, 10**8)),
    "negative column, by coordinates": damaged("coo_array", put("col", 5, -1)),
    "block beyond": damaged("bsr_array", put("indices", 0, 10**8)),
    "column beyond, by lists": damaged("lil_array", lambda x: x.rows[2].__setitem__(3, 10**7)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_numbers_beyond_a_matrix_are_refused_at_every_door(monkeypatch, name):
    """scikit-learn and SciPy read foreign memory there."""
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    x, good = DAMAGED[name], sparse.csr_array((6, FEATURES))
    y, values = np.arange(6) % 3, np.arange(6.0)
    classifier = MLPClassifier((3,), max_iter=1).partial_fit(good, y, classes=[0, 1, 2])
    net = MLP([FEATURES, 3, 1], loss="mean_squared_error")
    calls = [
        *(lambda: MLPClassifier((3,)).fit(x, y), lambda: MLPRegressor(solver="lbfgs").fit(x, values)),
        *(lambda: classifier.partial_fit(x, y), lambda: MLPRegressor().partial_fit(x, values)),
        lambda: MLPClassifier((3,)).fit(good, y, X_val=x, y_val=y),
        *(lambda: classifier.predict(x), lambda: classifier.predict_proba(x), lambda: classifier.predict_log_proba(x)),
        *(lambda: classifier.hidden_activations(x), lambda: classifier.score(x, y)),
        *(lambda: net.fit(x, values), lambda: net.predict(x), lambda: net.evaluate(x, values)),
        *(lambda: net.gradients(x, values), lambda: net.fit(good, values, validation_data=(x, values))),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"is no valid sparse matrix: .*Build it anew"):
            call()


def test_sparse_labels_beyond_their_matrix_are_refused(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    labels = sparse.csr_array(np.tile([1, 0, 1], (6, 1)))
    x = np.ones((6, 2))
    fitted = MLPClassifier((3,), max_iter=1).partial_fit(x, labels.copy(), classes=[0, 1, 2])
    labels.indices[2] = 10**8
    for call in (MLPClassifier().fit, MLPRegressor().fit, fitted.partial_fit, fitted.score):
        with pytest.raises(InputError, match="y is no valid sparse matrix"):
            call(x, labels)
    with pytest.raises(InputError, match="y is no valid sparse matrix"):
        MLPClassifier().partial_fit(x, labels, classes=[0, 1, 2])


def test_a_checked_matrix_is_as_it_was(monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    x = sparse.csr_array(([1.0, 2.0, 3.0], [3, 1, 3], [0, 2, 3]), shape=(2, FEATURES))
    before = [part.copy() for part in (x.data, x.indices, x.indptr)]
    MLPRegressor(max_iter=1, tol=1e9, n_iter_no_change=1).partial_fit(x, [1.0, 2.0]).predict(x)
    for part, old in zip((x.data, x.indices, x.indptr), before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_no_dense_batch_is_made(backend):
    samples, features, entries = 50_000, 20_000, 100_000
    random = np.random.RandomState(0)
    columns, starts = random.randint(0, features, entries), np.linspace(0, entries, samples + 1).astype(np.int64)
    x = sparse.csr_array((random.standard_normal(entries), columns, starts), shape=(samples, features))
    y = random.standard_normal(samples)
    net = MLP([features, 4, 1], loss="mean_squared_error", backend=backend, seed=0)
    tracemalloc.start()
    net.fit(x, y, epochs=1, batch_size=10_000, validation_data=(x, y))
    net.predict(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    chunk = 512 * features * 4
    assert peak < chunk / 2
