"""Data sets in .npz and .npy files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.datasets.dataset import Dataset
from fastmlp.errors import InputError

__all__ = ["load_arrays"]

_KEYS = ({"x", "y"}, {"x", "y", "x_test", "y_test"})
_LABELS = "biuU"  # kinds of dtype: bool, integers and text


def load_arrays(path: str | os.PathLike[str], *, target_path: str | os.PathLike[str] | None = None) -> Dataset:
    """Read arrays that `numpy.savez` or `numpy.save` wrote.

    A .npy file is memory-mapped: values stay on disk until they are used, so the file may be larger than the memory.
    Whether they are finite is checked in training.

    Parameters
    ----------
    path : path
        A .npz file with the arrays x (N, I) and y, optionally with x_test and y_test; or a .npy file with x.
    target_path : path, optional
        A .npy file with y, for a .npy file.

    Returns
    -------
    Dataset
        x of a .npy file is unchanged; that of a .npz file is float32 or else converted to float64. Integers, bools and
        texts y (N,) are labels, converted to indices of the sorted distinct labels. Floats y (N,) or (N, O) are
        targets of a regression.

    Raises
    ------
    InputError
        If a file is missing, truncated or of another format, holds Python objects, or arrays do not fit together.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npz" and target_path is None:
        arrays = _guarded(path, _read_archive)
        x_test, y_test = arrays.get("x_test"), arrays.get("y_test")
    elif suffix == ".npy" and target_path is not None:
        arrays = {"x": _guarded(path, _map), "y": _guarded(target_path, _map)}
        x_test = y_test = None
    else:
        raise InputError(
            f"path={os.fspath(path)!r} with target_path={target_path!r} does not hold inputs and targets. "
            "Give a .npz file alone, or a .npy file of inputs and target_path=, a .npy file of targets."
        )
    x = _check_inputs(path, "x", arrays["x"])
    y = _check_targets(path, "y", arrays["y"], len(x))
    if x_test is not None and y_test is not None:
        x_test = _check_inputs(path, "x_test", x_test)
        y_test = _check_targets(path, "y_test", y_test, len(x_test))
        same_kind = y.dtype.kind == y_test.dtype.kind
        if x_test.shape[1:] != x.shape[1:] or y_test.shape[1:] != y.shape[1:] or not same_kind:
            raise InputError(
                f"In {path}, x {x.shape} and y {y.shape} {y.dtype} do not go with x_test {x_test.shape} and "
                f"y_test {y_test.shape} {y_test.dtype}. Give both the same features and the same kind of "
                "target."
            )
    class_names: tuple[str, ...] = ()
    if y.dtype.kind in _LABELS:
        y, y_test, class_names = _encode_labels(path, y, y_test)
    return Dataset(
        name=Path(path).stem,
        x=x,
        y=y,
        x_test=x_test,
        y_test=y_test,
        class_names=class_names,
        feature_names=tuple(f"x{i}" for i in range(x.shape[1])),
    )


def _guarded(path: str | os.PathLike[str], read: Callable[[str | os.PathLike[str]], Any]) -> Any:
    try:
        return read(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}. Name a NumPy file.") from error
    except Exception as error:  # NumPy, zipfile and ast raise a dozen kinds of errors on damaged files
        raise InputError(
            f"The file {path} cannot be read as numbers: {error}. It is truncated, damaged, in another "
            "format, or holds Python objects: save plain arrays with numpy.save or numpy.savez."
        ) from error


def _read_archive(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    with open(path, "rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
        if set(archive.files) not in _KEYS:
            raise InputError(
                f"The file {path} holds the arrays {', '.join(archive.files) or '(none)'}. x and y belong "
                "there, optionally x_test and y_test too: numpy.savez(path, x=…, y=…)."
            )
        arrays = {name: archive[name] for name in archive.files}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name} in {path} is no array. Save it with numpy.savez.")
    return arrays


def _map(path: str | os.PathLike[str]) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="r")


def _check_inputs(path: str | os.PathLike[str], name: str, x: np.ndarray) -> np.ndarray:
    """Check inputs (N, I), and convert them unless they are memory-mapped."""
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(
            f"{name} in {path} has the shape {x.shape}. Give a row of features per sample; images can be "
            "flattened with x.reshape(len(x), -1)."
        )
    return _as_float(path, name, x)


def _as_float(path: str | os.PathLike[str], name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind not in "biuf" or isinstance(array, np.memmap):
        raise InputError(f"{name} in {path} is {array.dtype}. Save it as float32 or float64: {name}.astype('float32').")
    return array.astype(np.float64)


def _check_targets(path: str | os.PathLike[str], name: str, y: np.ndarray, n: int) -> np.ndarray:
    """Check N labels (N,), or numbers (N,) or (N, O), and convert numbers unless they are memory-mapped."""
    most_dimensions = 1 if y.dtype.kind in _LABELS else 2
    if not 1 <= y.ndim <= most_dimensions or len(y) != n or 0 in y.shape:
        raise InputError(
            f"{name} in {path} has the shape {y.shape} and the type {y.dtype}, for {n} rows of inputs. Give "
            "labels (N,), or floats (N,) or (N, O) to regress on."
        )
    return y if y.dtype.kind in _LABELS else _as_float(path, name, y)


def _encode_labels(
    path: str | os.PathLike[str], y: np.ndarray, y_test: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Convert labels (N,) to indices (N,) int64; return also the class names."""
    classes, indices = np.unique(y, return_inverse=True)
    if y_test is not None:
        unknown = np.setdiff1d(y_test, classes)
        if unknown.size:
            raise InputError(
                f"y_test in {path} holds the label {unknown.tolist()[0]!r}, which y lacks. Train on every "
                "class that is tested."
            )
        y_test = np.searchsorted(classes, y_test).astype(np.int64, copy=False)
    return indices.astype(np.int64, copy=False), y_test, tuple(map(str, classes.tolist()))
