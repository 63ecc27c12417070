"""Matrix products by cublasLt, NVIDIA's library, called through ctypes.

CuPy binds none of it, and refuses its own products while a graph is captured.

cublasLt stores matrices by columns, so a C-ordered (R, C) array is to it a (C, R) matrix whose leading dimension is C.
So it is asked for outᵀ = op(b)ᵀ op(a)ᵀ: its A is our b, its B our a, with the flags of transposition exchanged. The
vector that its epilogues add to every column of outᵀ is added to every row of out; their sums over columns of outᵀ or
of its A are sums over our rows.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from fastmlp.backends.cuda.device import mask_width
from fastmlp.errors import InputError, OutOfDeviceMemoryError
from fastmlp.forks import no_fork

__all__ = ["PRECISIONS", "CublasLt", "CublasLtError", "NoAlgorithmError", "Plan", "Product", "alignment"]

PRECISIONS = {"float32": 68, "tf32": 77, "bf16": 75}  # of products of float32 numbers: CUBLAS_COMPUTE_32F, …_FAST_…
_COMPUTE_64F = 70
_REAL_32F, _REAL_64F, _REAL_16BF = 0, 1, 14  # cudaDataType
_POINTER_MODE, _TRANSA, _TRANSB, _EPILOGUE, _BIAS_POINTER, _AUX_POINTER, _AUX_LD = 2, 3, 4, 7, 8, 11, 12  # …_DESC_…
_MAX_WORKSPACE, _REDUCTION_SCHEMES, _ALIGNMENTS = 1, 3, (5, 6, 7, 8)  # CUBLASLT_MATMUL_PREF_…
_EPILOGUES = {None: 1, "bias": 4, "relu_bias": 6, "relu_aux_bias": 134, "drelu_bgrad": 152, "bgrad": 256}
_MASKED = ("relu_aux_bias", "drelu_bgrad")
_ALLOC_FAILED, _NOT_SUPPORTED = 3, 15  # cublasStatus_t

# A long sum may be split among blocks. For the same digits in every run, the order in which the parts are added must
# not depend on which block ends first. That holds where the parts are stored and added by another kernel
# (…_COMPUTE_TYPE, in full precision), and is not promised where blocks add to out in place. Sums that are not split are
# always allowed.
_DETERMINISTIC = 2

_P, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_SIGNATURES = {
    "cublasLtCreate": (_P,),
    "cublasLtMatmulDescCreate": (_P, _INT, _INT),
    "cublasLtMatmulDescSetAttribute": (_P, _INT, _P, _SIZE),
    "cublasLtMatrixLayoutCreate": (_P, _INT, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64),
    "cublasLtMatmulPreferenceCreate": (_P,),
    "cublasLtMatmulPreferenceSetAttribute": (_P, _INT, _P, _SIZE),
    "cublasLtMatmulPreferenceDestroy": (_P,),
    "cublasLtMatmulAlgoGetHeuristic": (*[_P] * 7, _INT, _P, _P),
    "cublasLtMatmul": (*[_P] * 14, _SIZE, _P),
}


class CublasLtError(RuntimeError):
    """A call of cublasLt failed; the message has the library's text."""


class NoAlgorithmError(CublasLtError):
    """cublasLt cannot compute such a product."""


class Product(NamedTuple):
    """What a plan depends on: out = epilogue(alpha op(a) op(b) + beta out), as `Matmul`."""

    dtype: np.dtype
    factors: np.dtype  # of a and b: uint16 are the bits of bfloat16 numbers
    a: tuple[int, int]
    b: tuple[int, int]
    out: tuple[int, int]
    transpose_a: bool
    transpose_b: bool
    epilogue: str | None
    on_device: bool  # alpha and beta are addresses in device memory
    alignments: tuple[int, ...]  # in bytes: of a, b, out, vector, mask


class Plan(NamedTuple):
    """How cublasLt computes a product."""

    descriptor: int
    a: int  # layouts
    b: int
    out: int
    algorithm: _Algorithm
    number: type  # of alpha and beta on the host
    on_device: bool
    has_vector: bool
    has_mask: bool


class _Algorithm(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t, which begins with a cublasLtMatmulAlgo_t."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


def alignment(address: int) -> int:
    """Bytes to a multiple of which an address is aligned, at most 256 (all that cublasLt asks for)."""
    return min(address & -address, 256) or 256


class CublasLt:
    """The library, with the current GPU when it first plans.

    Parameters
    ----------
    precision : {"float32", "tf32", "bf16"}
        In which products of float32 numbers are computed; sums always are in float32. "tf32" rounds the factors to 10
        bits behind the point, "bf16" to 7. Products of float64 numbers are computed in float64, and of bfloat16
        numbers exactly.
    workspace : int
        Bytes of device memory that a product may use.
    library : ctypes.CDLL, optional
        Default: the one that CUDA's pathfinder finds.

    Raises
    ------
    InputError
        The precision is unknown.
    """

    def __init__(self, precision: str, workspace: int, library: Any = None) -> None:
        if precision not in PRECISIONS:
            raise InputError(f"precision={precision!r} is unknown. Choose {', '.join(map(repr, PRECISIONS))}.")
        if library is None:
            with no_fork():
                from cuda import pathfinder

            library = ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path)
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, _INT
        library.cublasLtGetVersion.restype = _SIZE
        library.cublasLtGetStatusString.argtypes, library.cublasLtGetStatusString.restype = (_INT,), ctypes.c_char_p
        self._library, self._precision, self._workspace = library, precision, workspace
        self._handle = 0
        self._plans: dict[Product, Plan] = {}

    def version(self) -> str:
        number = self._library.cublasLtGetVersion()
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"

    def plan(self, product: Product, vector: int = 0, mask: int = 0) -> Plan:
        """How to compute a product; `vector` and `mask` are addresses aligned as those that its epilogue will get.

        Not to be called for a new product while a stream is captured.

        Raises
        ------
        NoAlgorithmError
            cublasLt has no way to compute it.
        """
        if product not in self._plans:
            self._plans[product] = self._new_plan(product, vector, mask)
        return self._plans[product]

    def multiply(
        self,
        plan: Plan,
        alpha: float,
        a: int,
        b: int,
        beta: float,
        out: int,
        vector: int,
        mask: int,
        workspace: int,
        stream: int,
    ) -> None:
        """Queue a planned product of arrays at these addresses; alpha and beta too if the plan is `on_device`."""
        if plan.on_device:
            factors: list[Any] = [alpha, beta]
        else:
            factors = [ctypes.byref(plan.number(factor)) for factor in (alpha, beta)]
        if plan.has_vector:
            self._set_descriptor(plan.descriptor, _BIAS_POINTER, _P(vector))
        if plan.has_mask:
            self._set_descriptor(plan.descriptor, _AUX_POINTER, _P(mask))
        operands = factors[0], b, plan.b, a, plan.a, factors[1], out, plan.out, out, plan.out
        algorithm = ctypes.byref(plan.algorithm)
        self._call(
            "cublasLtMatmul", self._handle, plan.descriptor, *operands, algorithm, workspace, self._workspace, stream
        )

    def _new_plan(self, product: Product, vector: int, mask: int) -> Plan:
        # Descriptors are never destroyed: a process meets few shapes, and plans live as long as it does.
        double = product.dtype == np.float64
        kind, number = (_REAL_64F, ctypes.c_double) if double else (_REAL_32F, ctypes.c_float)
        if not self._handle:
            self._handle = self._new("cublasLtCreate")
        short = product.factors == np.uint16
        compute = _COMPUTE_64F if double else PRECISIONS["float32" if short else self._precision]
        descriptor = self._new("cublasLtMatmulDescCreate", compute, kind)
        self._set_descriptor(descriptor, _POINTER_MODE, ctypes.c_int32(product.on_device))
        self._set_descriptor(descriptor, _TRANSA, ctypes.c_int32(product.transpose_b))
        self._set_descriptor(descriptor, _TRANSB, ctypes.c_int32(product.transpose_a))
        self._set_descriptor(descriptor, _EPILOGUE, ctypes.c_uint32(_EPILOGUES[product.epilogue]))
        masked = product.epilogue in _MASKED
        # the epilogue's arrays are set before an algorithm is chosen, which may depend on their alignment
        if product.epilogue:
            self._set_descriptor(descriptor, _BIAS_POINTER, _P(vector))
        if masked:
            self._set_descriptor(descriptor, _AUX_POINTER, _P(mask))
            self._set_descriptor(descriptor, _AUX_LD, ctypes.c_int64(8 * mask_width(product.out[1])))
        factors = _REAL_16BF if short else kind
        a, b, out = (
            self._new("cublasLtMatrixLayoutCreate", of, columns, rows, columns)
            for of, (rows, columns) in ((factors, product.a), (factors, product.b), (kind, product.out))
        )
        algorithm = self._choose(product, descriptor, a, b, out)
        return Plan(descriptor, a, b, out, algorithm, number, product.on_device, product.epilogue is not None, masked)

    def _choose(self, product: Product, descriptor: int, a: int, b: int, out: int) -> _Algorithm:
        """The algorithm that cublasLt estimates to be the fastest."""
        preference = self._new("cublasLtMatmulPreferenceCreate")
        self._set_preference(preference, _MAX_WORKSPACE, ctypes.c_uint64(self._workspace))
        self._set_preference(preference, _REDUCTION_SCHEMES, ctypes.c_uint32(_DETERMINISTIC))
        of_a, of_b, of_out, *_ = product.alignments
        for attribute, multiple in zip(_ALIGNMENTS, (of_b, of_a, of_out, of_out), strict=True):
            self._set_preference(preference, attribute, ctypes.c_uint32(multiple))
        found, count = _Algorithm(), ctypes.c_int()
        layouts = b, a, out, out
        status = self._library.cublasLtMatmulAlgoGetHeuristic(
            self._handle, descriptor, *layouts, preference, 1, ctypes.byref(found), ctypes.byref(count)
        )
        self._call("cublasLtMatmulPreferenceDestroy", preference)
        if status == _NOT_SUPPORTED or (status == 0 and (count.value == 0 or found.state)):
            raise NoAlgorithmError(f"cublasLt {self.version()} has no algorithm for {product}")
        self._check("cublasLtMatmulAlgoGetHeuristic", status)
        return found

    def _new(self, function: str, *arguments: int) -> int:
        """Create an object of the library; its handle."""
        created = _P()
        self._call(function, ctypes.byref(created), *arguments)
        return created.value or 0

    def _set_descriptor(self, descriptor: int, attribute: int, value: Any) -> None:
        size = ctypes.sizeof(value)
        self._call("cublasLtMatmulDescSetAttribute", descriptor, attribute, ctypes.byref(value), size)

    def _set_preference(self, preference: int, attribute: int, value: Any) -> None:
        size = ctypes.sizeof(value)
        self._call("cublasLtMatmulPreferenceSetAttribute", preference, attribute, ctypes.byref(value), size)

    def _call(self, function: str, *arguments: Any) -> None:
        self._check(function, getattr(self._library, function)(*arguments))

    def _check(self, function: str, status: int) -> None:
        if not status:
            return
        text = self._library.cublasLtGetStatusString(status).decode()
        message = f"{function} of cublasLt {self.version()} failed: {text} (status {status})."
        if status == _ALLOC_FAILED:
            raise OutOfDeviceMemoryError(f"{message} Free memory of the GPU: nvidia-smi shows what holds it.")
        raise CublasLtError(f"{message} CUBLASLT_LOG_LEVEL=5 in the environment makes the library say more.")
