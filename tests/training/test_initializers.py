"""Initializers: the variance each law promises, and the draws of scikit-learn."""

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from fastmlp.errors import InputError
from fastmlp.initializers import default_initializer, initialize

VARIANCES = {"glorot": lambda i, o: 2 / (i + o), "he": lambda i, o: 2 / i, "lecun": lambda i, o: 1 / i}
LAWS = [f"{family}_{shape}" for family in VARIANCES for shape in ("uniform", "normal")]


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(("fan_in", "fan_out"), [(400, 100), (100, 400)])
def test_the_variance_is_that_of_the_law(name, fan_in, fan_out):
    weights = initialize(name, fan_in, fan_out, np.random.RandomState(0))
    assert weights.shape == (fan_in, fan_out)
    assert weights.dtype == np.float64
    variance = VARIANCES[name.split("_")[0]](fan_in, fan_out)
    # 40 000 normal draws leave the variance a relative error of √(2/40 000) ≈ 0.7 %, uniform ones less.
    assert weights.var() == pytest.approx(variance, rel=0.03)
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)


@pytest.mark.parametrize("family", VARIANCES)
def test_uniform_draws_fill_their_bounds_and_normal_ones_pass_them(family):
    bound = np.sqrt(3 * VARIANCES[family](200, 300))
    uniform = abs(initialize(f"{family}_uniform", 200, 300, np.random.RandomState(1)))
    normal = abs(initialize(f"{family}_normal", 200, 300, np.random.RandomState(1)))
    assert 0.999 * bound < uniform.max() <= bound
    assert normal.max() > 2 * bound


def test_glorot_uniform_draws_what_scikit_learn_draws():
    peer = MLPRegressor(hidden_layer_sizes=5, learning_rate_init=1e-300, solver="sgd", random_state=3)
    inputs = np.linspace(-1, 1, 21).reshape(7, 3)
    peer.partial_fit(inputs, inputs[:, 0])
    np.testing.assert_array_equal(
        initialize("glorot_uniform", 3, 5, np.random.RandomState(3)), peer.coefs_[0], strict=True
    )


@pytest.mark.parametrize("name", LAWS)
def test_the_same_generator_gives_the_same_weights_and_moves_on(name):
    rng = np.random.RandomState(5)
    first, second = initialize(name, 4, 3, rng), initialize(name, 4, 3, rng)
    np.testing.assert_array_equal(first, initialize(name, 4, 3, np.random.RandomState(5)))
    assert (first != second).all()


def test_zeros_are_zero_and_leave_the_generator_alone():
    rng = np.random.RandomState(5)
    np.testing.assert_array_equal(initialize("zeros", 3, 2, rng), np.zeros((3, 2)), strict=True)
    assert rng.uniform() == np.random.RandomState(5).uniform()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "softplus", "gelu", "gelu_tanh", "silu"])
def test_relu_like_activations_start_with_he(activation):
    assert default_initializer(activation) == "he_uniform"


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "identity", "softmax"])
def test_the_others_start_with_glorot(activation):
    assert default_initializer(activation) == "glorot_uniform"


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r"initializer='xavier' is unknown. Choose 'glorot_uniform', .*'zeros'\."):
        initialize("xavier", 2, 2, np.random.RandomState(0))


@pytest.mark.parametrize(("fan_in", "fan_out"), [(0, 3), (3, 0), (-1, 3)])
@pytest.mark.parametrize("name", ["he_normal", "zeros"])
def test_a_layer_without_weights_is_refused(name, fan_in, fan_out):
    with pytest.raises(InputError, match="at least 1"):
        initialize(name, fan_in, fan_out, np.random.RandomState(0))
