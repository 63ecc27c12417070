"""Losses with a parameter and custom losses: gradients, trained results, errors and files."""

import gc
import math
import weakref

import numpy as np
import pytest

from fastmlp import MLP, InputError
from fastmlp.formulas.by_code import Formulas
from fastmlp.losses import LOSSES, custom_loss, huber, quantile

SQUARED = custom_loss(lambda z, y: 0.5 * (z - y) ** 2, lambda z, y: z - y, name="mine")
LOG_COSH = custom_loss(lambda z, y: np.log(np.cosh(z - y)), lambda z, y: np.tanh(z - y))
ABOVE = custom_loss(lambda z, y: np.where(z > y, z - y, 0.0), lambda z, y: np.where(z > y, 1.0, 0.0))
LOGISTIC = custom_loss(lambda z, y: np.logaddexp(z, 0) - y * z, lambda z, y: 1 / (1 + np.exp(-z)) - y, "sigmoid")

MADE = {
    "huber(0.3)": huber(0.3),
    "huber(np.float32(4))": huber(np.float32(4)),
    "quantile(0.2)": quantile(0.2),
    "quantile([0.1, 0.5, 0.9])": quantile([0.1, 0.5, 0.9]),
    "squared": SQUARED,
    "log cosh": LOG_COSH,
    "above": ABOVE,
    "logistic": LOGISTIC,
}


@pytest.fixture
def samples():
    random = np.random.RandomState(0)
    return random.standard_normal((21, 2)), random.uniform(0, 1, (21, 3)), random.uniform(0, 2, 21)


def model(loss, backend="numpy", **options):
    return MLP([2, 4, 3], "tanh", loss=loss, dtype="float64", seed=1, backend=backend, **options)


def assert_close(found, expected, tolerance):
    assert found.loss == pytest.approx(expected.loss, rel=tolerance)
    for parts, others in ((found.weights, expected.weights), (found.biases, expected.biases)):
        for part, other in zip(parts, others, strict=True):
            np.testing.assert_allclose(part, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("loss", [*LOSSES.values(), *MADE.values()], ids=[*LOSSES, *MADE])
def test_every_loss_has_the_gradient_of_its_value(samples, loss):
    x, y, weight = samples
    net = model(loss)
    assert_close(net.gradients(x, y, weight), net.numerical_gradient(x, y, weight), 1e-7)
    assert net.evaluate(x, y, weight)["loss"] == pytest.approx(net.gradients(x, y, weight).loss, rel=1e-12)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", MADE)
def test_numba_gives_the_gradients_of_numpy(samples, name, n_threads):
    compiled = model(MADE[name], "numba", n_threads=n_threads)
    assert_close(compiled.gradients(*samples), model(MADE[name]).gradients(*samples), 1e-12)


@pytest.mark.parametrize(("mine", "theirs"), [(SQUARED, "half_squared_error"), (LOGISTIC, "binary_cross_entropy")])
def test_a_loss_written_anew_trains_as_the_built_in_one(cpu_backend, dtype, tolerance, samples, mine, theirs):
    x, y, weight = samples
    models = [MLP([2, 4, 3], loss=loss, dtype=dtype, seed=1, backend=cpu_backend) for loss in (mine, theirs)]
    own, built_in = (net.fit(x, y, epochs=5, batch_size=8, sample_weight=weight, lr=0.05) for net in models)
    np.testing.assert_allclose(own["loss"], built_in["loss"], **tolerance)
    np.testing.assert_allclose(models[0].predict_proba(x), models[1].predict_proba(x), **tolerance)


def test_two_custom_losses_on_one_architecture_are_two(cpu_backend, samples):
    x, y, _ = samples
    z = model(None, cpu_backend).predict_raw(x)
    for loss in (SQUARED, LOG_COSH, SQUARED):
        assert model(loss, cpu_backend).gradients(x, y).loss == pytest.approx(
            loss.value(z, y).sum() / len(x), rel=1e-12
        )


def fit_constant(loss, outputs, y, backend, lr):
    """What a network that sees no features predicts after training: the minimum of the loss over y."""
    net = MLP([1, outputs], "identity", loss=loss, dtype="float64", backend=backend)
    net.fit(np.zeros((len(y), 1)), y, epochs=100, batch_size="full", optimizer="sgd", lr=lr, metrics=[])
    return net.predict_raw([[0.0]])[0]


def test_quantiles_of_an_even_distribution(backend):
    quantiles, y = [0.1, 0.5, 0.9], np.linspace(0, 10, 1001)
    np.testing.assert_allclose(fit_constant(quantile(quantiles), 3, y, backend, 10), [1, 5, 9], atol=0.02)
    np.testing.assert_allclose(fit_constant(quantile(0.3), 1, y, backend, 5), [3], atol=0.02)
    both = np.column_stack([y, -y])
    np.testing.assert_allclose(fit_constant(quantile(0.3), 2, both, backend, 10), [3, -7], atol=0.02)


@pytest.mark.parametrize("delta", [0.3, 1.0])
def test_an_outlier_pulls_the_huber_loss_no_more_than_delta(backend, delta):
    y = np.array([0.0] * 9 + [1e3])
    np.testing.assert_allclose(fit_constant(huber(delta), 1, y, backend, 1), [delta / 9], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        *((huber, delta, "huber delta=.* must be positive") for delta in (0, -1, np.nan, np.inf, True, "1", None)),
        *((quantile, q, "quantiles=.* between 0 and 1") for q in (0, 1.0, [0.5, 1.5], [], np.nan, "0.5", None, True)),
        (quantile, [[0.1], [0.2, 0.3]], "quantiles=.* between 0 and 1"),
        (lambda value: custom_loss(value, value), 0.5, "custom_loss value=0.5 must be a function"),
        (lambda gradient: custom_loss(np.subtract, gradient), None, "custom_loss gradient=None must be a function"),
        (lambda link: custom_loss(np.subtract, np.subtract, link), "probit", "link='probit' is unknown. Choose one of"),
        (lambda loss: MLP([2, 1], loss=loss), huber, "loss=.* is unknown. .* or make one with"),
        (lambda loss: MLP([2, 4], loss=loss), quantile([0.1, 0.9]), "2 quantiles and the network 4 outputs"),
    ],
)
def test_what_cannot_be_used_is_refused(make, given, message):
    with pytest.raises(InputError, match=message):
        make(given)


@pytest.mark.parametrize("role", ["value", "gradient"])
@pytest.mark.parametrize(
    "function",
    [lambda z, y: ((z - y) ** 2).mean(), lambda z, y: (z - y) * 1j, lambda z, y: None],
    ids=["a mean", "complex", "nothing"],
)
def test_a_custom_loss_that_gives_no_number_for_each_output(cpu_backend, samples, role, function):
    x, y, _ = samples
    good = {"value": SQUARED.value, "gradient": SQUARED.gradient}
    net = model(custom_loss(**good | {role: function}), cpu_backend, n_threads=2)
    before = net.weights[0].copy()
    with pytest.raises(InputError, match=f"The {role} of the loss 'custom' (gives .* must|cannot be translated)"):
        net.fit(x, y, epochs=1)
    np.testing.assert_array_equal(net.weights[0], before)


@pytest.mark.parametrize(
    "value", [lambda z, y: (z - y).clip(0), lambda z, y: z - y if z > y else 0.0, lambda z, y: math.exp(z - y)]
)
def test_what_cannot_be_translated_is_named_with_the_remedy(samples, value):
    x, y, _ = samples
    net = model(custom_loss(value, SQUARED.gradient), "numba")
    with pytest.raises(InputError, match=r"The value of the loss 'custom' cannot be translated: .* backend='numpy'"):
        net.gradients(x, y)


@pytest.mark.parametrize("loss", [huber(0.3), quantile([0.1, 0.5, 0.9])])
def test_a_model_file_keeps_the_parameter(tmp_path, samples, loss):
    net = model(loss)
    net.save(tmp_path / "net")
    loaded = MLP.load(tmp_path / "net", backend="numpy")
    assert loaded.loss == loss
    assert_close(loaded.gradients(*samples), net.gradients(*samples), 0)


def test_what_is_compiled_of_a_custom_loss_goes_with_it(samples):
    """A search over the constants of a loss makes hundreds of them."""
    from fastmlp.backends.compiled.functions import library_of

    x, y, _ = samples
    mine = custom_loss(lambda z, y: 0.3 * (z - y) ** 2, lambda z, y: 0.6 * (z - y))
    net = model(mine, "numba")
    net.fit(x, y, epochs=1)
    library = library_of(Formulas.of([], mine))
    assert library.runs
    gone = weakref.ref(library)
    for i in range(8):  # the last few are kept, whoever made them
        library_of(Formulas.of([], custom_loss(lambda z, y, i=i: i * z, SQUARED.gradient)))
    gc.collect()
    assert gone() is not None  # in use
    del net, library
    gc.collect()
    assert gone() is None
