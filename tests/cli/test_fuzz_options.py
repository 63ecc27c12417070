"""Random options: the command ends cleanly, and writes nothing if it fails."""

from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.command import only_clean_ends
from fastmlp import MLP

FIXTURES = [HealthCheck.function_scoped_fixture]  # what they make does not change

NUMBERS = [
    "",
    "-1",
    "0",
    "1",
    "2",
    "3.5",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "1e308",
    "1e999",
    "9" * 30,
    "9" * 5000,
    "x",
    "٣",
]
PATHS = [
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/full",
    "nowhere/x.csv",
    "x" * 300 + ".csv",
    "\udcff.csv",
    "a\nb.csv",
    "-",
]
PATHS += [
    path + suffix for path in ("m", "/proc/m", "tiny.csv/m", "tiny") for suffix in (".safetensors", ".json", ".png")
]
LISTS = [
    "",
    ",",
    "a",
    "a,a",
    "label",
    "size,nosuch",
    '"',
    '"a',
    "\udcff",
    "0",
    "none",
    "relu,",
    "1,2,3",
    "tanh,softmax",
]
FUZZED = {
    **dict.fromkeys(["--epochs", "--batch-size", "--patience", "--threads", "--seed", "--skip-lines"], NUMBERS),
    **dict.fromkeys(["--lr", "--l1", "--l2", "--momentum", "--max-norm", "--target-loss", "--dropout"], NUMBERS),
    **dict.fromkeys(["--test-fraction", "--validation-fraction", "--test-skip-lines", "--target", "--decay"], NUMBERS),
    **dict.fromkeys(["--hidden", "--activation", "--categorical", "--drop-columns", "--missing-values"], LISTS),
    **dict.fromkeys(["--strip-label", "--delimiter", "--target ", "--columns", "--encoding", "--decimal"], LISTS),
    **dict.fromkeys(["--out", "--history", "--plot", "--test-file", "--target-file", "--folder"], PATHS),
    "--keep": LISTS,
    "--split": ["ordered", "sorted"],
    "--thousands": [",", "."],
    "--optimizer": ["sgd", "adamw", "lbfgs"],
    "--schedule": ["warm_up", "reduce_on_plateau", "none"],
    "--loss": ["poisson", "huber", "softmax_cross_entropy", "mean_squared_error"],
    "--missing": ["drop", "impute", "keep"],
    "--task": ["regression", "classification"],
    "--class-weight": ["balanced"],
}
FLAGS = ["--no-header", "--no-standardize", "--quiet"]


options = st.one_of(
    st.sampled_from([*FUZZED]).flatmap(
        lambda name: st.sampled_from(FUZZED[name]).map(lambda value: [name.strip(), value])
    ),
    st.sampled_from(FLAGS).map(lambda flag: [flag]),
)


@settings(max_examples=250, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_fuzzed_options_of_train(data, tiny_folder):
    name = data.draw(
        st.sampled_from(["tiny.csv", "tiny.csv", "tiny.csv", "iris", "xor", "diabetes", "tiny.npz", *PATHS])
    )
    given_options = chain.from_iterable(data.draw(st.lists(options, max_size=4)))
    before = tiny_folder.content()
    result = only_clean_ends("train", name, *given_options)
    if result.code:
        assert tiny_folder.content() == before, "a command that failed has written"


@pytest.fixture
def tiny_folder(tiny, monkeypatch, tmp_path):
    """A folder with small data, and options that keep the training short."""
    np.savez("tiny.npz", x=np.random.RandomState(0).rand(12, 2), y=np.arange(12) % 3)
    fit = MLP.fit
    monkeypatch.setattr(MLP, "fit", lambda self, *a, epochs, **k: fit(self, *a, epochs=min(epochs, 2), **k))

    def content():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    return SimpleNamespace(content=content)


@settings(max_examples=60, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_fuzzed_options_of_predict_and_evaluate(data, tiny_folder, tiny_model):
    command = data.draw(st.sampled_from(["predict", "evaluate"]))
    path = data.draw(st.sampled_from([tiny_model, tiny_model, "tiny.csv", *PATHS]))
    name = data.draw(st.sampled_from(["tiny.csv", "tiny.csv", "iris", "tiny.npz", *PATHS]))
    names = {
        "predict": ["--skip-lines", "--delimiter", "--out", "--threads", "--keep", "--encoding"],
        "evaluate": ["--skip-lines", "--target-file"],
    }
    given_options = []
    for option in data.draw(st.lists(st.sampled_from(names[command]), max_size=2)):
        given_options += [option, data.draw(st.sampled_from(FUZZED[option]))]
    before = tiny_folder.content()
    if only_clean_ends(command, path, name, *given_options).code:
        assert tiny_folder.content() == before
