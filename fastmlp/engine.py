"""A network on a backend: sessions for training, predictions, evaluation and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.array_checks import is_finite
from fastmlp.backends.base import Backend
from fastmlp.bound import BoundPrediction
from fastmlp.errors import OutOfDeviceMemoryError
from fastmlp.formulas.by_code import Formulas
from fastmlp.losses import LOSSES, Loss, apply_link, loss_and_gradient
from fastmlp.metrics import get_metric
from fastmlp.network import Data, Layout, Network, build_network
from fastmlp.optimizers import SGD, Optimizer, State
from fastmlp.ranks.all_reduce import AllReduce
from fastmlp.ranks.group import Group

__all__ = ["FEW", "Engine", "Gradients", "Session"]

# Sessions whose workspaces (five, each) are larger than this are released after use: a hundred fitted estimators would
# hold gigabytes, and work on such workspaces takes far longer than their allocation.
_CACHED_BYTES = 1 << 20

FEW = 64  # samples of a prediction, up to which its buffers are kept for the next


class Gradients(NamedTuple):
    """The loss and its gradients; per-sample gradients have the samples N as the first axis of every entry.

    Attributes
    ----------
    loss : float or array (N,)
        The loss.
    weights : list of arrays (I, O)
        The gradient with respect to each layer's weights.
    biases : list of arrays (O,)
        The gradient with respect to each layer's biases.
    """

    loss: float | np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]


class Session(NamedTuple):
    """Buffers, operations and optimizer state for steps on batches of one size."""

    net: Network
    operations: Any
    state: State


@dataclass
class Engine:
    """The architecture, objective and parameters of a network, and the backend it runs on."""

    layout: Layout
    activations: Sequence[str | Activation | None]  # per layer; None: the loss includes it
    loss: Loss | None
    params: np.ndarray  # (P,) on the host
    backend: Backend
    n_threads: int | None = None
    mean: bool = True  # the reduction
    l1: float = 0.0
    l2: float = 0.0
    penalty_shared: bool = False
    all_reduce: AllReduce | None = None  # in training by several processes, or in shards
    sessions: dict[str, tuple[Any, Any]] = field(default_factory=dict, repr=False)  # kept for the next call
    # the samples of the last call: as given, and in the backend's memory
    _last_samples: tuple[Data | None, Data | None] = field(default=(None, None), init=False, repr=False)

    def session(
        self,
        rows: int,
        rule: Optimizer,
        keep: Sequence[float] | None = None,
        max_norm: float = np.inf,
    ) -> Session:
        """Make a session of the update rule for batches of up to `rows` rows, with fresh state.

        `keep` is the probability, for each layer, that dropout keeps an output; None for no dropout.

        Raises
        ------
        OutOfDeviceMemoryError : the message has a batch size that would fit.
        """
        backend, free = self.backend, self.backend.free_memory()
        # Gradients can be applied to the weights directly if nothing else needs them.
        plain = isinstance(rule, SGD) and not rule.momentum and not self.l1 and max_norm == np.inf
        try:
            params = backend.asarray(self.params)
            net = self.network(params, self._rows_at_once(rows), keep)
            direct = plain and rows <= net.chunk and self.all_reduce is None
            state = rule.init(params, backend.zeros, direct=direct, max_norm=max_norm, **self._objective())
            if self.all_reduce is not None and self.on_host:
                into = self.all_reduce.gradient(params.size, params.dtype)
                state.update = state.update._replace(into=into)
            return Session(net, self._operations(net, rows, self.formulas(rule)), state)
        except OutOfDeviceMemoryError as error:
            taken = self.params.nbytes + self._state_bytes(rule, plain)
            what = f"Parameters, gradients and the optimizer's state take {taken:,} bytes. "
            raise self._with_batch_size(error, what, free - taken) from error

    @contextmanager
    def explaining(self, net: Network) -> Iterator[None]:
        """Add the batch size that would fit to an OutOfDeviceMemoryError raised in the block."""
        try:
            yield
        except OutOfDeviceMemoryError as error:
            if not error.asked:
                raise
            raise self._with_batch_size(error, "", error.free - error.asked + net.chunk * self._row_bytes) from error

    def _state_bytes(self, rule: Optimizer, direct: bool) -> int:
        """Bytes of gradients and moments."""
        return 0 if direct else (1 + len(rule.rule.moments)) * self.params.nbytes

    def _with_batch_size(self, error: OutOfDeviceMemoryError, what: str, room: int) -> OutOfDeviceMemoryError:
        """The error with the batch size that would fit if `room` bytes are left for the rows of a batch."""
        rows = max(room // 2 // self._row_bytes, 0)  # half of it, since the rows need other memory as well
        advice = f"batch_size={rows} would fit, if the samples do" if rows else "no batch size would fit"
        message = f"{error} {what}Each row of a batch takes {self._row_bytes:,} bytes: {advice}."
        return OutOfDeviceMemoryError(message, error.asked, error.free)

    @property
    def _row_bytes(self) -> int:
        return 4 * sum(self.layout.sizes) * self.params.dtype.itemsize

    def with_link(self, loss: Loss | None) -> tuple[Engine, str | None]:
        """An engine whose last layer applies that loss's link if a kernel can; and the link that is left to apply."""
        last = self.activations[-1]
        # links are activations, which the kernels apply as they write, but for exp
        fused = loss is not None and loss.link in ACTIVATIONS and last in (None, loss.link)
        output = loss.link if loss is not None and fused else last
        engine = replace(self, activations=[*self.activations[:-1], output], loss=None)
        return engine, None if fused or loss is None or loss.link == "identity" else loss.link

    def raw(self, data: Data, depth: int | None = None, samples: np.ndarray | None = None) -> np.ndarray:
        """Return outputs (N, O) of layer `depth`, counted from 1; by default the last, before the loss's link.

        `samples` (N,) selects rows of the data; by default all.
        """
        return self._raw(data, depth, samples)[0]

    def raw_together(self, data: Data, samples: np.ndarray | None = None) -> np.ndarray:
        """`raw` of the last layer, of which each rank of the group forms a part. For all ranks to call."""
        group, n = self.group, data.n_samples if samples is None else len(samples)
        if group is None:
            return self.raw(data, samples=samples)
        # the chunks that one process would take, so that the last digits are the same on any number of ranks
        rows = min(n, self.backend.chunk)
        bounds = [min(n, rows * (-(-n // rows) * r // group.size)) for r in range(group.size + 1)]
        begin, end = bounds[group.rank : group.rank + 2]
        out = np.empty((n, self.layout.sizes[-1]), self.params.dtype)
        own = np.arange(begin, end) if samples is None else samples[begin:end]
        part = self._raw(data, None, own, rows)[0] if len(own) else out[:0]
        with group.step():
            group.all_gather(part, out, [out.shape[1] * (end - begin) for begin, end in pairwise(bounds)])
        return out

    def raw_and_check(self, data: Data, depth: int | None = None) -> tuple[np.ndarray, bool]:
        """`raw` of all samples, and whether they are finite, where dense ones need not have been looked at before."""
        finite = data.sparse or self.backend.checks_samples or is_finite(data.x)
        out, checked = self._raw(data, depth, None)
        return out, finite and checked == 0

    def _raw(
        self, data: Data, depth: int | None, samples: np.ndarray | None, chunk: int | None = None
    ) -> tuple[np.ndarray, float]:
        backend, depth = self.backend, depth or len(self.layout.sizes) - 1
        order = np.arange(data.n_samples) if samples is None else samples
        rows = min(len(order), self.backend.chunk) if chunk is None else chunk

        def build() -> tuple[Network, Any]:
            net = self.network(backend.asarray(self.params), rows)
            return net, backend.operations(net, rows, self.n_threads, self.formulas())

        out = backend.zeros(len(order) * self.layout.sizes[depth], self.params.dtype)
        given = self.on_device(data)
        with self.cached_session("raw", (rows,), build) as (net, operations):
            backend.write(net.params, self.params)
            checked = backend.run("predict", operations, net, given, order, depth, out)
        return backend.to_host(out).reshape(len(order), -1), checked

    @property
    def on_host(self) -> bool:
        """Whether the backend computes in the host's memory."""
        return self.backend.asarray(self.params) is self.params

    def bound(self, rows: int, at_once: int) -> tuple[Network, BoundPrediction]:
        """A prediction for up to `rows` samples, of which so many go through the network at once; and that network."""
        net = self.network(self.params, at_once)
        operations = self.backend.operations(net, at_once, self.n_threads, self.formulas())
        return net, BoundPrediction(self.backend, net, operations, rows)

    def measure(self, data: Data, names: Sequence[str]) -> dict[str, float]:
        """Return the loss, without penalties, and the named metrics; NaN where a prediction is not finite."""
        loss, z = self.loss, self.raw_together(data)
        assert loss is not None
        result = {"loss": self.data_loss(z, data)}
        predicted = predictions(loss, apply_link(loss.link, z))
        truth = data.labels if data.labels.size else predictions(loss, data.targets)
        finite = np.isfinite(predicted).all()  # finite weights may overflow on other data
        for name in names:
            given = data.weights if data.weights.size else None
            result[name] = get_metric(name)(truth, predicted, given) if finite else float("nan")
        return result

    def data_loss(self, z: np.ndarray, data: Data, samples: np.ndarray | slice = slice(None)) -> float:
        """Return the loss, without penalties, of values z (B, O) of the last layer for some samples (B,)."""
        loss = self.loss
        assert loss is not None
        targets = data.values_of_targets(z.shape[1], samples)
        weights = data.weights[samples] if data.weights.size else np.ones(len(z), z.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            total = loss_and_gradient(loss, loss.parameter, z, targets, weights, np.empty_like(z))
        return total / (float(weights.sum(dtype=np.float64)) if self.mean else 1.0)

    def gradients(self, data: Data, samples: np.ndarray | None = None) -> Gradients:
        """Return loss and gradients of the samples as one batch, with penalties, without dropout; None for all."""
        order = np.arange(data.n_samples) if samples is None else samples
        loss, flat = self.flat_gradient(data, order)
        return Gradients(loss, self.layout.weights(flat), self.layout.biases(flat))

    def flat_gradient(self, data: Data, order: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the same with the gradient as one array (P,), in the layout of the parameters."""
        with self.differentiating(data, order) as evaluate:
            loss, flat = evaluate()
            return loss, flat.copy()

    @contextmanager
    def differentiating(
        self, data: Data, order: np.ndarray, values: np.ndarray | None = None
    ) -> Iterator[Callable[[], tuple[float, np.ndarray]]]:
        """Yield a function that computes `flat_gradient` for the parameters at the time of each call.

        Its gradient is overwritten by the next call. The values of the last layer are written to `values` (B, O), if
        given; the batch must not exceed a chunk then.
        """
        backend = self.backend

        def build() -> Session:
            params = backend.asarray(self.params)
            net = self.network(params, self._rows_at_once(len(order)))
            state = SGD().init(params, backend.zeros, **self._objective())
            return Session(net, self._operations(net, len(order), self.formulas()), state)

        given = self.on_device(data)
        with self.cached_session("gradient", (len(order), self.all_reduce), build) as (net, operations, state):
            run = backend.repeatable("gradient", operations, net, given, state.update, order, 0, 0, 0.0)

            def evaluate() -> tuple[float, np.ndarray]:
                backend.write(net.params, self.params)
                with self.together():
                    loss = run()
                if values is not None:
                    begin = net.output_at[-1]
                    values[...] = backend.to_host(net.a)[begin : begin + values.size].reshape(values.shape)
                return loss, backend.to_host(state.update.into)

            yield evaluate

    def _rows_at_once(self, rows: int) -> int:
        """Rows of a batch that go through the network at once: with shards, those of the largest."""
        if self.all_reduce is None:
            return rows
        parts, _, _, at_once = self.all_reduce.shards
        return max(2, -(-rows * at_once // parts))  # 2, since steps of one sample are other ones

    def _operations(self, net: Network, rows: int, formulas: Formulas) -> Any:
        if self.all_reduce is None:
            return self.backend.operations(net, rows, self.n_threads, formulas)
        return self.backend.operations(net, self._rows_at_once(rows), self._threads, formulas, self.all_reduce)

    @property
    def group(self) -> Group | None:
        """The ranks that train together."""
        return self.all_reduce.group if self.all_reduce else None

    @property
    def _threads(self) -> int | None:
        return self.group.threads if self.group and self.n_threads is None else self.n_threads

    def together(self) -> AbstractContextManager[None]:
        """Within it, all ranks are in the same steps."""
        return self.group.step() if self.group else nullcontext()

    def network(self, params: np.ndarray, rows: int, keep: Sequence[float] | None = None) -> Network:
        formulas, used = self.formulas(), self._used
        return build_network(
            self.layout,
            [formulas.code_of(activation) for activation in used],
            keep or [1.0] * len(used),
            (self.loss or LOSSES["mean_squared_error"]).code,
            self.loss.parameter if self.loss else (),
            params,
            min(rows, self.backend.chunk_of(self._row_bytes)),
            self.backend.zeros,
        )

    @property
    def _used(self) -> list[str | Activation]:
        """The activation of each layer; "identity" where the loss includes it as its link."""
        used = [activation or "identity" for activation in self.activations]
        if self.loss and used[-1] == self.loss.link:
            used[-1] = "identity"
        return used

    def formulas(self, rule: Optimizer | None = None) -> Formulas:
        """What the codes in its networks stand for, and the code of an update rule."""
        return Formulas.of(self._used, self.loss, rule.rule if rule else None)

    def on_device(self, data: Data) -> Data:
        """Return the samples in the backend's memory: `data` itself if they are there already.

        For the samples of the last call it returns the same object again: nothing is copied, and a backend recognises a
        run that it has recorded. Validation needs this, with the same samples after every epoch.
        """
        last, placed = self._last_samples
        if data is last and placed is not None:
            return placed
        x, *rest = data
        arrays = [self.backend.samples(x), *map(self.backend.asarray, rest)]
        placed = data if all(map(is_, arrays, data)) else Data(*arrays)
        self._last_samples = data, placed
        return placed

    def forget_samples(self) -> None:
        """Release the samples of the last call, whose memory an engine would hold otherwise."""
        self._last_samples = None, None

    def _objective(self) -> dict[str, Any]:
        shards = self.all_reduce.shards if self.all_reduce else (1, 0, 1, 1)
        objective = {"mean": self.mean, "l1": self.l1, "l2": self.l2, "penalty_shared": self.penalty_shared}
        return objective | {"shards": shards}

    @contextmanager
    def cached_session(self, kind: str, key: tuple, build: Callable[[], Any]) -> Iterator[Any]:
        """Yield the session of the last call if nothing has changed, else a new one from `build`.

        Making a session can take longer than using it. It is taken out of `sessions` while in use, so that threads
        never share workspaces; small ones are put back.

        Parameters
        ----------
        kind
            One session of each kind is kept.
        key
            What the session depends on, besides the engine itself.
        build
            Makes a session: a tuple whose first entry is the Network.
        """
        backend = self.backend.name, self.backend.precision, self.n_threads
        key = (*key, *self.activations, self.loss, *backend, *self._objective().values())
        last_key, session = self.sessions.pop(kind, (None, None))
        if last_key != key:
            session = None  # so that its memory is free before the next one's is allocated
            session = build()
        yield session
        if session[0].a.nbytes <= _CACHED_BYTES:
            self.sessions[kind] = key, session


def predictions(loss: Loss | None, out: np.ndarray) -> np.ndarray:
    """Convert predictions or targets (N, O) to class indices (N,) or labels 0 and 1 (N, O); numbers are unchanged."""
    if loss is None or not loss.classifies:
        return out
    return out.argmax(axis=1) if loss.link == "softmax" else (out >= 0.5).astype(np.int64)
