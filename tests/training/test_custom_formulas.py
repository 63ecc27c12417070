"""Activations, losses and update rules of one's own: on every backend what the same built in are; in files by name."""

import pickle
import re

import numpy as np
import pytest

from fastmlp import MLP, SGD, Adam, InputError, MLPRegressor, RMSprop
from fastmlp.activations import custom_activation
from fastmlp.losses import custom_loss
from fastmlp.optimizers import custom_optimizer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def silu(z):
    return z * sigmoid(z)


def silu_derivative(z):
    return sigmoid(z) + silu(z) * (1 - sigmoid(z))


def snake(z):
    return z + np.sin(2 * z) ** 2 / 2


def snake_derivative(z):
    return 1 + 2 * np.sin(2 * z) * np.cos(2 * z)


def lion(w, g, m, lr, beta1, beta2):
    return w - lr * np.sign(beta1 * m + (1 - beta1) * g), beta2 * m + (1 - beta2) * g


def amsgrad(w, g, m, v, largest, lr, t, beta1, beta2):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    largest = np.maximum(largest, v)
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(largest / (1 - beta2**t)) + 1e-8), m, v, largest


def adam(w, g, m, v, lr, t, beta1, beta2):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + 1e-8), m, v


def rmsprop(rho, lr, g, s, w):
    s = rho * s + (1 - rho) * g**2
    return w - lr * g / (np.sqrt(s) + 1e-8), s


SNAKE = custom_activation(snake, snake_derivative, "snake")
SQUARED = custom_loss(lambda z, y: (z - y) ** 2, lambda z, y: 2 * (z - y), name="mine")


def samples():
    random = np.random.RandomState(0)
    return random.standard_normal((90, 6)), random.standard_normal((90, 3))


def trained(backend, activation="tanh", optimizer="adam", dtype="float64", **options):
    x, y = samples()
    model = MLP([6, 9, 8, 3], activation, dtype=dtype, backend=backend, seed=3, **options)
    model.fit(x, y, epochs=3, batch_size=16, optimizer=optimizer)
    return [*model.weights, *model.biases, model.predict(x)]


def assert_same(one, other, **tolerance):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, **tolerance)


def test_an_activation_written_anew_trains_as_the_built_in_one(backend, dtype, tolerance):
    mine = custom_activation(silu, silu_derivative)
    built_in = trained(backend, ["silu", "silu", "identity"], SGD(0.05), dtype, initializer="he_uniform")
    own = trained(backend, [mine, mine, "identity"], SGD(0.05), dtype, initializer="he_uniform")
    assert_same(own, built_in, rtol=1e-4 if dtype == "float32" else 1e-10, atol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_backends_agree_on_several_activations_of_ones_own(backend, batch_size):
    other = custom_activation(lambda z: np.where(z > 0, z, 0.3 * z), lambda z: np.where(z > 0, 1.0, 0.3), "leaky")
    x, y = samples()
    models = [MLP([6, 9, 8, 3], [SNAKE, other, SNAKE], dtype="float64", backend=b, seed=3) for b in ("numpy", backend)]
    for model in models:
        model.fit(x, y, epochs=2, batch_size=batch_size, optimizer=SGD(0.01, momentum=0.5))
    assert_same(*([*model.weights, model.predict(x)] for model in models), rtol=1e-9, atol=1e-11)
    found, expected = models[1].gradients(x, y), models[1].numerical_gradient(x, y)
    assert_same(found.weights, expected.weights, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("own", "built_in"),
    [
        (custom_optimizer(lambda w, g, lr: w - lr * g, 0.05), SGD(0.05)),
        (custom_optimizer(adam, 0.01, beta1=0.9, beta2=0.999), Adam(0.01)),
        (custom_optimizer(rmsprop, 0.01, rho=0.9), RMSprop(0.01)),
    ],
    ids=["sgd", "adam", "rmsprop"],
)
def test_a_rule_written_anew_is_the_built_in_one(backend, own, built_in):
    options = {"l2": 1e-3}
    assert_same(trained(backend, optimizer=own, **options), trained(backend, optimizer=built_in, **options), rtol=1e-7)


@pytest.mark.parametrize(
    "optimizer",
    [custom_optimizer(lion, 1e-2, beta1=0.9, beta2=0.99), custom_optimizer(amsgrad, 1e-2, beta1=0.9, beta2=0.99)],
    ids=["one moment", "three moments"],
)
def test_backends_agree_on_a_rule_of_ones_own(backend, optimizer):
    assert_same(trained(backend, optimizer=optimizer), trained("numpy", optimizer=optimizer), rtol=1e-7, atol=1e-9)


def test_a_rule_of_ones_own_goes_on_from_a_checkpoint(cpu_backend, tmp_path):
    x, y = samples()
    optimizer = custom_optimizer(lion, 1e-2, beta1=0.9, beta2=0.99)
    models = [MLP([6, 9, 3], [SNAKE, "identity"], backend=cpu_backend, seed=3) for _ in range(2)]
    models[0].fit(x, y, epochs=4, batch_size=16, optimizer=optimizer)
    models[1].fit(x, y, epochs=2, batch_size=16, optimizer=optimizer, checkpoint=tmp_path / "c")
    again = MLP([6, 9, 3], [SNAKE, "identity"], backend=cpu_backend, seed=3)
    again.fit(x, y, epochs=4, batch_size=16, optimizer=optimizer, checkpoint=tmp_path / "c", resume=True)
    for one, other in zip(models[0].weights, again.weights, strict=True):
        assert one.tobytes() == other.tobytes()
    with pytest.raises(InputError, match="optimizer"):
        again.fit(
            *(x, y), epochs=5, batch_size=16, checkpoint=tmp_path / "c", resume=True,
            optimizer=custom_optimizer(lion, 1e-2, beta1=0.8, beta2=0.99),
        )  # fmt: skip


def test_a_model_file_names_what_is_ones_own_and_asks_for_it(tmp_path):
    x, y = samples()
    model = MLP([6, 9, 3], [SNAKE, "identity"], loss=SQUARED, backend="numpy", seed=3)
    model.fit(x, y, epochs=1)
    model.save(tmp_path / "net")
    with pytest.raises(InputError, match=r"needs the activation 'snake' and the loss 'mine' of its author's own"):
        MLP.load(tmp_path / "net", backend="numpy")
    with pytest.raises(InputError, match=r"needs the loss 'mine'"):
        MLP.load(tmp_path / "net", backend="numpy", custom=[SNAKE])
    loaded = MLP.load(tmp_path / "net", backend="numpy", custom=[SQUARED, SNAKE])
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    assert loaded.loss == SQUARED and loaded.activations == [SNAKE, "identity"]


def test_two_activations_of_one_name_cannot_be_told_apart_in_a_file(tmp_path):
    other = custom_activation(np.sin, np.cos, "snake")
    with pytest.raises(InputError, match="same name"):
        MLP([6, 9, 8, 3], [SNAKE, other, "identity"]).save(tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_networks_with_functions_of_a_module_are_pickled():
    model = MLP([6, 9, 3], [SNAKE, "identity"], backend="numpy", seed=3)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_raw(samples()[0]), model.predict_raw(samples()[0]))


def test_an_estimator_takes_an_activation_of_ones_own(cpu_backend):
    (x, y), mine = samples(), custom_activation(silu, silu_derivative)
    options = {"hidden_layer_sizes": (9, 8), "solver": "adam", "max_iter": 5, "random_state": 0, "backend": cpu_backend}
    fitted = [MLPRegressor(activation=one, **options).fit(x, y) for one in ("silu", mine, ["silu", mine])]
    for other in fitted[1:]:
        np.testing.assert_allclose(other.predict(x), fitted[0].predict(x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: custom_activation(1, np.cos), "custom_activation value=1 must be a function"),
        (lambda: custom_activation(np.sin, None), "custom_activation derivative=None must be a function"),
        (lambda: custom_activation(np.sin, np.cos, "tanh"), "name='tanh' must be a text, and none of"),
        (lambda: custom_loss(np.subtract, np.subtract, name="huber"), "name='huber' must be a text, and none of"),
        (lambda: custom_optimizer(None, 0.1), "formula=None must be a function of w, g"),
        (lambda: custom_optimizer(lambda w: w, 0.1), "must be a function of w, g"),
        (lambda: custom_optimizer(lambda w, g: w, 0.1, beta=1.0), "beta=1.0 is no parameter of the formula"),
        (lambda: custom_optimizer(lambda w, g, beta: w, 0.1, beta="a"), "custom_optimizer beta='a'"),
        (lambda: custom_optimizer(lambda w, g, lr: w, np.nan), "custom_optimizer lr=nan"),
        (lambda: trained("numpy", 5), "activation=5 must be a name"),
        (lambda: trained("numpy", "swish"), "or make one with fastmlp.activations.custom_activation"),
    ],
)
def test_what_cannot_be_used_is_refused(make, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("backend", ["numba"])
def test_what_cannot_be_translated_is_refused_before_any_work(backend):
    bent = custom_activation(lambda z: z if z > 0 else 0 * z, np.cos, "bent")
    with pytest.raises(InputError, match=r"value of the activation 'bent' cannot be translated: .* backend='numpy'"):
        trained(backend, [bent, "tanh", "identity"])
    with pytest.raises(InputError, match=r"optimizer 'custom' gives 1 numbers, but must give 2: w, m"):
        trained(backend, optimizer=custom_optimizer(lambda w, g, m, lr: w, 0.1))
