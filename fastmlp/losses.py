"""Loss functions: their names, their formulas and how NumPy computes them.

ŷ is what the network predicts, z the values of its last layer, s_i the weight of sample i. A loss is the mean
Σ_i s_i ℓ_i / Σ_i s_i over a batch (``reduction="mean"``) or the sum Σ_i s_i ℓ_i (``"sum"``).

Three losses contain the function that turns z into a prediction, their canonical *link*: softmax, sigmoid, exp.
They are computed from z in one pass and never from a rounded probability; for all three ∂ℓ/∂z = ŷ - y.

A loss that is a sum or mean over the outputs is one entry of the table below, in terms of numbers: see docs/adding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastmlp.activations import ACTIVATIONS, activate
from fastmlp.errors import InputError
from fastmlp.formulas.expressions import sigmoid
from fastmlp.formulas.numpy_program import Evaluation, evaluation
from fastmlp.interchange import as_numpy
from fastmlp.kernels import codes

__all__ = [
    "BY_CODE",
    "LOSSES",
    "LOSS_OF_OUTPUT",
    "OF_SCIKIT_LEARN",
    "Loss",
    "apply_link",
    "clipped_log_loss",
    "custom_loss",
    "get_loss",
    "huber",
    "loss_and_gradient",
    "loss_for_targets",
    "quantile",
]

LINKS = ("identity", "softmax", "sigmoid", "exp")


class Loss(NamedTuple):
    """What the rest of the library must know of a loss.

    `value` and `gradient` are ℓ and ∂ℓ/∂z of one output, as functions of (z, y), and of its parameter if it has one. A
    loss without them has kernels written by hand.
    """

    name: str
    link: str  # one of LINKS: from z to a prediction
    formula: str  # ℓ of one sample, Σ and mean over its outputs
    value: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None
    value_is_mean: bool = False  # over the outputs, else the sum
    gradient_is_mean: bool = False
    classifies: bool = False
    parameter: tuple[float, ...] = ()  # δ of the Huber loss; the quantiles: one for all outputs, or one for each
    code: int = -1  # its place in BY_CODE; after all others, if it is one of the user's own

    def __reduce__(self) -> tuple:
        # the library's formulas are not in pickles: they are known by their code
        if self.is_own:
            return Loss, tuple(self)
        return _built_in, (self.code, self.name, self.parameter)

    @property
    def is_own(self) -> bool:
        """Whether it is one of the user's own, see `custom_loss`."""
        return self.code == len(BY_CODE)


def _mean(name: str, formula: str, value: Callable, gradient: Callable, parameter: tuple[float, ...] = ()) -> Loss:
    """A mean over the outputs."""
    return Loss(name, "identity", formula, value, gradient, True, True, parameter=parameter)


def _binary_cross_entropy(z, y):
    return np.logaddexp(z, 0) - y * z  # softplus(z) - y z, stable for both signs of z


def _poisson(z, y):
    # exp(z) - y - y z + y log y, and y log y = 0 at y = 0
    return np.exp(z) - y + y * (np.log(np.where(y > 0, y, 1)) - z)


def _huber(z, y, delta):
    size = abs(z - y)
    inside = np.minimum(size, delta)
    return inside * (size - 0.5 * inside)


# At a kink the subgradient is 0: r itself, where it is neither positive nor negative, so that NaN stays visible.


def _absolute_gradient(z, y):
    return np.sign(z - y)


def _quantile(z, y, q):
    return np.where(z - y > 0, (1 - q) * (z - y), -q * (z - y))


def _quantile_gradient(z, y, q):
    r = z - y
    return np.where(r > 0, 1 - q, np.where(r < 0, -q, r))


_BINARY = "-Σ (y log p + (1-y) log(1-p))"

BY_CODE: tuple[Loss, ...] = tuple(
    loss._replace(code=code)
    for code, loss in enumerate(
        (
            # By hand, in the order of their codes: softmax needs whole rows, clipping takes products of probabilities
            Loss("softmax_cross_entropy", "softmax", "-Σ y log softmax(z)", classifies=True),
            Loss("clipped_softmax_cross_entropy", "softmax", "-Σ y log p", classifies=True),  # scikit-learn's log loss
            Loss("clipped_binary_cross_entropy", "sigmoid", _BINARY, classifies=True),  # and that of two classes
            # By formula
            Loss(
                "binary_cross_entropy",
                "sigmoid",
                "-Σ (y log sigmoid(z) + (1-y) log(1 - sigmoid(z)))",
                _binary_cross_entropy,
                lambda z, y: sigmoid(z) - y,
                classifies=True,
            ),
            Loss("squared_error", "identity", "Σ (ŷ-y)²", lambda z, y: (z - y) * (z - y), lambda z, y: 2 * (z - y)),
            _mean("mean_squared_error", "mean (ŷ-y)²", lambda z, y: (z - y) * (z - y), lambda z, y: 2 * (z - y)),
            Loss(
                "half_squared_error", "identity", "½ Σ (ŷ-y)²", lambda z, y: 0.5 * (z - y) * (z - y), lambda z, y: z - y
            ),
            # scikit-learn's: the value a mean over the outputs, the gradient a sum
            Loss(
                *("half_mean_squared_error", "identity", "½ mean (ŷ-y)²"),
                *(lambda z, y: 0.5 * (z - y) * (z - y), lambda z, y: z - y),
                value_is_mean=True,
            ),
            _mean("absolute_error", "mean |ŷ-y|", lambda z, y: abs(z - y), _absolute_gradient),
            _mean(
                "huber",
                "mean of ½ r² where |r| <= d, else d (|r| - ½ d), r = ŷ-y",
                _huber,
                lambda z, y, delta: np.minimum(np.maximum(z - y, -delta), delta),
                parameter=(1.0,),
            ),
            _mean(
                "quantile",
                "mean of q (y-ŷ) where y >= ŷ, else (1-q) (ŷ-y)",
                _quantile,
                _quantile_gradient,
                parameter=(0.5,),
            ),
            Loss("poisson", "exp", "Σ (ŷ - y + y log(y/ŷ)), ŷ = exp(z)", _poisson, lambda z, y: np.exp(z) - y),
        )
    )
)
"""All losses by their codes."""

OF_SCIKIT_LEARN: dict[str, Loss] = {
    loss.name: loss for loss in BY_CODE if loss.name.startswith("clipped_") or loss.name == "half_mean_squared_error"
}
"""Those that scikit-learn reports, whatever it calls them."""

LOSSES: dict[str, Loss] = {loss.name: loss for loss in BY_CODE if loss.name not in OF_SCIKIT_LEARN}
"""Those that a user can name."""


def _built_in(code: int, name: str, parameter: tuple[float, ...]) -> Loss:
    return BY_CODE[code]._replace(name=name, parameter=parameter)


# The loss that an output activation stands for, if no loss is named.
LOSS_OF_OUTPUT = {
    "softmax": "softmax_cross_entropy",
    "sigmoid": "binary_cross_entropy",
    "threshold": "half_squared_error",  # with the derivative taken as 1: δ = ŷ - y, the perceptron rule
}


def get_loss(loss: str | Loss) -> Loss:
    """The loss called so, or the one given; InputError if there is none."""
    if isinstance(loss, Loss):
        return loss
    try:
        return LOSSES[loss]
    except (KeyError, TypeError):
        raise InputError(
            f"loss={loss!r} is unknown. Choose one of: {', '.join(LOSSES)}; or make one with fastmlp.losses.huber, "
            "quantile or custom_loss."
        ) from None


def huber(delta: float = 1.0) -> Loss:
    """Quadratic up to ``|ŷ-y| = delta``, linear beyond. Source: Huber, Ann. Math. Statist. 35, 1964."""
    if isinstance(delta, bool) or not (isinstance(delta, (int, float, np.number)) and 0 < delta < np.inf):
        raise InputError(f"huber delta={delta!r} must be positive; loss='absolute_error' is its limit at 0.")
    return LOSSES["huber"]._replace(parameter=(float(delta),))


def quantile(quantiles: float | Sequence[float] = 0.5) -> Loss:
    """The pinball loss, least at the given quantile of y given x; one quantile for all outputs, or one for each.

    Source: Koenker & Bassett, Econometrica 46, 1978.
    """
    try:
        given = np.ravel(np.asarray(quantiles))
    except ValueError:
        given = np.zeros(0)  # ragged
    if given.dtype.kind != "f" or given.size == 0 or not ((given > 0) & (given < 1)).all():
        raise InputError(f"quantiles={quantiles!r} must be a number, or several, between 0 and 1.")
    return LOSSES["quantile"]._replace(parameter=tuple(map(float, given)))


def custom_loss(
    value: Callable[[Any, Any], Any],
    gradient: Callable[[Any, Any], Any],
    link: str = "identity",
    name: str = "custom",
) -> Loss:
    """A loss of one's own: ℓ of a sample is the sum over its outputs of value(z, y).

    Parameters
    ----------
    value, gradient : functions of (z, y)
        ℓ and ∂ℓ/∂z of one output, elementwise. NumPy calls them with arrays (B, O); for Numba and CUDA they are called
        once with symbols and translated. So write them with operators, NumPy functions (``np.where``, ``np.exp``) and
        constants.
    link : {"identity", "softmax", "sigmoid", "exp"}
        From z to a prediction.
    name : str
        By which a saved model says which loss it needs: `fastmlp.MLP.load` asks for it.
    """
    for role, function in (("value", value), ("gradient", gradient)):
        if not callable(function):
            raise InputError(f"custom_loss {role}={function!r} must be a function of (z, y).")
    if not isinstance(name, str) or name in LOSSES:
        raise InputError(f"custom_loss name={name!r} must be a text, and none of {', '.join(LOSSES)}.")
    if link not in LINKS:
        raise InputError(f"custom_loss link={link!r} is unknown. Choose one of: {', '.join(LINKS)}.")
    return Loss(name, link, "Σ value(z, y)", value, gradient, code=len(BY_CODE))


def loss_for_targets(y: Any, n_outputs: int) -> Loss:
    """The loss if nobody named one: class labels mean a cross entropy, real numbers the mean squared error."""
    try:
        kind = str(np.asarray(as_numpy(y)).dtype.kind)
    except (TypeError, ValueError, RuntimeError, BufferError, MemoryError):
        kind = "?"  # ragged, or no array at all: `check_targets` will say so
    if kind in "biu":
        return LOSSES["softmax_cross_entropy" if n_outputs > 1 else "binary_cross_entropy"]
    return LOSSES["mean_squared_error"]


def apply_link(link: str, z: np.ndarray) -> np.ndarray:
    """Turn the last layer's values z (B, O) into predictions, in place; returns z."""
    if link == "softmax":
        activate(ACTIVATIONS["softmax"], z, z)
    elif link == "sigmoid":
        activate(ACTIVATIONS["sigmoid"], z, z)
    elif link == "exp":
        np.exp(z, out=z)
    return z


def loss_and_gradient(
    loss: Loss,
    parameter: Sequence[float] | np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    out: np.ndarray,
    scratch: np.ndarray | None = None,
) -> float:
    """Loss and its gradient with respect to z, in one pass.

    Parameters
    ----------
    loss : Loss
        One of the built-in losses or of the user's own.
    parameter : (K,) sequence
        `Loss.parameter`: a number for all outputs, or one for each.
    z, y : (B, O) arrays
        Values of the last layer; targets (one-hot rows for class labels).
    weight : (B,) array
        Sample weights s.
    out : (B, O) array
        Written: s_i ∂ℓ_i/∂z, not yet divided by Σ s.
    scratch : (B, O) array, optional
        Overwritten; default: a new one.

    Returns
    -------
    float
        Σ_i s_i ℓ_i, accumulated in float64.
    """
    if loss.code == codes.SOFTMAX_CROSS_ENTROPY:
        # log softmax(z)_j = (z_j - m) - log Σ exp(z - m); soft targets may sum to other than 1: g = p Σy - y
        np.subtract(z, z.max(axis=1, keepdims=True), out=out)
        mass = y.sum(axis=1)
        per_sample = -np.einsum("bo,bo->b", y, out, dtype=np.float64)
        np.exp(out, out=out)
        total = out.sum(axis=1)
        per_sample += mass * np.log(total)
        out *= (mass / total)[:, None]
        out -= y
    elif loss.code in (codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, codes.CLIPPED_BINARY_CROSS_ENTROPY):
        out[...] = z
        apply_link(loss.link, out)
        per_sample = clipped_log_loss(out, y, binary=loss.link == "sigmoid").sum(axis=1, dtype=np.float64)
        out -= y
    else:
        # as strong as the samples: a float of Python's, or an array of their dtype
        p = float(parameter[0]) if len(parameter) == 1 else np.asarray(parameter, z.dtype)
        values = np.empty_like(out) if scratch is None else scratch
        _evaluation(loss).run([z, y], [p] if loss.parameter else [], [values, out])
        per_sample = values.sum(axis=1, dtype=np.float64)
        if loss.value_is_mean:
            per_sample /= z.shape[1]
        if loss.gradient_is_mean:
            out /= z.shape[1]
    out *= weight[:, None]
    return float(per_sample @ weight.astype(np.float64))


@lru_cache
def _evaluation(loss: Loss) -> Evaluation:
    value, gradient = loss.value, loss.gradient
    assert value is not None
    assert gradient is not None
    scalars = ["p"] if loss.parameter else []
    what = [f"The {role} of the loss {loss.name!r}" for role in ("value", "gradient")]
    return evaluation(lambda *given: (value(*given), gradient(*given)), ["z", "y"], scalars, ["", ""], what)


def clipped_log_loss(p: np.ndarray, y: np.ndarray, binary: bool) -> np.ndarray:
    """-y log p (binary: and (1-y) log(1-p)) of each output, p (B, O) clipped to [ε, 1-ε]: as scikit-learn reports it.

    A certain but wrong answer costs no more than -log ε, 15.9 in float32 and 36.0 in float64.
    """
    eps = np.finfo(p.dtype).eps
    clipped = np.clip(p, eps, 1 - eps)
    logs = y * np.log(clipped)
    if binary:
        logs += (1 - y) * np.log(1 - clipped)
    return -logs
