"""Model files: finite arrays and a description of the model (see `fastmlp.tensor_files`)."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp.errors import InputError, ModelFileError
from fastmlp.tensor_files import ALL_DTYPES, Kind, read_tensors, write_tensors

__all__ = ["load_model", "save_model"]

_MODEL = Kind(
    name="model file",
    key="fastmlp",
    remedy="save the model anew",
    dtypes={name: ALL_DTYPES[name] for name in ("F32", "F64")},
    always_digest=False,
)


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
