"""Initial weights: random matrices whose variance preserves the size of signals from layer to layer."""

from collections.abc import Callable
from math import sqrt

import numpy as np

from fastmlp.errors import InputError
from fastmlp.forks import drawing

__all__ = ["default_initializer", "initialize"]

# The bound of the uniform draws, the standard deviation of the normal ones. A uniform variable within ±a has
# the variance a²/3, hence the factor 3 between the two of a pair.
_SCALES: dict[str, Callable[[int, int], float]] = {
    "glorot_uniform": lambda fan_in, fan_out: sqrt(6 / (fan_in + fan_out)),
    "glorot_normal": lambda fan_in, fan_out: sqrt(2 / (fan_in + fan_out)),
    "he_uniform": lambda fan_in, fan_out: sqrt(6 / fan_in),
    "he_normal": lambda fan_in, fan_out: sqrt(2 / fan_in),
    "lecun_uniform": lambda fan_in, fan_out: sqrt(3 / fan_in),
    "lecun_normal": lambda fan_in, fan_out: sqrt(1 / fan_in),
}

_RELU_LIKE = frozenset({"relu", "leaky_relu", "elu", "softplus", "gelu", "gelu_tanh", "silu"})


def initialize(name: str, fan_in: int, fan_out: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw the weights of one layer on the host in float64, so that every backend and dtype starts with the same.

    Parameters
    ----------
    name : str
        The law of the entries; U(a) is uniform within ±a, N(s) normal (not truncated) with deviation s.

        - "glorot_uniform" U(√(6/(I+O))), "glorot_normal" N(√(2/(I+O))): Glorot & Bengio 2010, "Understanding
          the difficulty of training deep feedforward neural networks", equations 16 and 12.
        - "he_uniform" U(√(6/I)), "he_normal" N(√(2/I)): He et al. 2015, "Delving deep into rectifiers",
          equation 10.
        - "lecun_uniform" U(√(3/I)), "lecun_normal" N(√(1/I)): LeCun et al. 1998, "Efficient BackProp",
          section 4.6.
        - "zeros": 0, which leaves the units of a hidden layer identical for good; for single layers only.
    fan_in, fan_out : int
        I and O, both at least 1.
    rng : RandomState
        Advanced by I·O draws, as in scikit-learn; unchanged by "zeros".

    Returns
    -------
    array (I, O) float64
        The weights.

    Raises
    ------
    InputError
        If the name is unknown, or a size is below 1.
    """
    if not isinstance(name, str) or (name not in _SCALES and name != "zeros"):
        raise InputError(f"initializer={name!r} is unknown. Choose {', '.join(map(repr, [*_SCALES, 'zeros']))}.")
    if fan_in < 1 or fan_out < 1:
        raise InputError(
            f"A layer of {fan_in} inputs and {fan_out} outputs has no weights to draw. Make both at least 1."
        )
    if name == "zeros":
        return np.zeros((fan_in, fan_out))
    scale = _SCALES[name](fan_in, fan_out)
    with drawing(rng):
        if name.endswith("uniform"):
            return rng.uniform(-scale, scale, (fan_in, fan_out))
        return rng.normal(0.0, scale, (fan_in, fan_out))


def default_initializer(activation: str) -> str:
    """Return the name of the default initializer for an activation.

    Half of the outputs of ReLU are zero, which halves the variance from layer to layer. He's initializer compensates
    for that, also for smooth activations similar to ReLU. Glorot's assumes a derivative of 1 at 0, as of tanh and
    identity.
    """
    return "he_uniform" if activation in _RELU_LIKE else "glorot_uniform"
