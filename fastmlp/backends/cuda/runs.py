"""Runs of the step's entry points on a device.

The text of `fastmlp.step` is gone through once, on a tape (see `ops.py`). A prediction or a gradient is queued as the
tape has it. An epoch is the tape of one step, replayed: the positions of its samples and its rates are in device
memory, and its last kernel, `advance`, moves them on. So one graph serves all batches of a size, and the host waits
once, for the epoch's loss. A small network's tape is not replayed by the host at all: one launch runs it step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from fastmlp import step
from fastmlp.backends.cuda.choice import Choice, OwnKernels
from fastmlp.backends.cuda.control import Control, Rates
from fastmlp.backends.cuda.device import Device, Graph, Launch, Node
from fastmlp.backends.cuda.numbers import Number
from fastmlp.backends.cuda.ops import CudaOps
from fastmlp.backends.cuda.streaming import HostSamples, Stage
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels.cuda import FEW, INSTRUCTION, MAX_INSTRUCTIONS, operations
from fastmlp.network import Data, Network, Update

__all__ = ["Run"]

PROGRAM_WORK = 4e6  # multiply-adds of a forward pass; beyond, its few blocks cost more than launches would
CLUSTER = 8  # blocks; 0: use none
PROGRAM_BLOCKS = 32  # without clusters; more make a barrier slower than they make an operation faster
ALONE = 20_000  # multiply-adds that one block does sooner than a barrier would let others help


class _Segment(NamedTuple):
    """Some of a tape: where samples come from the host, a segment begins."""

    stage: Stage | None
    nodes: list[Node]


class _Program(NamedTuple):
    """A recorded step for the persistent kernel."""

    instructions: Any  # on the device
    length: int
    alone: bool  # whether all of it is for one block


class _Graphs(NamedTuple):
    """A recorded step as a graph, or a graph for every segment."""

    segments: list[tuple[Stage | None, Graph]]


_What = tuple[Network, Data, Update, int]
"""What is trained: network, data, update, seed of dropout."""


class Run:
    """Runs on one network, for batches of up to `rows` rows; formulas: what the codes stand for."""

    def __init__(self, device: Device, net: Network, rows: int, choice: Choice, formulas: Formulas) -> None:
        self._device, self._choice, self._real, self._formulas = device, choice, net.params.dtype, formulas
        self._workspace, self._control = Workspace(device, net, rows), Control(device)
        self._what: _What | None = None  # of the last run
        # of it, by rows and first staging buffer, with the terms of its loss, which must live as long
        self._recorded: dict[tuple[int, int], tuple[_Program | _Graphs, Any]] = {}
        self._arrivals = device.upload(np.zeros(1, np.uint32))

    def predict(self, net: Network, data: Data, order: np.ndarray, depth: int, out: Any) -> float:
        self._control.start(order, np.zeros((0, 3)), 0)
        ops = self._ops(self._choice)
        step.predict(ops, net, data, self._control.samples(len(order), moving=False), depth, out)
        self._queue(ops, order)
        return 0.0

    def gradient(
        self, net: Network, data: Data, update: Update, order: np.ndarray, seed: int, number: int, lr: float
    ) -> float:
        self._control.start(order, np.zeros((0, 3)), number)
        ops = self._ops(self._choice)
        loss = step.gradient(ops, net, data, update, self._control.samples(len(order), moving=False), seed, number, lr)
        _terms = self._control.advance(ops, loss, len(order))  # alive until the total is there
        self._queue(ops, order)
        return self._control.total()

    def train_epoch(
        self,
        net: Network,
        data: Data,
        update: Update,
        order: np.ndarray,
        batch_size: int,
        rates: np.ndarray,
        seed: int,
        first_step: int,
    ) -> float:
        what = net, data, update, seed
        self._start(what, order, rates, first_step)
        whole, rest = divmod(len(order), batch_size)
        for first, rows, steps in ((0, batch_size, whole), (whole * batch_size, rest, 1)):
            if rows and steps:
                self._replay(what, order[first : first + rows * steps], rows)
        return self._control.total()

    def prepare(self, net, data, update, order, batch_size, rates, seed, first_step) -> None:
        """Record what `train_epoch` with these arguments would."""
        what = net, data, update, seed
        self._start(what, order, rates, first_step)
        for rows in {min(batch_size, len(order)), len(order) % batch_size} - {0}:
            self._step(what, rows, 0)

    def release(self) -> None:
        """Forget what is recorded, and with it the samples that it reads."""
        self._recorded.clear()
        self._what = None

    def _start(self, what: _What, order: np.ndarray, rates: np.ndarray, first_step: int) -> None:
        """Begin a run, with nothing recorded if its addresses or numbers are not those of the run before."""
        same = self._what is not None and all(map(is_, what[:3], self._what)) and what[3] == self._what[3]
        if self._control.start(order, rates, first_step) or not same:
            self._recorded.clear()
            self._what = what

    def _ops(self, choice: Choice | OwnKernels, **options: Any) -> CudaOps:
        self._workspace.restart()
        return CudaOps(self._device, self._workspace, choice, self._real, formulas=self._formulas, **options)

    def _queue(self, ops: CudaOps, order: np.ndarray) -> None:
        """What is on the tape, once, for the samples `order`."""
        for stage, nodes in _segments(ops.tape):
            with self._staged(stage, order):
                self._device.queue(nodes, self._real)

    @contextmanager
    def _staged(self, stage: Stage | None, order: np.ndarray) -> Iterator[None]:
        """Within, a staging buffer has the samples it is to have, of the step's samples `order`."""
        if stage is None:
            yield
            return
        buffer, rows = self._workspace.staging[stage.slot], order[stage.first : stage.first + stage.rows]
        size = rows.size * stage.x.shape[1]
        buffer.load(lambda host: stage.x.take(rows, host[:size].reshape(len(rows), -1)))
        yield
        buffer.release()

    def _step(self, what: _What, rows: int, slot: int) -> _Program | _Graphs:
        """The step on the next `rows` samples, recorded; slot: of the first staging buffer it uses, if any."""
        if (rows, slot) not in self._recorded:
            small = self._is_small(what, rows)
            ops, terms = self._record(OwnKernels() if small else self._choice, what, rows, slot)
            recorded: _Program | _Graphs
            if small and len(ops.tape) <= MAX_INSTRUCTIONS:
                program = _program(ops.tape, self._real)
                recorded = _Program(self._device.upload(program), len(program), bool(program["alone"].all()))
            else:
                segments = _segments(ops.tape)
                for _, nodes in segments:
                    self._device.prepare(nodes, self._real)
                recorded = _Graphs([(stage, self._device.capture(nodes, self._real)) for stage, nodes in segments])
            self._recorded[rows, slot] = recorded, terms
        return self._recorded[rows, slot][0]

    def _is_small(self, what: _What, rows: int) -> bool:
        """Whether the step is for a program."""
        work = rows * float(np.dot(what[0].fan_in, what[0].fan_out))
        return rows <= FEW and work <= PROGRAM_WORK and not isinstance(what[1].x, HostSamples)

    def _record(self, choice: Choice | OwnKernels, what: _What, rows: int, slot: int) -> tuple[CudaOps, Any]:
        """The tape of one step, an epoch of which is the same step again and again; and what it needs to live."""
        # A NaN may hide in a step, since the trainer looks at the parameters after each epoch
        ops, control = self._ops(choice, slot=slot, shows_nan=False), self._control
        (net, data, update, seed), rates = what, Rates(control.rates)
        samples, number = control.samples(rows, moving=True), Number.at(control.step)
        loss = step.train_epoch(ops, net, data, update, samples, rows, rates, seed, number)
        return ops, control.advance(ops, loss, rows)

    def _replay(self, what: _What, order: np.ndarray, rows: int) -> None:
        """Steps of `rows` rows over the samples `order`."""
        recorded, steps, slot = self._step(what, rows, 0), len(order) // rows, 0
        if isinstance(recorded, _Program):
            self._run_program(recorded, steps)
            return
        if not isinstance(what[1].x, HostSamples):
            ((_, graph),) = recorded.segments
            for _ in range(steps):
                graph.launch()
            return
        for first in range(0, len(order), rows):
            graphs = self._step(what, rows, slot)
            assert isinstance(graphs, _Graphs)
            for stage, graph in graphs.segments:
                with self._staged(stage, order[first : first + rows]):
                    graph.launch()
                if stage is not None:
                    slot = 1 - stage.slot

    def _run_program(self, program: _Program, steps: int) -> None:
        self._device.fill(self._arrivals, 0)
        places = self._device.address(program.instructions), self._device.address(self._arrivals)
        arguments = np.array((places[0], program.length, steps, places[1]), operations(self._real)["program"].arguments)
        cluster = CLUSTER > 0 and self._device.clusters and not program.alone
        name, blocks = ("cluster_program", CLUSTER) if cluster else ("program", self._device.multiprocessors)
        blocks = 1 if program.alone else min(PROGRAM_BLOCKS, blocks)
        launch = Launch(name, blocks, arguments, cooperative=True, cluster=cluster, formulas=self._formulas)
        self._device.queue([launch], self._real)


def _segments(tape: list[Node | Stage]) -> list[_Segment]:
    segments = [_Segment(None, [])]
    for node in tape:
        if isinstance(node, Stage):
            segments.append(_Segment(node, []))
        else:
            segments[-1].nodes.append(node)
    return [segment for segment in segments if segment.stage or segment.nodes]


def _program(tape: list[Node | Stage], real: np.dtype) -> np.ndarray:
    """Instructions of the program kernel."""
    program = np.zeros(len(tape), INSTRUCTION)
    for instruction, node in zip(program, tape, strict=True):
        assert isinstance(node, Launch)
        instruction["code"] = operations(real)[node.name].code
        instruction["alone"] = node.work <= ALONE
        room = INSTRUCTION["arguments"].itemsize
        instruction["arguments"] = node.arguments.tobytes().ljust(room, b"\0")
    return program
