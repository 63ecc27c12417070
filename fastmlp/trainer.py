"""Training: epochs, batches, validation, stopping, callbacks and history, around a step that knows none of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastmlp.engine import Engine, Session
from fastmlp.errors import DivergenceError
from fastmlp.history import History
from fastmlp.network import Data
from fastmlp.schedules import Schedule

__all__ = ["Callback", "Criterion", "Epoch", "Training", "progress_bar", "tell"]


class Epoch(NamedTuple):
    """What a callback is told after each epoch."""

    number: int  # 1-based
    model: Any  # the MLP, its parameters as they are now
    history: History


Callback = Callable[[Epoch], object]
"""Called after every epoch; training stops if it returns True."""


class Criterion(Protocol):
    """When training ends before its last epoch, and which weights it leaves."""

    best: np.ndarray | None  # (P,): what to end with, if not the last parameters
    best_epoch: int | None  # 1-based

    def observe(self, epoch: int, row: Mapping[str, Any], params: np.ndarray) -> str | None:
        """Take note of an epoch (1-based), its row of the history and params (P,); the reason to stop now, or None."""
        ...


@dataclass
class Training:
    """One run of training. Everything is checked and allocated; `run` does the epochs."""

    engine: Engine
    session: Session
    data: Data
    samples: np.ndarray  # (N,) int64: those of the data to train on, in their first order
    lr: float
    schedule: Schedule
    rates: Callable[[int, np.ndarray], np.ndarray]  # Optimizer.rates
    epochs: int
    batch_size: int
    shuffle: np.random.RandomState | None  # None: batches in the order of the data
    dropout_seed: int
    stopping: Criterion
    measure: Callable[[], dict[str, Any]]  # validation loss and metrics of the current parameters
    callbacks: Sequence[Callback]
    model: Any
    history: History
    progress: Any = None  # a tqdm bar
    overflow: bool = False  # whether a loss that is infinite while the weights are finite is no reason to end
    _monitored: list[float] = field(default_factory=list)  # the losses that a schedule may look at

    def __post_init__(self) -> None:
        net = self.session.net
        with self.engine.explaining(net):
            self.data = self.engine.placed(self.data)
        work = float(np.dot(net.fan_in, net.fan_out)) * min(self.batch_size, len(self.samples))
        self._span = max(1, int(self.engine.backend.span_work / work))  # steps

    def publish(self) -> np.ndarray:
        """Bring the trained parameters to the engine's (P,) on the host, which are returned."""
        host = self.engine.backend.to_host(self.session.net.params)
        if host is not self.engine.params:
            self.engine.params[...] = host
        return self.engine.params

    def run(self) -> History:
        """Train until the epochs are done, a stopping rule or callback says so, or Ctrl-C; the history so far.

        Raises
        ------
        DivergenceError
            The loss or a parameter is no longer finite after an epoch. The model has the last finite parameters.
        """
        self.history.stopped = "epochs"
        order = self.samples if self.shuffle is None else self.samples.copy()
        self.engine.backend.write(self.session.net.params, self.engine.params)
        last_finite = self.publish().copy()
        try:
            with self.engine.explaining(self.session.net):
                for epoch in range(self.epochs):
                    if self.shuffle is not None:
                        # the running order, not a fresh one: scikit-learn's batches from the same seed
                        self.shuffle.shuffle(order)
                    row = self._epoch(epoch, order)
                    params = self.publish()
                    if not (np.isfinite(params).all() and (math.isfinite(row["loss"]) or self.overflow)):
                        params[...] = last_finite
                        raise DivergenceError(self._divergence(epoch + 1, row))
                    last_finite[...] = params
                    row |= self.measure()
                    self.history.append(**row)
                    self._monitored.append(row.get("val_loss", row["loss"]))
                    reason = self.stopping.observe(epoch + 1, row, params)
                    self.history.best_epoch = self.stopping.best_epoch
                    self.history.stopped = reason or "epochs"
                    if self.progress is not None:
                        self.progress.set_postfix(
                            {name: f"{row[name]:.4g}" for name in ("loss", "val_loss") if name in row}
                        )
                        self.progress.update()
                    if self.callbacks:
                        if tell(self.callbacks, Epoch(epoch + 1, self.model, self.history)):
                            self.history.stopped = reason = "callback"
                        # they may have changed the weights
                        self.engine.backend.write(self.session.net.params, self.engine.params)
                    if reason is not None:
                        break
        except KeyboardInterrupt:
            self.history.stopped = "interrupt"
            if not np.isfinite(self.publish()).all():
                self.publish()[...] = last_finite
        finally:
            self.engine.backend.let_go(self.session.operations)
            if self.progress is not None:
                self.progress.close()
        if self.stopping.best is not None:
            self.publish()[...] = self.stopping.best
        return self.history

    def _epoch(self, epoch: int, order: np.ndarray) -> dict[str, Any]:
        steps = -(-len(order) // self.batch_size)
        lr = self.schedule.rates(self.lr, epoch, self.epochs, steps, self._monitored)
        (_, operations, state), span = self.session, self._span
        rates = self.rates(state.step, lr)
        of = partial(self._arguments, order, rates)
        if epoch == 0:
            self.engine.backend.prepare("train_epoch", operations, *of(slice(0, span)))
        loss, begin = 0.0, time.perf_counter()
        for first in range(0, steps, span):
            loss += self.engine.backend.run("train_epoch", operations, *of(slice(first, first + span)))
            done = min(span, steps - first)
            state.step += done
            self.history.updates += done
        seconds = time.perf_counter() - begin
        return {
            "loss": loss / (len(order) if state.update.mean else 1),
            "learning_rate": float(lr[-1]),
            "seconds": seconds,
            "samples_per_second": len(order) / seconds,
        }

    def _arguments(self, order: np.ndarray, rates: np.ndarray, steps: slice) -> tuple:
        """Of `fastmlp.step.train_epoch` after ops, for some of an epoch's steps."""
        samples = order[steps.start * self.batch_size : steps.stop * self.batch_size]
        net, _, state = self.session
        return (
            *(net, self.data, state.update, samples, self.batch_size, rates[steps]),
            *(self.dropout_seed, state.step),
        )

    def _divergence(self, epoch: int, row: dict[str, Any]) -> str:
        kept = f"those after epoch {epoch - 1}" if epoch > 1 else "the initial ones"
        return (
            f"Training diverged in epoch {epoch}: the loss is {row['loss']}, at learning rate "
            f"{row['learning_rate']:g}. Likely causes: too high a learning rate, features or targets that are not "
            "scaled, exploding gradients. Try a tenth of the learning rate, standardise x (and y in regression), or "
            f"clip gradients with max_norm=1. The model keeps the last finite weights, {kept}."
        )


def tell(callbacks: Iterable[Callback], epoch: Epoch) -> bool:
    """Call all of them; whether one asks to stop."""
    answers = [callback(epoch) for callback in callbacks]
    return any(isinstance(answer, (bool, np.bool_)) and bool(answer) for answer in answers)


def progress_bar(progress: bool | None, epochs: int) -> Any:
    """A bar of epochs on standard error; None asks for one only if that is a terminal."""
    if progress is False:
        return None
    from tqdm import tqdm

    return tqdm(total=epochs, unit="epoch", disable=False if progress else None, leave=False)
