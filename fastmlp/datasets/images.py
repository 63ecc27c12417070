"""Data sets from images like those of MNIST: grey pixels from 0 to 255, labels from 0."""

import numpy as np

from fastmlp.datasets.dataset import Dataset
from fastmlp.errors import InputError

__all__ = ["image_dataset"]

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def image_dataset(name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Dataset:
    """Make a data set of images and their labels.

    Parameters
    ----------
    name : of the data set; the classes of "fashion-mnist" have names, others are named by number.
    train, test : images (N, ...) uint8 and labels (N,) uint8.

    Returns
    -------
    dataset : x (N, I) float32, the pixels divided by 255; y (N,) int64.

    Raises
    ------
    InputError : arrays of other types or shapes, images and labels that differ in number, training and test
        images that differ in size, or more labels than the data have classes.
    """
    for part, (images, labels) in (("training", train), ("test", test)):
        if images.dtype != np.uint8 or labels.dtype != np.uint8:
            raise InputError(
                f"The {part} images of {name} are {images.dtype} and their labels {labels.dtype}. Bytes belong in both."
            )
        if images.ndim < 2 or labels.shape != images.shape[:1]:
            raise InputError(
                f"The {part} images of {name} have the shape {images.shape} and their labels {labels.shape}. "
                "Give one label per image: the files do not belong together."
            )
    if train[0].shape[1:] != test[0].shape[1:]:
        raise InputError(
            f"The images of {name} are {train[0].shape[1:]} for training and {test[0].shape[1:]} for "
            "testing. Give images of one size: the files do not belong together."
        )
    n_labels = 1 + int(max(train[1].max(), test[1].max()))
    classes = _FASHION if name == "fashion-mnist" else tuple(map(str, range(n_labels)))
    if n_labels > len(classes):
        raise InputError(
            f"The data {name} have the label {n_labels - 1}. Only 0 to {len(classes) - 1} belong there; give "
            "other data another name."
        )
    x, x_test = _scale(train[0]), _scale(test[0])
    return Dataset(
        name=name,
        x=x,
        y=train[1].astype(np.int64),
        x_test=x_test,
        y_test=test[1].astype(np.int64),
        class_names=classes,
        feature_names=tuple(f"pixel{i}" for i in range(x.shape[1])),
    )


def _scale(images: np.ndarray) -> np.ndarray:
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)
