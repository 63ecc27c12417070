"""Networks in files: what is written of an `MLP`, and how one is made of it again."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from fastmlp.errors import InputError, ModelFileError
from fastmlp.losses import get_loss
from fastmlp.serialization import load_model, save_model

if TYPE_CHECKING:
    from fastmlp.mlp import MLP

__all__ = ["read_network", "write_network"]

T = TypeVar("T", bound="MLP")

# beside the arrays, the name of the loss and the dtype
_SAVED = ("sizes", "activations", "dropout", "l1", "l2", "reduction", "metadata")


def write_network(model: MLP, path: str | os.PathLike[str]) -> None:
    """Write a file whole or not at all. InputError if the model cannot be saved, or the path cannot be written."""
    if model.loss and model.loss.value:
        raise InputError("A model with a custom loss cannot be saved: a file holds no Python functions.")
    tensors = {f"layers.{l}.weight": w for l, w in enumerate(model.weights)}
    tensors |= {f"layers.{l}.bias": b for l, b in enumerate(model.biases)}
    loss = [model.loss.name, model.loss.parameter] if model.loss else None
    header = {name: getattr(model, name) for name in _SAVED} | {"loss": loss, "dtype": str(model.dtype)}
    save_model(path, tensors, header)


def read_network(cls: type[T], path: str | os.PathLike[str], **place: Any) -> T:
    """The network in a file that `write_network` wrote, as one of the class cls.

    place: the arguments of its constructor that say where it computes.

    Raises
    ------
    ModelFileError
        The file is anything else. Nothing in it is executed.
    """
    tensors, header = load_model(path)
    try:
        layers = len(header["sizes"]) - 1
        parts = [[tensors.pop(f"layers.{l}.{kind}") for l in range(layers)] for kind in ("weight", "bias")]
        if tensors:
            raise InputError(f"it holds arrays that belong to no layer: {', '.join(tensors)}")
        settings = {name: header[name] for name in (*_SAVED, "loss", "dtype")}
        sizes, names, metadata = (settings.pop(name) for name in ("sizes", "activations", "metadata"))
        shapes = [w.shape for w in parts[0]]
        if shapes != [(i, o) for i, o in pairwise(sizes)] or not isinstance(metadata, dict):
            raise InputError(f"its weights have shapes {shapes} and its sizes are {sizes}")
        if settings["loss"] is not None:
            name, parameter = settings["loss"]
            settings["loss"] = get_loss(name)._replace(parameter=tuple(map(float, parameter)))
        model = cls(sizes, [*names[:-1], names[-1] or "identity"], **settings, **place, initializer="zeros")
        model.activations[-1] = names[-1]
        model.set_parameters(*parts)
        model.metadata = metadata
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{os.fspath(path)!r} is not a usable fastmlp model: {error}.") from None
    return model
