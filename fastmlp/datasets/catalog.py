"""`load`, which loads any data set by name or path."""

import difflib
import inspect
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastmlp.datasets.arrays import load_arrays
from fastmlp.datasets.bundled import breast_cancer, diabetes, digits, iris, spirals, xor
from fastmlp.datasets.dataset import Dataset
from fastmlp.datasets.idx import load_idx_folder
from fastmlp.datasets.openml import download as download_images
from fastmlp.datasets.table_file import load_table
from fastmlp.errors import InputError

__all__ = ["NAMES", "TABLE_SUFFIXES", "load"]

_FOLDERS = "FASTMLP_DATA"


def load(name_or_path: str | os.PathLike[str], **options: Any) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name_or_path : str or path
        A name ("digits", "iris", "breast_cancer", "diabetes", "spirals", "xor", "mnist", "fashion-mnist"); a folder of
        IDX files; a .npz or .npy file; or a file with a table, such as .csv or .parquet. A folder that has the name of
        a data set can be given as "./mnist".
    **options
        Those of the loader: `load_idx_folder`, `load_arrays`, `load_table`, or the function with the name of the data
        set. For "mnist" and "fashion-mnist", `folder` is the folder of the IDX files (by default the folder of that
        name within the one that the environment variable FASTMLP_DATA names), and `download=True` downloads the set if
        there are no files.

    Raises
    ------
    InputError
        If a name or an option is unknown, or the data cannot be loaded.
    """
    loader = _find_loader(os.fspath(name_or_path))
    allowed = inspect.signature(loader).parameters
    for option in options:
        if option not in allowed:
            raise InputError(f"{os.fspath(name_or_path)!r} takes no option {option!r}. Options: {', '.join(allowed)}.")
    return loader(**options)


def _load_images(name: str, /, *, folder: str | os.PathLike[str] | None = None, download: bool = False) -> Dataset:
    """Load an image set from the given folder, FASTMLP_DATA/name or openml.org, in this order."""
    root = os.environ.get(_FOLDERS)
    if folder is None and root and (Path(root) / name).is_dir():
        folder = Path(root) / name
    if folder is not None:
        return load_idx_folder(folder, name)
    if download:
        return download_images(name)
    place = f"{Path(root) / name} is no folder" if root else f"the environment variable {_FOLDERS} is not set"
    raise InputError(
        f"The files of {name} were not found: no folder was given, and {place}. Pass folder= with its four "
        f"IDX files, set {_FOLDERS} to the folder that holds the folder {name}, or pass download=True."
    )


_NAMED: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "breast_cancer": breast_cancer,
    "diabetes": diabetes,
    "iris": iris,
    "spirals": spirals,
    "xor": xor,
    "mnist": partial(_load_images, "mnist"),
    "fashion-mnist": partial(_load_images, "fashion-mnist"),
}
# Compressed or not: the content of a file is recognised by its first bytes.
TABLE_SUFFIXES = (
    ".csv",
    ".tsv",
    ".data",
    ".test",
    ".txt",
    ".gz",
    ".zst",
    ".parquet",
    ".pq",
    ".arrow",
    ".feather",
    ".ipc",
)
_BY_SUFFIX: dict[str, Callable[..., Dataset]] = {
    ".npz": load_arrays,
    ".npy": load_arrays,
    **dict.fromkeys(TABLE_SUFFIXES, load_table),
}
NAMES = tuple(_NAMED)


def _find_loader(name: str) -> Callable[..., Dataset]:
    """Choose the function that loads a data set, with its path as the bound argument."""
    if name in _NAMED:
        return _NAMED[name]
    if os.path.isdir(name):
        return partial(load_idx_folder, name)
    suffix = Path(name).suffix.lower()
    if suffix in _BY_SUFFIX:
        return partial(_BY_SUFFIX[suffix], name)
    if os.path.exists(name):
        raise InputError(
            f"The file {name!r} is not read, by the ending of its name. Save it as CSV or Parquet, or name a file that "
            f"ends in {', '.join(_BY_SUFFIX)}."
        )
    close = difflib.get_close_matches(name.lower(), NAMES, n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(
        f"There is no data set {name!r}.{suggestion} Choose {', '.join(NAMES)}, a folder of IDX files, or a "
        f"file that ends in {', '.join(_BY_SUFFIX)}."
    )
