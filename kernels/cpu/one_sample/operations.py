"""The operations on batches of one sample (twins of `NumpyOps`).

One row fills no tile, so each is a pass over the rows of a weight matrix, which skips the rows of zero inputs. Where
the next sample is known, the first layer's weights are passed over once a sample, not twice (see `lookahead`).

A large layer is split between two threads. Everything else the first thread does alone, and it goes on without a
barrier: the other thread waits for it at the next large layer.
"""

from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.host import HALF_L2, LINE
from fastmlp.kernels.cpu.machine.jitable import inlined
from fastmlp.kernels.cpu.machine.vectors import prefetch
from fastmlp.kernels.cpu.one_sample.lookahead import (
    are_formed,
    next_sample,
    note_layer,
    note_next,
    note_sums,
    places_of_sums,
)
from fastmlp.kernels.cpu.one_sample.one_pass import update_and_forward
from fastmlp.kernels.cpu.one_sample.vector_products import backward_relu, dot, forward, update
from fastmlp.kernels.cpu.operations.elementwise import activate, multiply_by_derivative
from fastmlp.kernels.cpu.regimes import is_shared
from fastmlp.kernels.cpu.team.signatures import Indices, Labels, Matrix, Samples, Vector
from fastmlp.kernels.cpu.team.threads import barrier, defer_barrier, share, wait_if_deferred
from fastmlp.kernels.cpu.team.views import address, span

__all__ = ["accumulate", "accumulate_rows", "announce_next_batch", "backward_data", "linear", "linear_rows"]

inlined(is_shared)


@inlined
def _is_large(w):
    return is_shared(w.shape[0], w.shape[1])


@inlined
def _parts(w):
    """Number of parts that a layer's inputs are split into, one for each thread.

    A sum over the inputs is always the sum of the parts' sums, by one thread too, so results do not depend on the
    number of threads. And each core uses the same rows of weights in every product and update, from its own cache.
    """
    return 2 if _is_large(w) else 1


@inlined
def _part(w, part):
    """Begin and end of a part of the inputs."""
    inputs = w.shape[0]
    middle = inputs // 2 & -(LINE // w.itemsize) if _is_large(w) else inputs
    return (0, middle) if part == 0 else (middle, inputs)


@inlined
def _is_mine(team, part):
    return team.size == 1 or team.rank == part


@inlined
def _own_inputs(team, w):
    """Begin and end of the inputs whose rows this thread takes."""
    return (0, w.shape[0]) if team.size == 1 else _part(w, team.rank) if team.rank < _parts(w) else (0, 0)


@inlined
def _sample(ops, x, row, out):
    """Address of a sample, converted if it is of another dtype than out."""
    inputs = x.shape[1]
    if x.dtype == out.dtype:
        return address(x) + row * inputs * x.itemsize
    source, target = span(x, row * inputs, inputs), span(ops.scratch, 0, inputs)
    for j in range(inputs):
        target[j] = source[j]
    return address(ops.scratch)


@inlined
def _form_sums(team, x, w, b, second, out):
    """out = b + x W over the first part of the inputs, second = x W over the second part if there is one."""
    outputs, size, one = w.shape[1], out.itemsize, out.dtype.type(1)
    if _is_large(w):
        wait_if_deferred(team)
    for part in range(_parts(w)):
        if _is_mine(team, part):
            begin, end = _part(w, part)
            start, sums = (address(b), address(out)) if part == 0 else (0, address(second))
            rows = address(w) + begin * outputs * size
            forward(x + begin * size, end - begin, rows, start, sums, outputs, one, size)
    if _is_large(w):
        barrier(team)


@inlined
def _activate_sums(team, w, activation, slope, out):
    """out = σ(the sum of the parts), of which the second is in slope."""
    if team.rank == 0:
        if _is_large(w):
            second, total = span(slope, 0, w.shape[1]), span(out, 0, w.shape[1])
            for j in range(total.shape[0]):
                total[j] += second[j]
        activate(team, activation, out, slope, 0, 1, 0, w.shape[1])
    defer_barrier(team)


def linear(ops, x: Matrix, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    _form_sums(ops, address(x), w, b, slope, out)
    _activate_sums(ops, w, activation, slope, out)


def linear_rows(ops, x: Samples, rows: Indices, w: Matrix, b: Vector, activation: int, slope: Matrix, out: Matrix):
    if not (_is_large(w) and are_formed(ops, rows[0])):
        _form_sums(ops, _sample(ops, x, rows[0], out), w, b, slope, out)
    if _is_large(w):
        note_layer(ops, w, out, slope)
    _activate_sums(ops, w, activation, slope, out)


def announce_next_batch(ops, x: Samples, labels: Labels, rows: Indices):
    known, size = rows.shape[0] > 0, x.itemsize
    note_next(ops, rows[0] if known and x.dtype == ops.scratch.dtype else -1)
    if known and x.shape[0] * x.shape[1] * size > HALF_L2:
        begin, end = share(ops, x.shape[1], LINE // size)  # the thread's own part of a large layer, or about that
        prefetch(address(x) + (rows[0] * x.shape[1] + begin) * size, (end - begin) * size)
        if labels.shape[0] > 0 and ops.rank == 0:
            prefetch(address(labels) + rows[0] * labels.itemsize, 1)


def backward_data(ops, delta: Matrix, w: Matrix, activation: int, a: Matrix, slope: Matrix, out: Matrix):
    inputs, outputs, size, shared = w.shape[0], w.shape[1], out.itemsize, _is_large(w)
    if shared:
        wait_if_deferred(ops)
    begin, end = _own_inputs(ops, w)
    zero, below, rows = out.dtype.type(0), span(out, begin, end - begin), address(w) + begin * outputs * size
    if activation == codes.RELU:
        for i in range(below.shape[0]):
            below[i] = zero
        source = address(a) + begin * size
        backward_relu(address(delta), outputs, rows, source, address(below), below.shape[0], zero)
    else:
        for i in range(below.shape[0]):
            below[i] = dot(rows + i * outputs * size, address(delta), outputs, zero)
        if activation != codes.SOFTMAX:
            multiply_by_derivative(ops, activation, a, slope, out, 0, 1, begin, end)
    if shared:
        barrier(ops)
    if activation == codes.SOFTMAX and ops.rank == 0:
        multiply_by_derivative(ops, activation, a, slope, out, 0, 1, 0, inputs)
    if activation == codes.SOFTMAX or not shared:
        defer_barrier(ops)


@inlined
def _scale(team, beta, out):
    """out = beta out, this thread's rows."""
    if beta != 1.0:
        begin, end = _own_inputs(team, out)
        own = span(out, begin * out.shape[1], (end - begin) * out.shape[1])
        for k in range(own.shape[0]):
            own[k] = out.dtype.type(beta) * own[k] if beta != 0.0 else out.dtype.type(0)


@inlined
def _accumulate_biases(team, delta, alpha, beta, bias):
    if team.rank == 0:
        move, real = span(delta, 0, bias.shape[0]), bias.dtype.type
        for j in range(bias.shape[0]):
            kept = real(beta) * bias[j] if beta != 0.0 else real(0)
            bias[j] = kept + real(alpha) * move[j]


@inlined
def _update(team, x, delta, alpha, out):
    (begin, end), outputs, size = _own_inputs(team, out), out.shape[1], out.itemsize
    rows = address(out) + begin * outputs * size
    update(x + begin * size, end - begin, rows, address(delta), outputs, out.dtype.type(alpha), size)


def accumulate(ops, a: Matrix, delta: Matrix, alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector):
    if _is_large(out):
        wait_if_deferred(ops)
    _scale(ops, beta, out)
    _accumulate_biases(ops, delta, alpha, bias_beta, bias)
    _update(ops, address(a), delta, alpha, out)
    defer_barrier(ops)  # a thread that is done must not go on to `accumulate_rows`, which may overwrite a


def accumulate_rows(
    ops, x: Samples, rows: Indices, delta: Matrix,
    alpha: float, beta: float, out: Matrix, bias_beta: float, bias: Vector,
):  # fmt: skip
    wait_if_deferred(ops)
    _scale(ops, beta, out)
    _accumulate_biases(ops, delta, alpha, bias_beta, bias)
    next_row = next_sample(ops, out) if _is_large(out) else -1
    if next_row < 0:
        _update(ops, _sample(ops, x, rows[0], out), delta, alpha, out)
    else:
        ops.update_and_form_sums(x, rows[0], next_row, delta, alpha, out, bias)
        note_sums(ops, next_row)
    barrier(ops)


def update_and_form_sums(
    ops, x: Samples, row: int, next_row: int, delta: Matrix, alpha: float, w: Matrix, b: Vector
):  # fmt: skip
    """W += alpha x[row]ᵀ δ, then the sums of x[next_row], where `linear_rows` has put those of x[row]."""
    inputs, outputs, size = w.shape[0], w.shape[1], w.itemsize
    this, following = address(x) + row * inputs * size, address(x) + next_row * inputs * size
    sums, second = places_of_sums(ops)
    for part in range(_parts(w)):
        if _is_mine(ops, part):
            begin, end = _part(w, part)
            at, rows = begin * size, address(w) + begin * outputs * size
            place = this + at, following + at, end - begin, rows, address(delta)
            start, z = (address(b), sums) if part == 0 else (0, second)
            update_and_forward(*place, start, z, outputs, w.dtype.type(alpha), size)
