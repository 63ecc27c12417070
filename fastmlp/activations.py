"""Activation functions: their names, their formulas and how NumPy computes them.

With z the input of a layer's activation and a = σ(z) its output, backpropagation needs σ'(z) times a gradient. Where σ'
can be had from a alone, z is not kept. For the others, which are not monotonic, the forward pass stores σ'(z) beside a.

An activation is one entry of `ACTIVATIONS`, in terms of numbers: see docs/adding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastmlp.errors import InputError
from fastmlp.formulas.expressions import erf, sigmoid
from fastmlp.formulas.numpy_program import Evaluation, evaluation

__all__ = [
    "ACTIVATIONS",
    "BY_CODE",
    "Activation",
    "activate",
    "activation_of",
    "custom_activation",
    "multiply_by_derivative",
    "name_of",
    "output_activations",
]


class Activation(NamedTuple):
    """A function of one number, applied to every output of a layer.

    Its derivative is given in one of two ways: as `pullback`, which needs the output alone, or as `derivative` of the
    input, which the forward pass then stores. An activation without a value has kernels written by hand.
    """

    name: str
    value: Callable[[Any], Any] | None = None  # σ(z)
    pullback: Callable[[Any, Any], Any] | None = None  # ∂L/∂z from a = σ(z) and δ = ∂L/∂a
    derivative: Callable[[Any], Any] | None = None  # σ'(z)

    @property
    def stores_slope(self) -> bool:
        """Whether the forward pass stores σ'(z)."""
        return self.derivative is not None


def _elu(z):
    return np.maximum(z, np.expm1(np.minimum(z, 0)))  # exp(z) - 1 >= z everywhere, and 0 right of zero


def _gelu(z):
    return z * _normal_cdf(z)


def _gelu_derivative(z):
    return _normal_cdf(z) + z * ((2 * np.pi) ** -0.5 * np.exp(-0.5 * z * z))  # (z Φ)' = Φ + z φ


def _normal_cdf(z):
    return 0.5 * (1 + erf(z * 0.5**0.5))


_SCALE, _CUBE = (2 / np.pi) ** 0.5, 0.044715


def _gelu_tanh(z):
    return 0.5 * z * (1 + np.tanh(_SCALE * (z + _CUBE * z * z * z)))


def _gelu_tanh_derivative(z):
    t = np.tanh(_SCALE * (z + _CUBE * z * z * z))
    return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * (_SCALE * (1 + 3 * _CUBE * z * z))


def _silu(z):
    return z * sigmoid(z)


def _silu_derivative(z):
    s = sigmoid(z)
    return s + z * s - z * s * s  # s + z s (1 - s)


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        # By hand, in the order of their codes: identity and ReLU are part of whichever kernel asks for them, softmax
        # needs whole rows, and the derivative of threshold is taken as 1, which trains as the perceptron rule.
        Activation("identity"),
        Activation("relu"),  # max(z, 0); derivative 0 at 0
        Activation("softmax"),  # exp(z_i) / Σ_j exp(z_j) over the row, with its full Jacobian
        Activation("threshold"),  # 1 if z >= 0 else 0
        # By formula
        Activation("leaky_relu", lambda z: np.maximum(z, 0.01 * z), lambda a, d: d * np.maximum(a > 0, 0.01)),
        # Clevert et al., ICLR 2016; exp(z) = a + 1 left of zero
        Activation("elu", _elu, lambda a, d: d * (np.minimum(a, 0) + 1)),
        Activation("sigmoid", sigmoid, lambda a, d: d * a * (1 - a)),  # in this order scikit-learn's to the last digit
        Activation("tanh", np.tanh, lambda a, d: d * (1 - a * a)),
        Activation("softplus", lambda z: np.logaddexp(z, 0), lambda a, d: d * -np.expm1(-a)),  # σ' = 1 - exp(-σ)
        Activation("gelu", _gelu, derivative=_gelu_derivative),  # Hendrycks & Gimpel 2016
        Activation("gelu_tanh", _gelu_tanh, derivative=_gelu_tanh_derivative),  # their approximation
        Activation("silu", _silu, derivative=_silu_derivative),
    )
}

BY_CODE = tuple(ACTIVATIONS.values())
"""The activations by the codes that stand for them in a network."""


def activation_of(name: str | Activation) -> Activation:
    """The activation called so, or the one given; InputError if there is none."""
    if isinstance(name, Activation):
        return name
    try:
        return ACTIVATIONS[name]
    except (KeyError, TypeError):
        raise InputError(
            f"activation={name!r} is unknown. Choose one of: {', '.join(ACTIVATIONS)}; or make one with "
            "fastmlp.activations.custom_activation."
        ) from None


def name_of(activation: str | Activation) -> str:
    """The name of an activation."""
    return activation.name if isinstance(activation, Activation) else activation


def custom_activation(
    value: Callable[[Any], Any], derivative: Callable[[Any], Any], name: str = "custom"
) -> Activation:
    """An activation of one's own, for any layer of a network.

    Parameters
    ----------
    value, derivative : functions of z
        σ(z) and σ'(z), elementwise. NumPy calls them with arrays; for Numba and CUDA they are called once with symbols
        and translated. So write them with operators, NumPy functions (``np.where``, ``np.exp``) and constants.
    name : str
        By which a saved model says which activation it needs: `fastmlp.MLP.load` asks for it.

    Raises
    ------
    InputError : something that is no function, or a name that a built-in activation has.
    """
    for role, function in (("value", value), ("derivative", derivative)):
        if not callable(function):
            raise InputError(f"custom_activation {role}={function!r} must be a function of z.")
    if not isinstance(name, str) or name in ACTIVATIONS:
        raise InputError(f"custom_activation name={name!r} must be a text, and none of {', '.join(ACTIVATIONS)}.")
    return Activation(name, value, derivative=derivative)


def output_activations(
    activation: str | Activation | Sequence[str | Activation] | None, layers: int
) -> list[str | Activation | None]:
    """One activation per layer from what a user may give.

    Parameters
    ----------
    activation : name or Activation, sequence of these, or None
        None is "relu" for the hidden layers, and leaves the output (None here) to the loss. One activation is meant
        for the hidden layers likewise, but in a network of one layer for that layer. A sequence has one for every
        layer, output included.
    layers : int
        Number of layers, the output included.
    """
    if activation is None:
        return [*["relu"] * (layers - 1), None]
    if isinstance(activation, (str, Activation)):
        activation_of(activation)
        return [activation] if layers == 1 else [*[activation] * (layers - 1), None]
    if not isinstance(activation, (list, tuple)):
        raise InputError(f"activation={activation!r} must be a name or a list of names, one per layer.")
    names = list(activation)
    for name in names:
        activation_of(name)
    if len(names) != layers:
        raise InputError(
            f"activation has {len(names)} names for {layers} layers. Give one name for the hidden layers, "
            f"or a list with exactly {layers}, the output layer included."
        )
    return list(names)


def activate(activation: Activation, z: np.ndarray, slope: np.ndarray) -> None:
    """Replace z (B, O) by σ(z) in place.

    slope (B, O) receives σ'(z) if `activation.stores_slope`; else it is left alone.
    """
    if activation.value is not None:
        results = [slope, z] if activation.stores_slope else [z]
        _forward(activation).run([z], [], results)
    elif activation.name == "relu":
        np.maximum(z, 0, out=z)
    elif activation.name == "softmax":
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
    elif activation.name == "threshold":
        np.greater_equal(z, 0, out=z)


def multiply_by_derivative(activation: Activation, a: np.ndarray, slope: np.ndarray, delta: np.ndarray) -> None:
    """Replace delta = ∂L/∂a (B, O) by ∂L/∂z in place.

    a = σ(z) (B, O), and slope (B, O) as `activate` left it, which is scratch for some.
    """
    if activation.pullback is not None:
        _backward(activation).run([a, delta], [], [delta])
    elif activation.stores_slope:
        delta *= slope
    elif activation.name == "relu":
        delta *= np.greater(a, 0, out=slope)
    elif activation.name == "softmax":
        # ∂a_i/∂z_j = a_i (δ_ij - a_j), so ∂L/∂z = a (∂L/∂a - Σ_i a_i ∂L/∂a_i)
        np.multiply(delta, a, out=slope)
        delta -= slope.sum(axis=1, keepdims=True)
        delta *= a


@lru_cache
def _forward(activation: Activation) -> Evaluation:
    value, derivative = activation.value, activation.derivative
    what = [f"The {role} of the activation {activation.name!r}" for role in ("derivative", "value")]
    assert value is not None
    if derivative is None:
        return evaluation(value, ["z"], [], ["z"], what[1:])
    return evaluation(lambda z: (derivative(z), value(z)), ["z"], [], ["", "z"], what)


@lru_cache
def _backward(activation: Activation) -> Evaluation:
    assert activation.pullback is not None
    return evaluation(activation.pullback, ["a", "delta"], [], ["delta"], [f"The activation {activation.name!r}"])
