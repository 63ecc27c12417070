"""The training loop around the step: epochs, batches, validation, stopping, callbacks and history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastmlp.checkpoint import Checkpoint
from fastmlp.engine import Engine, Session
from fastmlp.errors import DivergenceError
from fastmlp.history import History
from fastmlp.network import Data
from fastmlp.optimizers import Optimizer
from fastmlp.orders import PREFETCH_FROM, Orders
from fastmlp.ranks.start import start_together
from fastmlp.resume import Part, restore, saved_state, settings_of, state_of
from fastmlp.schedules import Schedule, ignores_losses
from fastmlp.signals import SafePoints
from fastmlp.stopping import Criterion
from fastmlp.streams.feed import Feed
from fastmlp.weights import check_sums

__all__ = ["Callback", "Epoch", "Training", "call_all", "divergence"]


class Epoch(NamedTuple):
    """The argument of callbacks after each epoch.

    Attributes
    ----------
    number : int
        Counted from 1.
    model : MLP, MLPClassifier or MLPRegressor
        The model in training, with its current parameters.
    history : History
        The epochs up to this one.
    """

    number: int
    model: Any
    history: History


_Rows = dict[str, list[Any]]  # of the history, by columns
Callback = Callable[[Epoch], object]
"""Called after every epoch; training stops if it returns True."""


@dataclass
class Training:
    """One training run, checked and with all memory allocated; `run` does the epochs.

    Raises
    ------
    InputError, ModelFileError
        The checkpoint to resume from is of another run, or damaged.
    """

    engine: Engine
    session: Session
    data: Data | None  # None: the samples come from `feed`
    samples: np.ndarray  # (N,) int64: indices of the training samples, in their initial order; of a feed `taken`
    rule: Optimizer
    schedule: Schedule
    epochs: int
    batch_size: int
    shuffle: np.random.RandomState | None  # None: batches in the order of the data
    shuffle_is_private: bool  # whether nothing else uses this generator before the end
    dropout: np.random.RandomState | None  # the generator for the seed of the dropout masks; None: no dropout
    stopping: Criterion
    measure: Callable[[], dict[str, Any]] | None  # validation loss and metrics of the current parameters
    callbacks: Sequence[Callback]
    model: Any
    history: History
    progress: Any = None  # a tqdm bar
    block: int = 0  # see `Orders`
    overflow: bool = False  # whether to continue after an infinite loss if the weights are finite
    checkpoint: Checkpoint | None = None
    held_out: Data | None = None  # what `measure` measures on
    feed: Feed | None = None
    _monitored: list[float] = field(default_factory=list)  # losses for the schedule

    def __post_init__(self) -> None:
        net, backend, self._group = self.session.net, self.engine.backend, self.engine.group
        if self._group is not None:
            start_together(self, self._group)
        if self.checkpoint is not None:
            self.checkpoint.settings |= settings_of(self)
            self.checkpoint.data |= {"validation ": self.held_out} if self.held_out else {}
        self._weights_may_cancel = False
        if self.data is not None:
            if self.checkpoint is not None:
                self.checkpoint.data[""] = self.data
            self._weights = self.data.weights  # on the host
            self._weights_may_cancel = self.engine.mean and bool((self._weights < 0).any())
            with self.engine.explaining(net):
                self.data = self.engine.on_device(self.data)
        n = self._n_samples = len(self.samples) if self.feed is None else self.feed.n_samples
        work = float(np.dot(net.fan_in, net.fan_out)) * min(self.batch_size, n)
        self._span = backend.steps_at_once(work)
        self._steps = -(-n // self.batch_size)  # of an epoch
        self._epochs_at_once = 1  # at most
        # while a longer epoch runs, the order of the next one is drawn
        short = self.feed is None and n < PREFETCH_FROM
        if short and not (self.callbacks or self.measure) and ignores_losses(self.schedule):
            most = min(self.epochs, self._span // self._steps, backend.samples_at_once // n)
            self._epochs_at_once = max(1, most)
        self._observed = 0  # epochs
        self._recent: tuple[int, _Rows] = 0, {}  # the last result of `_blocks`
        self._prepared = False
        self.part = Part()
        self._points = SafePoints()
        self._saved = saved_state(self) if self.checkpoint else None
        if self._group is not None:
            self._saved = self._group.of_first(self._saved)
        self.dropout_seed = 0 if self.dropout is None else int(self.dropout.randint(1 << 62, dtype=np.int64))

    def publish(self) -> np.ndarray:
        """Copy the trained parameters to the engine's (P,) on the host, and return those."""
        host = self.engine.backend.to_host(self.session.net.params)
        if host is not self.engine.params:
            self.engine.params[...] = host
        return self.engine.params

    def run(self) -> History:
        """Train until all epochs are done, a criterion or callback stops training, or Ctrl-C; return the history.

        Raises
        ------
        DivergenceError
            The loss or a parameter is no longer finite after an epoch. The model has the last finite parameters.
        """
        self.history.stopped = "epochs"
        self.engine.backend.write(self.session.net.params, self.engine.params)
        self.last_finite = self.publish().copy()
        try:
            with self._points if self.checkpoint or self._group else nullcontext():
                over = self._saved is not None and restore(self, self._saved)
                if self.progress is not None:
                    self.progress.update(self._observed)
                if not over:
                    self._run_epochs()
                    if self.checkpoint:
                        self.checkpoint.write(state_of(self, self.history.stopped), last=True)
        except KeyboardInterrupt:
            if self._group and not self._group.stopped:
                self._group.meet(stops=True)
            self.history.stopped = "interrupt"
            first, rows = self._recent
            if len(rows.get("loss", ())) > 1:  # the weights are those after the last of these epochs
                self.record(first, rows, self.engine.params)
            if not np.isfinite(self.publish()).all():
                self.publish()[...] = self.last_finite
        finally:
            self.engine.backend.release(self.session.operations)
            if self.progress is not None:
                self.progress.close()
            if self.checkpoint:
                self.checkpoint.close()
        if self.stopping.best is not None:
            self.publish()[...] = self.stopping.best
        return self.history

    def _run_epochs(self) -> None:
        with self.engine.explaining(self.session.net), closing(self._blocks()) as blocks:
            for first, rows in blocks:
                if self.measure is not None:
                    rows |= {name: [value] for name, value in self.measure().items()}
                if self._group is not None:
                    rows = self._group.of_first(rows)  # times differ, and on unlike machines the last digits
                reason = self.record(first, rows, self.engine.params)
                self.history.stopped = reason or "epochs"
                self._show_progress(rows)
                if self.callbacks:
                    if self._call_back():
                        self.history.stopped = reason = "callback"
                    # callbacks may have changed the weights
                    self.engine.backend.write(self.session.net.params, self.engine.params)
                if reason is not None:
                    break
                if self._observed < self.epochs:
                    self._reach_safe_point()

    def _call_back(self) -> bool:
        """Call the callbacks, of several ranks on the first; return whether one of them asks to stop."""
        epoch, group = Epoch(self._observed, self.model, self.history), self._group
        stops = (group is None or group.rank == 0) and call_all(self.callbacks, epoch)
        if group is not None:
            stops = group.of_first(stops)
            group.broadcast(self.engine.params)
        return stops

    def _show_progress(self, rows: _Rows) -> None:
        if self.progress is not None:
            last = {name: f"{rows[name][-1]:.4g}" for name in ("loss", "val_loss") if name in rows}
            self.progress.set_postfix(last)
            self.progress.update(len(rows["loss"]))

    def record(self, first: int, rows: _Rows, params: np.ndarray) -> str | None:
        """Record the epochs of `rows`, from `first` on, that are not recorded yet; return the reason to stop, or None.

        params (P,) are those after the last of these epochs.
        """
        if len(self.history) == first:
            self.history.extend(rows)
        reason = None
        for values in list(zip(*rows.values(), strict=True))[self._observed - first :]:
            row = dict(zip(rows, values, strict=True))
            self._monitored.append(row.get("val_loss", row["loss"]))
            self._observed += 1
            reason = self.stopping.observe(self._observed, row, params)
        self.history.best_epoch = self.stopping.best_epoch
        return reason

    def _blocks(self) -> Generator[tuple[int, _Rows], None, None]:
        """Train as many epochs at a time as need not be observed one by one; yield the first one and their rows."""
        epoch, shuffler, most = self._observed, self.engine.backend.shuffler, self._epochs_at_once
        # without callbacks, since one may copy the model with its generator
        ahead = self.shuffle_is_private and not self.callbacks and self.epochs > 1 and self.engine.n_threads != 1
        orders = self.feed or Orders(self.samples, self.shuffle, shuffler, most, ahead, self.block)
        with closing(orders) as self.orders:
            if self.checkpoint:
                self.checkpoint.begin(state_of(self, ""))
            if self.part.steps:
                yield from self._finite_blocks(epoch, self.orders.taken[None])
                epoch += 1
            while epoch < self.epochs:
                count = int(min(most, self.epochs - epoch, self.stopping.epochs_ahead()))
                if self.checkpoint and self.checkpoint.epochs is not None:
                    count = min(count, self.checkpoint.epochs - epoch % self.checkpoint.epochs)
                yield from self._finite_blocks(epoch, self.orders.take(count, self.epochs - epoch - count))
                epoch += count

    def _finite_blocks(self, epoch: int, orders: np.ndarray) -> Iterator[tuple[int, _Rows]]:
        """Train these epochs. If one of several diverges, they are trained again one by one, up to that one."""
        state, history = self.session.state, self.history
        before = None
        if len(orders) > 1:
            before = state.step, history.updates, self.engine.backend.to_host(state.update.moments).copy()
        try:
            self._recent = epoch, (rows := self._train(epoch, orders))
        except KeyboardInterrupt:
            if before is not None:  # the number of finished epochs is unknown
                self._roll_back(*before)
            raise
        params = self.publish()
        if self._group is not None:
            self._group.broadcast(params)  # unlike machines may round an update differently
            self.engine.backend.write(self.session.net.params, params)
        if np.isfinite(params).all() and (self.overflow or all(map(math.isfinite, rows["loss"]))):
            self.last_finite[...] = params
            yield epoch, rows
            return
        if before is None:
            params[...] = self.last_finite
            raise DivergenceError(divergence(epoch + 1, rows["loss"][0], rows["learning_rate"][0]))
        self._roll_back(*before)
        for e in range(len(orders)):
            yield from self._finite_blocks(epoch + e, orders[e : e + 1])

    def _roll_back(self, step: int, updates: int, moments: np.ndarray) -> None:
        state, self.history.updates, self._recent = self.session.state, updates, (0, {})
        state.step = step
        self.engine.backend.write(state.update.moments, moments)
        self.engine.params[...] = self.last_finite
        self.engine.backend.write(self.session.net.params, self.engine.params)

    def _train(self, epoch: int, orders: np.ndarray) -> _Rows:
        """Train on orders (E, N), one for each epoch from `epoch` on; return their rows of the history."""
        (net, operations, state), count = self.session, len(orders)
        done, before, seconds, waited = self.part
        if self._weights_may_cancel:
            for e, order in enumerate(orders, epoch + 1):
                check_sums(self._weights, order, self.batch_size, f"sample_weight of a batch in epoch {e}")
        lr = np.concatenate(
            [
                self.schedule.rates(self.rule.lr, epoch + e, self.epochs, self._steps, self._monitored)
                for e in range(count)
            ]
        )
        # with the dtype and layout that compiled code takes, whatever a user's schedule returns
        rates = np.ascontiguousarray(self.rule.rates(state.step - done, lr.astype(np.float64)), np.float64)
        rates = rates.reshape(count, self._steps, 3)

        losses, begin = np.full(count, before), time.perf_counter() - seconds
        waited_before = self.feed.waited - waited if self.feed else 0.0
        for data, samples, steps in self._spans(orders, done):
            rate = rates[:, done : done + steps]
            arguments = net, data, state.update, samples, self.batch_size, rate, self.dropout_seed, state.step
            if not self._prepared:
                began = time.perf_counter()
                with self._points.released():  # the first call may compile for a while
                    self.engine.backend.prepare(operations, *arguments)
                self._prepared = True
                begin += time.perf_counter() - began
            with self.engine.together():
                losses += self.engine.backend.train(operations, *arguments)
            done += steps
            state.step += count * steps
            self.history.updates += count * steps
            if (self.checkpoint or self._group) and done < self._steps:
                waited = self.feed.waited - waited_before if self.feed else 0.0
                self.part = Part(done, float(losses[0]), time.perf_counter() - begin, waited)
                self._reach_safe_point()
        self.part = Part()
        seconds = (time.perf_counter() - begin) / count
        rows = {
            "loss": (losses / (self._n_samples if state.update.mean else 1)).tolist(),
            "learning_rate": lr[self._steps - 1 :: self._steps].tolist(),
            "seconds": count * [seconds],
            "samples_per_second": count * [self._n_samples / seconds],
        }
        return rows | {"waited": [self.feed.waited - waited_before]} if self.feed else rows

    def _spans(self, orders: np.ndarray, done: int) -> Iterator[tuple[Data, np.ndarray, int]]:
        """Samples of these epochs from step `done` on, for one call of the backend after the other.

        Yields data, orders (E, n) of the call's samples, and its number of steps.
        """
        if self.feed is not None:
            yield from self.feed.spans(done, self._span)
            return
        assert self.data is not None
        for first in range(done, self._steps, self._span):
            last = min(first + self._span, self._steps)
            yield self.data, orders[:, first * self.batch_size : last * self.batch_size], last - first

    def _reach_safe_point(self) -> None:
        """Write a checkpoint if one is due or a signal is held back, then deliver the signal."""
        if self.checkpoint is None and self._group is None:
            return
        stops = self._points.waiting
        if self._group is not None:
            stops = self._group.meet(stops)
        if self.checkpoint and (stops or self.checkpoint.is_due(None if self.part.steps else self._observed)):
            self.checkpoint.write(state_of(self, ""), last=stops)
        self._points.reach()
        if stops and self._group is not None:
            raise KeyboardInterrupt  # of another rank


def divergence(epoch: int, loss: float, lr: float) -> str:
    """Return the message for a loss or weights that are not finite after an epoch (1-based)."""
    kept = f"those after epoch {epoch - 1}" if epoch > 1 else "the initial ones"
    return (
        f"Training diverged in epoch {epoch}: the loss is {loss}, at learning rate "
        f"{lr:g}. Likely causes: too high a learning rate, features or targets that are not "
        "scaled, exploding gradients. Try a tenth of the learning rate, standardise x (and y in regression), or "
        f"clip gradients with max_norm=1. The model keeps the last finite weights, {kept}."
    )


def call_all(callbacks: Iterable[Callback], epoch: Epoch) -> bool:
    """Call all callbacks; return whether one of them asks to stop."""
    answers = [callback(epoch) for callback in callbacks]
    return any(isinstance(answer, (bool, np.bool_)) and bool(answer) for answer in answers)
