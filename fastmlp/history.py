"""The training history: one row of losses and scores per epoch, and the reason why training ended."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastmlp.errors import InputError
from fastmlp.files import atomic_write
from fastmlp.forks import no_fork
from fastmlp.pictures import image_suffix, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History"]


class History:
    """Columns of numbers, one entry per epoch; `history["loss"]` is a list.

    Attributes
    ----------
    stopped : str
        Why training ended ("epochs", "target_loss", "plateau", "validation", "interrupt", "callback"); empty while
        it goes on.
    best_epoch : int or None
        The 1-based epoch whose weights were kept, where the trainer chose one.
    updates : int
        Parameter updates made so far.
    """

    def __init__(self) -> None:
        self.stopped: str = ""
        self.best_epoch: int | None = None
        self.updates: int = 0
        self._columns: dict[str, list[Any]] = {}
        self._shapes: dict[str, int | None] = {}  # of the first row: numbers of values, None for a plain one

    def append(
        self,
        *,
        loss: float,
        learning_rate: float,
        seconds: float,
        samples_per_second: float,
        **optional: float | Sequence[float],
    ) -> None:
        """Add one epoch. The first row fixes the columns; a refused row changes nothing.

        Parameters
        ----------
        loss : float
            Mean loss of the epoch.
        learning_rate : float
            Rate of its last update.
        seconds, samples_per_second : float
            Duration and speed; the mean over epochs that ran in one call.
        **optional : float or sequence of float
            Further columns, such as val_loss, accuracy, val_accuracy; one with an entry per layer, such as
            gradient_norms, takes a sequence and keeps it as a tuple.

        Raises
        ------
        InputError
            If the columns are not those of the first row, or a value is not a number.
        """
        row: dict[str, Any] = {
            "loss": loss,
            "learning_rate": learning_rate,
            "seconds": seconds,
            "samples_per_second": samples_per_second,
            **optional,
        }
        for name, value in row.items():
            if type(value) is not float:
                row[name] = _value(name, value)
        shapes = {name: len(value) if type(value) is tuple else None for name, value in row.items()}
        if not self._columns:
            self._columns, self._shapes = {name: [] for name in row}, shapes
        if shapes != self._shapes:
            self._refuse(row, shapes)
        for name, value in row.items():
            self._columns[name].append(value)

    def extend(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Add several epochs, given by columns; the same as `append` for each row, but faster."""
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        done = 0 if self._columns else 1
        for row in islice(rows, done):  # the first row fixes the columns
            self.append(**row)
        numbers = all(set(map(type, values)) == {float} for values in columns.values())
        if numbers and columns.keys() == self._columns.keys() and all(shape is None for shape in self._shapes.values()):
            for name, values in columns.items():
                self._columns[name].extend(values[done:])
            return
        for row in rows:
            self.append(**row)

    def _refuse(self, row: dict[str, Any], shapes: dict[str, int | None]) -> NoReturn:
        if row.keys() != self._columns.keys():
            raise InputError(
                f"Epoch {len(self) + 1} has the columns {', '.join(row)}; the first one had "
                f"{', '.join(self._columns)}. Record the same ones every epoch, NaN where there is no value."
            )
        name = next(name for name, shape in shapes.items() if shape != self._shapes[name])
        raise InputError(
            f"Epoch {len(self) + 1} has {name}={row[name]!r}, which is not shaped as in the first epoch: "
            f"{self._columns[name][0]!r}. Record the same number of values every epoch."
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; empty before the first epoch."""
        return tuple(self._columns)

    @property
    def epochs(self) -> list[int]:
        """The recorded epochs, counted from 1."""
        return list(range(1, len(self) + 1))

    def __getitem__(self, column: str) -> list[Any]:
        if column not in self._columns:
            have = ", ".join(self._columns) or "none before the first epoch"
            raise InputError(f"The history has no column {column!r}. Columns: {have}.")
        return list(self._columns[column])

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), []))

    def __repr__(self) -> str:
        last = f", loss={self['loss'][-1]:.4g}" if len(self) else ""
        return f"History(epochs={len(self)}{last}, stopped={self.stopped!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return lists, floats and strings, ready for JSON; values that are not finite stay floats."""
        columns = {
            name: [list(value) if isinstance(value, tuple) else value for value in values]
            for name, values in self._columns.items()
        }
        return {
            "stopped": self.stopped,
            "best_epoch": self.best_epoch,
            "updates": self.updates,
            "columns": columns,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "History":
        """Build a history from the dictionary of `to_dict`; null, as in a saved JSON file, becomes NaN.

        Raises
        ------
        InputError
            If it is not such a dictionary.
        """
        history = cls()
        try:
            for row in zip(*data["columns"].values(), strict=True):
                history.append(**dict(zip(data["columns"], row, strict=True)))
            best_epoch = data["best_epoch"]
            history.stopped = str(data["stopped"])
            history.best_epoch = None if best_epoch is None else int(best_epoch)
            history.updates = int(data["updates"])
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(f"This is not a history as History.to_dict() gives it: {error!r}.") from error
        return history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history atomically, as JSON or CSV by the suffix.

        JSON cannot represent numbers that are not finite: they become null. CSV has one line per epoch, and
        a column per layer (gradient_norms_1, …) where a column holds tuples.

        Raises
        ------
        InputError
            If the suffix is neither .json nor .csv, or the path cannot be written.
        """
        writers = {".json": self._json, ".csv": self._csv}
        suffix = Path(path).suffix.lower()
        if suffix not in writers:
            raise InputError(f"Cannot save a history as {path}. End the name in {' or '.join(writers)}.")
        text = writers[suffix]()
        with atomic_write(path) as file:
            file.write(text.encode())

    def _json(self) -> str:
        return json.dumps(_finite_or_null(self.to_dict()), indent=1, allow_nan=False) + "\n"

    def _csv(self) -> str:
        flat: dict[str, Sequence[float]] = {"epoch": self.epochs}
        for name, values in self._columns.items():
            if isinstance(values[0], tuple):
                layers = zip(*values, strict=True)  # type: ignore[arg-type]
                flat |= {f"{name}_{layer}": column for layer, column in enumerate(layers, start=1)}
            else:
                flat[name] = values  # type: ignore[assignment]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(flat)
        table.writerows(zip(*flat.values(), strict=True))
        return text.getvalue()

    def plot(self, path: str | os.PathLike[str] | None = None, ax: "Axes | None" = None) -> "Axes":
        """Plot loss, and val_loss if there is one, against the epoch.

        Matplotlib's backend and open figures are not touched, and nothing is shown.

        Parameters
        ----------
        path : path, optional
            Image to write atomically, as PNG, PDF or SVG by the suffix.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a new figure, which is `history.plot().figure`.

        Raises
        ------
        InputError
            If there are no epochs yet, or the path cannot be written.
        FastmlpError
            If Matplotlib is not installed.
        """
        figure = new_figure()
        if not len(self):
            raise InputError("The history has no epochs to plot. Train first.")
        image_suffix(path)
        if ax is None:
            ax = figure.add_subplot()
        with no_fork():
            from matplotlib.ticker import MaxNLocator

        for column in ("loss", "val_loss"):
            if column in self._columns:
                # A single epoch, or one between two gaps, would be invisible without a marker.
                ax.plot(self.epochs, self[column], marker=".", label=column)
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
        save_figure(ax.figure.canvas.figure, path)
        return ax

    def _repr_html_(self) -> str:
        """The loss by epoch and the last row, for notebooks."""
        with no_fork():
            from fastmlp.reports.notebook import history_html

        return history_html(self)


def _value(name: str, value: Any) -> float | tuple[float, ...]:
    """Convert a value to a float, or to a tuple of floats for a column with one entry per layer."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim > 1:
        raise InputError(f"{name}={value!r} cannot be recorded. Give a number, or one number per layer.")
    return tuple(array.tolist()) if array.ndim else float(array)


def _finite_or_null(value: Any) -> Any:
    """Replace each float that JSON cannot represent by None, in any nested structure."""
    if isinstance(value, dict):
        return {key: _finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
