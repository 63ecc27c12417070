"""Many networks at once in JAX and PyTorch: one program for all of them, by vmap over their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from contenders import BETA1, BETA2, EPSILON, Task

__all__ = ["PEERS", "THERE"]

# Trains networks, given as tasks that differ in their weights alone, for so many epochs, after an uncounted first one;
# returns the seconds, and the losses of the first epoch.
Train = Callable[[Sequence[Task], int], tuple[float, np.ndarray]]


def jax_vmap(tasks: Sequence[Task], epochs: int) -> tuple[float, np.ndarray]:
    import jax
    import jax.numpy as jnp
    import peer_jax

    task, random = tasks[0], np.random.RandomState(0)
    params = [
        tuple(jnp.asarray(np.stack(arrays)) for arrays in zip(*pairs, strict=True))
        for pairs in zip(*(list(zip(one.weights, one.biases, strict=True)) for one in tasks), strict=True)
    ]
    zeros = partial(jax.tree.map, jnp.zeros_like)
    carry = params, (zeros(params), zeros(params), jnp.zeros(len(tasks), jnp.float32))
    x, targets = jnp.asarray(task.x), jax.nn.one_hot(task.y, task.sizes[-1])
    program = jax.vmap(partial(peer_jax.epoch, partial(peer_jax.adam, task.lr), task), in_axes=(0, None, None, 0))
    orders = jnp.asarray(_orders(task, len(tasks), random))
    compiled = jax.jit(program, donate_argnums=0).lower(carry, x, targets, orders).compile()
    carry, first = compiled(carry, x, targets, orders)
    jax.block_until_ready(carry)
    begin = perf_counter()
    for _ in range(epochs):
        carry, _ = compiled(carry, x, targets, jnp.asarray(_orders(task, len(tasks), random)))
    jax.block_until_ready(carry)
    return perf_counter() - begin, np.asarray(first)


def torch_func(tasks: Sequence[Task], epochs: int) -> tuple[float, np.ndarray]:
    import torch
    from peer_torch import mean_loss
    from torch.func import grad_and_value, vmap

    task, random = tasks[0], np.random.RandomState(0)
    torch.set_num_threads(task.threads)
    layers = len(task.weights)
    weights = [torch.from_numpy(np.stack([one.weights[l] for one in tasks])) for l in range(layers)]
    biases = [torch.from_numpy(np.stack([one.biases[l] for one in tasks])) for l in range(layers)]
    rule = torch.optim.Adam([*weights, *biases], task.lr, betas=(BETA1, BETA2), eps=EPSILON, fused=True)
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    gradient = vmap(grad_and_value(mean_loss, argnums=(0, 1)))

    def epoch() -> np.ndarray:
        orders, total = torch.from_numpy(_orders(task, len(tasks), random)), torch.zeros(len(tasks))
        for begin in range(0, len(x), task.batch):
            rows = orders[:, begin : begin + task.batch]
            (dw, db), loss = gradient(weights, biases, x[rows], y[rows])
            for parameter, slope in zip((*weights, *biases), (*dw, *db), strict=True):
                parameter.grad = slope
            rule.step()
            total += loss * rows.shape[1]
        return (total / len(x)).numpy()

    first = epoch()
    begin = perf_counter()
    for _ in range(epochs):
        epoch()
    return perf_counter() - begin, first


def _orders(task: Task, networks: int, random: np.random.RandomState) -> np.ndarray:
    """(networks, N) int64: an order of the samples for each network."""
    if not task.shuffled:
        return np.broadcast_to(np.arange(len(task.x)), (networks, len(task.x))).copy()
    return np.stack([random.permutation(len(task.x)) for _ in range(networks)])


PEERS: dict[str, tuple[str, Train]] = {"JAX, vmap": ("jax", jax_vmap), "torch.func": ("torch", torch_func)}
"""By name in tables: the package it needs, and what trains with it."""

# those that are installed
THERE = {name: train for name, (package, train) in PEERS.items() if find_spec(package) is not None}
