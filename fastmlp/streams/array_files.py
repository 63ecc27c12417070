"""Opening files of arrays: folders of `.npy` files, HDF5, Zarr.

`names` are those of the arrays of features, targets and weights, by "x", "y" and "weights"; there may be no weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.errors import InputError
from fastmlp.forks import no_fork
from fastmlp.streams.arrays import ArraySource, Part
from fastmlp.streams.packages import missing_package

__all__ = ["open_hdf5", "open_npy", "open_zarr", "stamp_of"]

# by which netCDF and others say that the numbers in a dataset are not yet those that are meant
_CONVENTIONS = ("_FillValue", "missing_value", "scale_factor", "add_offset")


def stamp_of(path: Path) -> str:
    """Size and time of a file."""
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns}"


def open_npy(folder: Path, names: Mapping[str, str]) -> ArraySource:
    """Samples in `.npy` files of a folder: x.npy with y.npy, or several such pairs, x_0.npy with y_0.npy and so on."""
    files = sorted(folder.glob(f"{names['x']}*.npy"))
    parts = []
    for file in files:
        rest = file.name.removeprefix(names["x"])
        paths = {what: folder / (name + rest) for what, name in names.items()}
        lacking = [path.name for path in paths.values() if not path.exists()]
        if lacking:
            raise InputError(f"{folder} has {file.name}, but not {', '.join(lacking)}, which must go with it.")
        try:
            arrays = {what: np.load(path, mmap_mode="r") for what, path in paths.items()}
        except (OSError, ValueError) as error:
            raise InputError(f"{file} or what goes with it cannot be mapped: {error}") from None
        parts.append(Part(str(file), **arrays, stamp=stamp_of(file)))
    if not parts:
        raise InputError(
            f"{folder} has no files {names['x']}*.npy of features. Give features='…', how their names begin."
        )
    return ArraySource(str(folder), parts)


def open_hdf5(path: Path, names: Mapping[str, str]) -> ArraySource:
    """Samples in datasets of an HDF5 file.

    Raises
    ------
    InputError
        The package h5py is not installed, the file or a dataset is missing, or a dataset has attributes by which its
        numbers must be scaled or masked, as netCDF's do.
    """
    try:
        with no_fork():
            import h5py
    except ImportError as error:
        raise missing_package("h5py", path) from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} cannot be opened as HDF5: {error}") from None
    arrays = {what: _member(file, name, path) for what, name in names.items()}
    for what, dataset in arrays.items():
        found = [name for name in _CONVENTIONS if name in dataset.attrs]
        if found:
            raise InputError(
                f"{path}: the dataset {names[what]!r} has the attributes {', '.join(found)}: its numbers must be "
                "scaled or masked first. Open it with netCDF4, and give open_samples its variables."
            )
    return ArraySource(str(path), [Part(str(path), **arrays, stamp=stamp_of(path))])


def open_zarr(path: Path, names: Mapping[str, str]) -> ArraySource:
    """Samples in arrays of a Zarr group."""
    try:
        with no_fork():
            import zarr
    except ImportError as error:
        raise missing_package("zarr", path) from error
    try:
        group = zarr.open_group(str(path), mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be opened as a Zarr group: {error}") from None
    arrays = {what: _member(group, name, path) for what, name in names.items()}
    return ArraySource(str(path), [Part(str(path), **arrays)])


def _member(group: Any, name: str, path: Path) -> Any:
    if name not in group or not hasattr(group[name], "shape"):
        members = ", ".join(name for name in group if hasattr(group[name], "shape")) or "none"
        raise InputError(f"{path} has no array {name!r}. Its arrays: {members}. Name them by features and target.")
    return group[name]
