"""Activation functions: their names, their formulas and the NumPy reference.

With z the input of a layer's activation and a = σ(z) its output, backpropagation needs σ'(z) times a gradient.
For most functions σ' can be had from a alone, so z is not kept. The GELUs and SiLU are not monotonic: for them the
forward pass stores σ'(z) beside a, where exp and erf are at hand anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np

from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.kernels import codes

__all__ = ["ACTIVATIONS", "activate", "activation_code", "multiply_by_derivative", "output_activations"]

ACTIVATIONS: dict[str, int] = {
    "identity": codes.IDENTITY,  # z
    "relu": codes.RELU,  # max(z, 0); derivative 0 at 0
    "leaky_relu": codes.LEAKY_RELU,  # z if z > 0 else 0.01 z
    "elu": codes.ELU,  # z if z > 0 else exp(z) - 1; Clevert et al. 2016
    "sigmoid": codes.SIGMOID,  # 1 / (1 + exp(-z))
    "tanh": codes.TANH,
    "softplus": codes.SOFTPLUS,  # log(1 + exp(z))
    "gelu": codes.GELU,  # z Φ(z), Φ the normal distribution function; Hendrycks & Gimpel 2016
    "gelu_tanh": codes.GELU_TANH,  # z/2 (1 + tanh(sqrt(2/π) (z + 0.044715 z³))), their approximation
    "silu": codes.SILU,  # z sigmoid(z)
    "softmax": codes.SOFTMAX,  # exp(z_i) / Σ_j exp(z_j) over the row, with its full Jacobian
    "threshold": codes.THRESHOLD,  # 1 if z >= 0 else 0; trains as the perceptron rule (derivative taken as 1)
}

_BLOCK = 2048  # elements


def activation_code(name: str) -> int:
    """Code of the activation called `name`; InputError if there is none."""
    try:
        return ACTIVATIONS[name]
    except (KeyError, TypeError):
        raise InputError(f"activation={name!r} is unknown. Choose one of: {', '.join(ACTIVATIONS)}.") from None


def output_activations(activation: str | Sequence[str] | None, layers: int) -> list[str | None]:
    """One activation name per layer from what a user may give.

    Parameters
    ----------
    activation : str, sequence of str or None
        None is "relu" for the hidden layers, and leaves the output (None here) to the loss. One name is meant for the
        hidden layers likewise, but in a network of one layer for that layer. A sequence names every layer, output
        included.
    layers : int
        Number of layers, the output included.
    """
    if activation is None:
        return [*["relu"] * (layers - 1), None]
    if isinstance(activation, str):
        activation_code(activation)
        return [activation] if layers == 1 else [*[activation] * (layers - 1), None]
    if not isinstance(activation, (list, tuple)):
        raise InputError(f"activation={activation!r} must be a name or a list of names, one per layer.")
    names = list(activation)
    for name in names:
        activation_code(name)
    if len(names) != layers:
        raise InputError(
            f"activation has {len(names)} names for {layers} layers. Give one name for the hidden layers, "
            f"or a list with exactly {layers}, the output layer included."
        )
    return list(names)


def activate(code: int, z: np.ndarray, slope: np.ndarray) -> None:
    """Replace z (B, O) by σ(z) in place; GELU and SiLU also write σ'(z) to slope (B, O), scratch for the rest."""
    if code == codes.IDENTITY:
        return
    if code == codes.RELU:
        np.maximum(z, 0, out=z)
    elif code == codes.LEAKY_RELU:
        np.multiply(z, codes.LEAK, out=slope)
        np.maximum(z, slope, out=z)
    elif code == codes.ELU:
        np.minimum(z, 0, out=slope)
        np.expm1(slope, out=slope)
        np.maximum(z, slope, out=z)  # exp(z) - 1 >= z everywhere, and slope is 0 right of zero
    elif code == codes.SIGMOID:
        _sigmoid(z, out=z)
    elif code == codes.TANH:
        np.tanh(z, out=z)
    elif code == codes.SOFTPLUS:
        np.logaddexp(z, 0, out=z)
    elif code in _STORE_SLOPE:
        # a few rows at a time, so that the intermediate arrays stay small and in the cache
        rows = max(1, _BLOCK // z.shape[1])
        for first in range(0, len(z), rows):
            _STORE_SLOPE[code](z[first : first + rows], slope[first : first + rows])
    elif code == codes.SOFTMAX:
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
    elif code == codes.THRESHOLD:
        np.greater_equal(z, 0, out=z)


def multiply_by_derivative(code: int, a: np.ndarray, slope: np.ndarray, delta: np.ndarray) -> None:
    """Replace delta = ∂L/∂a (B, O) by ∂L/∂z in place, from a = σ(z) (B, O); slope (B, O) as `activate` left it."""
    if code in (codes.IDENTITY, codes.THRESHOLD):
        return
    if code == codes.SOFTMAX:
        # ∂a_i/∂z_j = a_i (δ_ij - a_j), so ∂L/∂z = a (∂L/∂a - Σ_i a_i ∂L/∂a_i)
        np.multiply(delta, a, out=slope)
        delta -= slope.sum(axis=1, keepdims=True)
        delta *= a
        return
    if code == codes.SIGMOID:
        delta *= a  # a product from the left, to the last digit that of scikit-learn
        np.subtract(1, a, out=slope)
        delta *= slope
        return
    if code not in _STORE_SLOPE:
        _slope_from_output(code, a, slope)
    delta *= slope


def _slope_from_output(code: int, a: np.ndarray, out: np.ndarray) -> None:
    if code == codes.RELU:
        np.greater(a, 0, out=out)
    elif code == codes.LEAKY_RELU:
        np.greater(a, 0, out=out)
        np.maximum(out, codes.LEAK, out=out)
    elif code == codes.ELU:
        np.minimum(a, 0, out=out)
        out += 1  # exp(z) = a + 1 left of zero
    elif code == codes.TANH:
        np.multiply(a, a, out=out)
        np.subtract(1, out, out=out)
    elif code == codes.SOFTPLUS:
        np.negative(a, out=out)
        np.expm1(out, out=out)
        np.negative(out, out=out)  # sigmoid(z) = 1 - exp(-softplus(z))


@cache
def _special() -> ModuleType:
    with no_fork():
        from scipy import special
    return special


def _sigmoid(z: np.ndarray, out: np.ndarray) -> None:
    _special().expit(z, out=out)


def _gelu(z: np.ndarray, slope: np.ndarray) -> None:
    cdf = 0.5 * (1 + _special().erf(z * 0.5**0.5))
    np.multiply(z, z, out=slope)
    slope *= -0.5
    np.exp(slope, out=slope)
    slope *= z * (2 * np.pi) ** -0.5
    slope += cdf  # (z Φ)' = Φ + z φ
    z *= cdf


def _gelu_tanh(z: np.ndarray, slope: np.ndarray) -> None:
    c, k = (2 / np.pi) ** 0.5, 0.044715
    t = np.tanh(c * (z + k * z * z * z))
    slope[...] = 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * c * (1 + 3 * k * z * z)
    z *= 0.5 * (1 + t)


def _silu(z: np.ndarray, slope: np.ndarray) -> None:
    # with s = sigmoid(z): σ = z s and σ' = s + z s (1 - s) = s + σ - σ s
    _sigmoid(z, out=slope)
    z *= slope
    slope += z - z * slope


_STORE_SLOPE = {codes.GELU: _gelu, codes.GELU_TANH: _gelu_tanh, codes.SILU: _silu}
