"""Batches of one sample: an update and the first layer's sums of the next sample in one pass over the weights."""

import subprocess
import sys

import numpy as np
import pytest
from operation_calls import Guarded, in_threads

from fastmlp import MLP, SGD, Adam
from fastmlp.backends.teams import POOL
from fastmlp.errors import DivergenceError
from fastmlp.kernels import codes

# of layers that are passed over once: whole vectors of columns and not, inputs in blocks and not; and one that is not
LAYERS = [(784, 128), (300, 100), (129, 256), (128, 145), (400, 41), (40, 30)]
OPTIMIZERS = {"sgd": SGD(0.01), "l2": SGD(0.01), "momentum": SGD(0.01, momentum=0.9), "adam": Adam(0.01)}


def samples(inputs, zeros, dtype, n=9):
    """Samples with all inputs nonzero, a fifth of them, or the same fifth in every sample; one sample is all zeros."""
    random = np.random.RandomState(0)
    x = random.standard_normal((n, inputs))
    if zeros == "some":
        x[random.random_sample(x.shape) > 0.2] = 0
    elif zeros == "alike":
        x[:, random.random_sample(inputs) > 0.2] = 0
    x[n // 2] = 0
    return x.astype(dtype), random.randint(0, 3, n)


def model(inputs, width, dtype, first="relu", **options):
    return MLP([inputs, width, 3], [first, "identity"], dtype=dtype, backend="numba", seed=0, **options)


def parameters(trained):
    return np.concatenate([array.ravel() for array in (*trained.weights, *trained.biases)])


@pytest.fixture(scope="module")
def passes():
    """The pass, compiled for arrays."""
    import numba

    from fastmlp.kernels.cpu.one_sample.one_pass import update_and_forward
    from fastmlp.kernels.cpu.team.views import address

    @numba.njit(error_model="numpy")
    def call(x, following, w, delta, b, z, alpha):
        start = address(b) if b.shape[0] > 0 else 0
        place = address(x), address(following), x.shape[0], address(w), address(delta), start, address(z)
        update_and_forward(*place, w.shape[1], alpha, w.itemsize)

    return call


@pytest.mark.parametrize("zeros", ["none", "some", "alike"])
@pytest.mark.parametrize("biased", [True, False])
def test_pass_over_guarded_arrays(passes, draw, dtype, zeros, biased):
    for inputs in (1, 63, 64, 130):
        for outputs in (1, 7, 16, 63, 64, 65, 128, 200, 300):
            pair = samples(inputs, zeros, dtype)[0][:2]
            w, delta, b, z = (
                draw(inputs, outputs),
                draw(outputs),
                draw(outputs * biased),
                np.full(outputs, np.nan, dtype),
            )
            new = w.astype(float) - 0.1 * np.outer(pair[0], delta)
            given = [Guarded(array) for array in (pair[0], pair[1], w, delta, b, z)]
            passes(*(each.array for each in given), np.dtype(dtype).type(-0.1))
            assert all(each.guards_intact() for each in given)
            assert all(given[k].intact() for k in (0, 1, 3, 4))
            expected = pair[1].astype(float) @ new + (b if biased else 0)
            tolerance = {"rtol": 0, "atol": 1e-4 if dtype == "float32" else 1e-12}
            np.testing.assert_allclose(given[2].array, new, **tolerance)
            np.testing.assert_allclose(given[5].array, expected, **tolerance)
            untouched = pair[0] == 0  # rows of zero inputs
            np.testing.assert_array_equal(given[2].array[untouched], w[untouched])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_next_sums_are_formed_by_the_update(draw, dtype, n_threads):
    """The operations show it: the two parts are available before the next `linear_rows`."""
    x, w, b, delta = draw(5, 300), draw(300, 100), draw(100), draw(1, 100)
    new, bias = w - 0.1 * np.outer(x[1], delta), b - 0.1 * delta[0]
    slope, out = np.zeros((1, 100), dtype), np.zeros((1, 100), dtype)
    this, coming, nothing = np.array([1]), np.array([3]), np.zeros(0, np.int64)
    x.flags.writeable = nothing.flags.writeable = False
    run = in_threads("sample", n_threads, x)
    run("linear_rows", x, this, w, b, codes.IDENTITY, slope, out)
    run("announce_next_batch", x, nothing, coming)
    run("accumulate_rows", x, this, delta, -0.1, 1.0, w, 1.0, b)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(w, new, atol=tolerance)
    np.testing.assert_allclose(b, bias, atol=tolerance)
    np.testing.assert_allclose((out + slope)[0], x[3] @ new + bias, atol=tolerance)
    out[:], slope[:] = 1, 2  # had `linear_rows` formed them itself, these would be lost
    run("linear_rows", x, coming, w, b, codes.IDENTITY, slope, out)
    np.testing.assert_array_equal(out, np.full_like(out, 3))


SMALL_THEN_LARGE = """
import numpy as np
from fastmlp import MLP

for inputs in (4, 784):
    x, y = np.zeros((9, inputs), np.float32), np.arange(9) % 3
    MLP([inputs, 128, 3], backend="numba").fit(x, y, epochs=1, batch_size=1, optimizer="sgd")
"""


def test_a_large_first_layer_after_a_small_one():
    """What was compiled for the small one has no pass that looks ahead. In a process that has compiled nothing."""
    subprocess.run([sys.executable, "-c", SMALL_THEN_LARGE], check=True)


@pytest.mark.parametrize("zeros", ["none", "some", "alike"])
@pytest.mark.parametrize(("inputs", "width"), LAYERS)
def test_digits_are_those_of_one_sample_at_a_time(dtype, inputs, width, zeros):
    """Compared with calls of `fit` with one sample each."""
    x, y = samples(inputs, zeros, dtype)
    expected = model(inputs, width, dtype, n_threads=1)
    for i in range(len(x)):
        expected.fit(x[i : i + 1], y[i : i + 1], epochs=1, batch_size=1, optimizer=SGD(0.01))
    for n_threads in (1, 2, 3):
        found = model(inputs, width, dtype, n_threads=n_threads)
        found.fit(x, y, epochs=1, batch_size=1, optimizer=SGD(0.01), shuffle=False)
        np.testing.assert_array_equal(parameters(found), parameters(expected))


@pytest.mark.parametrize("source", ["network", "uint8"])
@pytest.mark.parametrize("first", ["relu", "tanh", "gelu", "softmax"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trains_as_numpy_does(dtype, optimizer, first, source):
    x, y = samples(256, "some", dtype)
    x = x if source == "network" else np.abs(x * 3).astype(np.uint8)
    options = {"l2": 0.1} if optimizer == "l2" else {}
    found, losses = [], []
    for backend, n_threads in (("numpy", None), ("numba", 1), ("numba", 2)):
        trained = MLP(
            [256, 144, 160, 3], [first, "relu", "identity"],
            dtype=dtype, backend=backend, n_threads=n_threads, seed=0, dropout=0.1, **options,
        )  # fmt: skip
        history = trained.fit(x, y, epochs=3, batch_size=1, optimizer=OPTIMIZERS[optimizer])
        found.append(parameters(trained))
        losses.append(history["loss"])
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_array_equal(losses[1], losses[2])
    tolerance = 2e-3 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(found[1], found[0], rtol=tolerance, atol=tolerance * np.abs(found[0]).max())
    np.testing.assert_allclose(losses[1], losses[0], rtol=tolerance)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_epochs_that_begin_with_the_last_sample(dtype, n_threads):
    """With two samples half of the epochs do. A callback makes each epoch a run of its own, which knows of no other."""
    x, y = samples(300, "none", dtype, n=2)
    found = []
    for callbacks in ([], [lambda epoch: None]):
        trained = model(300, 100, dtype, n_threads=n_threads)
        trained.fit(x, y, epochs=20, batch_size=1, optimizer=SGD(0.01), callbacks=callbacks)
        found.append(parameters(trained))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("sizes", "worth"), [([64, 512, 10], 1), ([100] * 9, 1), ([128, 128, 10], 1), ([256, 128, 10], 2)], ids=str
)
def test_threads_are_for_layers_that_two_can_share(monkeypatch, sizes, worth):
    found, run = [], POOL.run
    monkeypatch.setattr(POOL, "run", lambda n_threads, worth, tasks: (found.append(worth), run(1, 1, tasks))[1])
    x, y = samples(sizes[0], "none", "float32", n=200)
    MLP(sizes, backend="numba", seed=0).fit(x, y, epochs=1, batch_size=1, optimizer=SGD(0.01))
    assert found == [worth]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_divergence_is_seen(dtype, n_threads):
    """Rows of zero inputs are skipped, but NaN is not zero."""
    x, y = samples(256, "some", dtype)
    diverging = model(256, 144, dtype, n_threads=n_threads)
    with pytest.raises(DivergenceError):
        diverging.fit(x, y, epochs=2, batch_size=1, optimizer=SGD(np.finfo(dtype).max ** 0.6))
