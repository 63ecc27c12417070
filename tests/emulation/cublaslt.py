"""A stand-in for cublasLt on host memory, with its C interface and column-major matrices."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint64, c_void_p
from functools import partial

import numpy as np

from emulation.device import wide

__all__ = ["Library"]

POINTER_MODE, TRANSA, TRANSB, EPILOGUE, BIAS_POINTER, AUX_POINTER, AUX_LD = 2, 3, 4, 7, 8, 11, 12
SIZES = {POINTER_MODE: 4, TRANSA: 4, TRANSB: 4, EPILOGUE: 4, BIAS_POINTER: 8, AUX_POINTER: 8, AUX_LD: 8}
BIAS, RELU, DRELU, BGRAD, AUX, BGRADA = 4, 2, 8, 16, 128, 256  # bits of an epilogue
PREFERENCES = {1: 8, 3: 4, 5: 4, 6: 4, 7: 4, 8: 4}
TYPES = {0: np.float32, 1: np.float64, 14: np.uint16}
COMPUTE = {0: (68, 75, 77), 1: (70,)}
ALGORITHM = bytes(range(64))


class Library:
    """Takes the place of the shared object. `status` has the failing functions; `queue` takes the work for a stream."""

    def __init__(self, **status):
        self.status, self.found, self.state = status, 1, 0
        self.lacks = lambda attributes: False  # whether there is no algorithm for a descriptor
        self.objects, self.calls = {}, []
        self.queue = lambda stream, work: work()
        pointers = {
            "cublasLtCreate": [c_void_p],
            "cublasLtMatmulDescCreate": [c_void_p, c_int, c_int],
            "cublasLtMatmulDescSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
            "cublasLtMatrixLayoutCreate": [c_void_p, c_int, c_uint64, c_uint64, c_int64],
            "cublasLtMatmulPreferenceCreate": [c_void_p],
            "cublasLtMatmulPreferenceSetAttribute": [c_void_p, c_int, c_void_p, c_size_t],
            "cublasLtMatmulPreferenceDestroy": [c_void_p],
            "cublasLtMatmulAlgoGetHeuristic": [*[c_void_p] * 7, c_int, c_void_p, c_void_p],
            "cublasLtMatmul": [*[c_void_p] * 14, c_size_t, c_void_p],
        }
        for name, arguments in pointers.items():
            setattr(self, name, ctypes.CFUNCTYPE(c_int, *arguments)(self._function(name)))
        self.cublasLtGetVersion = ctypes.CFUNCTYPE(c_size_t)(lambda: 130102)
        # a callback cannot return a string that lives on
        texts = self.texts = {7: b"an unsupported value", 3: b"the resource allocation failed"}
        self.cublasLtGetStatusString = ctypes.CFUNCTYPE(c_void_p, c_int)(
            lambda status: ctypes.cast(c_char_p(texts[status]), c_void_p).value
        )

    def _function(self, name):
        def function(*arguments):
            if name in self.status:
                return self.status[name]
            self.calls.append(name)
            return getattr(self, f"_{name.removeprefix('cublasLt')}")(*arguments) or 0

        return function

    def _new(self, pointer, **contents):
        number = 0x1_0000_0000 + 16 * len(self.objects)  # wider than an int, as an address is
        self.objects[number] = contents
        c_void_p.from_address(pointer).value = number

    def _Create(self, pointer):
        self._new(pointer)

    def _MatmulDescCreate(self, pointer, compute, scale):
        assert compute in COMPUTE[scale]
        self._new(pointer, compute=compute, scale=scale, attributes={})

    def _MatrixLayoutCreate(self, pointer, kind, rows, columns, leading):
        assert leading >= rows
        self._new(pointer, kind=kind, rows=rows, columns=columns, leading=leading)

    def _MatmulPreferenceCreate(self, pointer):
        self._new(pointer, attributes={})

    def _MatmulPreferenceDestroy(self, preference):
        self.objects[preference]["destroyed"] = True

    def _set(self, sizes, number, attribute, buffer, size):
        if size != sizes[attribute]:
            return 7
        value = int.from_bytes(ctypes.string_at(buffer, size), "little")
        self.objects[number]["attributes"][attribute] = value
        return 0

    def _MatmulDescSetAttribute(self, *arguments):
        return self._set(SIZES, *arguments)

    def _MatmulPreferenceSetAttribute(self, *arguments):
        return self._set(PREFERENCES, *arguments)

    def _MatmulAlgoGetHeuristic(self, handle, descriptor, a, b, c, d, preference, requested, results, count):
        assert (handle in self.objects, requested) == (True, 1)
        assert c == d
        self.asked = dict(self.objects[descriptor]["attributes"])
        self.layouts = [self.objects[number] for number in (a, b, d)]
        self.preference = self.objects[preference]
        c_int.from_address(count).value = 0 if self.lacks(self.asked) else self.found
        ctypes.memmove(results, ALGORITHM, 64)
        c_size_t.from_address(results + 64).value = 1024
        c_int.from_address(results + 72).value = self.state

    def _matrix(self, address, layout):
        layout = self.objects[layout]
        kind = TYPES[layout["kind"]]
        memory = (ctypes.c_char * (layout["leading"] * layout["columns"] * kind().itemsize)).from_address(address)
        return np.frombuffer(memory, kind).reshape(layout["columns"], layout["leading"])[:, : layout["rows"]].T

    def _Matmul(self, handle, descriptor, *rest):
        alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace, size, stream = rest
        assert ctypes.string_at(algorithm, 64) == ALGORITHM
        assert (c, c_layout) == (d, d_layout)
        self.placed = workspace, size, stream
        whole = self.objects[descriptor]
        attributes, kind = dict(whole["attributes"]), TYPES[whole["scale"]]
        self.on_device = attributes[POINTER_MODE]
        factors = [(ctypes.c_char * kind().itemsize).from_address(p) for p in (alpha, beta)]
        if not self.on_device:  # the host's are read at once
            factors = [bytes(factor) for factor in factors]
        matrices = (a, a_layout), (b, b_layout), (d, d_layout)
        self.queue(stream, partial(self._multiply, attributes, kind, factors, matrices))

    def _multiply(self, attributes, kind, factors, matrices):
        alpha, beta = (np.frombuffer(factor, kind)[0] for factor in factors)
        left, right, out = (self._matrix(*matrix) for matrix in matrices)
        left, right = wide(left), wide(right)
        assert left.dtype == right.dtype == out.dtype
        left, right = (left.T if attributes[TRANSA] else left), (right.T if attributes[TRANSB] else right)
        result = alpha * (left @ right)
        if beta:
            result += beta * out
        epilogue = attributes[EPILOGUE]
        if epilogue & (BIAS | BGRAD | BGRADA):
            address = attributes[BIAS_POINTER]
            bias = np.frombuffer((ctypes.c_char * (len(out) * kind().itemsize)).from_address(address), kind)
        if epilogue & BIAS:
            result += bias[:, None]
        if epilogue & AUX:  # a bit for each element, column by column
            leading = attributes[AUX_LD]
            assert leading % 128 == 0 and leading >= len(out)
            size = leading // 8 * out.shape[1]
            mask = np.frombuffer((ctypes.c_char * size).from_address(attributes[AUX_POINTER]), np.uint8)
            bits = np.unpackbits(mask.reshape(out.shape[1], -1), axis=1, bitorder="little")
            if epilogue & RELU:
                bits[:, : len(out)] = result.T > 0
                mask[...] = np.packbits(bits, bitorder="little")
            if epilogue & DRELU:
                result *= bits[:, : len(out)].T
        if epilogue & RELU:
            np.fmax(result, 0, out=result)
        if epilogue & BGRAD:
            bias[...] = result.sum(axis=1)
        if epilogue & BGRADA:
            bias[...] = left.sum(axis=1)
        out[...] = result
