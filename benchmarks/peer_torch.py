"""PyTorch in the comparison, as fast as it can be with autograd: without modules and data loaders.

Tried and slower: nn.Sequential with torch.optim (two thirds of the speed at batch size 32), a gather per batch, loops
over parameters instead of foreach; and when compiling, only the loss instead of the whole step. Gradients written out
by hand (addmm_ into the weights) would be faster, threefold at batch size 1, but that is using PyTorch as a BLAS.
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch._inductor.config
from contenders import BETA1, BETA2, EPSILON, Task
from torch.func import grad_and_value
from torch.nn import functional as F


def mean_loss(weights, biases, x, y):
    h = x
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        h = torch.addmm(b, h, w).relu()
    return F.cross_entropy(torch.addmm(biases[-1], h, weights[-1]), y)


class Eager:
    """One step at a time from Python; SGD by one foreach operation, Adam by its fused kernel."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.task = self.whole = task
        self.random = torch.Generator().manual_seed(task.seed)
        self.take(len(task.x))
        self.loss = float("nan")
        self.reset()

    def take(self, samples: int) -> None:
        self.task = self.whole.part(samples)
        self.x, self.y = torch.from_numpy(self.task.x), torch.from_numpy(self.task.y)

    def reset(self) -> None:
        self.weights, self.biases = (
            [torch.tensor(array, requires_grad=True) for array in arrays]
            for arrays in (self.task.weights, self.task.biases)
        )
        self.all = [*self.weights, *self.biases]
        self.state: Any = None
        if self.task.optimizer == "adam":
            rule = {"betas": (BETA1, BETA2), "eps": EPSILON, "fused": True}
            self.state = torch.optim.Adam(self.all, self.task.lr, **rule)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = mean_loss(self.weights, self.biases, x, y)
        gradients = torch.autograd.grad(loss, self.all)
        if self.state is None:
            with torch.no_grad():
                torch._foreach_add_(self.all, gradients, alpha=-self.task.lr)
        else:
            for parameter, gradient in zip(self.all, gradients, strict=True):
                parameter.grad = gradient
            self.state.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        x, y = self.x, self.y
        if self.task.shuffled:
            order = torch.randperm(len(x), generator=self.random)
            x, y = x[order], y[order]
        return zip(x.split(self.task.batch), y.split(self.task.batch), strict=True)

    def train(self, epochs: int) -> float:
        begin = perf_counter()
        for _ in range(epochs):
            total = torch.zeros(())
            for x, y in self.batches():
                total.add_(self.step(x, y), alpha=len(x))
        seconds = perf_counter() - begin
        self.loss = total.item() / len(self.x)
        return seconds

    def parameters(self) -> list[np.ndarray]:
        return [parameter.detach().numpy() for parameter in self.all]


class Compiled(Eager):
    """The whole step with gradients and update is one compiled function; a smaller last batch is run eagerly."""

    def __init__(self, task: Task) -> None:
        self.function: Callable[..., torch.Tensor] = self.update
        super().__init__(task)
        torch._inductor.config.compile_threads = 1  # no worker processes, which would disturb what is timed next
        torch._dynamo.reset()  # counts recompilations of a function over all tasks, and gives up after eight
        self.function = torch.compile(self.update, dynamic=False)
        x, y = next(self.batches())
        try:
            self.step(x, y)
        except Exception as error:  # whatever the tool chain lacks
            raise RuntimeError(str(error).splitlines()[0]) from error
        self.reset()

    def reset(self) -> None:
        self.weights, self.biases = (
            [torch.tensor(array) for array in arrays] for arrays in (self.task.weights, self.task.biases)
        )
        self.all = [*self.weights, *self.biases]
        self.m, self.v = ([torch.zeros_like(parameter) for parameter in self.all] for _ in "mv")
        self.t = torch.zeros(())

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        function = self.function if len(x) == self.task.batch else self.update
        return function(self.all, self.m, self.v, self.t, x, y)

    def update(self, parameters, m, v, t, x, y):
        """Parameters and state move in place; the loss before."""
        layers = len(parameters) // 2

        def loss_of(parameters):
            return mean_loss(parameters[:layers], parameters[layers:], x, y)

        gradients, loss = grad_and_value(loss_of)(parameters)
        if self.task.optimizer == "sgd":
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=self.task.lr)
            return loss
        t.add_(1)
        m_scale, v_scale = 1 / (1 - BETA1**t), 1 / (1 - BETA2**t)
        for parameter, gradient, m1, v1 in zip(parameters, gradients, m, v, strict=True):
            m1.lerp_(gradient, 1 - BETA1)
            v1.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            parameter.sub_(self.task.lr * (m1 * m_scale) / ((v1 * v_scale).sqrt() + EPSILON))
        return loss
