"""Runs of the step's entry points on a device.

`fastmlp.step` runs once, with operations that record on a tape what to queue (see `ops.py`). The tape of a prediction
or a gradient is queued once. An epoch replays the tape of one step: the positions of its samples and its rates are in
device memory, and its last kernel, `advance`, moves them on. So one graph serves all batches of a size, and the host
waits once, for the epoch's loss. For a small network the host does not even replay: one launch of a persistent kernel
runs the tape, as a program, for all steps. Several steps are recorded on one tape where an epoch has enough of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple

import numpy as np

import fastmlp.step as step
from fastmlp.backends.base import Reduction
from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.control import Control
from fastmlp.backends.cuda.device import Device, Graph, Launch, NoClusterError, Node
from fastmlp.backends.cuda.numbers import Number
from fastmlp.backends.cuda.ops import CudaOps
from fastmlp.backends.cuda.programs import instructions, plan, seconds_as_graph
from fastmlp.backends.cuda.reduction import Reduce, Reducer
from fastmlp.backends.cuda.streaming import HostSamples, Stage
from fastmlp.backends.cuda.workspace import UNROLLED, Workspace
from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels.cuda import FEW, MAX_INSTRUCTIONS, operations
from fastmlp.network import Data, Network, Update

__all__ = ["Run"]

TOGETHER = 1 << 24  # numbers of the samples of several steps that are gathered at once, at most
CLUSTER = 8  # blocks of a cluster; 0: no clusters
PROGRAM_BLOCKS = 32  # without clusters; more make a barrier slower than they make an operation faster


class _Segment(NamedTuple):
    """A part of a tape. A new one begins where the host takes part: it has samples, or sums gradients."""

    before: Stage | Reduce | None
    nodes: list[Node]


class _Program(NamedTuple):
    """A recorded step for the persistent kernel."""

    instructions: Any  # on the device
    length: int
    blocks: int


class _Graphs(NamedTuple):
    """A recorded step as a graph, or a graph for every segment."""

    segments: list[tuple[Stage | Reduce | None, Graph]]


class _Training(NamedTuple):
    """What every step of a training works on."""

    net: Network
    data: Data
    update: Update
    seed: int  # of dropout


class Run:
    """Runs on one network, for batches or shards of up to `rows` rows; formulas: what the codes stand for."""

    def __init__(
        self,
        device: Device,
        net: Network,
        rows: int,
        choice: Choice,
        formulas: Formulas,
        all_reduce: Reduction | None = None,
    ) -> None:
        self._device, self._choice, self._real, self._formulas = device, choice, net.params.dtype, formulas
        self._reducer = None if all_reduce is None else Reducer(device, all_reduce)
        shards = 1 if all_reduce is None else all_reduce.shards[0]
        self._workspace, self._control = Workspace(device, net, rows, shards), Control(device)
        self._training: _Training | None = None  # of the last run
        # its steps, by rows, first staging buffer and number, each with the terms of its loss, which must live as long
        self._recorded: dict[tuple[int, int, int], tuple[_Program | _Graphs, Any]] = {}
        self._arrivals = device.upload(np.zeros(1, np.uint32))

    def predict(self, net: Network, data: Data, order: np.ndarray, depth: int, out: Any) -> float:
        self._control.start(order[None], np.zeros((1, 0, 3)), 0)
        ops = self._ops(self._choice)
        step.predict(ops, net, data, self._control.samples(len(order), moving=False), depth, out)
        self._queue(ops, order)
        return 0.0

    def gradient(
        self, net: Network, data: Data, update: Update, order: np.ndarray, seed: int, number: int, lr: float
    ) -> float:
        self._control.start(order[None], np.zeros((1, 0, 3)), number)
        ops = self._ops(self._choice)
        loss = step.gradient(ops, net, data, update, self._control.samples(len(order), moving=False), seed, number, lr)
        _terms = self._control.advance(ops, loss, len(order))  # alive until the total is there
        self._queue(ops, order)
        return float(self._control.losses(1)[0])

    def train(
        self,
        net: Network,
        data: Data,
        update: Update,
        orders: np.ndarray,
        batch_size: int,
        rates: np.ndarray,
        seed: int,
        first_step: int,
    ) -> np.ndarray:
        """`fastmlp.step.train_epoch` for each of the epochs orders (E, n), rates (E, steps, 3): losses (E,)."""
        training = _Training(net, data, update, seed)
        self._start(training, orders, rates, first_step)
        for epoch, order in enumerate(orders):
            if epoch:
                self._control.begin(epoch)
            whole, rest = divmod(len(order), batch_size)
            for first, rows, steps in ((0, batch_size, whole), (whole * batch_size, rest, 1)):
                if rows and steps:
                    self._replay(training, order[first : first + rows * steps], rows)
        return self._control.losses(len(orders))

    def prepare(self, net, data, update, orders, batch_size, rates, seed, first_step) -> None:
        """Record the steps that `train` would run with these arguments."""
        training = _Training(net, data, update, seed)
        self._start(training, orders, rates, first_step)
        whole, rest = divmod(orders.shape[1], batch_size)
        for rows, steps in ((batch_size, whole), (rest, 1)):
            if rows and steps:
                at_once = self._at_once(training, rows)
                for n in {at_once if steps >= at_once else 1, 1 if steps % at_once else at_once}:
                    self._step(training, rows, 0, n)

    def release(self) -> None:
        """Forget what is recorded, and with it the samples that it reads."""
        self._recorded.clear()
        self._training = None

    def _start(self, training: _Training, orders: np.ndarray, rates: np.ndarray, first_step: int) -> None:
        """Begin a run; what is recorded is dropped if its addresses or numbers differ from those of the run before."""
        last = self._training
        same = last is not None and all(map(is_, training[:3], last)) and training.seed == last.seed
        if self._control.start(orders, rates, first_step) or not same:
            self._recorded.clear()
            self._training = training

    def _ops(self, choice: Choice | OwnKernels, **options: Any) -> CudaOps:
        self._workspace.restart()
        return CudaOps(self._device, self._workspace, choice, self._real, formulas=self._formulas, **options)

    def _queue(self, ops: CudaOps, order: np.ndarray) -> None:
        """Queue what is on the tape, for the samples `order`."""
        for before, nodes in _segments(ops.tape):
            with self._host_done(before, order):
                self._device.queue(nodes, self._real)

    @contextmanager
    def _host_done(self, before: Stage | Reduce | None, order: np.ndarray) -> Iterator[None]:
        """Within, gradients are summed, or the stage's buffer holds its share of the step's samples `order`."""
        if isinstance(before, Reduce):
            assert self._reducer is not None
            self._reducer.reduce(before)
        if not isinstance(before, Stage):
            yield
            return
        buffer, rows = self._workspace.staging[before.slot], order[before.first : before.first + before.rows]
        size = rows.size * before.x.shape[1]
        buffer.load(lambda host: before.x.take(rows, host[:size].reshape(len(rows), -1)))
        yield
        buffer.release()

    def _step(self, training: _Training, rows: int, slot: int, steps: int) -> _Program | _Graphs:
        """The next steps on `rows` samples each, recorded; slot: of the first staging buffer they use, if any."""
        key = rows, slot, steps
        if key not in self._recorded:
            program = self._program(training, rows, steps)
            if program is None:
                ops, terms = self._record(self._choice, training, rows, slot, steps)
                segments = _segments(ops.tape)
                for _, nodes in segments:
                    self._device.prepare(nodes, self._real)
                graphs = _Graphs([(before, self._device.capture(nodes, self._real)) for before, nodes in segments])
            self._recorded[key] = program or (graphs, terms)
        return self._recorded[key][0]

    def _program(self, training: _Training, rows: int, steps: int) -> tuple[_Program, Any] | None:
        """Steps as a program, and what must live as long; None if they cannot be one, or are faster as a graph."""
        if rows > FEW or _needs_host(training):
            return None
        ops, terms = self._record(OwnKernels(), training, rows, 0, steps)
        tape = [node for node in ops.tape if isinstance(node, Launch)]
        if len(tape) > MAX_INSTRUCTIONS:
            return None
        several = CLUSTER if self._clusters() else min(PROGRAM_BLOCKS, self._device.multiprocessors)
        planned = plan(tape, several, self._real.itemsize)
        if planned.seconds > seconds_as_graph(tape, self._device.multiprocessors, self._real.itemsize):
            return None
        found = self._device.upload(instructions(tape, planned, self._real))
        return _Program(found, len(tape), 1 if planned.single_block else several), terms

    def _clusters(self) -> bool:
        return CLUSTER > 0 and self._device.clusters

    def _at_once(self, training: _Training, rows: int) -> int:
        """Steps for which one tape is recorded, if there are as many."""
        if _needs_host(training):
            return 1
        one = self._step(training, rows, 0, 1)
        return min(UNROLLED, MAX_INSTRUCTIONS // one.length) if isinstance(one, _Program) else UNROLLED

    def _record(
        self, choice: Choice | OwnKernels, training: _Training, rows: int, slot: int, steps: int
    ) -> tuple[CudaOps, Any]:
        """The tape of some steps as an epoch repeats it, and what must live as long as the tape."""
        # A NaN may hide in a step, since the trainer looks at the parameters after each epoch
        control, (net, data, update, seed) = self._control, training
        samples, number, rates = (
            control.samples(rows * steps, moving=True),
            Number.at(control.step),
            control.rates(steps),
        )
        program = isinstance(choice, OwnKernels)
        small = len(samples) * int(net.fan_in[0]) <= TOGETHER and rows <= net.chunk
        together = samples if small and steps > 1 and not program else None
        ops = self._ops(choice, slot=slot, prefetches=program, together=together, shows_nan=False)
        loss = step.train_epoch(ops, net, data, update, samples, rows, rates, seed, number)
        return ops, control.advance(ops, loss, rows * steps, steps)

    def _replay(self, training: _Training, order: np.ndarray, rows: int) -> None:
        """Run steps of `rows` rows over the samples `order`."""
        steps, slot = len(order) // rows, 0
        if _needs_host(training):
            for first in range(0, len(order), rows):
                graphs = self._step(training, rows, slot, 1)
                assert isinstance(graphs, _Graphs)
                for before, graph in graphs.segments:
                    with self._host_done(before, order[first : first + rows]):
                        graph.launch()
                    if isinstance(before, Stage):
                        slot = 1 - before.slot
            return
        at_once = self._at_once(training, rows)
        for n, times in ((at_once, steps // at_once), (1, steps % at_once)):
            if times:
                recorded = self._step(training, rows, 0, n)
                if isinstance(recorded, _Program):
                    self._run_program(recorded, times)
                    continue
                ((_, graph),) = recorded.segments
                for _ in range(times):
                    graph.launch()

    def _run_program(self, program: _Program, times: int) -> None:
        self._device.fill(self._arrivals, 0)
        places = self._device.address(program.instructions), self._device.address(self._arrivals)
        arguments = np.array((places[0], program.length, times, places[1]), operations(self._real)["program"].arguments)
        cluster = self._clusters() and program.blocks == CLUSTER
        name = "cluster_program" if cluster else "program"
        launch = Launch(name, program.blocks, arguments, cooperative=True, cluster=cluster, formulas=self._formulas)
        try:
            self._device.queue([launch], self._real)
        except NoClusterError:
            self._run_program(program, times)  # without one


def _needs_host(training: _Training) -> bool:
    """Whether the host takes part in every step."""
    return isinstance(training.data.x, HostSamples) or training.update.shards > 1


def _segments(tape: list[Node | Stage | Reduce]) -> list[_Segment]:
    segments = [_Segment(None, [])]
    for node in tape:
        if isinstance(node, (Stage, Reduce)):
            segments.append(_Segment(node, []))
        else:
            segments[-1].nodes.append(node)
    return [segment for segment in segments if segment.before or segment.nodes]
