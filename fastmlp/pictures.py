"""Pictures of networks: weights as images, and decisions over two features. Matplotlib is needed."""

from __future__ import annotations

import os
from math import ceil, isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.checks import check_integer
from fastmlp.errors import FastmlpError, InputError
from fastmlp.files import atomic_write
from fastmlp.forks import no_fork

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["decision_surface", "image_suffix", "new_figure", "save_figure", "weight_images"]

_POINTS = 201  # of a decision surface, on each axis


def new_figure(**options: Any) -> Figure:
    """A figure that no window and no open figure knows of; FastmlpError if Matplotlib is not installed."""
    try:
        with no_fork():
            from matplotlib.figure import Figure
    except ImportError as error:
        raise FastmlpError(
            f"Plots need Matplotlib, which cannot be imported ({error}). Run: pip install 'fastmlp[plot]'"
        ) from error
    return Figure(layout="constrained", **options)


def image_suffix(path: str | os.PathLike[str] | None) -> str | None:
    """The suffix of a path to draw to, or None for none; InputError for one that is not supported."""
    suffix = None if path is None else Path(path).suffix.lower()
    if suffix not in (None, ".png", ".pdf", ".svg"):
        raise InputError(f"Cannot save a plot as {path}. End the name in .png, .pdf or .svg.")
    return suffix


def save_figure(figure: Figure, path: str | os.PathLike[str] | None) -> None:
    """Write the figure, whole or not at all, if there is a path."""
    suffix = image_suffix(path)
    if path is not None and suffix is not None:
        with atomic_write(path) as file, no_fork():  # Matplotlib imports the writer of the format
            figure.savefig(file, format=suffix[1:])


def weight_images(
    weights: np.ndarray,
    shape: tuple[int, int] | None = None,
    units: int = 25,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the weights of the first units of a layer as images; see `fastmlp.MLP.plot_weights`."""
    image_suffix(path)
    inputs, outputs = weights.shape
    if shape is None:
        shape = isqrt(inputs), isqrt(inputs)
    height, width = (check_integer("shape entry", side) for side in shape)
    if height * width != inputs:
        raise InputError(
            f"shape={(height, width)} has {height * width} pixels, but the layer has {inputs} inputs. Give the height "
            "and width of the images as shape=."
        )
    shown = min(check_integer("units", units), outputs)
    columns = ceil(shown**0.5)
    rows = ceil(shown / columns)
    figure = new_figure(figsize=(1.3 * columns, 1.3 * rows * height / width + 0.6))
    most = float(np.abs(weights[:, :shown]).max()) or 1.0
    axes = figure.subplots(rows, columns, squeeze=False)
    for k, ax in enumerate(axes.flat):
        ax.axis("off")
        if k < shown:
            image = ax.imshow(weights[:, k].reshape(height, width), cmap="RdBu", vmin=-most, vmax=most)
            ax.set_title(f"{k + 1}", fontsize=7, pad=2)
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    save_figure(figure, path)
    return figure


def decision_surface(
    model: Any,
    x: Any,
    y: Any = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw what a model of two features predicts around the samples, with the samples themselves.

    Parameters
    ----------
    model : MLP or estimator
        A fitted model of two features; what its `predict` gives is drawn: classes as areas, numbers as contours.
    x : array (N, 2)
        Samples, whose range the picture covers.
    y : array (N,), optional
        Their classes or numbers, as colours of the dots.
    path : path, optional
        Image to write, as PNG, PDF or SVG by the suffix.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which is not shown.

    Raises
    ------
    InputError
        x has another number of features, or the path cannot be written.
    FastmlpError
        Matplotlib is not installed.
    """
    image_suffix(path)
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise InputError(f"x has shape {x.shape}, but a surface is drawn over two features: give (N, 2).")
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.1 * np.where(high > low, high - low, 1.0)
    sides = np.linspace(low - margin, high + margin, _POINTS).T
    points = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    predicted = np.asarray(model.predict(points))
    if predicted.shape != (len(points),):
        raise InputError(f"The model predicts {predicted.shape[1:]} values for a sample. Only one can be drawn.")
    figure = new_figure(figsize=(5.5, 4.5))
    ax: Any = figure.add_subplot()
    style: dict[str, Any]
    if predicted.dtype.kind == "f":
        surface = ax.contourf(*sides, predicted.reshape(_POINTS, _POINTS), 12, cmap="viridis")
        figure.colorbar(surface, label="prediction")
        colours, style = y, {"cmap": "viridis", "norm": surface.norm}
    else:
        classes = np.unique(predicted if y is None else np.concatenate([np.unique(y), predicted]))
        places = np.searchsorted(classes, predicted).reshape(_POINTS, _POINTS)
        style = {"cmap": "tab10", "vmin": 0, "vmax": 9}
        ax.pcolormesh(*sides, places % 10, alpha=0.35, rasterized=True, **style)
        ax.contour(*sides, places, np.arange(len(classes) - 1) + 0.5, colors="black", linewidths=0.8)
        colours = None if y is None else np.searchsorted(classes, y) % 10
    dots = {"color": "black"} if y is None else {"c": colours, **style}
    ax.scatter(*x.T, s=14, edgecolors="white", linewidths=0.5, **dots)
    ax.set(xlabel="first feature", ylabel="second feature")
    save_figure(figure, path)
    return figure
