"""JAX in the comparison: an epoch is one compiled program, a scan over its batches with donated parameters."""

import os
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from contenders import BETA1, BETA2, EPSILON, Task

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
from jax import lax

WIDE = 256  # inputs from which on gathering a batch inside the scan was faster than permuting all data before it
UNROLL = 4  # steps of batch size 1 in a turn of the loop: up to a fifth faster there, no gain at larger batches


def mean_loss(params, x, targets):
    """The mean loss with one-hot targets: a product with them was faster than take_along_axis."""
    h = x
    for w, b in params[:-1]:
        h = jax.nn.relu(h @ w + b)
    w, b = params[-1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(h @ w + b) * targets, axis=1))


def sgd(lr, params, state, gradients):
    return jax.tree.map(lambda p, g: p - lr * g, params, gradients), state


def adam(lr, params, state, gradients):
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    m_scale, v_scale = 1 / (1 - BETA1**t), 1 / (1 - BETA2**t)

    def move(p, m, v):
        return p - lr * (m * m_scale) / (jnp.sqrt(v * v_scale) + EPSILON)

    return jax.tree.map(move, params, m, v), (m, v, t)


class Jax:
    """JAX; permutations are NumPy's, since JAX makes them by sorting, and the update rules do the same as Optax's."""

    def __init__(self, task: Task) -> None:
        self.task = self.whole = task
        self.random = np.random.RandomState(task.seed)
        self.loss = float("nan")
        self.reset()
        self.take(len(task.x))

    def take(self, samples: int) -> None:
        self.task = task = self.whole.part(samples)
        self.x, self.targets = jnp.asarray(task.x), jax.nn.one_hot(task.y, task.sizes[-1])
        self.order = jnp.arange(samples, dtype=jnp.int32)
        rule = partial({"sgd": sgd, "adam": adam}[task.optimizer], task.lr)
        program = jax.jit(partial(epoch, rule, task), donate_argnums=0)
        self.epoch = program.lower(self.carry, self.x, self.targets, self.order).compile()

    def reset(self) -> None:
        params = [(jnp.array(w), jnp.array(b)) for w, b in zip(self.task.weights, self.task.biases, strict=True)]
        state: Any = ()
        if self.task.optimizer == "adam":
            state = (*(jax.tree.map(jnp.zeros_like, params) for _ in "mv"), jnp.zeros((), jnp.float32))
        self.carry = params, state

    def train(self, epochs: int) -> float:
        losses = []
        begin = perf_counter()
        for _ in range(epochs):
            order = self.order
            if self.task.shuffled:
                order = jnp.asarray(self.random.permutation(len(order)).astype(np.int32))
            self.carry, loss = self.epoch(self.carry, self.x, self.targets, order)
            losses.append(loss)
        jax.block_until_ready(self.carry)
        seconds = perf_counter() - begin
        self.loss = float(losses[-1])
        return seconds

    def parameters(self) -> list[np.ndarray]:
        layers, _ = self.carry
        return [np.asarray(w) for w, _ in layers] + [np.asarray(b) for _, b in layers]


def epoch(update, task: Task, carry, x, targets, order):
    """Parameters, state and mean loss after all batches; the last batch may be smaller."""
    batch, whole = task.batch, len(task.x) // task.batch * task.batch

    def step(carry, samples):
        params, state = carry
        loss, gradients = jax.value_and_grad(mean_loss)(params, *samples)
        return update(params, state, gradients), loss

    if batch >= len(task.x):
        return step(carry, (x, targets))
    inside = task.sizes[0] >= WIDE
    if not inside and task.shuffled:
        x, targets = x[order], targets[order]

    def batches(array):
        return array[:whole].reshape(-1, batch, *array.shape[1:])

    def gathered(carry, rows):
        return step(carry, (x[rows], targets[rows]))

    unroll = UNROLL if batch == 1 else 1
    if inside:
        carry, losses = lax.scan(gathered, carry, batches(order), unroll=unroll)
    else:
        carry, losses = lax.scan(step, carry, (batches(x), batches(targets)), unroll=unroll)
    total = losses.sum() * batch
    if whole < len(task.x):
        rest = (x[order[whole:]], targets[order[whole:]]) if inside else (x[whole:], targets[whole:])
        carry, loss = step(carry, rest)
        total += loss * (len(task.x) - whole)
    return carry, total / len(task.x)
