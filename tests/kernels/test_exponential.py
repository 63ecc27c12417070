"""exp and expm1 of the compiled kernels against long double: the errors that their module states."""

import numba
import numpy as np
import pytest

from fastmlp.backends.compiled.options import OPTIONS
from fastmlp.kernels.cpu.machine.exponential import exp, expm1

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant,
    reason="np.longdouble is no wider than float64 here, so cannot tell its last digit",
)
ENDS = {"float32": (-103.0, 88.7), "float64": (-745.0, 709.7)}
LAST_OF_EXPM1 = {"float32": 88.0, "float64": 709.0}


@numba.njit(**OPTIONS)
def exp_of(x, out):
    for i in range(len(x)):
        out[i] = exp(x[i])


@numba.njit(**OPTIONS)
def expm1_of(x, out):
    for i in range(len(x)):
        out[i] = expm1(x[i])


def arguments(dtype, low, high):
    """The whole range, more of it where n = 0 or 1, steps towards either end, and what is tiny."""
    random = np.random.default_rng(0)
    parts = [np.linspace(low, high, 300_001), np.linspace(-2, 2, 300_001), random.uniform(low, high, 100_000)]
    parts += [sign * np.geomspace(1, 1e-5, 2000) + end for sign, end in ((1, low), (-1, high))]
    parts += [sign * np.geomspace(1e-37, 1, 20_000) for sign in (1, -1)] + [1e-8 * random.standard_normal(20_000)]
    x = np.concatenate(parts).astype(dtype)
    return x[(x >= low) & (x <= high)]


def error(function, wanted, x):
    """Largest difference from wanted, in units of its last place; the distance of denormal numbers where it is one."""
    out = np.empty_like(x)
    function(x, out)
    assert np.isfinite(out).all()
    true = wanted(x.astype(np.longdouble))
    return np.max(np.abs(out - true) / np.spacing(np.abs(true).astype(x.dtype)))


def test_error_of_exp(dtype):
    x = arguments(dtype, *ENDS[dtype])
    assert np.exp(x.min()) < np.finfo(dtype).tiny  # denormal results are among them
    assert error(exp_of, np.exp, x) < 1.5


def test_error_of_expm1(dtype):
    # the most, 2.18 and 2.28 units, just above ½ ln 2, where 2 (1 + q) - 1 is 0.42
    assert error(expm1_of, np.expm1, arguments(dtype, ENDS[dtype][0], LAST_OF_EXPM1[dtype])) < 2.5


@pytest.mark.parametrize(("function", "wanted"), [(exp_of, np.exp), (expm1_of, np.expm1)], ids=["exp", "expm1"])
def test_what_is_not_finite_or_leads_there(dtype, function, wanted):
    (low, high), most = ENDS[dtype], np.finfo(dtype).max
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, low - 2, high + 2, -1e4, 1e4, -most, most], dtype)
    out = np.empty_like(x)
    function(x, out)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, wanted(x))
