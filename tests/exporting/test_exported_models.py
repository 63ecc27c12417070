"""`fastmlp export` and tabular estimators: the files predict what the command and the estimators predict."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cli.command import fail, misuse, run, succeed

from exporting.c_programs import needs_compiler, program
from exporting.networks import network, samples
from exporting.onnx_sessions import needs_onnx, outputs
from fastmlp import MLP, TabularClassifier, TabularRegressor
from fastmlp.datasets import load, read_table
from fastmlp.tables.encoding.columns import CategoryColumn
from fastmlp.tables.meaning.missing import present
from fastmlp.tables.preparation import Preparation

DATA = os.environ.get("FASTMLP_DATA")
SETS = ("digits", "iris", "breast_cancer", "diabetes", "spirals", "xor", "mnist", "fashion-mnist")
FILES = {
    "fish": ("fish/Fish.csv", ["--target", "Weight"]),
    "housing": ("california-housing/housing.csv", ["--target", "median_house_value", "--quantiles", "0.1,0.5,0.9"]),
    "ilpd": ("ilpd/indian_liver_patient.csv", []),
    "adult": ("adult/adult.data", ["--no-header"]),
}


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTMLP_BACKEND", "numpy")
    monkeypatch.chdir(tmp_path)


def trained(data, *options):
    """The preparation of a model, hardly trained, and what it predicts: labels or nothing, and numbers (N, O)."""
    if "--quantiles" in options:
        options = (*options, "--loss", "quantile")
    succeed_with_notes("train", data, *options, "--epochs", 1, "--hidden", 8, "--quiet", "--out", "m.safetensors")
    preparation = Preparation.of(MLP.load("m.safetensors"))
    rows = predictions_with_notes("m.safetensors", data, *(["--proba"] if preparation.class_names else []))
    labels = [row[0] for row in rows] if preparation.class_names else None
    return preparation, labels, np.array([row[bool(labels) :] for row in rows], float)


def succeed_with_notes(*arguments):
    result = run(*arguments)
    assert result.code == 0, result
    return result.out


def predictions_with_notes(*arguments):
    return list(csv.reader(io.StringIO(succeed_with_notes("predict", *arguments))))[1:]


def inputs_of(preparation, table):
    """Columns of a table as the inputs of a graph."""
    inputs = {}
    for column in preparation.encoder.columns:
        values = present(table.column(column.name), preparation.encoder.missing_values)
        if isinstance(column, CategoryColumn):
            inputs[column.name] = np.array([["" if text is None else str(text)] for text in values], object)
        else:
            inputs[column.name] = column.numbers(values)[:, None]
    return inputs


def assert_same_in_onnx(inputs, labels, numbers):
    succeed("export", "m.safetensors", "m.onnx")
    got = outputs("m.onnx", **inputs)
    if labels is not None:
        assert [*map(str, got.pop("label").tolist())] == labels
    ((_, value),) = got.items()
    np.testing.assert_allclose(value, numbers, rtol=1e-6, atol=3e-6 * max(1, np.abs(numbers).max()))


def assert_same_in_c(text, labels, numbers):
    succeed("export", "m.safetensors", "m.c")
    code, out, err = program(Path("m.c"))(text)
    assert (code, err) == (0, "")
    rows = list(csv.reader(io.StringIO(out)))
    if labels is not None:
        assert [row.pop(0) for row in rows] == labels
    got = np.array(rows, float)
    want = numbers[:, 1:] if got.shape[1] < numbers.shape[1] else numbers  # of two classes the second alone
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * max(1, np.abs(want).max()))


@needs_onnx()
@needs_compiler()
@pytest.mark.parametrize("name", SETS)
def test_named_sets(name, monkeypatch):
    if "mnist" in name:
        if not DATA:
            pytest.skip("FASTMLP_DATA names no folder")
        monkeypatch.setenv("FASTMLP_DATA", DATA)
    _, labels, numbers = trained(name)
    data = load(name) if "mnist" in name else load(name, seed=0)
    x = (data.x if data.x_test is None else data.x_test).astype(np.float32)
    assert_same_in_onnx({"x": x}, labels, numbers)
    some = None if labels is None else labels[:200]
    assert_same_in_c("\n".join(",".join(map(str, row)) for row in x[:200].tolist()), some, numbers[:200])


@needs_onnx()
@needs_compiler()
@pytest.mark.parametrize("name", FILES)
def test_tables(name):
    file, options = FILES[name]
    path = Path(DATA or "none", file)
    if not path.is_file():
        pytest.skip(f"FASTMLP_DATA has no {file}")
    preparation, labels, numbers = trained(path, *options)
    table = read_table(str(path), header="--no-header" not in options)
    assert_same_in_onnx(inputs_of(preparation, table), labels, numbers)
    assert_same_in_c(path.read_text(encoding="utf-8"), labels, numbers)


ODD = '''\
when,size,kind,code,yes,y
2020-01-31,1e+5,"red, or so",1,True,1.5
2021-02-01,100001,"a ""b""",2,False,2.5
2022-12-24,NA,?,3,True,3.5
,100003,blue,10,,4.5
2023-07-01,100002,red,1,False,0.5
2023-08-01,-999,blue,2,True,1.5
2023-09-12,100002,new,10,False,2.5
'''


@pytest.fixture
def odd():
    Path("odd.csv").write_text(ODD, encoding="utf-8")
    return ["odd.csv", "--target", "y", "--task", "regression", "--also-missing", "-999", "--categorical", "code,kind"]


@needs_onnx()
@pytest.mark.parametrize("features", [[], ["--one-hot", 2, "--bins", 3], ["--bins", 0]])
def test_dates_categories_and_missing_values_in_onnx(odd, features):
    preparation, labels, numbers = trained(*odd, *features)
    inputs = inputs_of(preparation, read_table("odd.csv"))
    assert_same_in_onnx(inputs, labels, numbers)
    code = np.array([["1.0"], ["2"], ["3.0"], ["10"], ["1"], ["2.0"], ["10.0"]], object)
    got = outputs("m.onnx", **inputs | {"code": code})
    np.testing.assert_allclose(got["prediction"], numbers, rtol=1e-6)
    inputs["size"][5] = -999
    np.testing.assert_allclose(outputs("m.onnx", **inputs)["prediction"], numbers, rtol=1e-6)
    inputs["kind"][:] = "never seen"
    unseen = pl.read_csv("odd.csv").with_columns(kind=pl.lit("never seen"))
    unseen.write_csv("unseen.csv")
    want = np.array(predictions_with_notes("m.safetensors", "unseen.csv"), float)
    np.testing.assert_allclose(outputs("m.onnx", **inputs)["prediction"], want, rtol=1e-6)


@needs_compiler()
@pytest.mark.parametrize("features", [[], ["--one-hot", 2, "--bins", 3], ["--bins", 0]])
def test_categories_and_missing_values_in_c(odd, features):
    _, labels, numbers = trained(*odd, "--drop-columns", "when", *features)
    assert_same_in_c("\ufeff" + ODD, labels, numbers)
    compiled = program(Path("m.c"))
    code, out, err = compiled(ODD.replace("100001", "100.001 $"))
    assert code == 1 and out.count("\n") == 1 and err == "line 3: '100.001 $' in the column size is no number\n"
    assert compiled("size,kind\n")[2] == "line 1 lacks the column code; commas are to separate the columns\n"
    assert compiled("kind,size,yes,code\nred,1,True\n")[2] == "line 2 has 3 fields, too few\n"


def test_what_c_cannot_read(odd):
    trained(*odd)
    fail("export", "m.safetensors", "m.c", about="'when' holds dates or times")
    assert not Path("m.c").exists()


@needs_onnx()
@pytest.mark.parametrize("labels", [["no", "yes"], [3, 7], [False, True], ["a", "b", "c"]])
def test_tabular_classifiers(labels):
    random = np.random.RandomState(0)
    frame = pl.DataFrame({"x": random.randn(90), "kind": random.choice(["a", "b"], 90)})
    y = np.array(labels)[random.randint(0, len(labels), 90)]
    model = TabularClassifier(epochs=1, decay=0.1, random_state=0).fit(frame, y)
    model.to_onnx("m.onnx")
    got = outputs("m.onnx", x=frame["x"].to_numpy()[:, None], kind=np.array(frame["kind"].to_list(), object)[:, None])
    np.testing.assert_array_equal(got["label"], model.predict(frame))
    np.testing.assert_allclose(got["probabilities"], model.predict_proba(frame), rtol=1e-5, atol=1e-6)


@needs_onnx()
def test_a_tabular_regressor():
    random = np.random.RandomState(0)
    frame = pl.DataFrame({"prediction": random.randn(90), "constant_3": random.randn(90)})
    model = TabularRegressor(epochs=1, decay=0.1, random_state=0).fit(frame, random.randn(90, 2) * 100)
    model.to_onnx("m.onnx")
    got = outputs("m.onnx", **{name: frame[name].to_numpy()[:, None] for name in frame.columns})
    np.testing.assert_allclose(got["prediction_"], model.predict(frame), rtol=1e-6, atol=1e-4)


@needs_onnx()
@needs_compiler()
@pytest.mark.parametrize(("loss", "width"), [("softmax_cross_entropy", 3), ("binary_cross_entropy", 1), ("huber", 2)])
def test_networks_without_a_preparation(loss, width):
    model = network([4, 5, width], "relu", loss, "float64", width)
    model.save("m.safetensors")
    x = samples(30, "float64")
    labels = [*map(str, model.predict(x).tolist())] if loss != "huber" else None
    numbers = model.predict_proba(x)
    both = np.hstack([1 - numbers, numbers]) if width == 1 else numbers
    assert_same_in_onnx({"x": x}, labels, both)
    if labels:
        assert outputs("m.onnx", x=x)["label"].dtype == np.int64
    assert_same_in_c("\n".join(",".join(map(repr, row)) for row in x.tolist()), labels, both)


def test_wrong_usage(odd):
    trained(*odd)
    fail("export", "m.safetensors", "m.txt", about="must end in .onnx or .c")
    fail("export", "none.safetensors", "m.c", about="none.safetensors")
    misuse("export", "m.safetensors", about="OUT")
