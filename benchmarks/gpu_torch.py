"""PyTorch on a GPU: eager, compiled with mode="reduce-overhead", and in CUDA graphs, eager or compiled.

Data, permutations and parameters stay on the device, and a run waits for it once. In the graphs a batch is picked by
numbers that are on the device too, and one graph has several steps, so that its launch costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from time import perf_counter
from typing import Any

import numpy as np
import peer_torch
import torch
from contenders import Task

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # a CPU only to try this file
UNROLLED = 20  # steps in a graph
_MATMUL = {"float32": "highest", "tf32": "high", "bf16": "high"}


def problem() -> str | None:
    return None if torch.cuda.is_available() else f"PyTorch {torch.__version__} sees no GPU"


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


class _OnDevice:
    """The differences from the contenders for CPUs; `precision` is that of matrix products."""

    def __init__(self, task: Task, precision: str = "float32") -> None:
        self.precision = precision
        self.set_precision()
        with torch.device(DEVICE):
            super().__init__(task)  # type: ignore[call-arg]
        self.generator = torch.Generator(DEVICE).manual_seed(task.seed)

    def set_precision(self) -> None:
        """Set the precision, which is a setting of the process rather than of a model."""
        torch.set_float32_matmul_precision(_MATMUL[self.precision])

    def cast(self) -> Any:
        """Compute products in bfloat16 during the block; parameters, loss and updates stay float32."""
        return torch.autocast(DEVICE.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def take(self, samples: int) -> None:
        super().take(samples)  # type: ignore[misc]
        self.x, self.y = self.x.to(DEVICE), self.y.to(DEVICE)

    def reset(self) -> None:
        with torch.device(DEVICE):
            super().reset()  # type: ignore[misc]

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with self.cast():
            return super().step(x, y)  # type: ignore[misc]

    def batches(self) -> Any:
        x, y = self.x, self.y
        if self.task.shuffled:  # type: ignore[attr-defined]
            order = torch.randperm(len(x), generator=self.generator, device=DEVICE)
            x, y = x[order], y[order]
        return zip(x.split(self.task.batch), y.split(self.task.batch), strict=True)  # type: ignore[attr-defined]

    def train(self, epochs: int) -> float:
        self.set_precision()
        wait()
        begin = perf_counter()
        for _ in range(epochs):
            total = torch.zeros((), device=DEVICE)
            for x, y in self.batches():
                total.add_(self.step(x, y), alpha=len(x))
        wait()
        seconds = perf_counter() - begin
        self.loss = total.item() / len(self.x)
        return seconds

    def parameters(self) -> list[np.ndarray]:
        return [parameter.detach().cpu().numpy() for parameter in self.all]  # type: ignore[attr-defined]


class Eager(_OnDevice, peer_torch.Eager):
    """One step at a time from Python."""


class _Updating(_OnDevice, peer_torch.Compiled):
    """Parameters and state are updated in place by one function."""

    compiled: dict[str, Any] | None = None  # options of torch.compile

    def __init__(self, task: Task, precision: str = "float32") -> None:
        self.function = self.update
        self.precision = precision
        self.set_precision()
        torch.set_num_threads(task.threads)
        self.task = self.whole = task
        self.generator = torch.Generator(DEVICE).manual_seed(task.seed)
        self.take(len(task.x))
        self.loss = float("nan")
        self.reset()
        if self.compiled is not None:
            torch._dynamo.utils.counters.clear()
            torch._dynamo.reset()  # it counts recompilations of a function over all tasks, and gives up after eight
            self.function = torch.compile(self.update, dynamic=False, **self.compiled)
            try:
                for _, (x, y) in zip(range(3), self.batches(), strict=False):  # the second is recorded as a graph
                    self.step(x, y)
            except Exception as error:  # whatever the tool chain lacks
                raise RuntimeError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
            skipped = torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]
            if skipped and "mode" in self.compiled:
                print(f"torch.compile has made no graph of {skipped} functions, batch {task.batch}")
            self.reset()

    def reset(self) -> None:
        """Reset in the same memory, to whose addresses graphs refer."""
        if not hasattr(self, "all"):
            super().reset()
            for tensor in (*self.all, *self.m, *self.v, self.t):
                torch._dynamo.mark_static_address(tensor)  # or what is changed in place is kept out of graphs
            return
        for parameter, array in zip(self.all, (*self.task.weights, *self.task.biases), strict=True):
            parameter.copy_(torch.from_numpy(array))
        for tensor in (*self.m, *self.v, self.t):
            tensor.zero_()


class Compiled(_Updating):
    compiled = {"mode": "reduce-overhead"}  # noqa: RUF012

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        torch.compiler.cudagraph_mark_step_begin()  # the loss of the step before may be overwritten
        return super().step(x, y)


class Graphed(_Updating):
    """Eager steps captured in graphs."""

    def take(self, samples: int) -> None:
        super().take(samples)
        self.order = torch.arange(samples, device=DEVICE)
        self.at = torch.zeros((), dtype=torch.int64, device=DEVICE)
        self.total = torch.zeros((), device=DEVICE)
        self.graphs: dict[tuple[int, int], Callable[[], None]] = {}

    def next_step(self, rows: int) -> None:
        """A step on the next samples in the order, entirely on the device."""
        if rows == len(self.x):
            x, y = self.x, self.y
        else:
            numbers = self.order.index_select(0, self.at + torch.arange(rows, device=DEVICE))
            x, y = self.x.index_select(0, numbers), self.y.index_select(0, numbers)
        self.total.add_(self.step(x, y), alpha=rows)
        self.at.add_(rows)

    def recorded(self, rows: int, steps: int) -> Callable[[], None]:
        """Record several steps as one graph, which changes the parameters."""

        def work() -> None:
            for _ in range(steps):
                self.next_step(rows)

        if DEVICE.type != "cuda":
            return work
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # as PyTorch's manual wants it before a capture
            for _ in range(3):
                self.at.zero_()
                self.next_step(rows)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    def plan(self) -> list[tuple[Callable[[], None], int]]:
        """Graphs of an epoch, each with how often it is launched."""
        steps, rest = divmod(len(self.x), self.task.batch)
        parts = [(self.task.batch, UNROLLED, steps // UNROLLED), (self.task.batch, 1, steps % UNROLLED), (rest, 1, 1)]
        for rows, many, times in parts:
            if rows and times and (rows, many) not in self.graphs:
                self.graphs[rows, many] = self.recorded(rows, many)
        return [(self.graphs[rows, many], times) for rows, many, times in parts if rows and times]

    def train(self, epochs: int) -> float:
        self.set_precision()
        if not self.graphs:
            self.plan()
            self.reset()
        plan = self.plan()
        wait()
        begin = perf_counter()
        for _ in range(epochs):
            if self.task.shuffled:
                torch.randperm(len(self.x), generator=self.generator, device=DEVICE, out=self.order)
            self.at.zero_()
            self.total.zero_()
            for graph, times in plan:
                for _ in range(times):
                    graph()
        wait()
        seconds = perf_counter() - begin
        self.loss = self.total.item() / len(self.x)
        return seconds

    def update(self, parameters, m, v, t, x, y):
        """As on the CPU, but SGD by one foreach operation, which makes fewer nodes of a graph."""
        if self.task.optimizer != "sgd" or self.compiled is not None:
            return super().update(parameters, m, v, t, x, y)
        layers = len(parameters) // 2

        def loss_of(parameters):
            return peer_torch.mean_loss(parameters[:layers], parameters[layers:], x, y)

        gradients, loss = peer_torch.grad_and_value(loss_of)(parameters)
        torch._foreach_add_(list(parameters), list(gradients), alpha=-self.task.lr)
        return loss


class CompiledGraph(Graphed):
    """Compiled steps captured in graphs."""

    compiled = {}  # noqa: RUF012
