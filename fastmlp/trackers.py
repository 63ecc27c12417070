"""Callbacks that write the losses and scores of each epoch where other programs show them.

Each is a function for ``callbacks=[…]`` of `fastmlp.MLP.fit`, `fastmlp.fit_many` and the estimators. It writes the
last row of the history: loss, learning rate, speed, and what is measured besides, such as val_loss.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from typing import Any

from fastmlp.errors import FastmlpError
from fastmlp.forks import no_fork
from fastmlp.history import History
from fastmlp.trainer import Callback, Epoch

__all__ = ["to_csv", "to_function", "to_tensorboard"]


def to_function(log: Callable[..., object]) -> Callback:
    """Call ``log(values, step=epoch)`` after each epoch; values are floats by names.

    Parameters
    ----------
    log : function
        Such as ``mlflow.log_metrics`` within a run of MLflow, or ``run.log`` of a run of Weights & Biases.

    Returns
    -------
    function
        The callback.

    Examples
    --------
    >>> from fastmlp import MLP
    >>> from fastmlp.datasets import load
    >>> from fastmlp.trackers import to_function
    >>> data, steps = load("iris"), []
    >>> history = MLP([4, 3], seed=0).fit(
    ...     data.x, data.y, epochs=2, callbacks=[to_function(lambda values, step: steps.append(step))]
    ... )
    >>> steps
    [1, 2]
    """

    def callback(epoch: Epoch) -> None:
        log(_row(epoch.history), step=epoch.number)

    return callback


def to_csv(path: str | os.PathLike[str]) -> Callback:
    """Add a line to a CSV file after each epoch, so that it can be watched, and outlives a killed process.

    Parameters
    ----------
    path : path
        A file that exists is replaced at the first epoch; training that goes on from a checkpoint adds to it.

    Returns
    -------
    function
        The callback.
    """

    def callback(epoch: Epoch) -> None:
        row = {"epoch": epoch.number, **_row(epoch.history)}
        with open(path, "w" if epoch.number == 1 else "a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                lines.writerow(row)
            lines.writerow(row.values())

    return callback


def to_tensorboard(folder: str | os.PathLike[str]) -> Callback:
    """Write an event file for TensorBoard; the package tensorboard is needed.

    Parameters
    ----------
    folder : path
        Of the run; it is made if it does not exist. Give each run a folder of its own.

    Returns
    -------
    function
        The callback.

    Raises
    ------
    FastmlpError
        The package tensorboard cannot be imported.
    """
    try:
        with no_fork():
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise FastmlpError(
            f"Event files need TensorBoard, which cannot be imported ({error}). Run: pip install tensorboard"
        ) from error
    writer: Any = None

    def callback(epoch: Epoch) -> None:
        nonlocal writer
        writer = writer or EventFileWriter(os.fspath(folder))  # which starts a thread
        values = [Summary.Value(tag=name, simple_value=value) for name, value in _row(epoch.history).items()]
        writer.add_event(Event(step=epoch.number, wall_time=time.time(), summary=Summary(value=values)))
        writer.flush()

    return callback


def _row(history: History) -> dict[str, float]:
    """The last row, with a value for each layer where a column holds several."""
    row: dict[str, float] = {}
    for name in history.columns:
        last = history[name][-1]
        row |= {f"{name}_{k}": value for k, value in enumerate(last, 1)} if isinstance(last, tuple) else {name: last}
    return row
