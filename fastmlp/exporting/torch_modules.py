"""PyTorch's modules as layers, and layers as PyTorch's modules. PyTorch itself is imported only to make modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastmlp.activations import name_of
from fastmlp.errors import FastmlpError, InputError
from fastmlp.exporting.imported import ImportedNetwork
from fastmlp.forks import no_fork
from fastmlp.interchange import as_numpy

__all__ = ["read_module", "to_module"]

# By the class's name; None where its settings make it another function
_ACTIVATIONS: dict[str, Callable[[Any], str | None]] = {
    "Identity": lambda m: "identity",
    "ReLU": lambda m: "relu",
    "LeakyReLU": lambda m: "leaky_relu" if m.negative_slope == 0.01 else None,
    "ELU": lambda m: "elu" if m.alpha == 1 else None,
    "Sigmoid": lambda m: "sigmoid",
    "Tanh": lambda m: "tanh",
    "Softplus": lambda m: "softplus" if m.beta == 1 and m.threshold >= 20 else None,
    "GELU": lambda m: "gelu_tanh" if m.approximate == "tanh" else "gelu",
    "SiLU": lambda m: "silu",
    "Softmax": lambda m: "softmax" if m.dim in (1, -1) else None,
}
_MODULES: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {}),
    "elu": ("ELU", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
    "gelu": ("GELU", {}),
    "gelu_tanh": ("GELU", {"approximate": "tanh"}),
    "silu": ("SiLU", {}),
    "softmax": ("Softmax", {"dim": 1}),
}


def read_module(module: Any) -> ImportedNetwork:
    """Return the layers of a torch.nn.Sequential of Linear, activations, Dropout and Flatten.

    Raises
    ------
    InputError : it is made of anything else.
    """
    weights, biases, names, rates = list[np.ndarray](), list[np.ndarray](), list[str](), list[float]()
    for one in _flat(module):
        kind = type(one).__name__
        if kind == "Linear":
            weights.append(as_numpy(one.weight.detach()).T)
            outputs = weights[-1].shape[1]
            biases.append(np.zeros(outputs) if one.bias is None else as_numpy(one.bias.detach()))
            names.append("identity")
            rates.append(0.0)
        elif kind == "Dropout" and names:
            rates[-1] = float(one.p)
        elif kind == "Flatten" and not names:
            continue
        else:
            name = _ACTIVATIONS[kind](one) if kind in _ACTIVATIONS else None
            taken = bool(names) and (names[-1] != "identity" or rates[-1] > 0)
            if name is None or not names or (taken and name != "identity"):
                raise InputError(
                    f"A Sequential with {one} in this place is no MLP of fastmlp. It may have Linear, after each one "
                    f"of {', '.join(_ACTIVATIONS)}, and Dropout; without a LogSoftmax, which is a part of "
                    "loss='softmax_cross_entropy'."
                )
            names[-1] = name if name != "identity" else names[-1]
    if not names or rates[-1]:
        raise InputError(f"{module} has no Linear as its last layer, or a Dropout after it.")
    return ImportedNetwork(weights, biases, names, rates[:-1])


def _flat(module: Any) -> Iterator[Any]:
    """The modules in a Sequential, those of Sequentials in it included."""
    if type(module).__name__ != "Sequential":
        yield module
        return
    for one in module:
        yield from _flat(one)


def to_module(model: Any) -> Any:
    """Return a torch.nn.Sequential that computes what `MLP.predict_raw` computes.

    Raises
    ------
    InputError : PyTorch has no module for an activation.
    FastmlpError : PyTorch cannot be imported.
    """
    try:
        with no_fork():
            import torch
    except ImportError as error:
        raise FastmlpError(f"PyTorch cannot be imported ({error}). Run: pip install torch") from error
    modules: list[Any] = []
    link = model.loss.link if model.loss else "identity"
    layers = list(zip(model.weights, model.biases, model.activations, strict=True))
    for l, (weights, bias, activation) in enumerate(layers):
        inputs, outputs = weights.shape
        linear = torch.nn.Linear(inputs, outputs, dtype=getattr(torch, str(model.dtype)))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias.copy()))
        modules.append(linear)
        name = name_of(activation or "identity")
        if name != "identity" and not (l == len(layers) - 1 and name == link):
            if name not in _MODULES:
                raise InputError(f"PyTorch has no module for the activation {name!r}. It has {', '.join(_MODULES)}.")
            kind, settings = _MODULES[name]
            modules.append(getattr(torch.nn, kind)(**settings))
        if l < len(model.dropout) and model.dropout[l]:
            modules.append(torch.nn.Dropout(model.dropout[l]))
    return torch.nn.Sequential(*modules).eval()
