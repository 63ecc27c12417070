"""Loss functions: their names, their formulas and the NumPy reference.

ŷ is what the network predicts, z the values of its last layer, s_i the weight of sample i. A loss is the mean
Σ_i s_i ℓ_i / Σ_i s_i over a batch (``reduction="mean"``) or the sum Σ_i s_i ℓ_i (``"sum"``).

Three losses contain the function that turns z into a prediction, their canonical *link*: softmax, sigmoid, exp.
They are computed from z in one pass and never from a rounded probability; for all three ∂ℓ/∂z = ŷ - y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmlp.activations import activate
from fastmlp.errors import InputError
from fastmlp.interchange import as_numpy
from fastmlp.kernels import codes

__all__ = [
    "LOSSES",
    "LOSS_OF_OUTPUT",
    "Loss",
    "apply_link",
    "custom_loss",
    "get_loss",
    "huber",
    "loss_and_gradient",
    "loss_for_targets",
    "quantile",
]

LINKS = ("identity", "softmax", "sigmoid", "exp")


class Loss(NamedTuple):
    """What the rest of the library must know of a loss."""

    name: str
    code: int
    link: str  # one of LINKS: from z to a prediction
    formula: str  # ℓ of one sample, Σ and mean over its outputs
    classifies: bool = False
    parameter: tuple[float, ...] = ()  # δ of the Huber loss; the quantiles: one for all outputs, or one for each
    value: Callable[[Any, Any], Any] | None = None  # of a custom loss
    gradient: Callable[[Any, Any], Any] | None = None


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("softmax_cross_entropy", codes.SOFTMAX_CROSS_ENTROPY, "softmax", "-Σ y log softmax(z)", True),
        Loss(
            "binary_cross_entropy",
            codes.BINARY_CROSS_ENTROPY,
            "sigmoid",
            "-Σ (y log sigmoid(z) + (1-y) log(1 - sigmoid(z)))",
            True,
        ),
        Loss("squared_error", codes.SQUARED_ERROR, "identity", "Σ (ŷ-y)²"),
        Loss("mean_squared_error", codes.MEAN_SQUARED_ERROR, "identity", "mean (ŷ-y)²"),
        Loss("half_squared_error", codes.HALF_SQUARED_ERROR, "identity", "½ Σ (ŷ-y)²"),
        Loss("absolute_error", codes.ABSOLUTE_ERROR, "identity", "mean |ŷ-y|"),
        Loss(
            "huber", codes.HUBER, "identity", "mean of ½ r² where |r| <= d, else d (|r| - ½ d), r = ŷ-y", False, (1.0,)
        ),
        Loss("quantile", codes.QUANTILE, "identity", "mean of q (y-ŷ) where y >= ŷ, else (1-q) (ŷ-y)", False, (0.5,)),
        Loss("poisson", codes.POISSON, "exp", "Σ (ŷ - y + y log(y/ŷ)), ŷ = exp(z)"),
    )
}


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
        ℓ and ∂ℓ/∂z of one output, elementwise: NumPy calls them with arrays (B, O), Numba compiles them for numbers,
        for CUDA they are translated. So write them with operators and NumPy functions (``np.where``, ``np.exp``), and
        no other data than constants.
    link : {"identity", "softmax", "sigmoid", "exp"}
        From z to a prediction.
    """
    for role, function in (("value", value), ("gradient", gradient)):
        if not callable(function):
            raise InputError(f"custom_loss {role}={function!r} must be a function of (z, y).")
    if link not in LINKS:
        raise InputError(f"custom_loss link={link!r} is unknown. Choose one of: {', '.join(LINKS)}.")
    return Loss(name, codes.CUSTOM, link, "Σ value(z, y)", value=value, gradient=gradient)


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
        activate(codes.SOFTMAX, z, z)
    elif link == "sigmoid":
        activate(codes.SIGMOID, z, z)
    elif link == "exp":
        np.exp(z, out=z)
    return z


def loss_and_gradient(
    code: int,
    parameter: Sequence[float] | np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    out: np.ndarray,
    custom: Loss | None = None,
) -> float:
    """Loss and its gradient with respect to z, in one pass.

    Parameters
    ----------
    code : int
        The loss.
    parameter : (K,) sequence
        `Loss.parameter`.
    z, y : (B, O) arrays
        Values of the last layer; targets (one-hot rows for class labels).
    weight : (B,) array
        Sample weights s.
    out : (B, O) array
        Written: s_i ∂ℓ_i/∂z, not yet divided by Σ s.
    custom : Loss, optional
        The loss itself where its code is CUSTOM.

    Returns
    -------
    float
        Σ_i s_i ℓ_i, accumulated in float64.
    """
    if code == codes.SOFTMAX_CROSS_ENTROPY:
        # log softmax(z)_j = (z_j - m) - log Σ exp(z - m); soft targets may sum to other than 1: g = p Σy - y
        np.subtract(z, z.max(axis=1, keepdims=True), out=out)
        mass = y.sum(axis=1)
        per_sample = -np.einsum("bo,bo->b", y, out, dtype=np.float64)
        np.exp(out, out=out)
        total = out.sum(axis=1)
        per_sample += mass * np.log(total)
        out *= (mass / total)[:, None]
        out -= y
    elif code == codes.BINARY_CROSS_ENTROPY:
        # softplus(z) - y z, stable for both signs of z
        np.logaddexp(z, 0, out=out)
        out -= y * z
        per_sample = out.sum(axis=1, dtype=np.float64)
        out[...] = z
        activate(codes.SIGMOID, out, out)
        out -= y
    elif code in (codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, codes.CLIPPED_BINARY_CROSS_ENTROPY):
        out[...] = z
        binary = code == codes.CLIPPED_BINARY_CROSS_ENTROPY
        activate(codes.SIGMOID if binary else codes.SOFTMAX, out, out)
        per_sample = _clipped_log_loss(out, y, binary)
        out -= y
    elif code == codes.POISSON:
        # exp(z) - y - y z + y log y, and y log y = 0 at y = 0
        np.exp(z, out=out)
        logs = np.log(np.where(y > 0, y, 1))
        per_sample = (out - y + y * (logs - z)).sum(axis=1, dtype=np.float64)
        out -= y
    elif code == codes.CUSTOM and custom is not None:
        per_sample = _elementwise("value", custom.value, z, y).sum(axis=1, dtype=np.float64)
        out[...] = _elementwise("gradient", custom.gradient, z, y)
    else:
        np.subtract(z, y, out=out)
        per_sample = _residual_loss(code, parameter, out)
    out *= weight[:, None]
    return float(per_sample @ weight.astype(np.float64))


def _elementwise(role: str, function: Any, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """function(z, y) of a custom loss, if it is real numbers of the shape of z."""
    result = np.asarray(function(z, y))
    if result.shape != z.shape or result.dtype.kind not in "biuf":
        raise InputError(
            f"custom_loss {role} gives {result.dtype} of shape {result.shape} for z and y of shape {z.shape}, but must "
            "give real numbers of that shape: one for each output, no sum or mean over them."
        )
    return result


def _clipped_log_loss(p: np.ndarray, y: np.ndarray, binary: bool) -> np.ndarray:
    """-Σ y log p (binary: and (1-y) log(1-p)) per sample, p (B, O) clipped to [ε, 1-ε]: as scikit-learn reports it.

    A certain but wrong answer costs no more than -log ε, 15.9 in float32 and 36.0 in float64.
    """
    eps = np.finfo(p.dtype).eps
    clipped = np.clip(p, eps, 1 - eps)
    logs = y * np.log(clipped)
    if binary:
        logs += (1 - y) * np.log(1 - clipped)
    return -logs.sum(axis=1, dtype=np.float64)


def _residual_loss(code: int, parameter: Sequence[float] | np.ndarray, r: np.ndarray) -> np.ndarray:
    """Losses of r = ŷ - y (B, O) per sample; r becomes the gradient in place."""
    if code == codes.ABSOLUTE_ERROR:
        per_sample = np.abs(r).mean(axis=1, dtype=np.float64)
        np.sign(r, out=r)
        r /= r.shape[1]
    elif code == codes.HUBER:
        delta = float(parameter[0])
        size = np.abs(r)
        inside = np.minimum(size, delta)
        per_sample = (inside * (size - 0.5 * inside)).mean(axis=1, dtype=np.float64)
        np.clip(r, -delta, delta, out=r)
        r /= r.shape[1]
    elif code == codes.QUANTILE:
        q = np.asarray(parameter, r.dtype)
        per_sample = np.where(r > 0, (1 - q) * r, -q * r).mean(axis=1, dtype=np.float64)
        # at the kink, r = 0, the subgradient 0; NaN stays visible
        r[...] = np.where(r > 0, 1 - q, np.where(r < 0, -q, r)) / r.shape[1]
    else:
        per_sample = np.einsum("bo,bo->b", r, r, dtype=np.float64)
        if code == codes.HALF_SQUARED_ERROR:
            per_sample *= 0.5
        elif code == codes.HALF_MEAN_SQUARED_ERROR:
            per_sample *= 0.5 / r.shape[1]  # scikit-learn's: the value a mean over the outputs, the gradient a sum
        elif code == codes.SQUARED_ERROR:
            r *= 2
        else:
            per_sample /= r.shape[1]
            r *= 2 / r.shape[1]
    return per_sample
