"""Data sets: image files, downloads, arrays, the bundled sets, and the one door to them."""

import gzip
import os
import pickle
import struct
import subprocess
import sys
import urllib.error
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastmlp import datasets
from fastmlp.datasets import Dataset, download, load, load_arrays, load_idx_folder, read_idx
from fastmlp.errors import InputError

REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array: np.ndarray) -> bytes:
    """An IDX file by hand."""
    header = struct.pack(f">2xBB{array.ndim}I", CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def real(name: str) -> Path:
    """A folder of the real data, or a skip."""
    if "FASTMLP_DATA" not in os.environ:
        pytest.skip("the environment variable FASTMLP_DATA does not name the folder of the real data")
    return Path(os.environ["FASTMLP_DATA"], name)


# IDX files.

IDX_ARRAYS = st.sampled_from(sorted(CODES)).flatmap(
    lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
)


@REPEATED
@given(IDX_ARRAYS, st.booleans())
def test_every_idx_type_comes_back(tmp_path, array, compressed):
    content = idx(array)
    read = read_idx(write(tmp_path / "data", gzip.compress(content, 1) if compressed else content))
    np.testing.assert_array_equal(read, array, strict=True)
    assert read.dtype.isnative


PIXELS = idx(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not an IDX file: it starts with the bytes \(none\)"),
        (b"\0\0\x08", "starts with the bytes 00 00 08"),
        (b"\0\0\x0a\x01" + bytes(8), "starts with the bytes 00 00 0a 01"),
        (b"\1\0\x08\x01" + bytes(8), "not an IDX file"),
        (b"a,b\n1,2\n", "not an IDX file"),
        (b"\0\0\x08\0" + bytes(8), "states 0 dimensions"),
        (b"\0\0\x08\xff" + bytes(1020), "states 255 dimensions. 1 to 32"),
        (PIXELS[:15], "ends within its header"),
        (PIXELS[:-1], r"shape \(3, 2, 2\) and type uint8 needs 12 bytes .* holds only 11"),
        (PIXELS + b"x", "needs 12 bytes after its header, but holds more"),
        (struct.pack(">2xBBII", 8, 2, 0, 2**32 - 1), "holds nothing"),
        (struct.pack(">2xBB32I", 14, 32, *[2**32 - 1] * 32) + bytes(99), "holds only 99"),
        (gzip.compress(PIXELS)[:-1], "compressed file .* is damaged"),
        (gzip.compress(PIXELS)[:12], "compressed file .* is damaged"),
        (gzip.compress(PIXELS) + b"garbage", "compressed file .* is damaged"),
        (gzip.compress(PIXELS)[:-8] + bytes(8), "compressed file .* is damaged"),
        (gzip.compress(PIXELS)[:10] + bytes(30), "compressed file .* is damaged"),
        (gzip.compress(PIXELS[:-1]), "holds only 11"),
        (gzip.compress(PIXELS + bytes(10**6)), "holds more"),
    ],
)
def test_a_bad_idx_file_is_refused(tmp_path, content, message):
    path = write(tmp_path / "data", content)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_missing_idx_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: No such file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(InputError, match="Is a directory"):
        read_idx(tmp_path)


@REPEATED
@given(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x0d\x02\0\0", b"\x1f\x8b\x08\0", b"\0\0\x08\x01\0\0\0\x05"]),
    st.booleans(),
)
def test_random_bytes_are_an_array_or_an_input_error(tmp_path, content, start, compressed):
    content = start + content
    path = write(tmp_path / "data", gzip.compress(content, 1) if compressed else content)
    try:
        array = read_idx(path)
    except InputError:
        return
    assert idx(array) == content


# Image sets.


def image_files(folder: Path, mark: str = "-", suffix: str = "", **changes: np.ndarray) -> Path:
    """A folder of 5 training and 3 test images of 2 x 3 pixels."""
    arrays = {
        "train_images": np.arange(30, dtype=np.uint8).reshape(5, 2, 3) * 8,
        "train_labels": np.array([0, 2, 1, 0, 2], np.uint8),
        "t10k_images": np.full((3, 2, 3), 255, np.uint8),
        "t10k_labels": np.array([1, 0, 2], np.uint8),
    } | changes
    for name, array in arrays.items():
        content = idx(array)
        path = folder / f"{name.replace('_', '-')}{mark}idx{3 if 'images' in name else 1}-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_images_is_loaded_under_each_naming(tmp_path, mark, suffix):
    data = load_idx_folder(image_files(tmp_path, mark, suffix), "toy")
    expected = (np.arange(30, dtype=np.float32).reshape(5, 6) * 8) / np.float32(255)
    np.testing.assert_array_equal(data.x, expected, strict=True)
    np.testing.assert_array_equal(data.y, np.array([0, 2, 1, 0, 2], np.int64), strict=True)
    np.testing.assert_array_equal(data.x_test, np.ones((3, 6), np.float32), strict=True)
    assert data.y_test.tolist() == [1, 0, 2]
    assert (data.name, data.task, data.class_names) == ("toy", "classification", ("0", "1", "2"))
    assert data.feature_names[-1] == "pixel5"


def test_a_folder_gives_its_name_and_fashion_its_classes(tmp_path, monkeypatch):
    (tmp_path / "fashion-mnist").mkdir()
    monkeypatch.chdir(image_files(tmp_path / "fashion-mnist"))
    data = load_idx_folder(".")
    assert data.name == "fashion-mnist"
    assert (data.class_names[0], data.class_names[9]) == ("T-shirt/top", "Ankle boot")


def test_a_missing_image_file_is_named_with_the_places_looked_at(tmp_path):
    image_files(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"lacks the t10k-labels .*t10k-labels\.idx1-ubyte\.gz"):
        load_idx_folder(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(4, np.uint8)}, r"training images .* \(5, 2, 3\) .* labels \(4,\)"),
        ({"t10k_labels": np.zeros((3, 1), np.uint8)}, r"test images .* labels \(3, 1\)"),
        ({"t10k_images": np.zeros((3, 3, 2), np.uint8)}, r"\(2, 3\) for training and \(3, 2\) for testing"),
        ({"train_images": np.zeros(5, np.uint8)}, r"have the shape \(5,\)"),
        ({"train_images": np.zeros((5, 2, 3), np.float32)}, "are float32 and their labels uint8"),
        ({"t10k_labels": np.zeros(3, np.int32)}, "labels int32"),
        ({"t10k_labels": np.full(3, 10, np.uint8)}, "have the label 10. Only 0 to 9"),
    ],
)
def test_image_files_that_do_not_belong_together_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        load_idx_folder(image_files(tmp_path, **changes), "fashion-mnist")


@pytest.mark.parametrize(
    ("name", "ink", "train_counts", "test_counts"),
    [
        (
            "mnist",
            33.318,
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        ),
        ("fashion-mnist", 72.940, [6000] * 10, [1000] * 10),
    ],
)
def test_the_real_image_sets(name, ink, train_counts, test_counts):
    real(name)
    data = load(name)
    assert (data.x.shape, data.x.dtype, data.x_test.shape) == ((60000, 784), np.float32, (10000, 784))
    assert np.bincount(data.y).tolist() == train_counts
    assert np.bincount(data.y_test).tolist() == test_counts
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert data.x.mean(dtype=np.float64) * 255 == pytest.approx(ink, abs=1e-3)
    assert len(data.class_names) == 10


# Downloads.


def answer(pixel: float = 51.0, label: object = "3", rows: int = 70000) -> SimpleNamespace:
    """What OpenML gives, as views of one pixel and one label."""
    return SimpleNamespace(
        data=np.broadcast_to(np.float64(pixel), (rows, 784)),
        target=np.broadcast_to(np.array(label, object), (rows,)),
    )


def test_a_download_asks_for_arrays_and_splits_them(monkeypatch):
    asked = []

    def fetch(name, **options):
        asked.append((name, options["as_frame"], options["parser"]))
        return answer()

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = download("fashion-mnist")
    assert (data.x.shape, data.x.dtype, data.x_test.shape) == ((60000, 784), np.float32, (10000, 784))
    assert (data.x[0, 0], data.y[0], data.y_test[-1]) == (np.float32(0.2), 3, 3)
    assert data.class_names[3] == "Dress"
    assert asked == [("Fashion-MNIST", False, "liac-arff")]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (urllib.error.URLError("Name or service not known"), "Name or service not known"),
        (TimeoutError("timed\nout"), "timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ValueError("md5 checksum of local file does not match"), "md5 checksum"),
        (EOFError("Compressed file ended"), "Compressed file ended"),
    ],
)
def test_a_failed_download_says_why_and_what_to_do(monkeypatch, error, cause):
    def fetch(*arguments, **options):
        warnings.warn("A network error occurred while downloading it. Retrying...", UserWarning, stacklevel=1)
        raise error

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(InputError, match=rf"could not be downloaded .*{cause}.*Pass a folder") as caught:
        download("mnist")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_answer", "message"),
    [
        (answer(rows=100), r"shape \(100, 784\)"),
        (answer(pixel=256.0, rows=10), "whole numbers from 0 to 255"),
        (answer(pixel=float("nan"), rows=10), "whole numbers from 0 to 255"),
        (answer(label="shirt", rows=10), "could not convert"),
    ],
)
def test_an_answer_that_is_not_the_data_is_refused(monkeypatch, given_answer, message):
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *arguments, **options: given_answer)
    with pytest.raises(InputError, match=message):
        download("mnist")


def test_only_two_names_can_be_downloaded():
    with pytest.raises(InputError, match=r"name='cifar' cannot be downloaded. Choose 'mnist' or 'fashion-mnist'"):
        download("cifar")


# Arrays.

X = np.arange(6, dtype=np.float32).reshape(3, 2)
Y = np.array([7, 3, 7])


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


# Bundled sets.


@pytest.mark.parametrize(
    ("name", "task", "rows", "features", "classes"),
    [
        ("digits", "classification", 1797, 64, 10),
        ("breast_cancer", "classification", 569, 30, 2),
        ("diabetes", "regression", 442, 10, 0),
        ("iris", "classification", 150, 4, 3),
    ],
)
def test_the_sets_of_scikit_learn(name, task, rows, features, classes):
    data = load(name)
    assert (data.name, data.task) == (name, task)
    assert (len(data.class_names), len(data.feature_names)) == (classes, features)
    n_test = -(-rows // 5)
    assert (data.x.shape, data.x_test.shape) == ((rows - n_test, features), (n_test, features))
    assert (data.y.shape, data.y_test.shape) == ((rows - n_test,), (n_test,))
    assert data.y.dtype == (np.float64 if task == "regression" else np.int64)
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_array_equal(
        np.sort(np.concatenate([data.y, data.y_test])), np.sort(bunch.target).astype(data.y.dtype)
    )
    np.testing.assert_array_equal(load(name).x, data.x)
    assert not np.array_equal(load(name, seed=1).x, data.x)
    whole = load(name, test_fraction=0)
    assert (len(whole.x), whole.x_test, whole.y_test) == (rows, None, None)
    if name == "digits":
        assert data.x.dtype == np.float32
        assert (data.x.min(), data.x.max()) == (0, 1)
    else:
        np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(data.x.std(axis=0), 1)
        assert abs(data.x_test.mean(axis=0)).max() > 1e-3


def test_inputs_and_labels_stay_together_in_the_split():
    data, bunch = load("digits"), sklearn.datasets.load_digits()
    labels = {row.tobytes(): label for row, label in zip(bunch.data, bunch.target, strict=True)}
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        assert [labels[(16.0 * row.astype(np.float64)).tobytes()] for row in x] == y.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 1}, "test_fraction=1 is not a share"),
        ({"test_fraction": -0.1}, "test_fraction=-0.1"),
        ({"test_fraction": float("nan")}, "test_fraction=nan"),
        ({"test_fraction": 0.9999}, "150 rows .* leave none to train on"),
        ({"seed": -1}, "seed=-1 is no seed"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_a_split_out_of_range_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        load("iris", **options)


def test_spirals_wind_outwards_without_noise():
    data = datasets.spirals(n=31, classes=3, noise=0)
    radius = np.hypot(*data.x.T)
    assert (data.x.shape, data.x.dtype, data.y.dtype) == ((31, 2), np.float64, np.int64)
    assert np.bincount(data.y).tolist() == [11, 10, 10]
    assert data.class_names == ("0", "1", "2")
    for label in range(3):
        arm = radius[data.y == label]
        assert arm[0] == 0
        assert (np.diff(arm) > 0).all()
        assert arm[-1] <= 1 + 1e-12
    # One arm turned by a third of a circle lies on the next.
    turn = np.exp(2j * np.pi / 3)
    arms = [(data.x[data.y == label] @ [1j, 1])[:10] for label in range(3)]
    np.testing.assert_allclose(arms[0] * turn, arms[1], atol=1e-12)
    np.testing.assert_allclose(arms[1] * turn, arms[2], atol=1e-12)


def test_xor_is_exact_without_noise():
    data = datasets.xor(4, noise=0)
    np.testing.assert_array_equal(data.x, [[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(data.y, np.array([0, 1, 1, 0], np.int64), strict=True)
    noisy = datasets.xor(2000, noise=0.1)
    assert (noisy.x - noisy.x.round()).std() == pytest.approx(0.1, rel=0.1)
    np.testing.assert_array_equal(noisy.y, np.logical_xor(*(noisy.x > 0.5).T))


@pytest.mark.parametrize("draw", [datasets.spirals, datasets.xor])
def test_drawn_sets_follow_their_seed(draw):
    first, again, other = draw(), draw(), draw(seed=1)
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x, other.x)
    assert not np.array_equal(first.x, first.x_test)
    np.testing.assert_array_equal(first.y, first.y_test)
    assert first.y is not first.y_test


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (datasets.spirals, {"n": 2}, "n=2 points are too few. Give a whole number from 3"),
        (datasets.spirals, {"n": 30.0}, "n=30.0"),
        (datasets.spirals, {"classes": 1}, "classes=1 cannot be told apart"),
        (datasets.spirals, {"noise": -1}, "noise=-1 is no standard deviation"),
        (datasets.xor, {"n": 3}, "n=3 points are too few"),
        (datasets.xor, {"noise": float("inf")}, "noise=inf"),
        (datasets.xor, {"noise": float("nan")}, "noise=nan"),
        (datasets.xor, {"seed": "0"}, "seed='0' is no seed"),
    ],
)
def test_drawn_sets_refuse_what_is_out_of_range(draw, options, message):
    with pytest.raises(InputError, match=message):
        draw(**options)


# The door.


def test_an_image_set_is_looked_for_in_its_places(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    with pytest.raises(InputError, match=r"FASTMLP_DATA is not set. Pass folder= .* or pass download=True"):
        load("mnist")
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path))
    with pytest.raises(InputError, match="mnist is no folder"):
        load("mnist")
    fetched = Dataset("fetched", X, Y, None, None, (), ())
    monkeypatch.setattr(datasets.catalog, "download_images", lambda name: fetched)
    assert load("mnist", download=True) is fetched
    (tmp_path / "mnist").mkdir()
    image_files(tmp_path / "mnist")
    assert load("mnist", download=True).x.shape == (5, 6)
    (tmp_path / "mine").mkdir()
    image_files(tmp_path / "mine", train_labels=np.full(5, 4, np.uint8))
    mine = load("mnist", folder=tmp_path / "mine", download=True)
    assert (mine.name, mine.y[0]) == ("mnist", 4)


def test_a_path_is_loaded_by_its_kind(tmp_path):
    image_files(tmp_path)
    assert load(tmp_path, name="toy").name == "toy"
    np.savez(tmp_path / "a.NPZ.npz", x=X, y=Y)
    assert load(str(tmp_path / "a.NPZ.npz")).x.shape == (3, 2)
    for suffix in (".csv", ".data", ".test", ".TXT"):
        path = write(tmp_path / f"t{suffix}", b"a;y\n1;2.5\n2;3.5\n3;4.5\n")
        assert load(path, delimiter=";").task == "regression"


def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris").mkdir()
    image_files(tmp_path / "iris")
    assert load("iris").x.shape == (120, 4)
    assert load("./iris").x.shape == (5, 6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnits", {}, "There is no data set 'mnits'. Did you mean 'mnist'\\? Choose digits, "),
        ("Fashion_MNIST", {}, "Did you mean 'fashion-mnist'"),
        ("qqqq", {}, r"'qqqq'\. Choose .* a folder of IDX files, or a file that ends in \.npz, \.npy, \.csv"),
        ("", {}, "There is no data set ''"),
        ("book.xlsx", {}, r"'book\.xlsx'\. Choose"),
        ("nowhere.csv", {}, "Cannot read nowhere.csv: No such file"),
        ("iris", {"sed": 1}, "'iris' takes no option 'sed'. Options: test_fraction, seed"),
        ("mnist", {"seed": 1}, "'mnist' takes no option 'seed'. Options: folder, download"),
        ("t.csv", {"target_path": 1}, "'t.csv' takes no option 'target_path'. Options: header, delimiter"),
        ("t.csv", {"path": "u.csv"}, "takes no option 'path'"),
        ("x.npy", {"target": 1}, "'x.npy' takes no option 'target'. Options: target_path"),
    ],
)
def test_an_unknown_name_or_option_is_refused_with_the_choices(name, options, message):
    with pytest.raises(InputError, match=message):
        load(name, **options)


def test_every_name_is_listed():
    assert datasets.NAMES == (
        "digits",
        "breast_cancer",
        "diabetes",
        "iris",
        "spirals",
        "xor",
        "mnist",
        "fashion-mnist",
    )


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, fastmlp.datasets; print({'sklearn', 'numba', 'pandas'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("set()\n", "")
