"""The matrix products of a layer, each in several ways, of which the fastest is found by timing.

"kernel": our kernel, fused with everything that follows the product. "library": the device's library, followed by our
kernels. "fused library": the library adds biases, applies ReLU or sums rows itself, without these kernels. With
precision="bf16" there are the library's ways once more, with copies of the factors in bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.device import Access, Device, Matmul, Node
from fastmlp.backends.cuda.numbers import Number, scalar
from fastmlp.backends.cuda.tape import Tape
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels import codes
from fastmlp.kernels.cuda import FEW, MAX_BLOCKS, THREADS, TILE, UNIT

__all__ = ["TRIED", "Products"]

ROWS_OF_SUM = 256  # of a block that sums columns: eight for each of its threads
TRIED = 2  # times that a trial repeats a product: a copy in bfloat16 serves two, as it does in a step

Read = Callable[[Any], Any]
"""Function of a factor of a product: the array that the library reads in its place."""


class Products(Tape):
    """Forward, backward and gradient of a dense layer, with its activation."""

    def __init__(
        self,
        device: Device,
        workspace: Workspace,
        choice: Choice | OwnKernels,
        real: np.dtype,
        shows_nan: bool,
        formulas: Formulas,
    ) -> None:
        super().__init__(device, workspace, real, formulas)
        self._choice = choice
        self._tries = False  # whether what is recorded is only a trial
        self._scales: dict[int, Any] = {}  # of the gradients of losses, by their places on the tape
        self._sums: list[
            tuple[Any, int]
        ] = []  # biases, and the library's product that sums for each what is to be added
        self._shows_nan = shows_nan  # whether ReLU must keep NaN; the library's does not
        self._reads: dict[str, Read] = {"library": lambda x: x}
        if device.precision == "bf16" and real == np.float32:
            self._reads["bf16 library"] = self._in_bf16

    def _by_library(self, prefix: str, way: Callable[[Read], None]) -> dict[str, Callable[[], None]]:
        """A way that uses the library, for each way to read the factors."""
        return {prefix + name: partial(way, read) for name, read in self._reads.items()}

    def _in_bf16(self, x):
        """A copy of x, made once for all products that read it."""
        copy = self._known("bf16", x)
        if copy is None:
            copy = self._workspace.companion("bf16", x, x.size, np.uint16).reshape(x.shape)
            self.launch("round_to_bf16", self._elements(x.size), x.size, x=x, out=copy, n=x.size)
            self._know("bf16", x, copy)
        return copy

    def _elements(self, n: int) -> int:
        """Blocks for a pass over n numbers, four to a thread; no more than the device runs at once."""
        return min(math.ceil(n / (4 * THREADS)), 8 * self._device.multiprocessors)

    @contextmanager
    def _linear(self, delta, out):
        """Within, out is recorded as a linear function of δ, or of another array: a factor of δ is one of out."""
        loss = self._known("loss", delta)
        yield
        if loss is not None:
            self._know("loss", out, loss)

    def _scaled(self, delta, alpha):
        """Let the loss of which δ comes scale its gradient by alpha, once for all layers; the factor that remains.

        Else each layer's gradient and sum of δ would be scaled, and a factor that only the device knows stored.
        """
        loss = self._known("loss", delta)
        assert loss is not None or not self._scales, "δ comes from a loss whose gradient is scaled"
        if loss is None:
            return alpha
        if loss not in self._scales:
            node, self._scales[loss] = self.tape[loss], alpha
            factor = node.arguments["scale"] = scalar(alpha)
            accesses = *node.accesses, *(Access(at, at + 8, False) for at in (factor.first, factor.second) if at)
            self.tape[loss] = node._replace(accesses=accesses)
        assert scalar(self._scales[loss]) == scalar(alpha), "all layers' gradients have one factor"
        return 1.0

    def linear(self, x, w, b, activation, slope, out):
        (rows, inputs), outputs, own = x.shape, w.shape[1], self._of_elements(activation)

        def kernel():
            given = {"x": x, "w": w, "b": b, "activation": own, "slope": slope, "out": out}
            parts = dict.fromkeys(("w", "b", "slope", "out"), ("columns", outputs))
            self._by_kernel("linear", (rows, inputs, outputs), (rows, outputs), outputs, parts, given)

        def library(read):
            self.multiply(read(x), read(w), out)
            passes = {"activation": own, "rows": rows, "columns": outputs}
            self.launch("bias_activation", self._elements(out.size), 8 * out.size, a=out, b=b, slope=slope, **passes)

        def fused(read):
            epilogue = "relu_bias" if own == codes.RELU else "bias"
            self.multiply(read(x), read(w), out, epilogue=epilogue, vector=b)
            self._know("product", out, len(self.tape) - 1)

        ways = {"kernel": kernel} | self._by_library("", library)
        hides_nan = own == codes.RELU and not self._shows_nan
        if own == codes.IDENTITY or hides_nan:
            ways |= self._by_library("fused ", fused)
        self._record_fastest(("linear", own, hides_nan, rows, inputs, outputs), ways, [out])
        self._activate_rows(activation, slope, out)

    def backward_data(self, delta, w, activation, a, slope, out):
        with self._linear(delta, out):
            self._backward_data(delta, w, activation, a, slope, out)

    def _backward_data(self, delta, w, activation, a, slope, out):
        (rows, outputs), inputs, own = delta.shape, w.shape[0], self._of_elements(activation)

        def kernel():
            given = {"delta": delta, "w": w, "activation": own, "a": a, "slope": slope, "out": out}
            parts = dict.fromkeys(("a", "slope", "out"), ("columns", inputs)) | {"w": ("rows", inputs)}
            self._by_kernel("backward_data", (rows, inputs, outputs), (rows, inputs), inputs, parts, given)

        def library(read):
            self.multiply(read(delta), read(w), out, transpose_b=True)
            self.activation_backward(own, a, slope, out)

        def fused(read):
            sums = self._workspace.companion("sums", out, inputs, out.dtype)
            epilogue = {"epilogue": "drelu_bgrad", "vector": sums, "mask": mask}
            self.multiply(read(delta), read(w), out, transpose_b=True, **epilogue)
            self._know("sums", out, (len(self.tape) - 1, sums))

        ways = {"kernel": kernel} | self._by_library("", library)
        forward = self._known("product", a) if own == codes.RELU else None
        if forward is None:
            self._record_fastest(("backward_data", own, rows, inputs, outputs), ways, [out])
        else:
            # The library takes ReLU's derivative from a mask that its forward product, for `a`, has to write. Whether
            # that pays depends on both products, so every trial includes the forward product, with or without a mask.
            plain = self.tape[forward]
            mask = self._workspace.mask(a)
            masked = plain._replace(epilogue="relu_aux_bias", mask=mask)
            before = dict.fromkeys(ways, plain)
            by_mask = self._by_library("fused ", fused)
            ways, before = ways | by_mask, before | dict.fromkeys(by_mask, masked)
            key = "backward_data", own, rows, inputs, outputs, "after", *plain.a.shape[1:]
            if self._record_fastest(key, ways, [a, out], before) in by_mask:
                self.tape[forward] = masked
        if own != activation:
            self.activation_backward(activation, a, slope, out)

    def accumulate(self, a, delta, alpha, beta, out, bias_beta, bias, by_columns=False):
        (rows, inputs), outputs = a.shape, delta.shape[1]
        alpha = self._scaled(delta, alpha)

        def kernel():
            numbers = {"alpha": scalar(alpha), "beta": scalar(beta), "bias_beta": scalar(bias_beta)}
            given = {"x": a, "delta": delta, **numbers, "out": out, "bias": bias, "by_columns": by_columns}
            parts = {"x": ("columns", inputs), "out": ("rows", inputs)}
            if by_columns:
                parts = dict.fromkeys(("delta", "out"), ("columns", outputs))
            parts["bias"] = "columns", outputs
            shared = outputs if by_columns else inputs
            self._by_kernel("accumulate", (rows, inputs, outputs), (inputs, outputs), shared, parts, given)

        def library(read, **epilogue):
            factors = {"alpha": self._stored(alpha), "beta": self._stored(beta)}
            self.multiply(read(a), read(delta), out, transpose_a=True, **factors, **epilogue)
            if epilogue:
                self._know("sums", delta, (len(self.tape) - 1, epilogue["vector"]))
            self._bias_gradient(delta, alpha, bias_beta, bias)

        def fused():
            sums = self._workspace.companion("sums", delta, outputs, delta.dtype)
            library(lambda x: x, epilogue="bgrad", vector=sums)

        ways = {"kernel": kernel} | self._by_library("", library)
        key: tuple = ("accumulate", rows, inputs, outputs)
        if self._known("sums", delta) is None:
            ways["fused library"] = fused
        else:
            key = *key, "summed"
        # for factors in device memory, or where it adds to out, the library may have other algorithms or none
        key = *key, "device" if _any_on_device(alpha, beta) else "host", "added" if _may_add(beta) else "written"
        self._record_fastest(key, ways, [out, bias])

    def _by_kernel(
        self,
        name: str,
        sizes: tuple[int, int, int],
        result: tuple[int, int],
        shared: int,
        parts: Mapping[str, tuple[str, int]],
        given: Mapping[str, Any],
    ) -> None:
        """Record a product by our kernel.

        sizes: rows, inputs and outputs of the layer; result: of the product, for the tiles of many rows. With few rows
        the blocks share so many columns or rows, and parts are the fields that they share so.
        """
        rows, inputs, outputs = sizes
        given = {**given, "rows": rows, "inputs": inputs, "outputs": outputs}
        work, weights = rows * inputs * outputs, inputs * outputs * (2 if name == "accumulate" else 1)
        if rows <= FEW:
            self.launch(f"{name}_few", math.ceil(shared / UNIT), work, weights, parts, **given)
        else:
            tiles = math.ceil(result[0] / TILE) * math.ceil(result[1] / TILE)
            self.launch(name, tiles, work, weights, **given)

    def _bias_gradient(self, delta, alpha, beta, bias):
        known = self._known("sums", delta)
        if known is not None:
            product, sums = known
            in_step = self._known("loss", delta) is not None  # which ends with the layer that adds all sums
            if alpha == 1.0 and (beta == 0.0 or (beta == 1.0 and in_step)):  # on the host
                if beta == 0.0 and not self._tries:
                    self._sum_into(product, bias)
                elif not self._tries:
                    self._sums.append((bias, product))
                return
            delta = sums.reshape(1, -1)  # a batch of one row
        rows, columns = delta.shape
        self._add_rows(delta, rows, columns, alpha, beta, bias)

    def _add_rows(self, delta, rows, columns, alpha, beta, bias):
        """bias (columns,) = beta bias + alpha Σ_i delta[i]; bias may be the first part of an array."""
        across = max(math.ceil(columns / 8), 1)
        most = MAX_BLOCKS // max(columns, 1), math.ceil(rows / ROWS_OF_SUM), self._device.multiprocessors // across
        splits = max(min(most), 1)
        given = {"delta": delta, "alpha": scalar(alpha), "beta": scalar(beta), "bias": bias, "rows": rows}
        given |= {"columns": columns, "splits": splits, "sum": self._workspace.partial()}
        self.launch("bias_gradient", across * splits, rows * columns, **given)

    def _sum_into(self, product, vector):
        """Change where a product on the tape puts its sums."""
        node = self.tape[product]
        assert isinstance(node, Matmul)
        self.tape[product] = node._replace(vector=vector)

    def _add_sums(self):
        """Record one addition of sums by the library to the biases of all layers; to be called after the last of them.

        The sums get the layout of the biases, which lie side by side in a flat buffer.
        """
        if not self._sums:
            return
        address, itemsize = self._device.address, self._real.itemsize
        lowest = min((bias for bias, _ in self._sums), key=address)
        places = [((address(bias) - address(lowest)) // itemsize, bias.size) for bias, _ in self._sums]
        n = max(at + size for at, size in places)
        sums = self._workspace.companion("sums", lowest, n, self._real)
        self._device.fill(sums, 0)  # between the layers
        for (at, size), (_, product) in zip(places, self._sums, strict=True):
            self._sum_into(product, sums[at : at + size])
        self._sums = []
        self._add_rows(sums, 1, n, 1.0, 1.0, lowest)

    def activation_backward(self, activation, a, slope, delta):
        self._formulas.activation(activation)
        if activation in (codes.IDENTITY, codes.THRESHOLD):
            return
        rows, columns = delta.shape
        blocks = rows if activation == codes.SOFTMAX else self._elements(delta.size)
        given = {"a": a, "slope": slope, "delta": delta, "activation": activation, "rows": rows, "columns": columns}
        with self._linear(delta, delta):
            self.launch("activation_backward", blocks, 8 * delta.size, **given)

    def _of_elements(self, activation: int) -> int:
        """The activation that a product can apply to each element: not softmax, which follows in a kernel of its own.

        InputError if no activation has the code.
        """
        self._formulas.activation(activation)
        return codes.IDENTITY if activation == codes.SOFTMAX else activation

    def _activate_rows(self, activation, slope, out):
        if activation != codes.SOFTMAX:
            return
        rows, columns = out.shape
        sizes = {"activation": activation, "rows": rows, "columns": columns}
        self.launch("bias_activation", rows, 8 * out.size, a=out, b=None, slope=slope, **sizes)

    def _record_fastest(
        self,
        key: tuple,
        ways: Mapping[str, Callable[[], None]],
        written: list[Any],
        before: Mapping[str, Node] | None = None,
    ) -> str:
        """Record the product in the fastest way; returns the way's name.

        To find it, each way is timed on the buffers as they are, after its node in `before`; then the arrays `written`
        are restored.
        """

        def trial(name: str, way: Callable[[], None]) -> list[Node]:
            tape, numbers, facts = self.tape, set(self._numbers), dict(self._facts)
            noted: list[Any] = []
            self.tape, self._tries = noted, True
            for _ in range(TRIED):
                if before:
                    noted.append(before[name])
                way()
            self.tape, self._tries, self._numbers, self._facts = tape, False, numbers, facts
            return noted

        chosen = self._choice.of(key, {name: partial(trial, name, way) for name, way in ways.items()}, written)
        ways[chosen]()
        return chosen


def _any_on_device(*factors: Number | float) -> bool:
    return any(isinstance(factor, Number) for factor in factors)


def _may_add(beta: Number | float) -> bool:
    return isinstance(beta, Number) or beta != 0.0
