"""JAX on a GPU: the contender for CPUs, an epoch as one scan, with products in the requested precision."""

from __future__ import annotations

import os
from functools import partial
from time import perf_counter

import peer_jax

os.environ.setdefault("JAX_PLATFORMS", "cuda")

import jax
import jax.numpy as jnp
from contenders import Task
from jax import lax

UNROLLS = (1, 8)  # steps in a turn of the scan: the faster is taken
LONG = 100  # steps of an epoch, from which on there is anything to unroll
_PRECISION = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "highest"}  # by default JAX takes TF32 on a GPU


def problem() -> str | None:
    return None if jax.default_backend() == "gpu" else f"JAX {jax.__version__} sees no GPU"


def loss_in_bf16(params, x, targets):
    """Products of bfloat16 numbers with sums in float32; all else is float32."""
    h = x
    for l, (w, b) in enumerate(params):
        both = h.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
        z = jnp.matmul(*both, preferred_element_type=jnp.float32) + b
        h = jax.nn.relu(z) if l < len(params) - 1 else z
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(h) * targets, axis=1))


class Scan(peer_jax.Jax):
    def __init__(self, task: Task, precision: str = "float32") -> None:
        self.precision = precision
        super().__init__(task)

    def take(self, samples: int) -> None:
        self.task = task = self.whole.part(samples)
        self.x, self.targets = jnp.asarray(task.x), jax.nn.one_hot(task.y, task.sizes[-1])
        self.order = jnp.arange(samples, dtype=jnp.int32)
        unrolls = UNROLLS if samples // task.batch >= LONG else UNROLLS[:1]
        programs = [self.program(unroll) for unroll in unrolls]
        self.epoch = programs[0]
        if len(programs) > 1:
            self.epoch = programs[int(self.seconds_of(programs[1]) < self.seconds_of(programs[0]))]

    def program(self, unroll: int):
        rule = partial({"sgd": peer_jax.sgd, "adam": peer_jax.adam}[self.task.optimizer], self.task.lr)
        loss = loss_in_bf16 if self.precision == "bf16" else peer_jax.mean_loss
        function = jax.jit(partial(epoch, rule, loss, self.task, unroll), donate_argnums=0)
        with jax.default_matmul_precision(_PRECISION[self.precision]):
            return function.lower(self.carry, self.x, self.targets, self.order).compile()

    def seconds_of(self, program) -> float:
        times = []
        for _ in range(2):
            self.reset()
            begin = perf_counter()
            jax.block_until_ready(program(self.carry, self.x, self.targets, self.order))
            times.append(perf_counter() - begin)
        self.reset()
        return min(times)


def epoch(update, mean_loss, task: Task, unroll: int, carry, x, targets, order):
    """Parameters, state and mean loss after all batches; the last batch may be smaller."""
    batch, whole = task.batch, len(task.x) // task.batch * task.batch

    def step(carry, samples):
        params, state = carry
        loss, gradients = jax.value_and_grad(mean_loss)(params, *samples)
        return update(params, state, gradients), loss

    def gathered(carry, rows):
        return step(carry, (x[rows], targets[rows]))

    if batch >= len(task.x):
        return step(carry, (x, targets))
    carry, losses = lax.scan(gathered, carry, order[:whole].reshape(-1, batch), unroll=unroll)
    total = losses.sum() * batch
    if whole < len(task.x):
        carry, loss = gathered(carry, order[whole:])
        total += loss * (len(task.x) - whole)
    return carry, total / len(task.x)
