"""Runs of the step's entry points on a device.

`fastmlp.step` runs once, with operations that record on a tape what to queue (see `ops.py`). The tape of a prediction
or a gradient is queued once. An epoch replays the tape of one step: the positions of its samples and its rates are in
device memory, and its last kernel, `advance`, moves them on. So one graph serves all batches of a size, and the host
waits once, for the epoch's loss. For a small network the host does not even replay: one launch of a persistent kernel
runs the tape, as a program, for all steps.
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
from fastmlp.backends.cuda.device import Device, Graph, Launch, NoClusterError, Node
from fastmlp.backends.cuda.numbers import Number
from fastmlp.backends.cuda.ops import CudaOps
from fastmlp.backends.cuda.streaming import HostSamples, Stage
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels.cuda import FEW, INSTRUCTION, MAX_INSTRUCTIONS, operations
from fastmlp.network import Data, Network, Update

__all__ = ["Run"]

PROGRAM_WORK = 4e6  # multiply-adds of a forward pass, at most: beyond, few blocks cost more than launches do
CLUSTER = 8  # blocks of a cluster; 0: no clusters
PROGRAM_BLOCKS = 32  # without clusters; more make a barrier slower than they make an operation faster
SINGLE_BLOCK_WORK = 20_000  # multiply-adds, at most: one block does them sooner than a barrier brings in others


class _Segment(NamedTuple):
    """A part of a tape. A new one begins wherever samples come from the host."""

    stage: Stage | None
    nodes: list[Node]


class _Program(NamedTuple):
    """A recorded step for the persistent kernel."""

    instructions: Any  # on the device
    length: int
    single_block: bool  # whether one block does all of it


class _Graphs(NamedTuple):
    """A recorded step as a graph, or a graph for every segment."""

    segments: list[tuple[Stage | None, Graph]]


class _Training(NamedTuple):
    """What every step of a training works on."""

    net: Network
    data: Data
    update: Update
    seed: int  # of dropout


class Run:
    """Runs on one network, for batches of up to `rows` rows; formulas: what the codes stand for."""

    def __init__(self, device: Device, net: Network, rows: int, choice: Choice, formulas: Formulas) -> None:
        self._device, self._choice, self._real, self._formulas = device, choice, net.params.dtype, formulas
        self._workspace, self._control = Workspace(device, net, rows), Control(device)
        self._training: _Training | None = None  # of the last run
        # its steps, by rows and first staging buffer, each with the terms of its loss, which must live as long
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
        training = _Training(net, data, update, seed)
        self._start(training, order, rates, first_step)
        whole, rest = divmod(len(order), batch_size)
        for first, rows, steps in ((0, batch_size, whole), (whole * batch_size, rest, 1)):
            if rows and steps:
                self._replay(training, order[first : first + rows * steps], rows)
        return self._control.total()

    def prepare(self, net, data, update, order, batch_size, rates, seed, first_step) -> None:
        """Record the steps that `train_epoch` would run with these arguments."""
        training = _Training(net, data, update, seed)
        self._start(training, order, rates, first_step)
        for rows in {min(batch_size, len(order)), len(order) % batch_size} - {0}:
            self._step(training, rows, 0)

    def release(self) -> None:
        """Forget what is recorded, and with it the samples that it reads."""
        self._recorded.clear()
        self._training = None

    def _start(self, training: _Training, order: np.ndarray, rates: np.ndarray, first_step: int) -> None:
        """Begin a run; what is recorded is dropped if its addresses or numbers differ from those of the run before."""
        last = self._training
        same = last is not None and all(map(is_, training[:3], last)) and training.seed == last.seed
        if self._control.start(order, rates, first_step) or not same:
            self._recorded.clear()
            self._training = training

    def _ops(self, choice: Choice | OwnKernels, **options: Any) -> CudaOps:
        self._workspace.restart()
        return CudaOps(self._device, self._workspace, choice, self._real, formulas=self._formulas, **options)

    def _queue(self, ops: CudaOps, order: np.ndarray) -> None:
        """Queue what is on the tape, for the samples `order`."""
        for stage, nodes in _segments(ops.tape):
            with self._staged(stage, order):
                self._device.queue(nodes, self._real)

    @contextmanager
    def _staged(self, stage: Stage | None, order: np.ndarray) -> Iterator[None]:
        """Within, the stage's buffer holds its share of the step's samples `order`."""
        if stage is None:
            yield
            return
        buffer, rows = self._workspace.staging[stage.slot], order[stage.first : stage.first + stage.rows]
        size = rows.size * stage.x.shape[1]
        buffer.load(lambda host: stage.x.take(rows, host[:size].reshape(len(rows), -1)))
        yield
        buffer.release()

    def _step(self, training: _Training, rows: int, slot: int) -> _Program | _Graphs:
        """The step on the next `rows` samples, recorded; slot: of the first staging buffer it uses, if any."""
        if (rows, slot) not in self._recorded:
            small = self._is_small(training, rows)
            ops, terms = self._record(OwnKernels() if small else self._choice, training, rows, slot)
            recorded: _Program | _Graphs
            if small and len(ops.tape) <= MAX_INSTRUCTIONS:
                program = _program(ops.tape, self._real)
                recorded = _Program(self._device.upload(program), len(program), bool(program["single_block"].all()))
            else:
                segments = _segments(ops.tape)
                for _, nodes in segments:
                    self._device.prepare(nodes, self._real)
                recorded = _Graphs([(stage, self._device.capture(nodes, self._real)) for stage, nodes in segments])
            self._recorded[rows, slot] = recorded, terms
        return self._recorded[rows, slot][0]

    def _is_small(self, training: _Training, rows: int) -> bool:
        """Whether the step can be a program."""
        work = rows * float(np.dot(training.net.fan_in, training.net.fan_out))
        return rows <= FEW and work <= PROGRAM_WORK and not isinstance(training.data.x, HostSamples)

    def _record(self, choice: Choice | OwnKernels, training: _Training, rows: int, slot: int) -> tuple[CudaOps, Any]:
        """The tape of one step as an epoch repeats it, and what must live as long as the tape."""
        # A NaN may hide in a step, since the trainer looks at the parameters after each epoch
        ops, control = self._ops(choice, slot=slot, shows_nan=False), self._control
        (net, data, update, seed), rates = training, Rates(control.rates)
        samples, number = control.samples(rows, moving=True), Number.at(control.step)
        loss = step.train_epoch(ops, net, data, update, samples, rows, rates, seed, number)
        return ops, control.advance(ops, loss, rows)

    def _replay(self, training: _Training, order: np.ndarray, rows: int) -> None:
        """Run steps of `rows` rows over the samples `order`."""
        recorded, steps, slot = self._step(training, rows, 0), len(order) // rows, 0
        if isinstance(recorded, _Program):
            self._run_program(recorded, steps)
            return
        if not isinstance(training.data.x, HostSamples):
            ((_, graph),) = recorded.segments
            for _ in range(steps):
                graph.launch()
            return
        for first in range(0, len(order), rows):
            graphs = self._step(training, rows, slot)
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
        cluster = CLUSTER > 0 and self._device.clusters and not program.single_block
        name, blocks = ("cluster_program", CLUSTER) if cluster else ("program", self._device.multiprocessors)
        blocks = 1 if program.single_block else min(PROGRAM_BLOCKS, blocks)
        launch = Launch(name, blocks, arguments, cooperative=True, cluster=cluster, formulas=self._formulas)
        try:
            self._device.queue([launch], self._real)
        except NoClusterError:
            self._run_program(program, steps)  # without one


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
        instruction["single_block"] = node.work <= SINGLE_BLOCK_WORK
        room = INSTRUCTION["arguments"].itemsize
        instruction["arguments"] = node.arguments.tobytes().ljust(room, b"\0")
    return program
