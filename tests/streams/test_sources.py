"""Sources of every format give the same samples, and say where something is wrong with them."""

import sys

import numpy as np
import pytest

from fastmlp import InputError, open_samples
from fastmlp.streams.source import Columns

from .written import FORMATS, samples, write


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_batches(kind, tmp_path):
    x, y, weights = samples()
    opened = open_samples(**write(kind, tmp_path, x, y, weights), memory=3000)
    assert (opened.n_samples, opened.n_features, opened.dtype) == (1000, 6, np.uint8)
    batches = list(opened.batches(64))
    assert [len(batch[0]) for batch in batches] == [64] * 15 + [40]
    for got, wanted in zip(map(np.concatenate, zip(*batches, strict=True)), (x, y, weights), strict=True):
        np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_shuffled_batches_have_every_sample_with_its_label(kind, tmp_path):
    x, y, _ = samples()
    x[:, 1:3] = np.arange(1000)[:, None] // [256, 1] % 256  # the sample's number, in two bytes
    opened = open_samples(**write(kind, tmp_path, x, y, y + 1.0), memory=3000, readers=3)
    drawn, labels, weights = map(np.concatenate, zip(*opened.batches(64, seed=1, epochs=2), strict=True))
    numbers = drawn[:, 1].astype(int) * 256 + drawn[:, 2]
    np.testing.assert_array_equal(np.sort(numbers[:1000]), np.arange(1000))
    np.testing.assert_array_equal(drawn, x[numbers])
    np.testing.assert_array_equal(labels, y[numbers])
    np.testing.assert_array_equal(weights, y[numbers] + 1.0)
    assert not np.array_equal(numbers[:1000], numbers[1000:])


def test_samples_can_be_rewritten_as_arrays(tmp_path):
    x, y, weights = samples()
    opened = open_samples(**write("parquet", tmp_path, x, y, weights), memory=6000)
    (tmp_path / "arrays").mkdir()
    for k, (part, labels, _) in enumerate(opened.batches(300, seed=0)):
        np.save(tmp_path / "arrays" / f"x_{k:05}.npy", part)
        np.save(tmp_path / "arrays" / f"y_{k:05}.npy", labels)
    rewritten = open_samples(tmp_path / "arrays")
    assert (rewritten.n_samples, len(rewritten.source.lengths)) == (1000, 4)
    got, labels = map(np.concatenate, zip(*rewritten.batches(300), strict=True))
    np.testing.assert_array_equal(labels, got[:, 0] // 86)
    np.testing.assert_array_equal(np.sort(got.sum(1)), np.sort(x.sum(1)))


def test_images_are_flattened(tmp_path):
    x, y, _ = samples(100, 12)
    batches = open_samples(x.reshape(100, 3, 4), y).batches(100)
    np.testing.assert_array_equal(next(batches)[0], x)
    batches.close()


def test_columns_are_put_side_by_side_in_any_piece():
    x = np.random.RandomState(0).standard_normal((3000, 3))
    out = np.empty((2100, 3), np.float32)
    Columns(list(x.T)).copy(500, 2600, out)
    np.testing.assert_array_equal(out, x[500:2600].astype(np.float32))


def table(folder, name="t.parquet", **columns):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table(columns), folder / name, row_group_size=2)
    return folder / name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "z"}, "'z' is not there"),
        ({"target": "y", "features": ["a", "b"]}, "'b' is not there"),
        ({"target": "y", "features": ["a", "a"]}, "'a' is named twice"),
        ({"target": "y", "features": ["y"]}, "'y' is named twice"),
        ({"target": "y", "features": ["text"]}, "'text' is string"),
        ({"target": "y", "features": []}, "no column is left"),
        ({"target": np.zeros(3)}, "target is an array"),
    ],
)
def test_wrong_columns_are_refused(options, message, tmp_path):
    path = table(tmp_path, a=[1.0, 2, 3], text=["u", "v", "w"], y=[0, 1, 0])
    with pytest.raises(InputError, match=message):
        open_samples(path, **options)


def test_a_doubled_column_is_refused(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table([[1.0], [2.0], [0]], names=["a", "a", "y"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'a' is there more than once"):
        open_samples(tmp_path / "t.parquet", "y")


def test_files_of_a_set_need_the_same_columns(tmp_path):
    table(tmp_path, "1.parquet", a=[1.0], y=[0])
    table(tmp_path, "2.parquet", a=[1], y=[0])
    with pytest.raises(InputError, match=r"2\.parquet: the column 'a' is int64, but double in .*1\.parquet"):
        open_samples(tmp_path, "y")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, 2, 3, None, 5], "y": [0, 1, 0, 1, 0]}, r"row group 1 of .*: the column 'a' lacks 1 of 2 values"),
        ({"a": [1.0, 2, 3, 4, np.inf], "y": [0, 1, 0, 1, 0]}, r"row group 2 of .*: feature 0 of sample 0 is inf"),
        (
            {"a": [1.0, 2, 3, 1e300, 5], "y": [0, 1, 0, 1, 0]},
            r"row group 1 of .*: feature 0 of sample 1 is inf in floa",
        ),
    ],
)
def test_values_that_no_network_can_read_are_named(columns, message, tmp_path):
    opened = open_samples(table(tmp_path, **columns), "y")
    with pytest.raises(InputError, match=message):
        list(opened.batches(2))


def test_masked_entries_are_refused():
    x = np.ma.masked_array(np.zeros((5, 2)), mask=np.eye(5, 2, dtype=bool))
    with pytest.raises(InputError, match=r"samples 0 to 4 of the arrays: .* hides 2 of its 10 entries"):
        list(open_samples(x, np.zeros(5)).batches(5))


def test_packed_datasets_are_refused(tmp_path):
    arguments = write("hdf5", tmp_path, *samples(10), rows=5)
    import h5py

    with h5py.File(arguments["data"], "a") as file:
        file["x"].attrs["scale_factor"] = 0.1
    with pytest.raises(InputError, match="'x' has the attributes scale_factor"):
        open_samples(**arguments)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.zeros((5, 2)), np.zeros(4)), r"y has shape \(4,\) beside x of \(5, 2\)"),
        ((np.zeros(5), np.zeros(5)), "two dimensions"),
        ((np.zeros((5, 2), complex), np.zeros(5)), "complex128"),
        (([[1.0]], np.zeros(1)), "x is a list"),
        ((np.zeros((5, 2)), None), "target is a NoneType"),
        ((np.zeros((0, 2)), np.zeros(0)), "no samples"),
    ],
)
def test_wrong_arrays_are_refused(arrays, message):
    with pytest.raises(InputError, match=message):
        open_samples(*arrays)


def test_wrong_paths_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_samples(tmp_path / "none.parquet", "y")
    with pytest.raises(InputError, match="no files of"):
        open_samples(tmp_path, "y")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        open_samples(tmp_path / "t.parquet", "y")
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    with pytest.raises(InputError, match="none of the kinds"):
        open_samples(tmp_path / "t.csv", "y")
    np.save(tmp_path / "x_1.npy", np.zeros((2, 2)))
    (tmp_path / "t.parquet").unlink()
    with pytest.raises(InputError, match=r"has x_1\.npy, but not y_1\.npy"):
        open_samples(tmp_path)


@pytest.mark.parametrize(("kind", "package"), [("parquet", "pyarrow"), ("hdf5", "h5py"), ("zarr", "zarr")])
def test_a_missing_package_is_named(kind, package, tmp_path, monkeypatch):
    arguments = write(kind, tmp_path, *samples(10))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"needs the package {package}, .*pip install {package}"):
        open_samples(**arguments)


def test_memory_must_hold_two_batches():
    x, y, _ = samples(100)
    with pytest.raises(InputError, match="memory=100 has no room for two batches of 50 samples of 6 bytes"):
        next(open_samples(x, y, memory=100).batches(50))
