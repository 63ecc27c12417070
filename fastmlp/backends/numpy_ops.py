"""The operations of the step in plain NumPy: the contract that every backend fulfils, and its reference.

A backend offers these methods under the same names and parameters. `out` (and whatever a docstring names as written)
is overwritten in full; nothing else is written. Terms with a factor of 0 may be left out, so a NaN or infinity may go
unnoticed where its factor is 0. Matrices are C-ordered and of one dtype, float32 or float64; a, b, w, x are never the
same memory as `out` unless a docstring allows it. The padding of the flat buffers is zero and stays zero.
B, I, O: batch, inputs, outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastmlp.activations import activate, multiply_by_derivative
from fastmlp.dropout import drop
from fastmlp.forks import no_fork
from fastmlp.formulas.by_code import BUILT_IN, Formulas
from fastmlp.losses import loss_and_gradient

__all__ = ["NumpyOps"]


class NumpyOps:
    """NumPy's operations. Keeps its scratch buffers, so that a second epoch allocates no large array.

    Activations, losses and update rules are given by code; formulas says what the codes stand for.
    """

    def __init__(
        self, formulas: Formulas = BUILT_IN, all_reduce: Callable[[int, int, np.ndarray, float], float] | None = None
    ) -> None:
        self._formulas, self._all_reduce = formulas, all_reduce
        self._buffers: dict[str, np.ndarray] = {}

    def _scratch(self, purpose, like):
        return self._buffer(purpose, like.shape, like.dtype)

    def _buffer(self, purpose, shape, dtype):
        buffer, nbytes = self._buffers.get(purpose), math.prod(shape) * dtype.itemsize
        if buffer is None or buffer.nbytes < nbytes:
            buffer = self._buffers[purpose] = np.empty(nbytes, np.uint8)
        return buffer[:nbytes].view(dtype).reshape(shape)

    def _batch(self, x, rows, dtype):
        """x[rows] in `dtype`."""
        batch = self._buffer("batch", (len(rows), x.shape[1]), dtype)
        if x.dtype == dtype:
            np.take(x, rows, axis=0, out=batch, mode="clip")  # with mode="raise" NumPy would buffer the result
        else:
            batch[...] = x[rows]
        return batch

    @staticmethod
    def _add(term, alpha, beta, out):
        """out = beta out + alpha term, without reading out if beta = 0; term is scratch afterwards."""
        term *= alpha
        if beta == 0:
            out[...] = term
        else:
            out *= beta
            out += term

    # Views

    def matrix(self, flat, offset, rows, columns):
        """View (rows, columns) of a flat buffer from `offset` on."""
        return flat[offset : offset + rows * columns].reshape(rows, columns)

    def vector(self, flat, offset, length):
        """View (length,) of a flat buffer from `offset` on."""
        return flat[offset : offset + length]

    # Batches

    def total_weight(self, weights, rows):
        """Σ weights[rows], or B if weights is empty, infinity if the sum is 0; in float64, on every thread.

        A mean is divided by it: without any weight it is 0.
        """
        total = float(weights[rows].sum(dtype=np.float64)) if weights.size else float(len(rows))
        return total or math.inf

    def announce_next_batch(self, x, labels, rows):
        """Samples `rows` are the next batch, none if there is none: a backend may prefetch them, or begin with them.

        If the gradient is added to the parameters themselves, only this batch's `accumulate_rows` may change those of
        the first layer before the next batch's `linear_rows`.
        """

    def zero_if_finite(self, x, rows):
        """0 if x[rows] are finite numbers, else NaN: this thread's share. x (N, I) of any real dtype.

        A backend that does not check samples (see `Backend.checks_samples`) returns 0.
        """
        return 0.0 if np.isfinite(x[rows]).all() else math.nan

    def copy(self, x, out):
        """out (B, O) = x (B, O)."""
        out[...] = x

    # Forward and backward

    def linear(self, x, w, b, activation, slope, out):
        """out (B, O) = σ(x w + b): product, bias and activation in one pass.

        x (B, I), w (I, O), b (O,). slope (B, O) is scratch, or receives σ'(z) for the activations that store it.
        """
        np.matmul(x, w, out=out)
        out += b
        activate(self._formulas.activation(activation), out, slope)

    def linear_rows(self, x, rows, w, b, activation, slope, out):
        """`linear` of x[rows]; x (N, I) of any real dtype, rows (B,) int64."""
        self.linear(self._batch(x, rows, out.dtype), w, b, activation, slope, out)

    def linear_sparse(self, values, columns, starts, rows, w, b, activation, slope, out):
        """`linear` of compressed rows (see `fastmlp.network.Data`), those of numbers `rows` (B,); w (I, O)."""
        out[...] = _compressed(values, columns, starts, rows, w.shape[0]) @ w
        out += b
        activate(self._formulas.activation(activation), out, slope)

    def dropout(self, x, keep, seed, step, layer, first_row, out):
        """out (B, O) = x / keep where the mask of (seed, step, layer, first_row + row, column) keeps, else 0.

        out may be x.
        """
        drop(x, keep, seed, step, layer, first_row, out)

    def loss_gradient(self, loss, parameter, z, labels, targets, weights, rows, out):
        """out (B, O) = s ∂ℓ/∂z; returns the thread's share of Σ s ℓ. z (B, O), parameter (K,), rows (B,).

        Targets are targets[rows], or one-hot rows of labels[rows] if there are labels (N,); s is weights[rows], or 1
        if weights is empty.
        """
        if labels.size:
            target = self._scratch("target", out)
            target[...] = 0
            target[np.arange(len(rows)), labels[rows]] = 1
        else:
            target = self._batch(targets, rows, out.dtype)
        weight = weights[rows] if weights.size else np.ones(len(rows), out.dtype)
        return loss_and_gradient(
            self._formulas.loss(loss), parameter, z, target, weight, out, self._scratch("values", out)
        )

    def activation_backward(self, activation, a, slope, delta):
        """delta (B, O): ∂L/∂a becomes ∂L/∂z in place; a (B, O), slope (B, O) as `linear` left it."""
        multiply_by_derivative(self._formulas.activation(activation), a, slope, delta)

    def backward_data(self, delta, w, activation, a, slope, out):
        """out (B, I) = (delta wᵀ) ∘ σ'; delta (B, O), w (I, O), and a, slope (B, I) of the layer below."""
        np.matmul(delta, w.T, out=out)
        multiply_by_derivative(self._formulas.activation(activation), a, slope, out)

    def accumulate(self, a, delta, alpha, beta, out, bias_beta, bias):
        """out (I, O) = beta out + alpha aᵀ delta and bias (O,) = bias_beta bias + alpha Σ_i delta[i].

        a (B, I), delta (B, O). What has the factor 0 is not read.
        """
        self._add(np.matmul(a.T, delta, out=self._scratch("product", out)), alpha, beta, out)
        self._add(delta.sum(axis=0), alpha, bias_beta, bias)

    def accumulate_rows(self, x, rows, delta, alpha, beta, out, bias_beta, bias):
        """`accumulate` with x[rows] as a; x (N, I) of any real dtype, rows (B,) int64."""
        self.accumulate(self._batch(x, rows, out.dtype), delta, alpha, beta, out, bias_beta, bias)

    def accumulate_sparse(self, values, columns, starts, rows, delta, alpha, beta, out, bias_beta, bias):
        """`accumulate` with the compressed rows of numbers `rows` (B,) as a."""
        self._add(_compressed(values, columns, starts, rows, out.shape[0]).T @ delta, alpha, beta, out)
        self._add(delta.sum(axis=0), alpha, bias_beta, bias)

    def all_reduce(self, shard, rows, gradient, loss):
        """Hand over gradient (P,) and loss of a shard with so many rows; the last of them takes the sums over all.

        After the last shard that this process has, gradient holds the sum over all shards of all processes, and the
        sum of the losses is returned, 0 before. loss and result are this thread's shares. The order of the additions
        depends on nothing but the number of shards. If rows is 0, the gradient is not read and counts as 0.
        """
        assert self._all_reduce is not None
        return self._all_reduce(shard, rows, gradient, loss)

    # Penalties and update rules, over flat buffers (P,)

    def penalty(self, w, l1, l2):
        """The thread's share of l1 Σ|w| + ½ l2 Σ w², in float64; w (P,)."""
        total = 0.5 * l2 * float(np.dot(w, w)) if l2 else 0.0
        return total + (l1 * float(np.abs(w, out=self._scratch("term", w)).sum()) if l1 else 0.0)

    def regularize(self, w, l1, l2, total, out):
        """out (P,) = (out + l2 w + l1 sign(w)) / total where w, the weights, come first in P; the rest: out / total."""
        term, of_weights = self._scratch("term", w), out[: len(w)]
        if l2:
            of_weights += np.multiply(w, l2, out=term)
        if l1:
            np.sign(w, out=term)
            term *= l1
            of_weights += term
        if total != 1.0:
            out /= total

    def clip(self, g, max_norm):
        """g (P,) scaled down in place to the Euclidean norm max_norm if it is longer (Pascanu et al. 2013)."""
        # relative to the largest entry, since the squares of an exploding gradient overflow where clipping is for
        peak = max(float(g.max()), -float(g.min()))
        norm = peak
        if np.isfinite(peak):
            part = np.divide(g, peak or 1.0, out=self._scratch("term", g))
            norm *= float(np.dot(part, part)) ** 0.5
        if norm > max_norm:
            g *= max_norm / norm

    def scale(self, w, factor):
        """w (P,) *= factor."""
        w *= factor

    def apply_rule(self, rule, w, g, moments, rate1, rate2, rate3, constants):
        """One update of w (P,) and moments (M, P) along the gradient g (P,) by the formula of the rule.

        rate1, rate2 and rate3 are the row of `Optimizer.rates` for this update, constants (K,) those of the formula.
        """
        record = self._formulas.rule(rule)
        # Python's floats: numpy.float64 would turn an update in float32 into float64
        scalars = map(float, (*(rate1, rate2, rate3)[: len(record.rates)], *constants))
        record.evaluation.run([w, *moments, g], list(scalars), [w, *moments])


def _compressed(values, columns, starts, rows, n_columns):
    """The compressed rows of numbers `rows` (B,), as a matrix (B, n_columns); the cost does not grow with N."""
    with no_fork():
        from scipy.sparse import csr_matrix

    lengths = starts[rows + 1] - starts[rows]
    ends = np.cumsum(lengths)
    entries = np.repeat(starts[rows] + lengths - ends, lengths) + np.arange(lengths.sum())
    return csr_matrix((values[entries], columns[entries], np.concatenate([[0], ends])), shape=(len(rows), n_columns))
