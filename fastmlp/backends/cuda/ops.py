"""The operations of the step as entries on a tape: which kernels and products to queue, in which order.

Nothing runs here: a tape is then queued, captured as a graph or turned into a program (see `runs.py`). The contract of
the operations is `fastmlp.backends.numpy_ops`.
"""

from __future__ import annotations

import math

import numpy as np

from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.numbers import SCALAR, Divisor, Number, scalar
from fastmlp.backends.cuda.products import Products
from fastmlp.backends.cuda.reduction import Reduce
from fastmlp.backends.cuda.streaming import HostSamples, Stage
from fastmlp.backends.cuda.tape import Samples
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.kernels.cuda import KINDS, THREADS

__all__ = ["CudaOps"]


class CudaOps(Products):
    """Operations on one network's buffers."""

    def __init__(
        self,
        device: Device,
        workspace: Workspace,
        choice: Choice | OwnKernels,
        real: np.dtype,
        slot: int = 0,
        prefetches: bool = False,
        together: Samples | None = None,
        shows_nan: bool = True,
        formulas: Formulas = BUILT_IN,
    ) -> None:
        super().__init__(device, workspace, choice, real, shows_nan, formulas)
        self._prefetches = prefetches  # whether small batches are gathered ahead, beside other work
        self._together = together  # samples of all steps of the tape, if they are to be gathered at once
        self._slot = slot  # of the buffer that is filled next
        self._gathered: dict[tuple, int] = {}  # the buffer of each batch that is in one
        self._next: tuple | None = None  # samples of the next batch, to be gathered when there is time

    # Views

    def matrix(self, flat, offset, rows, columns):
        return flat[offset : offset + rows * columns].reshape(rows, columns)

    def vector(self, flat, offset, length):
        return flat[offset : offset + length]

    # Batches

    def total_weight(self, weights, rows):
        if not weights.size:
            return float(len(rows)) or math.inf
        reduction, result = self._workspace.reduction()
        n = len(rows)
        self.launch("mean_scale", n / THREADS, 4 * n, weights=weights, rows=rows, n=n, sum=reduction)
        return Divisor(result)

    def announce_next_batch(self, x, labels, rows):
        if self._prefetches and x.size and len(rows):
            self._next = x, rows

    def zero_if_finite(self, x, rows):
        return 0.0

    def copy(self, x, out):
        self.launch("copy", self._elements(x.size), x.size, x=x, out=out, n=x.size)

    def _batch(self, x, rows):
        """x[rows], gathered once for all operations on them."""
        every, inputs, workspace = self._together or rows, x.shape[1], self._workspace
        n, first = len(every), rows.first - every.first
        key, streams = (id(x), every.picks, n), isinstance(x, HostSamples)
        if key not in self._gathered:
            slot = self._slot
            if streams:
                self.tape.append(Stage(x, every.first, n, slot))
                self._forget(workspace.staging[slot].array)
                self._gathered = {}  # the other buffer is released
            else:
                out = workspace.batch(slot, n)[: n * inputs]
                given = {"x": x, "kind": KINDS[x.dtype], "rows": every, "out": out, "n": n, "inputs": inputs}
                self.launch("gather", self._elements(out.size), out.size, **given)
            self._gathered = {other: at for other, at in self._gathered.items() if at != slot} | {key: slot}
            if streams or self._prefetches:
                self._slot = 1 - slot
        slot = self._gathered[key]
        flat = workspace.staging[slot].array if streams else workspace.batch(slot, n)
        return flat[first * inputs : (first + len(rows)) * inputs].reshape(len(rows), inputs)

    # Forward and backward

    def linear_rows(self, x, rows, w, b, activation, slope, out):
        self.linear(self._batch(x, rows), w, b, activation, slope, out)

    def linear_sparse(self, values, columns, starts, rows, w, b, activation, slope, out):
        own = self._of_elements(activation)
        sizes = {"n": len(rows), "inputs": w.shape[0], "outputs": w.shape[1]}
        sparse = {"values": values, "columns": columns, "starts": starts, "rows": rows}
        work = _entries(values, starts, rows) * w.shape[1]
        given = {**sparse, "w": w, "b": b, "activation": own, "slope": slope, "out": out, **sizes}
        self.launch("linear_sparse", len(rows), work, **given)
        self._activate_rows(activation, slope, out)

    def dropout(self, x, keep, seed, step, layer, first_row, out):
        rows, columns = x.shape
        where = {"layer": layer, "first_row": first_row, "rows": rows, "columns": columns}
        key = {"keep": keep, "seed": int(seed) & 0xFFFF_FFFF_FFFF_FFFF, "step": scalar(step)}
        with self._linear(x, out):
            self.launch("dropout", self._elements(x.size), 16 * x.size, x=x, out=out, **key, **where)

    def loss_gradient(self, loss, parameter, z, labels, targets, weights, rows, out):
        reduction, result = self._workspace.reduction()
        truth = {"labels": labels, "targets": targets, "weights": weights, "rows": rows}
        record = self._formulas.loss(loss)
        constants = {"loss": loss, "parameter": self._workspace.loss_parameter, "parameters": len(parameter)}
        constants |= {"value_is_mean": record.value_is_mean, "gradient_is_mean": record.gradient_is_mean}
        n, outputs = z.shape
        blocks = n if outputs >= 512 else n / 8
        given = {**constants, **truth, "z": z, "out": out, "n": n, "outputs": outputs, "sum": reduction}
        self.launch("loss_gradient", blocks, 16 * z.size, **given, scale=scalar(1.0))
        self._know("loss", out, len(self.tape) - 1)
        if self._next is not None:  # one block computes the loss, and another has time
            (x, following), self._next = self._next, None
            self._batch(x, following)
        return result

    def accumulate_rows(self, x, rows, delta, alpha, beta, out, bias_beta, bias):
        # In a program the blocks share the columns. Then they need not wait for one another between this layer's δ, its
        # gradient, and its outputs in the next step.
        by_columns = isinstance(self._choice, OwnKernels)
        self.accumulate(self._batch(x, rows), delta, alpha, beta, out, bias_beta, bias, by_columns)
        self._add_sums()

    def accumulate_sparse(self, values, columns, starts, rows, delta, alpha, beta, out, bias_beta, bias):
        alpha = self._scaled(delta, alpha)
        sparse = {"values": values, "columns": columns, "starts": starts, "rows": rows, "delta": delta}
        numbers = {"alpha": scalar(alpha), "beta": scalar(beta)}
        inputs, outputs = out.shape
        sizes = {"n": len(rows), "inputs": inputs, "outputs": outputs}
        work = _entries(values, starts, rows) * outputs
        given = {**sparse, **numbers, "out": out, **sizes}
        self.launch("accumulate_sparse", 2 * self._device.multiprocessors, work, work + 2 * out.size, **given)
        self._bias_gradient(delta, alpha, bias_beta, bias)
        self._add_sums()

    def all_reduce(self, shard, rows, gradient, loss):
        place, total = self._workspace.sum()
        terms = loss.scalars() if isinstance(loss, Number) else [scalar(loss)]
        kept = self._device.upload(np.array(terms, SCALAR))
        self.launch("store_sum", 1, 0, terms=kept, n_terms=len(terms), to=place)
        self.tape.append(Reduce(shard, rows, gradient, place, kept))
        self._forget(gradient)
        return total

    # Penalties and update rules

    def penalty(self, w, l1, l2):
        reduction, result = self._workspace.reduction()
        given: dict = {"w": w, "l1": scalar(l1), "l2": scalar(l2), "n": w.size, "sum": reduction}
        self.launch("penalty", self._elements(w.size), w.size, **given)
        return result

    def regularize(self, w, l1, l2, total, out):
        given: dict = {"w": w, "l1": scalar(l1), "l2": scalar(l2), "scale": scalar(1.0 / total)}
        given |= {"out": out, "n": out.size, "n_weights": w.size}
        self.launch("regularize", self._elements(out.size), out.size, **given)

    def clip(self, g, max_norm):
        blocks, whole = self._elements(g.size), {"g": g, "n": g.size}
        peak, norm = self._workspace.reduction()[0], self._workspace.reduction()[0]
        self.launch("peak", blocks, g.size, **whole, peak=peak)
        self.launch("gradient_norm", blocks, g.size, **whole, peak=peak[2], norm=norm)
        self.launch("rescale", blocks, g.size, **whole, norm=norm[2], max_norm=max_norm)

    def scale(self, w, factor):
        self.launch("scale", self._elements(w.size), w.size, w=w, factor=scalar(factor), n=w.size)

    def apply_rule(self, rule, w, g, moments, rate1, rate2, rate3, constants):
        self._formulas.rule(rule)
        given: dict = {"rate1": scalar(rate1), "rate2": scalar(rate2), "rate3": scalar(rate3), "n": w.size}
        given |= {"rule": rule, "w": w, "g": g, "moments": moments, "constants": self._workspace.constants(constants)}
        work = (2 if len(moments) < 2 else 8) * w.size
        self.launch("apply_rule", self._elements(w.size), work, 3 * w.size + 2 * moments.size, **given)


def _entries(values, starts, rows):
    """Entries of a batch of compressed rows, on average."""
    return len(rows) * values.size / max(starts.size - 1, 1)
