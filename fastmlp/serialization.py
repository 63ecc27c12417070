"""Model files: what is written of an `MLP`, and how one is made of it again (see `fastmlp.tensor_files`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp.activations import ACTIVATIONS, Activation, name_of
from fastmlp.errors import InputError, ModelFileError
from fastmlp.losses import LOSSES, Loss, get_loss
from fastmlp.tensor_files import ALL_DTYPES, Kind, read_tensors, write_tensors

__all__ = ["load_model", "read_network", "save_model", "write_network"]

_MODEL = Kind(
    name="model file",
    key="fastmlp",
    remedy="save the model anew",
    dtypes={name: ALL_DTYPES[name] for name in ("F32", "F64")},
    always_digest=False,
)


# beside the arrays, the name of the loss and the dtype
_SAVED = ("sizes", "activations", "dropout", "l1", "l2", "reduction", "metadata")


def write_network(model: Any, path: str | os.PathLike[str]) -> None:
    """Write an `MLP` to a file, whole or not at all. InputError if it cannot be saved or the path cannot be written.

    A file holds no Python functions: of activations and a loss of the user's own it has the names.
    """
    own = {one for one in model.activations if isinstance(one, Activation)}
    if len({one.name for one in own}) < len(own):
        raise InputError("Two custom activations have the same name, by which a file tells them apart: rename one.")
    tensors = {f"layers.{l}.weight": w for l, w in enumerate(model.weights)}
    tensors |= {f"layers.{l}.bias": b for l, b in enumerate(model.biases)}
    header = {name: getattr(model, name) for name in _SAVED}
    header["activations"] = [activation and name_of(activation) for activation in model.activations]
    loss = [model.loss.name, model.loss.parameter] if model.loss else None
    save_model(path, tensors, header | {"loss": loss, "dtype": str(model.dtype)})


def read_network(cls: Any, path: str | os.PathLike[str], custom: Sequence[Activation | Loss], **place: Any) -> Any:
    """The network in a file that `write_network` wrote, as one of the class cls, which is `MLP` or a subclass.

    Parameters
    ----------
    custom : sequence of Activation and Loss
        The user's own that the network needs, by their names.
    place : the arguments of its constructor that say where it computes.

    Raises
    ------
    InputError
        Something is missing in custom.
    ModelFileError
        The file is anything else. Nothing in it is executed.
    """
    tensors, header = load_model(path)
    activations = {one.name: one for one in custom if isinstance(one, Activation)}
    losses = {one.name: one for one in custom if isinstance(one, Loss)}
    try:
        names, loss = list(header["activations"]), header["loss"]
        missing = [f"activation {name!r}" for name in names if name and name not in ACTIVATIONS.keys() | activations]
        if loss is not None and loss[0] not in LOSSES.keys() | losses:
            missing.append(f"loss {loss[0]!r}")
    except (KeyError, TypeError, IndexError) as error:
        raise _unusable(path, error) from None
    if missing:
        raise InputError(
            f"The model in {os.fspath(path)!r} needs the {' and the '.join(missing)} of its author's own: give them to "
            "MLP.load, custom=[...]."
        )
    try:
        layers = len(header["sizes"]) - 1
        parts = [[tensors.pop(f"layers.{l}.{kind}") for l in range(layers)] for kind in ("weight", "bias")]
        if tensors:
            raise InputError(f"it holds arrays that belong to no layer: {', '.join(tensors)}")
        settings = {name: header[name] for name in (*_SAVED, "dtype")}
        sizes, _, metadata = (settings.pop(name) for name in ("sizes", "activations", "metadata"))
        shapes = [w.shape for w in parts[0]]
        if shapes != [(i, o) for i, o in pairwise(sizes)] or not isinstance(metadata, dict):
            raise InputError(f"its weights have shapes {shapes} and its sizes are {sizes}")
        if loss is not None:
            name, parameter = loss
            settings["loss"] = losses.get(name) or _with_parameter(get_loss(name), tuple(map(float, parameter)))
        used = [activations.get(name, name) for name in names]
        model = cls(sizes, [*used[:-1], used[-1] or "identity"], **settings, **place, initializer="zeros")
        model.activations[-1] = used[-1]
        model.set_parameters(*parts)
        model.metadata = metadata
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _unusable(path, error) from None
    return model


def _with_parameter(loss: Loss, parameter: tuple[float, ...]) -> Loss:
    """A built-in loss with other numbers, of which it must have as many, or any number of quantiles."""
    fitting = len(parameter) == len(loss.parameter) or (loss.name == "quantile" and parameter)
    if not fitting:
        raise InputError(
            f"its loss {loss.name} has the parameters {list(parameter)}, not {len(loss.parameter)} of them"
        )
    return loss._replace(parameter=parameter)


def _unusable(path: str | os.PathLike[str], error: Exception) -> ModelFileError:
    return ModelFileError(f"{os.fspath(path)!r} is not a usable fastmlp model: {error}.")


def save_model(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Write a model file, whole or not at all. Equal models give equal bytes.

    Parameters
    ----------
    path : file to write; one already there is replaced.
    tensors : arrays of any shape, float32 or float64, finite.
    header : what JSON can hold. As in JSON, tuples come back as lists, and keys as strings.

    Raises
    ------
    InputError : an array of another dtype, a value that is not finite, a header that JSON cannot hold, or a
        path that cannot be written.
    """
    for name in _not_finite(tensors):
        raise InputError(
            f"The array {name!r} holds values that are not finite, which no model can use. Lower the "
            "learning rate, or scale the inputs, and train again."
        )
    write_tensors(path, tensors, header, _MODEL)


def load_model(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save_model` wrote.

    Parameters
    ----------
    path : file to read; it may come from anyone.

    Returns
    -------
    tensors : float32 or float64 arrays by name, finite and writable.
    header : as it was saved.

    Raises
    ------
    ModelFileError : no such file, a truncated or damaged one, one of another program or of a newer fastmlp.
    """
    tensors, header = read_tensors(path, _MODEL)
    for name in _not_finite(tensors):
        raise ModelFileError(
            f"The array {name!r} of the model file {path} holds values that are not finite: the file is "
            "damaged, or was not saved by fastmlp. Save the model anew."
        )
    return tensors, header


def _not_finite(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the arrays of reals that hold NaN or infinity."""
    real = {name: array for name, array in tensors.items() if np.asarray(array).dtype.kind == "f"}
    return [name for name, array in real.items() if not np.isfinite(array).all()]
