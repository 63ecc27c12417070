"""Loss functions: their names, their formulas and the NumPy reference.

ŷ is what the network predicts, z the values of its last layer, s_i the weight of sample i. A loss is the mean
Σ_i s_i ℓ_i / Σ_i s_i over a batch (``reduction="mean"``) or the sum Σ_i s_i ℓ_i (``"sum"``).

Three losses contain the function that turns z into a prediction, their canonical *link*: softmax, sigmoid, exp.
They are computed from z in one pass and never from a rounded probability; for all three ∂ℓ/∂z = ŷ - y.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmlp.activations import activate
from fastmlp.errors import InputError
from fastmlp.kernels import codes

__all__ = ["LOSSES", "LOSS_OF_OUTPUT", "Loss", "apply_link", "get_loss", "loss_and_gradient", "loss_for_targets"]


class Loss(NamedTuple):
    """What the rest of the library must know of a loss."""

    name: str
    code: int
    link: str  # "identity", "softmax", "sigmoid" or "exp": from z to a prediction
    formula: str  # ℓ of one sample, Σ and mean over its outputs
    classifies: bool = False


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
        Loss("huber", codes.HUBER, "identity", "mean of ½ r² where |r| <= d, else d (|r| - ½ d), r = ŷ-y"),
        Loss("poisson", codes.POISSON, "exp", "Σ (ŷ - y + y log(y/ŷ)), ŷ = exp(z)"),
    )
}


# The loss that an output activation stands for, if no loss is named.
LOSS_OF_OUTPUT = {
    "softmax": "softmax_cross_entropy",
    "sigmoid": "binary_cross_entropy",
    "threshold": "half_squared_error",  # with the derivative taken as 1: δ = ŷ - y, the perceptron rule
}


def get_loss(name: str) -> Loss:
    """The loss called `name`; InputError if there is none."""
    try:
        return LOSSES[name]
    except (KeyError, TypeError):
        raise InputError(f"loss={name!r} is unknown. Choose one of: {', '.join(LOSSES)}.") from None


def loss_for_targets(y: Any, n_outputs: int) -> Loss:
    """The loss if nobody named one: class labels mean a cross entropy, real numbers the mean squared error."""
    try:
        kind = str(np.asarray(y).dtype.kind)
    except ValueError:
        kind = "?"  # ragged: `check_targets` will say so
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
    code: int, huber_delta: float, z: np.ndarray, y: np.ndarray, weight: np.ndarray, out: np.ndarray
) -> float:
    """Loss and its gradient with respect to z, in one pass.

    Parameters
    ----------
    code : int
        The loss.
    huber_delta : float
        Where the Huber loss turns from quadratic to linear; unused by the others.
    z, y : (B, O) arrays
        Values of the last layer; targets (one-hot rows for class labels).
    weight : (B,) array
        Sample weights s.
    out : (B, O) array
        Written: s_i ∂ℓ_i/∂z, not yet divided by Σ s.

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
    elif code == codes.POISSON:
        # exp(z) - y - y z + y log y, and y log y = 0 at y = 0
        np.exp(z, out=out)
        logs = np.log(np.where(y > 0, y, 1))
        per_sample = (out - y + y * (logs - z)).sum(axis=1, dtype=np.float64)
        out -= y
    else:
        np.subtract(z, y, out=out)
        per_sample = _residual_loss(code, huber_delta, out)
    out *= weight[:, None]
    return float(per_sample @ weight.astype(np.float64))


def _residual_loss(code: int, huber_delta: float, r: np.ndarray) -> np.ndarray:
    """Losses of r = ŷ - y (B, O) per sample; r becomes the gradient in place."""
    if code == codes.ABSOLUTE_ERROR:
        per_sample = np.abs(r).mean(axis=1, dtype=np.float64)
        np.sign(r, out=r)
        r /= r.shape[1]
    elif code == codes.HUBER:
        size = np.abs(r)
        inside = np.minimum(size, huber_delta)
        per_sample = (inside * (size - 0.5 * inside)).mean(axis=1, dtype=np.float64)
        np.clip(r, -huber_delta, huber_delta, out=r)
        r /= r.shape[1]
    else:
        per_sample = np.einsum("bo,bo->b", r, r, dtype=np.float64)
        if code == codes.HALF_SQUARED_ERROR:
            per_sample *= 0.5
        elif code == codes.SQUARED_ERROR:
            r *= 2
        else:
            per_sample /= r.shape[1]
            r *= 2 / r.shape[1]
    return per_sample
