"""The operations of the step as entries on a tape: which kernels and products to queue, in which order.

Nothing runs here: a tape is then queued, captured as a graph or turned into a program (see `runs.py`). The contract of
the operations is `fastmlp.backends.numpy_ops`.
"""

from __future__ import annotations

import math

import numpy as np

from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.device import Device
from fastmlp.backends.cuda.numbers import Divisor, scalar
from fastmlp.backends.cuda.products import Products
from fastmlp.backends.cuda.streaming import HostSamples, Stage
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
        shows_nan: bool = True,
        formulas: Formulas = BUILT_IN,
    ) -> None:
        super().__init__(device, workspace, choice, real, shows_nan, formulas)
        self._slot = slot  # of the staging buffer that is filled next
        self._gathered: tuple = ()  # which rows the batch buffer holds

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
        self.launch(
            "mean_scale", len(rows) / THREADS, 4 * len(rows), weights=weights, rows=rows, n=len(rows), sum=reduction
        )
        return Divisor(result)

    def announce_next_batch(self, x, labels, rows):
        pass

    def zero_if_finite(self, x, rows):
        return 0.0

    def copy(self, x, out):
        self.launch("copy", self._elements(x.size), x.size, x=x, out=out, n=x.size)

    def _batch(self, x, rows):
        """x[rows], gathered once for all operations on them."""
        n, inputs = len(rows), x.shape[1]
        key = id(x), rows.picks, n
        if isinstance(x, HostSamples):
            if self._gathered != key:
                self.tape.append(Stage(x, rows.first, n, self._slot))
                self._forget(self._workspace.staging[self._slot].array)
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

    def linear_rows(self, x, rows, w, b, activation, slope, out):
        self.linear(self._batch(x, rows), w, b, activation, slope, out)

    def linear_sparse(self, values, columns, starts, rows, w, b, activation, slope, out):
        own = self._of_elements(activation)
        sizes = {"n": len(rows), "inputs": w.shape[0], "outputs": w.shape[1]}
        sparse = {"values": values, "columns": columns, "starts": starts, "rows": rows}
        self.launch(
            "linear_sparse", len(rows), math.inf, **sparse, w=w, b=b, activation=own, slope=slope, out=out, **sizes
        )
        self._activate_rows(activation, slope, out)

    def dropout(self, x, keep, seed, step, layer, first_row, out):
        rows, columns = x.shape
        where = {"layer": layer, "first_row": first_row, "rows": rows, "columns": columns}
        key = {"keep": keep, "seed": int(seed) & 0xFFFF_FFFF_FFFF_FFFF, "step": scalar(step)}
        self.launch("dropout", self._elements(x.size), 16 * x.size, x=x, out=out, **key, **where)

    def loss_gradient(self, loss, parameter, z, labels, targets, weights, rows, out):
        reduction, result = self._workspace.reduction()
        truth = {"labels": labels, "targets": targets, "weights": weights, "rows": rows}
        record = self._formulas.loss(loss)
        constants = {"loss": loss, "parameter": self._workspace.loss_parameter, "parameters": len(parameter)}
        constants |= {"value_is_mean": record.value_is_mean, "gradient_is_mean": record.gradient_is_mean}
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

    # Penalties and update rules

    def penalty(self, w, l1, l2):
        reduction, result = self._workspace.reduction()
        numbers = {"l1": scalar(l1), "l2": scalar(l2)}
        self.launch("penalty", self._elements(w.size), w.size, w=w, **numbers, n=w.size, sum=reduction)
        return result

    def regularize(self, w, l1, l2, total, out):
        numbers = {"l1": scalar(l1), "l2": scalar(l2), "scale": scalar(1.0 / total)}
        sizes = {"n": out.size, "n_weights": w.size}
        self.launch("regularize", self._elements(out.size), out.size, w=w, **numbers, out=out, **sizes)

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
        rates = {"rate1": scalar(rate1), "rate2": scalar(rate2), "rate3": scalar(rate3)}
        given = {"rule": rule, "moments": moments, "constants": self._workspace.constants(constants)}
        work = (2 if len(moments) < 2 else 8) * w.size
        self.launch("apply_rule", self._elements(w.size), work, w=w, g=g, **given, **rates, n=w.size)
