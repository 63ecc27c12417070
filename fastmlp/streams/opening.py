"""`open_samples`: which source reads what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastmlp.backends.threads import cores
from fastmlp.checks import check_integer
from fastmlp.errors import InputError
from fastmlp.streams.array_files import open_hdf5, open_npy, open_zarr
from fastmlp.streams.arrays import ArraySource, Part
from fastmlp.streams.samples import Samples
from fastmlp.streams.source import Source
from fastmlp.streams.tables import TableSource

__all__ = ["open_samples"]

_TABLES = (".parquet", ".arrow", ".feather")
_HDF5 = (".h5", ".hdf5")
_CORES = 4  # for each thread that reads


def open_samples(
    data: Any,
    target: Any = None,
    *,
    features: str | Sequence[str] | None = None,
    sample_weight: Any = None,
    memory: int = 1 << 28,
    lanes: int = 8,
    readers: int | None = None,
) -> Samples:
    """Open samples larger than memory, to be read while a network trains on them.

    Nothing but their number and form is read here. `fit` shuffles in two stages: the blocks that the files consist of
    (row groups, record batches, chunks; 256 KiB of rows of other arrays) are put in a new order in each epoch, and
    so are the samples of a window, the part that is in memory.

    Parameters
    ----------
    data : path or array
        A Parquet, Arrow (Feather) or HDF5 file; a Zarr group, which ends in .zarr; a folder of Parquet or Arrow files
        with the same columns, or of `.npy` files x*.npy and y*.npy; or an array (N, I) that can be sliced: a memory
        map, a Dask array, a variable of netCDF4. Features of more dimensions are flattened.
    target : str or array
        The column, dataset or array of targets, by default "y"; for arrays an array (N,) or (N, O).
    features : str or sequence of str, optional
        Names of columns: by default all others, or a single one of fixed-size lists or of fixed-size binary, whose
        bytes are the features. Name of the dataset or array: by default "x".
    sample_weight : str or array, optional
        How much each sample counts in the loss, named or given as the targets are; none may be negative.
    memory : int
        Bytes of the two windows in memory, one in use and one being read. Besides these, each lane and each reader
        keeps a block in memory while it reads it. The larger a window, the better the shuffle.
    lanes : int
        Parts of the order of blocks that are read at the same time: a batch has samples of each. So a batch has samples
        of that many blocks at least, and batches are the same for any number of processes up to it.
    readers : int, optional
        Threads that read and decode; by default one for each four cores.

    Returns
    -------
    Samples
        To be given to `MLP.fit`, or to the `fit` of an estimator, in place of x and y.

    Raises
    ------
    InputError
        The files are missing, damaged, or do not go together; or a package that reads them is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.random.default_rng(0).standard_normal((1000, 2), dtype=np.float32)
    >>> samples = fastmlp.open_samples(x, (x[:, 0] > 0).astype(int))  # x may be a memory map
    >>> samples
    Samples('arrays', 1,000 of 2 features, float32, 0.0 MB in 1 blocks)
    >>> history = fastmlp.MLP([2, 8, 2], seed=0).fit(samples, epochs=5)
    """
    memory, lanes = check_integer("memory", memory, 1, 1 << 60), check_integer("lanes", lanes, 1, 1 << 12)
    readers = max(1, cores() // _CORES) if readers is None else check_integer("readers", readers, 1, 256)
    source = _open(data, target, features, sample_weight)
    if not source.lengths.sum():
        raise InputError(f"{source.name} has no samples.")
    return Samples(source, memory, lanes, readers)


def _open(data: Any, target: Any, features: Any, weights: Any) -> Source:
    if not isinstance(data, (str, os.PathLike)):
        return _open_arrays(data, target, features, weights)
    path = Path(data)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    for what, name in (("target", target), ("sample_weight", weights)):
        if not isinstance(name, (str, type(None))):
            raise InputError(f"{what} is an array, but {path} is a file or folder: give the name of what it has there.")
    suffix, files = path.suffix.lower(), [path]
    if path.is_dir() and suffix != ".zarr":
        found = {kind: sorted(path.glob(f"*{kind}")) for kind in (*_TABLES, ".npy")}
        found = {kind: files for kind, files in found.items() if files}
        if len(found) != 1:
            have = "files of several kinds" if found else "no files"
            raise InputError(f"{path} has {have} of {', '.join(_TABLES)} and .npy, but must have those of one kind.")
        suffix, files = next(iter(found.items()))
    target = "y" if target is None else target
    if suffix in _TABLES:
        columns = [features] if isinstance(features, str) else features
        return TableSource(str(path), files, target, None if columns is None else list(columns), weights)
    names = {"x": "x" if features is None else features, "y": target, **({"weights": weights} if weights else {})}
    if not isinstance(names["x"], str):
        raise InputError(f"features={features!r} must be the name of one array for {path}.")
    if suffix == ".npy" and path.is_dir():
        return open_npy(path, names)
    if suffix in _HDF5:
        return open_hdf5(path, names)
    if suffix == ".zarr":
        return open_zarr(path, names)
    raise InputError(
        f"{path} is none of the kinds that are read block by block: {', '.join((*_TABLES, *_HDF5))}, .zarr, a folder "
        "of tables or of .npy files. A single .npy file is opened by numpy.load(path, mmap_mode='r'), a CSV file is "
        "read by fastmlp train."
    )


def _open_arrays(x: Any, y: Any, features: Any, weights: Any) -> ArraySource:
    for what, array in (("x", x), ("target", y), ("sample_weight", weights)):
        if array is None and what == "sample_weight":
            continue
        if not all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__")):
            raise InputError(
                f"{what} is a {type(array).__name__}, but must be an array that can be sliced, with shape and dtype, "
                "or else all of them parts of a file whose path is given."
            )
    if features is not None:
        raise InputError(f"features={features!r} is for files. Give an array of the features to use.")
    return ArraySource("arrays", [Part("the arrays", x, y, weights)])
