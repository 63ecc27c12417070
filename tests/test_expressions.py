"""Formulas translated to C give what NumPy gives, infinities and NaN included."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from fastmlp.c_text import c_function
from fastmlp.errors import InputError
from fastmlp.expressions import expression_of

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
    "a constant": lambda z, y: 0.1,
    "an infinite constant": lambda z, y: np.where(z > y, INF, -INF),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """All formulas as functions of float64, compiled as C++, which CUDA's language is close to."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("formulas")
    texts = ["#include <cmath>\nusing namespace std; typedef double real;\n"]
    for i, formula in enumerate(FORMULAS.values()):
        texts.append(c_function(f"f{i}", "zy", expression_of(formula, "zy", "it"), 'extern "C"'))
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


def test_what_is_shared_is_computed_once():
    text = c_function("f", "zy", expression_of(FORMULAS["shared"], "zy", "it"))
    assert text.count("z - y") == 1 and text.startswith("real f(real z, real y) {\n  const real t")


def test_what_has_no_translation_is_named():
    with pytest.raises(InputError, match=r"^mine cannot be translated: np\.arctan2 is not among"):
        expression_of(np.arctan2, "zy", "mine")
    with pytest.raises(InputError, match=r"np\.add is not among"):
        expression_of(lambda z: np.add.reduce(z), "z", "mine")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        expression_of(lambda z: z * (1 / 0), "z", "mine")
