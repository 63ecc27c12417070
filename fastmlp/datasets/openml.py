"""Image sets from openml.org, by scikit-learn's client, which caches downloads."""

import warnings
import zlib
from http.client import HTTPException
from typing import Any

import numpy as np

from fastmlp.datasets.dataset import Dataset
from fastmlp.datasets.images import image_dataset
from fastmlp.errors import InputError
from fastmlp.forks import no_fork

__all__ = ["download"]

_NAMES = {"mnist": "mnist_784", "fashion-mnist": "Fashion-MNIST"}
_SHAPE = (70000, 784)
_TRAINING = 60000


def download(name: str) -> Dataset:
    """Download an image set, or take it from scikit-learn's cache.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist"}
        The set.

    Returns
    -------
    Dataset
        With x (60000, 784) float32, the pixels divided by 255, y (60000,) int64, and 10000 test samples.

    Raises
    ------
    InputError
        If the name is unknown, there is no connection, or the response is not the data set.
    """
    if name not in _NAMES:
        raise InputError(f"name={name!r} cannot be downloaded. Choose {' or '.join(map(repr, _NAMES))}.")
    with no_fork():
        from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings():
            # The warnings repeat what the error says if the download fails.
            warnings.filterwarnings("ignore", "A network error occurred", UserWarning)
            answer = fetch_openml(_NAMES[name], version=1, as_frame=False, parser="liac-arff")
        x, y = _as_bytes(answer.data), _as_bytes(answer.target)
    except (OSError, EOFError, HTTPException, ValueError, zlib.error) as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name} could not be downloaded from openml.org: {cause}. Pass a folder with its IDX files instead."
        ) from error
    if x.shape != _SHAPE or y.shape != _SHAPE[:1]:
        raise InputError(
            f"openml.org gave arrays of shape {x.shape} and {y.shape} for {name}, not {_SHAPE} and "
            f"{_SHAPE[:1]}. Pass a folder with its IDX files instead."
        )
    return image_dataset(name, (x[:_TRAINING], y[:_TRAINING]), (x[_TRAINING:], y[_TRAINING:]))


def _as_bytes(values: Any) -> np.ndarray:
    """Convert numbers, or texts of numbers, to uint8."""
    numbers = np.asarray(values).astype(np.float64)
    with np.errstate(invalid="ignore"):
        result = numbers.astype(np.uint8)
    if (result != numbers).any():
        raise ValueError("the answer holds other values than whole numbers from 0 to 255")
    return result
