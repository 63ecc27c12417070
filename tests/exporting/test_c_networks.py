"""Networks as C99 files, compiled without a warning, against the networks themselves."""

import ctypes

import numpy as np
import pytest

from exporting.c_programs import library, needs_compiler, predicted, program
from exporting.networks import LOSSES, SHAPES, SQUARE, assert_same, network, samples
from fastmlp import MLP
from fastmlp.activations import ACTIVATIONS, custom_activation
from fastmlp.errors import InputError
from fastmlp.exporting.c_source import c_source
from fastmlp.exporting.layers import Layers

pytestmark = needs_compiler()


def written(path, model, class_names=()):
    path.write_text(c_source(Layers.of(model), class_names))
    return path


@pytest.mark.parametrize("activation", [*ACTIVATIONS, SQUARE], ids=[*ACTIVATIONS, "custom"])
def test_activations(activation, dtype, tmp_path):
    model = network(SHAPES[-1], activation, "squared_error", dtype)
    x = samples(20, dtype)
    compiled = library(written(tmp_path / "m.c", model), "-Wdouble-promotion")  # microcontrollers may lack doubles
    assert_same(predicted(compiled, x, 2), model.predict_proba(x))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_links_and_classes(shape, loss, dtype, tmp_path):
    model, x = network(shape, "tanh", loss, dtype), samples(20, dtype)
    compiled = library(written(tmp_path / "m.c", model))
    assert_same(predicted(compiled, x, model.sizes[-1]), model.predict_proba(x))
    if model.loss.classifies:
        classes = [compiled.predict_class(ctypes.c_void_p(row.ctypes.data)) for row in np.ascontiguousarray(x)]
        assert classes == model.predict(x).tolist()


def test_several_labels_have_no_class(tmp_path):
    model, x = network([4, 5, 2], "relu", "binary_cross_entropy", "float32", outputs=2), samples(9, "float32")
    compiled = library(written(tmp_path / "m.c", model))
    assert_same(predicted(compiled, x, 2), model.predict_proba(x))
    assert not hasattr(compiled, "predict_class")


def test_the_program_reads_csv(dtype, tmp_path):
    model, x = network([4, 5, 3], "silu", "softmax_cross_entropy", dtype), samples(12, dtype)
    names = ['says "no"', "tri??/graph\\", "ä1\n"]
    run = program(written(tmp_path / "m.c", model, names))
    text = "\n".join(",".join(f"{value:.17g}" for value in row) for row in x.tolist())
    for given in (text, f"a,b,c,d\r\n{text}\r\n"):
        code, out, err = run(given)
        assert (code, err) == (0, "")
        for name in names:
            out = out.replace(name, str(names.index(name)))
        table = np.array([line.split(",") for line in out.splitlines()], float)
        np.testing.assert_array_equal(table[:, 0], model.predict(x))
        assert_same(table[:, 1:].astype(dtype), model.predict_proba(x))


@pytest.mark.parametrize(
    "line", ["1,2,3", "1,2,3,4,5", "1,2,,4", "1,2,x,4", "", "1 2,3,4,5", "1,2,inf,4", "1," * 300 + "4"]
)
def test_the_program_refuses_other_lines(line, tmp_path):
    run = program(written(tmp_path / "m.c", network([4, 3], "relu", "squared_error", "float32")))
    code, out, err = run(f"1,2,3,4\n{line}\n")
    assert code == 1 and out.count("\n") == 1
    assert err == "line 2 is not 4 numbers separated by commas\n"


def test_a_first_line_that_begins_with_a_number_is_no_header(tmp_path):
    run = program(written(tmp_path / "m.c", network([4, 3], "relu", "squared_error", "float32")))
    assert run("1,2,x,4\n1,2,3,4\n") == (1, "", "line 1 is not 4 numbers separated by commas\n")


def test_networks_that_have_no_c():
    odd = custom_activation(lambda z: np.fft.fft(z), lambda z: z, "odd")
    with pytest.raises(InputError, match=r"'odd' cannot be exported: .*np\.fft"):
        c_source(Layers.of(MLP([2, 3, 1], odd, backend="numpy")))
    model = MLP([2, 1], backend="numpy")
    model.weights[0][0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        Layers.of(model)
