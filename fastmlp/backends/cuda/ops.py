"""The operations of the step as entries on a tape: which kernels and products to queue, in which order.

Nothing runs here. A tape is queued at once, captured as a graph or made a program: see `runs.py`. The contract of the
operations is `fastmlp.backends.numpy_ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.device import Device, Launch, Matmul, Node
from fastmlp.backends.cuda.numbers import Number, Scalar, scalar
from fastmlp.backends.cuda.streaming import HostSamples, Stage
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.kernels import codes
from fastmlp.kernels.cuda import FEW, GROUP, KINDS, MAX_BLOCKS, THREADS, TILE, operations

__all__ = ["CudaOps", "Samples"]


class Samples:
    """Numbers of `length` samples in device memory, order[position + first], …; slices as an array's."""

    def __init__(self, address: int, position: int, length: int, first: int = 0) -> None:
        self.picks, self.first, self._length = (address + 8 * first, position), first, length
        self._order = address

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> Samples:
        start, stop, _ = part.indices(self._length)
        return Samples(self._order, self.picks[1], max(stop - start, 0), self.first + start)


class CudaOps:
    """Operations on one network's buffers. `tape` has what they have noted."""

    def __init__(
        self,
        device: Device,
        workspace: Workspace,
        choice: Choice | OwnKernels,
        real: np.dtype,
        slot: int = 0,
        shows_nan: bool = True,
    ) -> None:
        self.tape: list[Node | Stage] = []
        self._slot = slot  # of the staging buffer that is filled next
        self._shows_nan = shows_nan  # whether a NaN must pass ReLU, which it does not in the library's
        self._device, self._workspace, self._choice = device, workspace, choice
        self._operations = operations(real)
        self._gathered: tuple = ()  # whose rows the batch buffer holds
        self._numbers: set[Scalar] = set()  # those that are stored where the library finds them

    def launch(self, name: str, blocks: float, work: float, **values: Any) -> None:
        """Note a launch of a kernel; work as in `Launch`; `values` are all fields of its struct."""
        arguments = np.zeros((), self._operations[name].arguments)
        assert values.keys() == set(arguments.dtype.names), (name, values.keys(), arguments.dtype.names)
        for field, value in values.items():
            arguments[field] = self._argument(value)
        self.tape.append(Launch(name, int(min(max(blocks, 1), MAX_BLOCKS)), arguments, work=work))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Samples):
            return value.picks
        if isinstance(value, (bool, int, float, tuple, np.generic)):
            return value
        return self._device.address(value) if value is not None and value.size else 0

    def _elements(self, n: int) -> int:
        """Blocks for a pass over n numbers, four to a thread; no more than the device runs at once."""
        return min(math.ceil(n / (4 * THREADS)), 8 * self._device.multiprocessors)

    # Views

    def matrix(self, flat, offset, rows, columns):
        return flat[offset : offset + rows * columns].reshape(rows, columns)

    def vector(self, flat, offset, length):
        return flat[offset : offset + length]

    # Batches

    def mean_scale(self, weights, rows):
        if not weights.size:
            return 1.0 / len(rows) if len(rows) else 0.0
        reduction, result = self._workspace.reduction()
        self.launch(
            "mean_scale", len(rows) / THREADS, 4 * len(rows), weights=weights, rows=rows, n=len(rows), sum=reduction
        )
        return result

    def expect(self, x, labels, rows):
        pass

    def copy(self, x, out):
        self.launch("copy", self._elements(x.size), x.size, x=x, out=out, n=x.size)

    def _batch(self, x, rows):
        """x[rows], gathered once for all operations on them."""
        n, inputs = len(rows), x.shape[1]
        key = id(x), rows.picks, n
        if isinstance(x, HostSamples):
            if self._gathered != key:
                self.tape.append(Stage(x, rows.first, n, self._slot))
                self._gathered, self._slot = key, 1 - self._slot
            return self._workspace.staging[1 - self._slot].array[: n * inputs].reshape(n, inputs)
        batch = self._workspace.batch[: n * inputs].reshape(n, inputs)
        if self._gathered != key:
            kind = KINDS[x.dtype]
            self.launch(
                "gather",
                self._elements(n * inputs),
                n * inputs,
                x=x,
                kind=kind,
                rows=rows,
                out=batch,
                n=n,
                inputs=inputs,
            )
            self._gathered = key
        return batch

    # Forward and backward

    def linear(self, x, w, b, activation, slope, out):
        (rows, inputs), outputs, own = x.shape, w.shape[1], _of_elements(activation)
        passes = {"activation": own, "rows": rows, "columns": outputs}

        def kernel():
            sizes = {"rows": rows, "inputs": inputs, "outputs": outputs}
            blocks = math.ceil(outputs / 8) * math.ceil(rows / GROUP) if rows <= FEW else _tiles(rows, outputs)
            self.launch(
                "linear", blocks, rows * inputs * outputs, x=x, w=w, b=b, activation=own, slope=slope, out=out, **sizes
            )

        def library():
            self.tape.append(Matmul(x, w, out))
            self.launch("bias_activation", self._elements(out.size), 8 * out.size, a=out, b=b, slope=slope, **passes)

        def fused():
            epilogue = "relu_bias" if own == codes.RELU else "bias"
            self.tape.append(Matmul(x, w, out, epilogue=epilogue, vector=b))

        ways = {"kernel": kernel, "library": library}
        hides_nan = own == codes.RELU and not self._shows_nan
        if own == codes.IDENTITY or hides_nan:
            ways["fused library"] = fused
        self._take(("linear", own, hides_nan, rows, inputs, outputs), ways, [out])
        self._activate_rows(activation, slope, out)

    def linear_rows(self, x, rows, w, b, activation, slope, out):
        self.linear(self._batch(x, rows), w, b, activation, slope, out)

    def linear_sparse(self, values, columns, starts, rows, w, b, activation, slope, out):
        own = _of_elements(activation)
        sizes = {"n": len(rows), "inputs": w.shape[0], "outputs": w.shape[1]}
        sparse = {"values": values, "columns": columns, "starts": starts, "rows": rows}
        self.launch(
            "linear_sparse", len(rows), math.inf, **sparse, w=w, b=b, activation=own, slope=slope, out=out, **sizes
        )
        self._activate_rows(activation, slope, out)

    def _activate_rows(self, activation, slope, out):
        if activation != codes.SOFTMAX:
            return
        rows, columns = out.shape
        sizes = {"activation": activation, "rows": rows, "columns": columns}
        self.launch("bias_activation", rows, 8 * out.size, a=out, b=None, slope=slope, **sizes)

    def dropout(self, x, keep, seed, step, layer, first_row, out):
        rows, columns = x.shape
        where = {"layer": layer, "first_row": first_row, "rows": rows, "columns": columns}
        key = {"keep": keep, "seed": int(seed) & 0xFFFF_FFFF_FFFF_FFFF, "step": scalar(step)}
        self.launch("dropout", self._elements(x.size), 16 * x.size, x=x, out=out, **key, **where)

    def loss_gradient(self, loss, parameter, z, labels, targets, weights, rows, out):
        reduction, result = self._workspace.reduction()
        truth = {"labels": labels, "targets": targets, "weights": weights, "rows": rows}
        constants = {"loss": loss, "parameter": self._workspace.loss_parameter, "parameters": len(parameter)}
        n, outputs = z.shape
        blocks = n if outputs >= 512 else n / 8
        self.launch(
            "loss_gradient",
            blocks,
            16 * z.size,
            **constants,
            z=z,
            **truth,
            out=out,
            n=n,
            outputs=outputs,
            sum=reduction,
        )
        return result

    def activation_backward(self, activation, a, slope, delta):
        if activation in (codes.IDENTITY, codes.THRESHOLD):
            return
        rows, columns = delta.shape
        blocks = rows if activation == codes.SOFTMAX else self._elements(delta.size)
        sizes = {"rows": rows, "columns": columns}
        self.launch(
            "activation_backward", blocks, 8 * delta.size, activation=activation, a=a, slope=slope, delta=delta, **sizes
        )

    def backward_data(self, delta, w, activation, a, slope, out):
        (rows, outputs), inputs, own = delta.shape, w.shape[0], _of_elements(activation)

        def kernel():
            sizes = {"rows": rows, "inputs": inputs, "outputs": outputs}
            items = inputs * math.ceil(rows / GROUP) / (THREADS // 32) if rows <= FEW else _tiles(rows, inputs)
            self.launch(
                "backward_data",
                items,
                rows * inputs * outputs,
                delta=delta,
                w=w,
                activation=own,
                a=a,
                slope=slope,
                out=out,
                **sizes,
            )

        def library():
            self.tape.append(Matmul(delta, w, out, transpose_b=True))
            self.activation_backward(own, a, slope, out)

        ways = {"kernel": kernel, "library": library}
        self._take(("backward_data", own, rows, inputs, outputs), ways, [out])
        if own != activation:
            self.activation_backward(activation, a, slope, out)

    def accumulate(self, a, delta, alpha, beta, out, bias_beta, bias):
        (rows, inputs), outputs = a.shape, delta.shape[1]

        def kernel():
            numbers = {"alpha": scalar(alpha), "beta": scalar(beta), "bias_beta": scalar(bias_beta)}
            sizes = {"rows": rows, "inputs": inputs, "outputs": outputs}
            blocks = self._elements(out.size) if rows <= FEW else _tiles(inputs, outputs)
            self.launch(
                "accumulate", blocks, rows * inputs * outputs, x=a, delta=delta, **numbers, out=out, bias=bias, **sizes
            )

        def library():
            factors = {"alpha": self._stored(alpha), "beta": self._stored(beta)}
            self.tape.append(Matmul(a, delta, out, transpose_a=True, **factors))
            self._bias_gradient(delta, alpha, bias_beta, bias)

        ways = {"kernel": kernel, "library": library}
        self._take(("accumulate", rows, inputs, outputs), ways, [out, bias])

    def accumulate_rows(self, x, rows, delta, alpha, beta, out, bias_beta, bias):
        self.accumulate(self._batch(x, rows), delta, alpha, beta, out, bias_beta, bias)

    def accumulate_sparse(self, values, columns, starts, rows, delta, alpha, beta, out, bias_beta, bias):
        sparse = {"values": values, "columns": columns, "starts": starts, "rows": rows, "delta": delta}
        numbers = {"alpha": scalar(alpha), "beta": scalar(beta)}
        inputs, outputs = out.shape
        sizes = {"n": len(rows), "inputs": inputs, "outputs": outputs}
        self.launch(
            "accumulate_sparse", 2 * self._device.multiprocessors, math.inf, **sparse, **numbers, out=out, **sizes
        )
        self._bias_gradient(delta, alpha, bias_beta, bias)

    def _bias_gradient(self, delta, alpha, beta, bias):
        rows, columns = delta.shape
        numbers = {"alpha": scalar(alpha), "beta": scalar(beta)}
        self.launch(
            "bias_gradient",
            math.ceil(columns / 8),
            delta.size,
            delta=delta,
            **numbers,
            bias=bias,
            rows=rows,
            columns=columns,
        )

    # Penalties and update rules

    def penalty(self, w, l1, l2):
        reduction, result = self._workspace.reduction()
        numbers = {"l1": scalar(l1), "l2": scalar(l2)}
        self.launch("penalty", self._elements(w.size), w.size, w=w, **numbers, n=w.size, sum=reduction)
        return result

    def regularize(self, w, l1, l2, out):
        self.launch("regularize", self._elements(w.size), w.size, w=w, l1=scalar(l1), l2=scalar(l2), out=out, n=w.size)

    def clip(self, g, max_norm):
        blocks, whole = self._elements(g.size), {"g": g, "n": g.size}
        peak, norm = self._workspace.reduction()[0], self._workspace.reduction()[0]
        self.launch("peak", blocks, g.size, **whole, peak=peak)
        self.launch("gradient_norm", blocks, g.size, **whole, peak=peak[2], norm=norm)
        self.launch("rescale", blocks, g.size, **whole, norm=norm[2], max_norm=max_norm)

    def scale(self, w, factor):
        self.launch("scale", self._elements(w.size), w.size, w=w, factor=scalar(factor), n=w.size)

    def sgd(self, w, g, velocity, lr, momentum, nesterov):
        rule = {"lr": scalar(lr), "momentum": momentum, "nesterov": nesterov}
        self.launch("sgd", self._elements(w.size), 2 * w.size, w=w, g=g, velocity=velocity, **rule, n=w.size)

    def adam(self, w, g, m, v, step_size, epsilon, beta1, beta2):
        rates = {"step_size": scalar(step_size), "epsilon": scalar(epsilon), "beta1": beta1, "beta2": beta2}
        self.launch("adam", self._elements(w.size), 8 * w.size, w=w, g=g, m=m, v=v, **rates, n=w.size)

    def rmsprop(self, w, g, v, lr, epsilon, rho):
        rates = {"lr": scalar(lr), "epsilon": scalar(epsilon), "rho": rho}
        self.launch("rmsprop", self._elements(w.size), 8 * w.size, w=w, g=g, v=v, **rates, n=w.size)

    # Ways to do the same

    def _take(self, key: tuple, ways: dict[str, Callable[[], None]], written: list[Any]) -> None:
        """Note the fastest way. To find it, each way is tried on the buffers as they are, and `written` is restored."""

        def trial(way: Callable[[], None]) -> list[Node]:
            tape, numbers = self.tape, set(self._numbers)
            noted: list[Any] = []
            self.tape = noted
            way()
            self.tape, self._numbers = tape, numbers
            return noted

        chosen = self._choice.of(key, {name: partial(trial, way) for name, way in ways.items()}, written)
        ways[chosen]()

    def _stored(self, number: Number | float) -> Any:
        """A number as the library takes it: itself, or where on the device it is stored in the step's dtype."""
        if not isinstance(number, Number):
            return number
        key = scalar(number)
        place = self._workspace.stored(key)
        if key not in self._numbers:
            self._numbers.add(key)
            self.launch("store_scalar", 1, 0, number=key, to=place)
        return place


def _of_elements(activation: int) -> int:
    """What a product can do to its elements as it writes them: softmax needs whole rows, in a kernel that follows."""
    return codes.IDENTITY if activation == codes.SOFTMAX else activation


def _tiles(rows: int, columns: int) -> int:
    return math.ceil(rows / TILE) * math.ceil(columns / TILE)
