"""Model files: a saved model is loaded unchanged, and a bad file always raises ModelFileError."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from fastmlp.errors import InputError, ModelFileError
from fastmlp.serialization import load_model, save_model
from fastmlp.tensor_files import ALL_DTYPES, Kind, read_tensors, write_tensors

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
    """The bytes of a safetensors file."""
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


@pytest.mark.parametrize(
    "view",
    [
        *(lambda a: a.T, lambda a: a[::2, 1:], lambda a: np.asfortranarray(a), lambda a: a[::-1], lambda a: a[0, ::-2]),
        *(lambda a: a[:, 1], lambda a: np.broadcast_to(a[0], (3, 3))),
    ],
)
def test_views_are_saved_as_what_they_show(tmp_path, view):
    """safetensors 0.8 saves the memory under a view in wrong order, without an error."""
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
    assert description == {"version": 1, "digest": description["digest"], "header": HEADER}
    assert len(description["digest"]) == 64


def test_the_bytes_are_those_of_the_safetensors_library(tmp_path):
    wide = {"scalar": np.array(3.0), "empty": np.zeros((0, 4)), "é": np.arange(6.0).reshape(2, 3)}
    for tensors in (TENSORS, wide, {}):
        save_model(tmp_path / "model", tensors, HEADER)
        content = (tmp_path / "model").read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        metadata = json.loads(content[8 : 8 + size])["__metadata__"]
        assert content == save_safetensors(tensors, metadata)


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
        ({}, {"counts": {1: 2, "1": 3}}, "a key occurs twice"),
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
        (save_safetensors({"w": np.ones(3)}), "not a model file of fastmlp"),
        (save_safetensors({"w": np.ones(3)}, {"format": "pt"}), "not a model file of fastmlp"),
        (described('{"version": 2, "header": {}}'), r"version 2; .* reads up to 1\. Update it"),
        (described('{"version": 0, "header": {}}'), "version 0"),
        (described('{"version": true, "header": {}}'), "version True"),
        (described('{"version": "1", "header": {}}'), "version '1'"),
        (described('{"version": 1, "header": []}'), "of type list"),
        (described('{"version": 1}'), "header"),
        (described("[1]"), "header .* damaged"),
        (described("3"), "header .* damaged"),
        (described('{"version": 1'), "header .* damaged"),
        (described('{"version": 1, "header": {}, "digess": "0"}'), "it has the keys"),
        (described('{"version": 1, "header": {}, "digest": null}'), "the digest is None"),
        (described('{"version": 1, "header": {}, "digest": "0"}'), "not have the digest"),
        (described('{"version": 1, "header": {}, "header": {}}'), "a key occurs twice"),
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


def mutated(content: bytes, random: np.random.RandomState) -> bytes:
    """The content with a few bytes changed, its end cut off, or two parts swapped."""
    changed, kind = bytearray(content), random.randint(4)
    a, b = sorted(random.randint(0, len(content), 2))
    if kind == 0:
        return content[:a]
    if kind == 1:
        n = random.randint(1, 9)
        changed[a : a + n], changed[b : b + n] = changed[b : b + n], changed[a : a + n]
    else:
        for place in random.randint(0, len(content), random.randint(1, 4)):
            changed[place] = random.randint(256)
    return bytes(changed)


def every_byte_changed(content: bytes) -> Iterator[bytes]:
    for place in range(len(content)):
        for bits in (1, 2, 32, 128):
            yield content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


def test_a_damaged_file_never_loads_as_another_model(tmp_path, valid, caplog):
    """Nor does it count as a file without a digest, which is loaded with a note."""
    random, path, refused = np.random.RandomState(0), tmp_path / "model", 0
    for content in (*(mutated(valid, random) for _ in range(1000)), *every_byte_changed(valid)):
        path.write_bytes(content)
        try:
            tensors, header = load_model(path)
        except ModelFileError:
            refused += 1
            continue
        assert header == HEADER
        assert tensors.keys() == TENSORS.keys()
        for name, array in tensors.items():
            np.testing.assert_array_equal(array, TENSORS[name], strict=True)
    assert refused > 1000
    assert not caplog.records


def test_a_file_without_a_digest_is_loaded_with_a_note(tmp_path, caplog):
    path = tmp_path / "model"
    path.write_bytes(described('{"version": 1, "header": {}}'))
    tensors, header = load_model(path)
    np.testing.assert_array_equal(tensors["w"], np.ones(3), strict=True)
    assert header == {}
    assert [record.name for record in caplog.records] == ["fastmlp"]
    assert "wrote no digest" in caplog.text


def test_equal_models_give_equal_files(tmp_path):
    """For any hash seed of the process, and any memory layout of the arrays."""
    program = (
        "import numpy as np, sys; from fastmlp.serialization import save_model; "
        "save_model(sys.argv[1], {c: np.ones((2, 3)) for c in 'gabfc'}, {c: 1 for c in 'hxa'})"
    )
    contents = set()
    for seed in ("1", "2"):
        path = tmp_path / seed
        subprocess.run([sys.executable, "-c", program, path], check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        contents.add(path.read_bytes())
    for order in ("C", "F"):
        save_model(tmp_path / order, {c: np.ones((2, 3), order=order) for c in "gabfc"}, dict.fromkeys("hxa", 1))
        contents.add((tmp_path / order).read_bytes())
    assert len(contents) == 1


CHECKPOINT = Kind("checkpoint", "fastmlp.test", "train anew")


def test_other_kinds_of_files_hold_all_dtypes_and_values(tmp_path):
    arrays = {dtype.__name__: np.arange(3).astype(dtype) for dtype in ALL_DTYPES.values()}
    arrays |= {"not finite": np.array([np.nan, np.inf]), "empty": np.zeros((0, 2), np.int64), "scalar": np.uint32(7)}
    write_tensors(tmp_path / "file", arrays, HEADER, CHECKPOINT)
    loaded, header = read_tensors(tmp_path / "file", CHECKPOINT)
    assert header == HEADER
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], np.asarray(array), strict=True)


def test_no_kind_of_file_passes_for_another(tmp_path, valid):
    write_tensors(tmp_path / "checkpoint", TENSORS, HEADER, CHECKPOINT)
    with pytest.raises(ModelFileError, match="not a model file of fastmlp"):
        load_model(tmp_path / "checkpoint")
    (tmp_path / "model").write_bytes(valid)
    with pytest.raises(ModelFileError, match="not a checkpoint of fastmlp"):
        read_tensors(tmp_path / "model", CHECKPOINT)


def test_only_models_are_ever_read_without_a_digest(tmp_path):
    (tmp_path / "file").write_bytes(
        save_safetensors({"w": np.ones(3)}, {CHECKPOINT.key: '{"version": 1, "header": {}}'})
    )
    with pytest.raises(ModelFileError, match="it has the keys"):
        read_tensors(tmp_path / "file", CHECKPOINT)


@REPEATED
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_refused(tmp_path, content, framed):
    (tmp_path / "model").write_bytes(raw(content) if framed else content)
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "model")


def test_importing_the_module_does_not_import_safetensors():
    program = "import sys, fastmlp.serialization; sys.exit('safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
