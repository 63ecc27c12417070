"""The curves of several settings in one picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.files import atomic_write
from fastmlp.forks import no_fork
from fastmlp.history import History

__all__ = ["draw_curves"]

# Colours of Okabe & Ito, which the colour-blind can tell apart. Line and marker alone tell settings apart as well.
_COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
_LINES = "-", "--", "-.", ":"
_MARKERS = "o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h"


def draw_curves(path: str, settings: Mapping[str, Sequence[History]]) -> None:
    """Draw training and validation loss by epoch and by time: a line for each setting, the mean over its networks.

    A band goes from the lowest to the highest of them.

    Parameters
    ----------
    path
        Of the .png, .pdf or .svg file to write.
    settings
        Histories by the names of their settings; those without any are left out.
    """
    with no_fork():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    settings = {name: histories for name, histories in settings.items() if histories}
    figure = Figure(figsize=(9, 6.4 + 0.22 * len(settings)), layout="constrained")
    axes: Any = figure.subplots(2, 2, sharex="col", sharey="row")
    for k, histories in enumerate(settings.values()):
        style = {"color": _COLOURS[k % 7], "linestyle": _LINES[k % 4], "marker": _MARKERS[k % 11], "markersize": 5}
        epochs = min(map(len, histories))  # which all of them have
        seconds = np.mean([list(accumulate(history["seconds"]))[:epochs] for history in histories], axis=0)
        for row, column in enumerate(("loss", "val_loss")):
            values = np.array([history[column][:epochs] for history in histories])
            for ax, x in zip(axes[row], (np.arange(1, epochs + 1), seconds), strict=True):
                ax.plot(x, values.mean(axis=0), markevery=(k % 3, max(1, epochs // 8)), **style)
                ax.fill_between(
                    x, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.15, linewidth=0
                )
    for row, name in zip(axes, ("training loss", "validation loss"), strict=True):
        row[0].set_ylabel(name)
        if all(np.min(line.get_ydata()) > 0 for line in row[0].get_lines()):
            _to_logarithms(row[0].set_yscale, row[0].yaxis)
        for ax in row:
            ax.grid(alpha=0.3)
            ax.spines[["top", "right"]].set_visible(False)
    axes[1, 0].set_xlabel("epoch")
    axes[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1, 1].set_xlabel("seconds of training")
    _to_logarithms(axes[1, 1].set_xscale, axes[1, 1].xaxis)
    figure.legend(axes[0, 0].get_lines(), settings, loc="outside lower center", handlelength=5, frameon=False)
    with atomic_write(path) as file, no_fork():  # Matplotlib imports the writer of the format
        figure.savefig(file, format=Path(path).suffix[1:].lower())


def _to_logarithms(set_scale: Callable[[str], None], axis: Any) -> None:
    """Make the axis logarithmic, with a few plain numbers at it, also if it has less than a power of ten."""
    with no_fork():
        from matplotlib.ticker import LogLocator, NullFormatter

    set_scale("log")
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    digits = (1,) if decades > 3 else (1, 2, 5) if decades > 0.7 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(lambda value, _place: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())
