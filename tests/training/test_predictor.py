"""Predictions of a few rows, by buffers that are kept: what `predict_raw` gives, whoever calls and however often."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse, special

from fastmlp import MLP, InputError
from fastmlp.activations import custom_activation

LINKS = {
    "softmax": ("softmax_cross_entropy", special.softmax),
    "sigmoid": ("binary_cross_entropy", lambda z, axis: special.expit(z)),
    "exp": ("poisson", lambda z, axis: np.exp(z)),
    "identity": ("mean_squared_error", lambda z, axis: z),
}


def network(link, backend, dtype="float64", outputs=3, **options):
    return MLP([6, 9, outputs], loss=LINKS[link][0], backend=backend, dtype=dtype, seed=0, **options)


def samples(rows, dtype="float64"):
    return np.random.RandomState(rows).standard_normal((rows, 6)).astype(dtype)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_few_rows_get_what_many_get(backend, dtype, tolerance, link, outputs):
    if link == "softmax" and outputs == 1:
        pytest.skip("softmax takes an output per class")
    model, x = network(link, backend, dtype, outputs), samples(100, dtype)
    expected = LINKS[link][1](model.predict_raw(x), axis=1)
    for rows in (1, 2, 33, 64):
        np.testing.assert_allclose(model.predict_proba(x[:rows]), expected[:rows], **tolerance)
        np.testing.assert_allclose(model.predict(x[:rows]), model.predict(x)[:rows], **tolerance)
    predict = model.predictor(rows=40)
    for rows in (1, 40, 7, 1):
        np.testing.assert_allclose(predict.proba(x[:rows]), expected[:rows], **tolerance)
        np.testing.assert_allclose(predict(x[:rows]), model.predict(x)[:rows], **tolerance)


def test_results_are_arrays_of_their_own(cpu_backend):
    model, x = network("softmax", cpu_backend), samples(2)
    for call in (model.predict_proba, model.predictor(2).proba):
        first = call(x[:1])
        kept = first.copy()
        call(x[1:])
        np.testing.assert_array_equal(first, kept)


def test_it_follows_the_parameters(cpu_backend):
    model, x = network("softmax", cpu_backend), samples(20)
    predict = model.predictor(20)
    for _ in range(2):
        model.fit(x, np.arange(20) % 3, epochs=1)
        np.testing.assert_allclose(predict.proba(x), special.softmax(model.predict_raw(x), axis=1), rtol=1e-12)
        np.testing.assert_array_equal(model.predict_proba(x), predict.proba(x))
    model.weights[0][...] = 0
    np.testing.assert_array_equal(model.predict_proba(x), predict.proba(x))
    assert np.ptp(predict.proba(x), axis=0).max() == 0


def test_few_rows_by_another_loss_or_activation(cpu_backend):
    model, x = MLP([6, 9, 3], backend=cpu_backend, dtype="float64", seed=0), samples(3)
    np.testing.assert_array_equal(model.predict_proba(x), model.predict_raw(x))  # there is no loss yet
    model.fit(x, [0, 1, 2], epochs=1)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    snake = custom_activation(lambda z: z + np.sin(z) ** 2, lambda z: 1 + 2 * np.sin(z) * np.cos(z))
    model = MLP([6, 9, 3], [snake, "tanh"], loss="huber", backend=cpu_backend, dtype="float64", seed=0)
    np.testing.assert_allclose(model.predictor(3).proba(x), model.predict_raw(x), rtol=1e-12)


@pytest.mark.parametrize(
    "given", [samples(3).tolist(), samples(3, "float32"), np.asfortranarray(samples(3)), sparse.csr_matrix(samples(3))]
)
def test_what_is_no_plain_array_is_converted(cpu_backend, given):
    model = network("softmax", cpu_backend)
    np.testing.assert_allclose(model.predictor(3).proba(given), model.predict_proba(samples(3)), rtol=1e-5)


@pytest.mark.parametrize("call", ["predict", "predict_proba", "predictor"])
def test_errors_are_those_of_any_prediction(cpu_backend, call):
    model = network("softmax", cpu_backend)
    predict = getattr(model, call)(4) if call == "predictor" else getattr(model, call)
    for value in (np.nan, np.inf):
        x = samples(2)
        x[1, 2] = value
        with pytest.raises(InputError, match="x contains"):
            predict(x)
    with pytest.raises(InputError, match="5 features"):
        predict(samples(2)[:, :5])
    with pytest.raises(InputError, match="no samples"):
        predict(samples(2)[:0])
    with np.errstate(all="ignore"):
        predict(np.full((1, 6), 1e308))  # all of it is finite, if not its sum


def test_more_rows_than_it_is_for_are_refused(cpu_backend):
    with pytest.raises(InputError, match="5 rows, but this predictor takes 4 at most"):
        network("softmax", cpu_backend).predictor(4)(samples(5))
    for rows in (0, 1.5, "4"):
        with pytest.raises(InputError, match="rows"):
            network("softmax", cpu_backend).predictor(rows)


def test_rows_have_the_same_digits_whatever_goes_with_them():
    model = MLP([300, 200, 10], loss="softmax_cross_entropy", backend="numba", seed=0)
    x = np.random.RandomState(0).standard_normal((50, 300)).astype(np.float32)
    predict = model.predictor(50, batch_invariant=True)
    whole = predict.proba(x)
    for rows in (slice(0, 1), slice(3, 10), slice(49, 50)):
        assert predict.proba(x[rows]).tobytes() == whole[rows].tobytes()


def test_threads_predict_at_once(cpu_backend):
    model, x = network("softmax", cpu_backend), samples(64)
    predict, expected = model.predictor(8), model.predict_proba(x)

    def some(first):
        return [predict.proba(x[first : first + 8]).tobytes() for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        for first, results in zip(range(0, 64, 8), pool.map(some, range(0, 64, 8)), strict=True):
            assert len(set(results)) == 1
            found = np.frombuffer(results[0]).reshape(8, 3)
            np.testing.assert_allclose(found, expected[first : first + 8], rtol=1e-12)


def test_many_rows_are_read_where_they_lie(cpu_backend):
    model, x = network("softmax", cpu_backend), samples(6000)  # more than are copied
    predict, other = model.predictor(6000), samples(6000)[::-1].copy()
    expected = special.softmax(model.predict_raw(x), axis=1)
    for given, wanted in ((x, expected), (other, expected[::-1]), (np.asfortranarray(x), expected)):
        np.testing.assert_allclose(predict.proba(given), wanted, rtol=1e-12)
        np.testing.assert_allclose(predict.proba(given[:5900]), wanted[:5900], rtol=1e-12)
    for row, value in ((0, np.nan), (5999, -np.inf)):
        spoiled = x.copy()
        spoiled[row, 5] = value
        for call in (predict, predict.proba, model.predict, model.predict_raw, model.hidden_activations):
            with pytest.raises(InputError, match=f"first at index \\({row}, 5\\)"):
                call(spoiled)
