"""The binding of cublasLt: with a column-major stand-in for the library, and with the real descriptors."""

import ctypes
from ctypes import c_int, c_size_t, c_void_p
from itertools import product as pairs

import numpy as np
import pytest
from emulation.cublaslt import (
    AUX_LD,
    AUX_POINTER,
    BIAS_POINTER,
    EPILOGUE,
    POINTER_MODE,
    PREFERENCES,
    SIZES,
    TRANSA,
    TRANSB,
    Library,
)
from emulation.device import wide

from fastmlp.backends.cuda.cublaslt import CublasLt, CublasLtError, NoAlgorithmError, Product, _Algorithm, alignment
from fastmlp.backends.cuda.device import mask_width
from fastmlp.errors import InputError, OutOfDeviceMemoryError

WORKSPACE, ADDRESS, STREAM = 1 << 20, 0x7000, 0x8000


def address(array):
    return array.ctypes.data


@pytest.fixture
def library():
    return Library()


def draw(*shapes, dtype=np.float64, seed=3):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def product_of(a, b, out, transpose_a=False, transpose_b=False, epilogue=None, on_device=False, alignments=(16,) * 5):
    how = transpose_a, transpose_b, epilogue, on_device, tuple(alignments)
    return Product(out.dtype, a.dtype, a.shape, b.shape, out.shape, *how)


def multiply(lt, a, b, out, transpose_a=False, transpose_b=False, alpha=1.0, beta=0.0, epilogue=None, **beside):
    on_device = isinstance(alpha, np.ndarray)
    given = [0 if beside.get(key) is None else address(beside[key]) for key in ("vector", "mask")]
    plan = lt.plan(product_of(a, b, out, transpose_a, transpose_b, epilogue, on_device), *given)
    factors = [address(factor) if on_device else factor for factor in (alpha, beta)]
    lt.multiply(plan, factors[0], address(a), address(b), factors[1], address(out), *given, ADDRESS, STREAM)
    assert lt._library.placed == (ADDRESS, WORKSPACE, STREAM)


M, N, K = 3, 5, 4
CASES = pytest.mark.parametrize(("transpose_a", "transpose_b"), list(pairs([False, True], repeat=2)))


def operands(transpose_a, transpose_b, dtype):
    return draw((K, M) if transpose_a else (M, K), (N, K) if transpose_b else (K, N), (M, N), (N,), dtype=dtype)


@CASES
@pytest.mark.parametrize("epilogue", [None, "bias", "relu_bias"])
def test_products_are_those_of_numpy(library, dtype, tolerance, transpose_a, transpose_b, epilogue):
    a, b, out, vector = operands(transpose_a, transpose_b, dtype)
    expected = 0.5 * (a.T if transpose_a else a) @ (b.T if transpose_b else b) - 2 * out
    if epilogue:
        expected += vector
    if epilogue == "relu_bias":
        expected = np.maximum(expected, 0)
    lt = CublasLt("float32", WORKSPACE, library)
    multiply(lt, a, b, out, transpose_a, transpose_b, 0.5, -2.0, epilogue, vector=vector if epilogue else None)
    np.testing.assert_allclose(out, expected, **tolerance)
    assert library.on_device == 0


@pytest.mark.parametrize("columns", [5, 128, 130])
def test_a_mask_goes_from_a_product_to_the_next(library, dtype, tolerance, columns):
    x, w, b, delta, above = draw((M, K), (K, columns), (columns,), (M, 2), (columns, 2), dtype=dtype)
    a, below, sums = np.empty((M, columns), dtype), np.empty((M, columns), dtype), np.empty(columns, dtype)
    mask = np.zeros((M, mask_width(columns)), np.uint8)
    lt = CublasLt("float32", WORKSPACE, library)
    multiply(lt, x, w, a, epilogue="relu_aux_bias", vector=b, mask=mask)
    multiply(lt, delta, above, below, transpose_b=True, epilogue="drelu_bgrad", vector=sums, mask=mask)
    z = x @ w + b
    np.testing.assert_allclose(a, np.maximum(z, 0), **tolerance)
    np.testing.assert_allclose(below, delta @ above.T * (z > 0), **tolerance)
    np.testing.assert_allclose(sums, (delta @ above.T * (z > 0)).sum(axis=0), **tolerance)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_sums_over_a_batch_along_with_a_gradient(library, dtype, tolerance, alpha):
    x, delta, out, sums = draw((K, M), (K, N), (M, N), (N,), dtype=dtype)
    expected = alpha * x.T @ delta - 2 * out
    lt = CublasLt("float32", WORKSPACE, library)
    multiply(lt, x, delta, out, True, False, alpha, -2.0, "bgrad", vector=sums)
    np.testing.assert_allclose(out, expected, **tolerance)
    np.testing.assert_allclose(sums, delta.sum(axis=0), **tolerance)


@CASES
def test_factors_in_device_memory(library, dtype, tolerance, transpose_a, transpose_b):
    a, b, out, _ = operands(transpose_a, transpose_b, dtype)
    expected = 3 * (a.T if transpose_a else a) @ (b.T if transpose_b else b) + 0.25 * out
    alpha, beta = np.array([3.0], dtype), np.array([0.25], dtype)
    multiply(CublasLt("float32", WORKSPACE, library), a, b, out, transpose_a, transpose_b, alpha, beta)
    np.testing.assert_allclose(out, expected, **tolerance)
    assert library.on_device == 1


@CASES
def test_layouts_and_flags(library, transpose_a, transpose_b):
    a, b, out, _ = operands(transpose_a, transpose_b, np.float32)
    CublasLt("float32", WORKSPACE, library).plan(product_of(a, b, out, transpose_a, transpose_b))
    sizes = [(layout["rows"], layout["columns"], layout["leading"]) for layout in library.layouts]
    assert sizes == [(K, N, K) if transpose_b else (N, K, N), (M, K, M) if transpose_a else (K, M, K), (N, M, N)]
    assert library.asked == {POINTER_MODE: 0, TRANSA: transpose_b, TRANSB: transpose_a, EPILOGUE: 1}


def test_the_vector_is_known_before_an_algorithm_is_chosen(library):
    a, b, out, vector = operands(False, False, np.float32)
    CublasLt("float32", WORKSPACE, library).plan(product_of(a, b, out, epilogue="relu_bias"), address(vector))
    assert (library.asked[BIAS_POINTER], library.asked[EPILOGUE]) == (address(vector), 6)


@pytest.mark.parametrize(("epilogue", "code"), [("relu_aux_bias", 134), ("drelu_bgrad", 152)])
def test_so_is_the_mask(library, epilogue, code):
    a, b, out, vector = draw((M, K), (K, 130), (M, 130), (130,))
    CublasLt("float32", WORKSPACE, library).plan(product_of(a, b, out, epilogue=epilogue), address(vector), 0x7000)
    assert {key: library.asked[key] for key in (EPILOGUE, BIAS_POINTER, AUX_POINTER, AUX_LD)} == {
        EPILOGUE: code,
        BIAS_POINTER: address(vector),
        AUX_POINTER: 0x7000,
        AUX_LD: 256,
    }


def test_a_plan_serves_other_arrays(library):
    lt = CublasLt("float32", WORKSPACE, library)
    for seed in (1, 2):
        a, b, out, vector = draw((M, K), (K, N), (M, N), (N,), seed=seed)
        multiply(lt, a, b, out, epilogue="bias", vector=vector)
        np.testing.assert_allclose(out, a @ b + vector)
    assert library.calls.count("cublasLtMatmulAlgoGetHeuristic") == library.calls.count("cublasLtCreate") == 1
    other = product_of(a, b, out, epilogue="bias", alignments=(16, 16, 16, 4, 256))
    assert lt.plan(other, address(vector)) is lt.plan(other, address(vector))
    assert library.calls.count("cublasLtMatmulAlgoGetHeuristic") == 2


def test_algorithms_fit_the_arrays_and_always_add_in_one_order(library):
    a, b, out, _ = operands(False, False, np.float32)
    CublasLt("float32", WORKSPACE, library).plan(product_of(a, b, out, alignments=(4, 32, 64, 256, 256)))
    # A is our b; both C and D are out; only reductions in a step of their own, in the type of the sums
    assert library.preference["attributes"] == {1: WORKSPACE, 3: 2, 5: 32, 6: 4, 7: 64, 8: 64}
    assert library.preference["destroyed"]


@pytest.mark.parametrize(("precision", "code"), [("float32", 68), ("tf32", 77), ("bf16", 75)])
def test_precisions(library, dtype, precision, code):
    a, b, out, _ = operands(False, False, dtype)
    CublasLt(precision, WORKSPACE, library).plan(product_of(a, b, out))
    (descriptor,) = (thing for thing in library.objects.values() if "compute" in thing)
    assert descriptor["compute"] == (code if dtype == "float32" else 70)


def test_factors_in_bfloat16(library):
    """They are computed from the given bits, whatever the precision of float32 products."""
    a, b = (np.random.default_rng(0).integers(0, 1 << 15, shape).astype(np.uint16) for shape in ((M, K), (K, N)))
    a, b = a & 0xBFFF, b & 0xBFFF  # below 2
    out = np.empty((M, N), np.float32)
    multiply(CublasLt("bf16", WORKSPACE, library), a, b, out)
    np.testing.assert_allclose(out, wide(a) @ wide(b), rtol=1e-6)
    (descriptor,) = (thing for thing in library.objects.values() if "compute" in thing)
    assert (descriptor["compute"], [layout["kind"] for layout in library.layouts]) == (68, [14, 14, 0])


def test_an_unknown_precision_is_refused(library):
    with pytest.raises(InputError) as caught:
        CublasLt("fp16", WORKSPACE, library)
    assert str(caught.value) == "precision='fp16' is unknown. Choose 'float32', 'tf32', 'bf16'."


def test_the_result_of_the_heuristic_is_laid_out_as_in_the_header():
    fields = {name: getattr(_Algorithm, name).offset for name, _ in _Algorithm._fields_}
    assert fields == {"algorithm": 0, "workspace": 64, "state": 72, "waves": 76, "reserved": 80}
    assert ctypes.sizeof(_Algorithm) == 96


def test_alignments():
    addresses = {0: 256, 0x1000: 256, 0x1100: 256, 0x1080: 128, 0x1004: 4, 0x1008: 8, 0x1001: 1}
    assert {value: alignment(value) for value in addresses} == addresses


@pytest.mark.parametrize(
    "fault", [{"status": {"cublasLtMatmulAlgoGetHeuristic": 15}}, {"found": 0}, {"state": 15}], ids=str
)
def test_a_product_without_an_algorithm(fault):
    library = Library(**fault.pop("status", {}))
    vars(library).update(fault)
    a, b, out, _ = operands(False, False, np.float64)
    lt = CublasLt("float32", WORKSPACE, library)
    for _ in range(2):
        with pytest.raises(
            NoAlgorithmError, match=r"cublasLt 13\.1\.2 has no algorithm for Product\(dtype.*a=\(3, 4\)"
        ):
            lt.plan(product_of(a, b, out))
    assert library.calls.count("cublasLtMatmulPreferenceDestroy") == 2


@pytest.mark.parametrize(
    "function", ["Create", "MatmulDescSetAttribute", "MatrixLayoutCreate", "MatmulAlgoGetHeuristic", "Matmul"]
)
def test_a_failing_call_has_the_library_s_words(function):
    a, b, out, _ = operands(False, False, np.float64)
    lt = CublasLt("float32", WORKSPACE, Library(**{f"cublasLt{function}": 7}))
    with pytest.raises(
        CublasLtError,
        match=rf"^cublasLt{function} of cublasLt 13\.1\.2 failed: an unsupported value \(status 7\)\. CUB",
    ):
        multiply(lt, a, b, out)


def test_a_library_without_memory():
    a, b, out, _ = operands(False, False, np.float64)
    lt = CublasLt("float32", WORKSPACE, Library(cublasLtCreate=3))
    with pytest.raises(OutOfDeviceMemoryError, match=r"the resource allocation failed \(status 3\)\. Free memory"):
        multiply(lt, a, b, out)


@pytest.fixture
def real():
    """The cublasLt library of this machine."""
    pathfinder = pytest.importorskip("cuda.pathfinder")
    try:
        found = pathfinder.load_nvidia_dynamic_lib("cublasLt")
    except pathfinder.DynamicLibNotFoundError as error:
        pytest.skip(f"cublasLt is not installed: {str(error).splitlines()[0]}")
    return ctypes.CDLL(found.abs_path)


class Mixed(Library):
    """Descriptors of the real library, with a stand-in for functions that need a GPU."""

    def __init__(self, real):
        super().__init__()
        self.real = real
        for name in vars(self).copy():
            if name.startswith("cublasLtMat") and name not in ("cublasLtMatmul", "cublasLtMatmulAlgoGetHeuristic"):
                setattr(self, name, getattr(real, name))

    def _get(self, function, thing, attribute, size):
        buffer, written = ctypes.create_string_buffer(size), c_size_t()
        status = getattr(self.real, f"cublasLt{function}GetAttribute")(
            c_void_p(thing), attribute, buffer, c_size_t(size), ctypes.byref(written)
        )
        assert (status, written.value) == (0, size)
        return int.from_bytes(buffer.raw, "little")

    def _MatmulAlgoGetHeuristic(self, handle, descriptor, a, b, c, d, preference, requested, results, count):
        self.asked = {key: self._get("MatmulDesc", descriptor, key, size) for key, size in SIZES.items()}
        self.asked |= {"compute": self._get("MatmulDesc", descriptor, 0, 4)}
        self.asked |= {"scale": self._get("MatmulDesc", descriptor, 1, 4)}
        self.preference = {
            key: self._get("MatmulPreference", preference, key, size) for key, size in PREFERENCES.items()
        }
        whole = {0: 4, 2: 8, 3: 8, 4: 8}  # type, rows, columns, leading dimension
        self.layouts = [[self._get("MatrixLayout", m, key, size) for key, size in whole.items()] for m in (a, b, d)]
        c_int.from_address(count).value = 1


def test_the_real_descriptors_hold_what_was_set(real):
    library = Mixed(real)
    a, b, out, vector = draw((M, K), (N, K), (M, N), (N,))
    lt = CublasLt("float32", WORKSPACE, library)
    product = product_of(a, b, out, False, True, "drelu_bgrad", True, alignments=(8, 16, 32, 64, 256))
    lt.plan(product, address(vector), 0x7000)
    expected = {POINTER_MODE: 1, TRANSA: 1, TRANSB: 0, EPILOGUE: 152, BIAS_POINTER: address(vector)}
    expected |= {AUX_POINTER: 0x7000, AUX_LD: 128}
    assert library.asked == expected | {"compute": 70, "scale": 1}
    assert library.preference == {1: WORKSPACE, 3: 2, 5: 16, 6: 8, 7: 32, 8: 32}
    assert library.layouts == [[1, K, N, K], [1, K, M, K], [1, N, M, N]]


def test_the_real_library_speaks(real):
    lt = CublasLt("float32", WORKSPACE)
    assert int(lt.version().split(".")[0]) >= 12
    a, b, out, _ = operands(False, False, np.float32)
    try:
        lt.plan(product_of(a, b, out))
    except CublasLtError as error:  # there is no GPU
        assert "cublasLtCreate" in str(error) and "(status 1)" in str(error)
