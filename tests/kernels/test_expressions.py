"""Formulas translated for each backend give the results of NumPy, including infinities and NaN."""

import ctypes
import shutil
import subprocess
import threading

import numpy as np
import pytest
from scipy import special

from fastmlp import InputError
from fastmlp.formulas import numpy_program
from fastmlp.formulas.c_text import c_function
from fastmlp.formulas.expressions import erf, sigmoid, trace
from fastmlp.formulas.numba_text import NumbaPrinter

NAN, INF = np.nan, np.inf
NUMBERS = np.array([-INF, -3.5, -2.0, -1.0, -0.3, -0.0, 0.0, 0.3, 0.5, 1.0, 2.0, 3.5, 40.0, INF, NAN])
FORMULAS = {
    "operators": lambda z, y: (2 * z - y / 3 + z * y) / (1 + y) - (-z),
    "powers": lambda z, y: z**2 + abs(z) ** y + np.square(y) + np.power(abs(z), 0.5),
    "choices": lambda z, y: np.where((z > y) & (z != 2) | ~(y <= 0), z, np.where(z == y, 1, -y)),
    "conditions as numbers": lambda z, y: (z > y) * z + np.where(y, 1.0, z),
    "extremes": lambda z, y: np.maximum(z, y) - np.minimum(z, 0.5) + np.clip(y, -1, 1),
    "signs": lambda z, y: np.sign(z) * abs(y) + np.fabs(z) - np.absolute(y),
    "exponentials": lambda z, y: np.exp(z) + np.expm1(y) + np.exp2(z),
    "logarithms": lambda z, y: np.log(abs(z)) + np.log1p(abs(y)) + np.log2(abs(z)) - np.log10(abs(y)),
    "a softplus": lambda z, y: np.logaddexp(z, 0) - y * z,
    "waves": lambda z, y: np.sin(z) + np.cos(y) - np.tan(z) + np.arctan(y) + np.arcsin(z / 50) - np.arccos(y / 50),
    "hyperbolic": lambda z, y: np.tanh(z) + np.sinh(y) / np.cosh(y),
    "whole": lambda z, y: np.floor(z) + np.ceil(y) + np.reciprocal(z) + np.sqrt(abs(y)),
    "shared": lambda z, y: (lambda r: r * r + np.exp(r) / r)(z - y),
    "of scipy": lambda z, y: special.expit(z) + special.erf(y) - sigmoid(y) * erf(z),
    "roots": lambda z, y: np.cbrt(z) + np.hypot(z, 1.0) + np.arctan2(z, y),
    "a constant": lambda z, y: 0.1,
    "an infinite constant": lambda z, y: np.where(z > y, INF, -INF),
}


HEAD = """
#include <cmath>
using namespace std;
typedef double real;
static inline real sigmoid(real z) { return 1 / (1 + exp(-z)); }
static inline real log_add_exp(real a, real b) { return (a > b ? a : b) + log1p(exp(-fabs(a - b))); }
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """All formulas as functions of float64, compiled as C++, which is similar to CUDA C++."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("formulas")
    texts = [HEAD]
    for i, formula in enumerate(FORMULAS.values()):
        texts.append(c_function(f"f{i}", "zy", trace(formula, "zy", "it")[0], 'extern "C"'))
    (folder / "formulas.cpp").write_text("\n".join(texts))
    command = [compiler, "-O2", "-Wall", "-Werror", "-fPIC", "-shared", "-o", folder / "formulas.so"]
    subprocess.run([*command, folder / "formulas.cpp"], check=True)
    library = ctypes.CDLL(str(folder / "formulas.so"))
    functions = {}
    for i, name in enumerate(FORMULAS):
        functions[name] = getattr(library, f"f{i}")
        functions[name].restype, functions[name].argtypes = ctypes.c_double, [ctypes.c_double] * 2
    return functions


@pytest.mark.parametrize("name", FORMULAS)
def test_c_gives_what_numpy_gives(compiled, name):
    z, y = (grid.ravel() for grid in np.meshgrid(NUMBERS, NUMBERS))
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(FORMULAS[name](z, y), z.shape)
    got = [compiled[name](*pair) for pair in zip(z, y, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)  # a digit is left where two cancel


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_numba_gives_what_numpy_gives_in_the_same_type(name, dtype):
    import numba

    from fastmlp.kernels.cpu.operations import formulas as generated

    printer = NumbaPrinter()
    result = printer.element(trace(FORMULAS[name], "zy", "it")[0])
    lines = ["real = out.dtype.type", *printer.head, "for i in range(len(out)):", "    z, y = zs[i], ys[i]"]
    lines += [f"    {line}" for line in [*printer.body, f"out[i] = {result}"]]
    text = "def f(zs, ys, out):\n" + "".join(f"    {line}\n" for line in lines) + f"    return {result}\n"
    names = dict(generated._NAMES)
    exec(text, names)
    z, y = (grid.ravel().astype(dtype) for grid in np.meshgrid(NUMBERS, NUMBERS))
    out = np.empty_like(z)
    function = numba.njit(error_model="numpy")(names["f"])
    function(z, y, out)
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(FORMULAS[name](z, y), z.shape)
    tolerance = {"rtol": 2e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-15}
    np.testing.assert_allclose(out, expected, **tolerance)
    assert function.overloads[function.signatures[0]].signature.return_type == numba.from_dtype(np.dtype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_numpys_calls_on_blocks_give_what_the_formula_does(name, dtype, monkeypatch):
    monkeypatch.setattr(numpy_program, "_BLOCK", 64)
    monkeypatch.setattr(numpy_program, "_BUFFERS", threading.local())
    z, y = (grid.ravel().astype(dtype) for grid in np.meshgrid(NUMBERS, NUMBERS))
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(FORMULAS[name](z, y), z.shape).astype(dtype)
        for target in ("", "z", "y"):  # what is read may be what is written
            given = {"z": z.copy(), "y": y.copy()}
            out = given.get(target, np.full_like(z, np.nan))
            program = numpy_program.evaluation(FORMULAS[name], ["z", "y"], [], [target], ["it"])
            assert isinstance(program, numpy_program._Program)
            program.run([given["z"], given["y"]], [], [out])
            np.testing.assert_array_equal(out, expected)


def test_a_result_that_is_read_again_is_not_written_too_early():
    z, y = np.arange(5.0), np.arange(5.0)[::-1].copy()
    program = numpy_program.evaluation(lambda z, y: (z + y, z * y, z), ["z", "y"], [], ["z", "y", ""], ["it"] * 3)
    third = np.empty(5)
    program.run([z, y], [], [z, y, third])
    np.testing.assert_array_equal([z, y, third], [np.full(5, 4.0), [0, 3, 4, 3, 0], np.arange(5)])
    swapped = numpy_program.evaluation(lambda z, y: (y, z), ["z", "y"], [], ["z", "y"], ["it"] * 2)
    swapped.run([z, y], [], [z, y])
    np.testing.assert_array_equal([z, y], [[0, 3, 4, 3, 0], np.full(5, 4.0)])


def test_what_depends_on_scalars_alone_is_computed_once_in_double():
    printer = NumbaPrinter(scalars=["beta"])
    (expression,) = trace(lambda w, beta: w * (1 - beta) + beta, ["w", "beta"], "it")
    printer.element(expression)
    assert printer.head == ["t0 = 1.0 - beta", "t1 = real(t0)", "t3 = real(beta)"]
    assert printer.body == ["t2 = w * t1", "t4 = t2 + t3"]


def test_what_is_shared_is_computed_once():
    text = c_function("f", "zy", trace(FORMULAS["shared"], "zy", "it")[0])
    assert text.count("z - y") == 1 and text.startswith("real f(real z, real y) {\n  const real t")


def test_what_has_no_translation_is_named():
    with pytest.raises(InputError, match=r"^mine cannot be translated: np\.nextafter is not among"):
        trace(np.nextafter, "zy", "mine")
    with pytest.raises(InputError, match=r"np\.add is not among"):
        trace(lambda z: np.add.reduce(z), "z", "mine")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        trace(lambda z: z * (1 / 0), "z", "mine")
