"""The square roots of the compiled kernels: the error that their module states."""

import numba
import numpy as np
from fastmlp.kernels.cpu.roots import emit_root
from fastmlp.kernels.cpu.simd import Vectors, constant
from fastmlp.kernels.cpu.views import address
from numba import types
from numba.extending import intrinsic

from fastmlp.backends.numba_backend import OPTIONS
from fastmlp.network import aligned_zeros


@intrinsic
def root_of_vector(typingctx, x, at, like):
    """The vector at an address replaced by its roots."""

    def codegen(context, builder, signature, args):
        v = Vectors(builder, like)
        place = v.pointer(args[0])
        v.store(emit_root(v, v.load(place, args[1])), place, args[1])
        return constant(v.lanes)

    return types.intp(types.intp, types.intp, like), codegen


@numba.njit(**OPTIONS)
def replace_by_roots(x):
    i = 0
    while i < x.shape[0]:
        i += root_of_vector(address(x), i, x[0])


def roots(x):
    whole = aligned_zeros(-(-x.size // 16) * 16, x.dtype)  # vectors of every width
    whole[: x.size] = x
    replace_by_roots(whole)
    return whole[: x.size]


def test_error_is_below_one_unit_of_the_last_place(dtype):
    random, normal = np.random.default_rng(0), np.finfo(dtype)
    exponents = random.uniform(np.log2(float(normal.tiny)), np.log2(float(normal.max)), 300_000)
    x = np.concatenate([2.0**exponents, np.linspace(1, 4, 300_001), [normal.tiny, normal.max]]).astype(dtype)
    true = np.sqrt(x.astype(np.longdouble))
    assert np.max(np.abs(roots(x) - true) / np.spacing(np.sqrt(x))) < 1


def test_what_is_not_normal(dtype):
    normal = np.finfo(dtype)
    found = roots(np.array([0, normal.smallest_subnormal, normal.tiny / 2, np.inf, np.nan], dtype))
    assert np.all(found[:3] >= 0)
    assert np.all(found[:3] <= 1.001 * np.sqrt(normal.tiny))
    assert found[3] == np.inf
    assert np.isnan(found[4])
