"""IDX files: every dtype is read correctly, and a bad file is refused with the reason."""

import gzip
import struct

import numpy as np
import pytest
from dataset_files import CODES, REPEATED, idx, write
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastmlp.datasets import read_idx
from fastmlp.errors import InputError

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


def zipped(content):
    """Without the time, so that the tests' names are the same in every process."""
    return gzip.compress(content, mtime=0)


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
        (zipped(PIXELS)[:-1], "compressed file .* is damaged"),
        (zipped(PIXELS)[:12], "compressed file .* is damaged"),
        (zipped(PIXELS) + b"garbage", "compressed file .* is damaged"),
        (zipped(PIXELS)[:-8] + bytes(8), "compressed file .* is damaged"),
        (zipped(PIXELS)[:10] + bytes(30), "compressed file .* is damaged"),
        (zipped(PIXELS[:-1]), "holds only 11"),
        (zipped(PIXELS + bytes(10**6)), "holds more"),
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
