"""Model files: what goes in comes out, and nothing but a ModelFileError comes of a bad one."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from fastmlp.errors import InputError, ModelFileError
from fastmlp.serialization import load_model, save_model

TENSORS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "biases": np.array([0.5, -1.0])}
HEADER = {"layers": [2, 3], "activation": "relu", "lr": 0.1, "classes": ["ä", "b"], "note": None}
REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
ARRAYS = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)


def raw(header: object, data: bytes = b"") -> bytes:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def described(description: str) -> bytes:
    """A safetensors file with this text under the key of fastmlp."""
    return save_safetensors({"w": np.ones(3)}, {"fastmlp": description})


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "valid"
    save_model(path, TENSORS, HEADER)
    return path.read_bytes()


@settings(REPEATED, max_examples=25)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), ARRAYS, max_size=4))
def test_tensors_come_back_bit_for_bit_and_writable(tmp_path, tensors):
    save_model(tmp_path / "model", tensors, HEADER)
    loaded, header = load_model(tmp_path / "model")
    assert header == HEADER
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(loaded[name], array, strict=True)
        assert loaded[name].flags.writeable


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[::2, 1:], lambda a: np.asfortranarray(a)])
def test_views_are_saved_as_what_they_show(tmp_path, view):
    array = view(np.arange(12.0).reshape(4, 3))
    save_model(str(tmp_path / "model"), {"w": array}, {})
    np.testing.assert_array_equal(load_model(str(tmp_path / "model"))[0]["w"], array, strict=True)


def test_a_header_keeps_values_that_are_not_finite(tmp_path):
    save_model(tmp_path / "model", {}, {"loss": [float("inf"), float("nan")]})
    assert repr(load_model(tmp_path / "model")[1]) == "{'loss': [inf, nan]}"


def test_the_file_is_plain_safetensors_with_a_version(valid):
    np.testing.assert_array_equal(load_safetensors(valid)["weights"], TENSORS["weights"])
    (size,) = struct.unpack("<Q", valid[:8])
    description = json.loads(json.loads(valid[8 : 8 + size])["__metadata__"]["fastmlp"])
    assert description == {"version": 1, "header": HEADER}


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({"w": np.ones(2, np.float16)}, {}, "'w' is float16"),
        ({"w": np.ones(2, int)}, {}, "'w' is int64"),
        ({"w": np.array(["a"])}, {}, "'w' is <U1"),
        ({"w": np.array([1.0, np.nan])}, {}, "'w' holds values that are not finite"),
        ({"w": np.array([-np.inf], np.float32)}, {}, "'w' holds values that are not finite"),
        ({"__metadata__": np.ones(2)}, {}, "reserved"),
        ({}, {"seed": object()}, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_loaded_again_is_not_saved(tmp_path, tensors, header, message):
    with pytest.raises(InputError, match=message):
        save_model(tmp_path / "model", tensors, header)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_model(tmp_path, valid):
    (tmp_path / "model").write_bytes(valid)
    with pytest.raises(InputError):
        save_model(tmp_path / "model", {"w": np.ones(2, int)}, {})
    assert (tmp_path / "model").read_bytes() == valid


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"nowhere\.fastmlp: no such file"):
        load_model(tmp_path / "nowhere.fastmlp")
    with pytest.raises(ModelFileError, match="it is a folder"):
        load_model(tmp_path)


def test_a_file_truncated_at_any_byte_is_refused(tmp_path, valid):
    path = tmp_path / "model"
    for size in range(len(valid)):
        path.write_bytes(valid[:size])
        with pytest.raises(ModelFileError, match="truncated"):
            load_model(path)
    path.write_bytes(valid + b"x")
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)


TENSOR = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}
META = {"__metadata__": {"fastmlp": json.dumps({"version": 1, "header": {}})}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated"),
        (b"PK\x03\x04" + bytes(100), "not a model file"),
        (b"\x80\x04\x95cos\nsystem\n" + bytes(100), "not a model file"),
        (save_safetensors({"w": np.ones(3)}), "not a model of fastmlp"),
        (save_safetensors({"w": np.ones(3)}, {"format": "pt"}), "not a model of fastmlp"),
        (described('{"version": 2, "header": {}}'), r"version 2; .* reads up to 1\. Update it"),
        (described('{"version": 0, "header": {}}'), "version 0"),
        (described('{"version": true, "header": {}}'), "version True"),
        (described('{"version": "1", "header": {}}'), "version '1'"),
        (described('{"version": 1, "header": []}'), "of type list"),
        (described('{"version": 1}'), "header"),
        (described("[1]"), "header .* damaged"),
        (described("3"), "header .* damaged"),
        (described('{"version": 1'), "header .* damaged"),
        (described("[" * 100_000), "header .* damaged"),
        (described('{"version": ' + "9" * 5000 + "}"), "header .* damaged"),
        (raw({**META, "w": TENSOR}, struct.pack("<d", float("nan"))), "'w' .* not finite"),
        (raw({**META, "w": {**TENSOR, "dtype": "I64"}}, bytes(8)), "'w' .* is I64"),
        (raw({**META, "w": {**TENSOR, "dtype": "BF16", "shape": [4]}}, bytes(8)), "'w' .* is BF16"),
        (raw({**META, "w": {**TENSOR, "shape": [2]}}, bytes(8)), "cannot be read"),
        (raw({**META, "w": {**TENSOR, "data_offsets": [8, 16]}}, bytes(16)), "cannot be read"),
        (raw({**META, "w": {**TENSOR, "shape": [2**62, 0], "data_offsets": [0, 0]}}), "cannot be read"),
        (raw({**META, "w": {**TENSOR, "shape": [1] * 100}}, bytes(8)), "cannot be read"),
        (struct.pack("<Q", 2**63) + b"{}", "cannot be read"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path, content, message):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def load_or_refuse(path) -> None:
    """Any error but a ModelFileError fails the test."""
    try:
        tensors, header = load_model(path)
    except ModelFileError:
        return
    assert isinstance(header, dict)
    assert all(np.isfinite(array).all() for array in tensors.values())


@REPEATED
@given(st.data())
def test_flipped_bytes_load_or_are_refused(tmp_path, valid, data):
    content = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "model").write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    load_or_refuse(tmp_path / "model")


@REPEATED
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_refused(tmp_path, content, framed):
    (tmp_path / "model").write_bytes(raw(content) if framed else content)
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "model")


def test_importing_the_module_does_not_import_safetensors():
    program = "import sys, fastmlp.serialization; sys.exit('safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
