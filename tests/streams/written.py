"""Samples in files of each format."""

import numpy as np
import pytest

FORMATS = ("parquet", "lists", "bytes", "arrow", "npy", "hdf5", "zarr", "arrays")


def samples(n=1000, features=6, seed=0):
    """Bytes x (n, features), labels y (n,) by the first of them, and weights (n,)."""
    random = np.random.RandomState(seed)
    x = random.randint(0, 256, (n, features)).astype(np.uint8)
    return x, x[:, 0].astype(np.int64) // 86, random.uniform(0.5, 2, n)


def write(kind, folder, x, y, weights, rows=90):
    """Write the samples in blocks of so many rows; what `open_samples` needs to read them, as its arguments."""
    if kind in ("parquet", "lists", "bytes", "arrow"):
        return _write_table(kind, folder, x, y, weights, rows)
    path = folder / {"npy": "arrays", "hdf5": "data.h5", "zarr": "data.zarr", "arrays": ""}[kind]
    named = {"x": x, "y": y, "w": weights}
    if kind == "arrays":
        return {"data": x, "target": y, "sample_weight": weights}
    if kind == "npy":
        path.mkdir()
        for part in range(0, len(x), 300):
            for name, array in named.items():
                np.save(path / f"{name}_{part:05}.npy", array[part : part + 300])
    elif kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, array in named.items():
                file.create_dataset(name, data=array, chunks=(min(rows, len(x)), *array.shape[1:]), compression="gzip")
    else:
        zarr = pytest.importorskip("zarr")
        group = zarr.create_group(str(path))
        for name, array in named.items():
            group.create_array(name, data=array, chunks=(rows, *array.shape[1:]))
    return {"data": path, "sample_weight": "w"}


def _write_table(kind, folder, x, y, weights, rows):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    if kind == "bytes":
        data = [None, arrow.py_buffer(np.ascontiguousarray(x))]
        features = {"x": arrow.FixedSizeBinaryArray.from_buffers(arrow.binary(x.shape[1]), len(x), data)}
    elif kind == "lists":
        features = {"x": arrow.FixedSizeListArray.from_arrays(arrow.array(x.reshape(-1)), x.shape[1])}
    else:
        features = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    table, middle = arrow.table({"label": y, **features, "w": weights}), len(x) // 2
    path = folder / "tables"
    path.mkdir()
    for number, part in enumerate((table[:middle], table[middle:])):
        if kind == "arrow":
            with arrow.ipc.new_file(path / f"{number}.arrow", table.schema) as file:
                file.write_table(part, max_chunksize=rows)
        else:
            parquet.write_table(part, path / f"{number}.parquet", row_group_size=rows)
    return {"data": path, "target": "label", "sample_weight": "w"}
