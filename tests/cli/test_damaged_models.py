"""Models that are truncated, damaged or contradict themselves are refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.command import fail, only_clean_ends
from fastmlp.serialization import load_model, save_model


def test_truncated_and_damaged_models(tiny, tiny_model):
    whole = Path(tiny_model).read_bytes()
    for length in [*range(0, 64, 7), *range(64, len(whole), 97), len(whole) - 1]:
        Path("broken.safetensors").write_bytes(whole[:length])
        fail("predict", "broken.safetensors", tiny, about="broken.safetensors")
    random = np.random.RandomState(0)
    good = only_clean_ends("predict", tiny_model, tiny)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.randint(0, len(whole), random.randint(1, 4)):
            damaged[place] = random.randint(256)
        Path("broken.safetensors").write_bytes(damaged)
        ended = only_clean_ends("predict", "broken.safetensors", tiny)
        assert ended.code == 1 or ended.out == good.out


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.sampled_from([10**400, "\ud800"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


def places(value, path=()):
    """The paths to everything inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])  # what they make stays
@given(data=st.data())
def test_hostile_descriptions_in_a_model(data, tiny, tiny_model):
    tensors, header = load_model(tiny_model)
    path = data.draw(st.sampled_from([*places(header)][1:]), label="place")
    value = data.draw(json_values, label="value")
    at, last = header, path[0]
    for key in path[1:]:
        at, last = at[last], key
    if data.draw(st.booleans(), label="remove") and isinstance(at, dict):
        del at[last]
    else:
        at[last] = value
    save_model("hostile.safetensors", tensors, header)
    command = data.draw(st.sampled_from(["predict", "evaluate"]))
    assert only_clean_ends(command, "hostile.safetensors", tiny).code in (0, 1)


@pytest.mark.parametrize("loss", [["binary_cross_entropy", [0.5]], ["huber", []], ["huber", [1, 2]], ["quantile", []]])
def test_a_loss_with_other_parameters_than_it_takes_is_refused(tiny, tiny_model, loss):
    tensors, header = load_model(tiny_model)
    save_model("hostile.safetensors", tensors, header | {"loss": loss})
    result = only_clean_ends("predict", "hostile.safetensors", tiny)
    assert result.code == 1
    assert f"its loss {loss[0]} has the parameters" in result.err


def test_notes_that_contradict_the_model_are_refused(tiny, tiny_model):
    tensors, header = load_model(tiny_model)
    notes = header["metadata"]["fastmlp.cli"]
    for change in (
        {"class_names": ["a", "b", "c"]},
        {"class_names": ["yes", "no"]},
        {"features": {"mean": [0.0], "std": [1.0]}},
        {"target": {"mean": [0.0, 0.0], "std": [1.0, 1.0]}},
        {"target": {"mean": [0.0], "std": [1.0, 1.0]}},
        {"target": {"mean": [0.0], "std": [0.0]}},
        {"encoder": None},
        {"expansion": None},
        {"expansion": {"columns": []}},
        {"expansion": {"columns": [{"kind": "number", "edges": []}, {"kind": "indicators", "categories": 3}]}},
        {"bounds": {"low": [0.0], "high": [1.0, 2.0]}},
        {"bounds": {"low": [0.0], "high": [-1.0]}},
        {"reading": None},
    ):
        save_model("odd.safetensors", tensors, {**header, "metadata": {"fastmlp.cli": {**notes, **change}}})
        fail("predict", "odd.safetensors", tiny, about="preparation")
