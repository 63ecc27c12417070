"""Penalties and clipping over the flat buffers, each in one pass; update rules are generated."""

import math

import numpy as np

from fastmlp.kernels.cpu.machine.jitable import jitable
from fastmlp.kernels.cpu.team.signatures import Vector
from fastmlp.kernels.cpu.team.threads import barrier, part_length, share, sum_of_parts

__all__ = ["clip", "penalty", "regularize", "scale"]

BLOCK = 64  # threads split the buffers at multiples of cache lines


@jitable
def _own(team, values):
    """This thread's part of a buffer, as a slice: loops over it from 0 vectorise, since no index is negative."""
    begin, end = share(team, values.shape[0], BLOCK)
    return values[begin:end]


def penalty(ops, w: Vector, l1: float, l2: float) -> float:
    length = part_length(w.shape[0], BLOCK)
    begin, end = share(ops, w.shape[0], length)
    for first in range(begin, end, length):
        part = w[first : min(first + length, end)]
        total = 0.0
        if l1 != 0.0:
            for i in range(part.shape[0]):
                total += l1 * abs(part[i])
        if l2 != 0.0:
            for i in range(part.shape[0]):
                total += 0.5 * l2 * (part[i] * part[i])
        ops.partial[first // length] = total
    barrier(ops)
    return sum_of_parts(ops, w.shape[0], length)


def regularize(ops, w: Vector, l1: float, l2: float, total: float, out: Vector):
    biases, out = _own(ops, out[w.shape[0] :]), _own(ops, out[: w.shape[0]])
    w = _own(ops, w)
    a1, a2, scale = w.dtype.type(l1), w.dtype.type(l2), w.dtype.type(1.0 / total)
    if l1 != 0.0:
        for i in range(w.shape[0]):
            out[i] += a1 * np.sign(w[i])
    for i in range(w.shape[0]):
        out[i] = scale * (out[i] + a2 * w[i])
    if total != 1.0:
        for i in range(biases.shape[0]):
            biases[i] *= scale
    barrier(ops)


@jitable
def _norm(values, begin, end):
    """Euclidean norm of values[begin:end], relative to the largest, since squares of an exploding gradient overflow."""
    peak, squares = 0.0, 0.0
    for i in range(begin, end):
        peak = max(peak, abs(float(values[i])))
    if peak == 0.0 or peak == math.inf:
        return peak
    for i in range(begin, end):
        part = float(values[i]) / peak
        squares += part * part
    return peak * math.sqrt(squares)


def clip(ops, g: Vector, max_norm: float):
    length = part_length(g.shape[0], BLOCK)
    begin, end = share(ops, g.shape[0], length)
    for first in range(begin, end, length):
        ops.partial[first // length] = _norm(g, first, min(first + length, end))
    barrier(ops)
    norm = _norm(ops.partial, 0, (g.shape[0] + length - 1) // length)
    if norm > max_norm:
        factor = g.dtype.type(max_norm / norm)
        for i in range(begin, end):
            g[i] *= factor
    barrier(ops)


def scale(ops, w: Vector, factor: float):
    w, real_factor = _own(ops, w), w.dtype.type(factor)
    for i in range(w.shape[0]):
        w[i] *= real_factor
    barrier(ops)
