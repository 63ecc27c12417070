"""Networks to export, with samples."""

import numpy as np

from fastmlp import MLP
from fastmlp.activations import custom_activation

SHAPES = ([4, 3], [4, 5, 3], [4, 7, 6, 3])
LOSSES = {
    "softmax_cross_entropy": 3,
    "binary_cross_entropy": 1,
    "poisson": 2,
    "squared_error": 2,
}
SQUARE = custom_activation(
    lambda z: np.where(z > 0, z * z, np.sin(z)), lambda z: np.where(z > 0, 2 * z, np.cos(z)), "2!"
)


def network(sizes, activation, loss, dtype, outputs=None):
    """A network with random weights and biases."""
    sizes = [*sizes[:-1], outputs or LOSSES[loss]]
    used = [*[activation] * (len(sizes) - 2), "identity"]
    model = MLP(sizes, used, loss=loss, dtype=dtype, backend="numpy", seed=0)
    random = np.random.RandomState(1)
    for bias in model.biases:
        bias[...] = random.standard_normal(bias.shape) / 2
    return model


def samples(n, dtype):
    """(n, 4), some of which take a sigmoid to where its float32 is nearly 0."""
    x = np.random.RandomState(2).standard_normal((n, 4)).astype(dtype)
    x[: n // 4] *= 8
    return x


def assert_same(got, want):
    """To 1e-6 of float32 numbers around 1, and to 1e-12 of float64."""
    tolerance = 1e-6 if want.dtype == np.float32 else 1e-12
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)
