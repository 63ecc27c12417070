"""A network bound to a backend: the passes over data that are not training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastmlp.activations import activation_code
from fastmlp.backends.base import Backend
from fastmlp.kernels import codes
from fastmlp.losses import Loss, apply_link, loss_and_gradient
from fastmlp.metrics import get_metric
from fastmlp.network import CHUNK, Data, Layout, Network, build_network, build_update

__all__ = ["Engine", "Gradients"]


class Gradients(NamedTuple):
    """Loss and its gradients. Per sample, every entry has the samples N as its first axis."""

    loss: float | np.ndarray
    weights: list[np.ndarray]  # (I, O) each
    biases: list[np.ndarray]  # (O,) each


@dataclass(frozen=True)
class Engine:
    """Architecture, objective, parameters and the backend they run on."""

    layout: Layout
    activations: Sequence[str | None]  # per layer; None: left to the loss
    loss: Loss | None
    huber_delta: float
    mean: bool  # the reduction
    l1: float
    l2: float
    params: np.ndarray  # (P,) on the host
    backend: Backend
    n_threads: int | None

    def network(self, params: np.ndarray, rows: int, keep: Sequence[float] | None = None) -> Network:
        """Workspaces for batches of `rows` over params (P,) in the backend's memory; keep: no dropout by default."""
        names = [name or "identity" for name in self.activations]
        if self.loss and names[-1] == self.loss.link:
            names[-1] = "identity"  # the link is part of the loss
        return build_network(
            self.layout,
            [activation_code(name) for name in names],
            keep or [1.0] * len(names),
            self.loss.code if self.loss else codes.MEAN_SQUARED_ERROR,
            self.huber_delta,
            params,
            min(rows, CHUNK),
            self.backend.zeros,
        )

    def raw(self, x: np.ndarray) -> np.ndarray:
        """Values of the last layer (N, O), before the loss's link."""
        backend = self.backend
        net = self.network(backend.asarray(self.params), len(x))
        out = backend.zeros(len(x) * self.layout.sizes[-1], self.params.dtype)
        operations = backend.operations(net, len(x), self.n_threads)
        backend.run("predict", operations, net, backend.asarray(x), np.arange(len(x)), out)
        return backend.to_host(out).reshape(len(x), -1)

    def measure(self, loss: Loss, data: Data, names: Sequence[str]) -> dict[str, float]:
        """The loss, without penalties, and the named metrics."""
        z = self.raw(data.x)
        targets = np.eye(z.shape[1], dtype=z.dtype)[data.labels] if data.labels.size else data.targets
        weights = data.weights if data.weights.size else np.ones(len(z), z.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            total = loss_and_gradient(loss.code, self.huber_delta, z, targets, weights, np.empty_like(z))
        result = {"loss": total / (data.total_weight() if self.mean else 1.0)}
        predicted = predictions(loss, apply_link(loss.link, z))
        truth = data.labels if data.labels.size else predictions(loss, targets)
        finite = np.isfinite(predicted).all()  # finite weights may still overflow on other data
        for name in names:
            given = data.weights if data.weights.size else None
            result[name] = get_metric(name)(truth, predicted, given) if finite else float("nan")
        return result

    def gradients(self, data: Data, samples: np.ndarray | None = None) -> Gradients:
        """Loss and gradients, penalties included, without dropout, of the given samples as one batch; None: of all."""
        backend = self.backend
        order = np.arange(len(data.x)) if samples is None else samples
        params = backend.asarray(self.params)
        net = self.network(params, len(order))
        update = build_update(params, codes.SGD, mean=self.mean, l1=self.l1, l2=self.l2, zeros=backend.zeros)
        operations = backend.operations(net, len(order), self.n_threads)
        loss = backend.run("gradient", operations, net, Data(*map(backend.asarray, data)), update, order, 0, 0, 0.0)
        flat = backend.to_host(update.into)
        total = data.total_weight(order) if self.mean else 1.0
        return Gradients(loss / total, self.layout.weights(flat), self.layout.biases(flat))


def predictions(loss: Loss | None, out: np.ndarray) -> np.ndarray:
    """Class indices (N,), labels 0 and 1 (N, O), or the values themselves, from predicted or target values (N, O)."""
    if loss is None or not loss.classifies:
        return out
    return out.argmax(axis=1) if loss.name == "softmax_cross_entropy" else (out >= 0.5).astype(np.int64)
