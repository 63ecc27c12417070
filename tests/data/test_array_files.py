"""Arrays in .npz and .npy files: labels and numbers, memory-mapped files, and refused files."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dataset_files import REPEATED, X, Y, write
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.datasets import load, load_arrays
from fastmlp.errors import InputError


def test_an_archive_of_labels(tmp_path):
    np.savez(tmp_path / "toy.npz", x=X, y=Y, x_test=X[:2], y_test=Y[:2])
    data = load_arrays(tmp_path / "toy.npz")
    np.testing.assert_array_equal(data.x, X, strict=True)
    np.testing.assert_array_equal(data.y, np.array([1, 0, 1], np.int64), strict=True)
    np.testing.assert_array_equal(data.y_test, np.array([1, 0], np.int64), strict=True)
    assert (data.name, data.task, data.class_names) == ("toy", "classification", ("3", "7"))
    assert data.x_test.shape == (2, 2)
    assert data.feature_names == ("x0", "x1")


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (np.array(["b", "a", "b"]), ("a", "b")),
        (np.array([True, False, True]), ("False", "True")),
        (np.array([1, -1, 1], np.int8), ("-1", "1")),
        (np.array([9, 0, 9], np.uint64), ("0", "9")),
    ],
)
def test_labels_of_each_kind(tmp_path, y, names):
    np.savez(tmp_path / "toy.npz", x=X, y=y)
    data = load_arrays(tmp_path / "toy.npz")
    np.testing.assert_array_equal(data.y, np.array([1, 0, 1], np.int64), strict=True)
    assert data.class_names == names
    assert data.x_test is None


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.uint8, ">f4", "?"])
def test_other_numbers_in_an_archive_become_float64(tmp_path, dtype):
    np.savez_compressed(tmp_path / "toy.npz", x=X.astype(dtype), y=np.array([[0.5], [1], [2]], np.float16))
    data = load_arrays(tmp_path / "toy.npz")
    np.testing.assert_array_equal(data.x, X.astype(dtype).astype(np.float64), strict=True)
    np.testing.assert_array_equal(data.y, np.array([[0.5], [1], [2]]), strict=True)
    assert (data.task, data.class_names) == ("regression", ())


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_npy_files_are_mapped_not_read(tmp_path):
    targets = np.ones((3, 2), np.float32)
    data = load_arrays(npy(tmp_path / "x.npy", X), target_path=npy(tmp_path / "y.npy", targets))
    assert isinstance(data.x, np.memmap)
    assert isinstance(data.y, np.memmap)
    np.testing.assert_array_equal(data.x, X)
    assert (data.task, data.name, data.x_test) == ("regression", "x", None)
    labelled = load(tmp_path / "x.npy", target_path=npy(tmp_path / "labels.npy", Y))
    assert labelled.y.tolist() == [1, 0, 1]


def test_files_larger_than_the_memory_are_mapped(tmp_path):
    rows = 2**36
    for name, shape in (("x", (rows, 2)), ("y", (rows,))):
        with open(tmp_path / f"{name}.npy", "wb") as file:
            header = {"descr": "<f8", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            try:
                file.truncate(file.tell() + 8 * int(np.prod(shape)))
            except OSError:
                pytest.skip("the file system holds no sparse file of 1 TiB")
    data = load_arrays(tmp_path / "x.npy", target_path=tmp_path / "y.npy")
    assert (data.x.shape, data.y.shape) == ((rows, 2), (rows,))
    assert (data.x[-1, 1], data.y[-1]) == (0, 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"holds the arrays x\. x and y belong there"),
        ({"X": X, "y": Y}, "holds the arrays X, y"),
        ({}, r"holds the arrays \(none\)"),
        ({"x": X, "y": Y, "x_test": X}, "holds the arrays x, y, x_test"),
        ({"x": X, "y": Y, "z": X}, "holds the arrays x, y, z"),
        ({"x": X[0], "y": Y}, r"x in .* has the shape \(2,\)"),
        ({"x": X.reshape(3, 1, 2), "y": Y}, r"flattened with x.reshape"),
        ({"x": X[:0], "y": Y[:0]}, r"x in .* has the shape \(0, 2\)"),
        ({"x": X[:, :0], "y": Y}, r"x in .* has the shape \(3, 0\)"),
        ({"x": X.astype(complex), "y": Y}, "x in .* is complex128"),
        ({"x": X.astype(str), "y": Y}, "x in .* is <U"),
        ({"x": X, "y": Y[:2]}, r"y in .* has the shape \(2,\) .* for 3 rows"),
        ({"x": X, "y": Y.reshape(3, 1)}, r"y in .* has the shape \(3, 1\) and the type int64"),
        ({"x": X, "y": np.float64(1)}, r"y in .* has the shape \(\)"),
        ({"x": X, "y": np.ones((3, 0))}, r"y in .* has the shape \(3, 0\)"),
        ({"x": X, "y": np.ones((3, 1, 1))}, r"y in .* has the shape \(3, 1, 1\)"),
        ({"x": X, "y": np.ones(3, "M8[s]")}, "y in .* is datetime64"),
        ({"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, r"x_test \(3, 1\)"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y / 2}, "do not go with .* float64"),
        ({"x": X, "y": Y, "x_test": X[:2], "y_test": Y}, r"y_test in .* has the shape \(3,\)"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "y_test in .* holds the label 4, which y lacks"),
        ({"x": X, "y": np.array([1, "a", None], object)}, "holds Python objects"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "toy.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_arrays(tmp_path / "toy.npz")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X.astype(np.int64), Y, r"x in .* is int64. Save it as float32 or float64"),
        (X.astype(">f4"), Y, r"x in .* is >f4"),
        (X, np.ones(3, np.float16), "y in .* is float16"),
        (X, Y[:2], "for 3 rows"),
        (X.astype(object), Y, "x.npy cannot be read as numbers.*Python objects"),
        (X, Y.astype(object), "y.npy cannot be read as numbers.*Python objects"),
    ],
)
def test_bad_npy_files_are_refused(tmp_path, x, y, message):
    with pytest.raises(InputError, match=message):
        load_arrays(npy(tmp_path / "x.npy", x), target_path=npy(tmp_path / "y.npy", y))


def test_paths_that_do_not_hold_inputs_and_targets_are_refused(tmp_path):
    np.savez(tmp_path / "toy.npz", x=X, y=Y)
    for arguments in (
        {"path": "x.npy"},
        {"path": tmp_path / "toy.npz", "target_path": "y.npy"},
        {"path": "x.bin"},
    ):
        with pytest.raises(InputError, match=r"does not hold inputs and targets. Give a .npz file alone"):
            load_arrays(**arguments)
    with pytest.raises(InputError, match=r"nowhere.npz: No such file"):
        load_arrays(tmp_path / "nowhere.npz")
    with pytest.raises(InputError, match=r"nowhere.npy: No such file"):
        load_arrays(npy(tmp_path / "x.npy", X), target_path=tmp_path / "nowhere.npy")


def test_an_array_file_truncated_anywhere_is_refused(tmp_path):
    whole = npy(tmp_path / "x.npy", X).read_bytes()
    np.savez(tmp_path / "toy.npz", x=X, y=Y)
    archive = (tmp_path / "toy.npz").read_bytes()
    npy(tmp_path / "y.npy", Y)
    for size in range(0, len(whole), 5):
        write(tmp_path / "x.npy", whole[:size])
        with pytest.raises(InputError, match="cannot be read as numbers"):
            load_arrays(tmp_path / "x.npy", target_path=tmp_path / "y.npy")
    for size in range(0, len(archive), 5):
        write(tmp_path / "toy.npz", archive[:size])
        with pytest.raises(InputError, match="cannot be read as numbers"):
            load_arrays(tmp_path / "toy.npz")


def test_files_of_another_kind_are_refused(tmp_path):
    pickled = write(tmp_path / "x.npy", pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="cannot be read as numbers"):
        load_arrays(pickled, target_path=npy(tmp_path / "y.npy", Y))
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(InputError, match="cannot be read as numbers: File is not a zip file"):
        load_arrays(tmp_path / "array.npz")
    with zipfile.ZipFile(tmp_path / "bytes.npz", "w") as archive:
        archive.writestr("x", b"no array")
        archive.writestr("y", b"no array")
    with pytest.raises(InputError, match=r"x in .* is no array"):
        load_arrays(tmp_path / "bytes.npz")


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 2), }" % 2**55
    hostile = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(64)
    with zipfile.ZipFile(tmp_path / "toy.npz", "w") as archive:
        archive.writestr("x.npy", hostile)
        archive.writestr("y.npy", hostile)
    with pytest.raises(InputError, match="cannot be read as numbers"):
        load_arrays(tmp_path / "toy.npz")
    with pytest.raises(InputError, match="cannot be read as numbers"):
        load_arrays(write(tmp_path / "x.npy", hostile), target_path=npy(tmp_path / "y.npy", Y))


@REPEATED
@given(st.data())
def test_flipped_bytes_in_an_array_file_load_or_are_refused(tmp_path, data):
    content = bytearray(npy(tmp_path / "x.npy", X).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    write(tmp_path / "x.npy", bytes(content))
    try:
        loaded = load_arrays(tmp_path / "x.npy", target_path=npy(tmp_path / "y.npy", np.ones(3)))
    except InputError:
        return
    assert loaded.x.dtype in (np.float32, np.float64)
    assert loaded.x.ndim == 2
