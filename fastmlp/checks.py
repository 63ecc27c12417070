"""Checks and conversions of the numbers and choices that users give; each raises InputError."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.generators import seeded
from fastmlp.losses import Loss

__all__ = [
    "check_batch_size",
    "check_choice",
    "check_dropout",
    "check_dtype",
    "check_flag",
    "check_functions",
    "check_integer",
    "check_outputs",
    "check_real",
    "check_seed",
    "check_sequence",
    "check_trainable",
]

_MAX_SIZE = 1 << 24
_REAL = (np.float32, np.float64)


def check_integer(name: str, value: Any, low: int = 1, high: int = _MAX_SIZE) -> int:
    """Return `value` as an int; it must be in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not low <= int(value) <= high:
        raise InputError(f"{name}={value!r} must be an integer from {low} to {high}.")
    return int(value)


def check_real(name: str, value: Any, low: float = 0.0, high: float = np.inf, *, open_end: bool = False) -> float:
    """Return `value` as a finite float; it must be in [low, high], or [low, high) with open_end."""
    end = ")" if open_end or high == np.inf else "]"
    try:
        number = float("nan") if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not (np.isfinite(number) and low <= number <= high) or (open_end and number == high):
        raise InputError(f"{name}={value!r} must be a finite number in [{low:g}, {high:g}{end}.")
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return `value` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={value!r} must be True or False.")
    return bool(value)


def check_sequence(name: str, value: Any, what: str) -> list:
    """Return a list or tuple of `what` as a list."""
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{name}={value!r} must be a list of {what}.")
    return list(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value`, which must be one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}={value!r} is unknown. Choose one of: {', '.join(choices)}.")
    return value


def check_dtype(dtype: Any) -> np.dtype:
    """Return the dtype, which must be float32 or float64."""
    if isinstance(dtype, str):
        kind = np.dtype(dtype) if dtype in ("float32", "float64") else None
    else:
        kind = np.dtype(dtype) if isinstance(dtype, (np.dtype, type)) and dtype in _REAL else None
    if kind is None:
        raise InputError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
    return kind


def check_dropout(dropout: Any, layers: int) -> list[float]:
    """Return one probability in [0, 1) per hidden layer, given one for all or one for each."""
    one_for_all = np.isscalar(dropout) or not isinstance(dropout, (Sequence, np.ndarray))
    given = [dropout] * max(layers - 1, 1) if one_for_all else list(dropout)
    checked = [check_real("dropout", p, 0, 1, open_end=True) for p in given]
    if not one_for_all and len(given) != layers - 1:
        raise InputError(f"dropout has {len(given)} entries, but the network has {layers - 1} hidden layers.")
    return checked[: layers - 1]


def check_seed(seed: Any) -> np.random.RandomState:
    """Return the generator for a seed: None (from the operating system), an integer of 32 bits, or a generator."""
    if isinstance(seed, np.random.RandomState):
        return seed
    return np.random.RandomState() if seed is None else seeded(check_integer("seed", seed, 0, 2**32 - 1))


def check_batch_size(batch_size: Any, n_samples: int) -> int:
    """Return the number of rows of a batch, given a positive integer or "full"."""
    if isinstance(batch_size, str):
        if batch_size != "full":
            raise InputError(f"batch_size={batch_size!r} must be a positive integer or 'full'.")
        return n_samples
    return min(check_integer("batch_size", batch_size, 1, 1 << 62), n_samples)


def check_functions(name: str, value: Any) -> None:
    """Raise InputError unless `value` is a list or tuple of functions."""
    for function in check_sequence(name, value, "functions"):
        if not callable(function):
            raise InputError(f"{name} contains {function!r}, which cannot be called.")


def check_outputs(loss: Loss | None, n_outputs: int) -> None:
    """Raise InputError unless a network with `n_outputs` outputs can be trained with the loss."""
    if loss and loss.name == "quantile" and len(loss.parameter) not in (1, n_outputs):
        raise InputError(
            f"The loss has {len(loss.parameter)} quantiles and the network {n_outputs} outputs. Give one quantile for "
            "all outputs, or one for each."
        )
    if loss and loss.name == "softmax_cross_entropy" and n_outputs < 2:
        raise InputError(
            "softmax_cross_entropy needs an output per class, so at least 2, but sizes ends with 1. For two classes "
            "and one output use loss='binary_cross_entropy'."
        )


def check_trainable(activations: Sequence[Any]) -> None:
    """Raise InputError if an activation blocks the gradient of other layers."""
    if len(activations) > 1 and "threshold" in activations:
        layer = activations.index("threshold") + 1
        raise InputError(
            f"Layer {layer} is a threshold in a network of {len(activations)} layers. A step has derivative 0 wherever "
            "it has one, so no gradient passes it to other layers. Train a single threshold layer (the perceptron "
            "rule), or use 'sigmoid'."
        )
