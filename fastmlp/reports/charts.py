"""Charts as SVG text. Colours are those of the page, by class names, so they follow light, dark and paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import count
from math import floor, log10
from typing import Any

import numpy as np

__all__ = ["Chart", "Scale", "drawing", "number"]

# of a chart, in units that are pixels on a phone
WIDTH, HEIGHT = 360, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 12, 42

_numbers = count(1)  # of the titles on a page


class Scale:
    """From values to places in [0, 1], linear or logarithmic."""

    def __init__(self, values: Any, *, log: bool = False, whole: bool = False) -> None:
        """The scale of these values. whole: ticks at whole numbers only."""
        finite = np.asarray(values, np.float64).ravel()
        finite = finite[np.isfinite(finite)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        self.log, self.whole = log and low > 0, whole
        if low == high:
            low, high = (low / 2, high * 2) if self.log else (low - 0.5, high + 0.5)
        self.low, self.high = low, high

    def place(self, values: Any) -> np.ndarray:
        """The places of values."""
        low, high, values = self.low, self.high, np.asarray(values, np.float64)
        if self.log:
            low, high, values = log10(low), log10(high), np.log10(values)
        return (values - low) / (high - low)

    def ticks(self) -> list[float]:
        """Four to eight round values."""
        if self.log:
            powers = range(floor(log10(self.low)), floor(log10(self.high)) + 1)
            digits = (1,) if len(powers) > 4 else (1, 2, 5)
            values = [digit * 10.0**power for power in powers for digit in digits]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) > 2:
                return inside
        width = (self.high - self.low) / 4
        power = 10.0 ** floor(log10(width))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= width)
        step = max(1.0, step) if self.whole else step
        first = np.ceil(self.low / step - 1e-9)
        return [float(k * step) + 0.0 for k in np.arange(first, np.floor(self.high / step + 1e-9) + 1)]


class Chart:
    """Lines, points and bars over two axes."""

    def __init__(self, title: str, x: Scale, y: Scale, x_label: str, y_label: str) -> None:
        self.title, self.x, self.y, self._labels = title, x, y, (x_label, y_label)
        self._parts: list[str] = []

    def _at(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        across = _LEFT + self.x.place(x) * (WIDTH - _LEFT - _RIGHT)
        down = HEIGHT - _BOTTOM - self.y.place(y) * (HEIGHT - _TOP - _BOTTOM)
        return across, down

    def line(self, x: Sequence[float], y: Sequence[float], kind: str) -> None:
        """A line; where y is not finite it has a gap. kind: its class on the page."""
        across, down = self._at(x, y)
        pen, steps = "M", []
        for a, b in zip(across.tolist(), down.tolist(), strict=True):
            if not (np.isfinite(a) and np.isfinite(b)):
                pen = "M"
                continue
            steps.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        self._parts.append(f'<path class="line {kind}" d="{"".join(steps)}"/>')

    def points(self, x: Any, y: Any, kind: str, radius: float = 2.5) -> None:
        """A dot for each pair."""
        across, down = self._at(x, y)
        dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across.tolist(), down.tolist(), strict=True))
        self._parts.append(f'<path class="dots {kind}" stroke-width="{2 * radius:g}" d="{dots}"/>')

    def bars(self, edges: Sequence[float], heights: Sequence[float], kind: str) -> None:
        """A bar between each two edges, from the bottom to its height."""
        across, down = self._at(edges, np.full(len(edges), self.y.low))
        _, tops = self._at(edges[:-1], heights)
        for k, top in enumerate(tops.tolist()):
            self._parts.append(
                f'<rect class="{kind}" x="{across[k] + 0.5:.1f}" y="{top:.1f}" '
                f'width="{max(0.5, across[k + 1] - across[k] - 1):.1f}" height="{down[k] - top:.1f}"/>'
            )

    def svg(self) -> str:
        """The chart with its axes."""
        bottom, right, axes = HEIGHT - _BOTTOM, WIDTH - _RIGHT, []
        for tick in self.x.ticks():
            a = float(self._at(tick, self.y.low)[0])
            axes.append(f'<path class="grid" d="M{a:.1f} {_TOP}V{bottom}"/>')
            axes.append(f'<text x="{a:.1f}" y="{bottom + 15}" text-anchor="middle">{_short(tick)}</text>')
        for tick in self.y.ticks():
            b = float(self._at(self.x.low, tick)[1])
            axes.append(f'<path class="grid" d="M{_LEFT} {b:.1f}H{right}"/>')
            axes.append(f'<text x="{_LEFT - 5}" y="{b + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
        x_label, y_label = map(escape, self._labels)
        axes.append(f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{x_label}</text>')
        turned = f'transform="translate(12 {(_TOP + bottom) / 2}) rotate(-90)"'
        axes.append(f'<text {turned} text-anchor="middle">{y_label}</text>')
        return drawing(self.title, WIDTH, HEIGHT, [*axes, *self._parts])


def drawing(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    """An SVG element with that title, which screen readers read in its place."""
    name = f"drawing-{next(_numbers)}"
    size = f'viewBox="0 0 {width:g} {height:g}" style="max-width:{1.5 * width:g}px"'
    title = f'<title id="{name}">{escape(title)}</title>'
    return f'<svg role="img" aria-labelledby="{name}" {size}>{title}{"".join(parts)}</svg>'


def number(value: float) -> str:
    """A number as a table needs it."""
    if value != 0 and not 1e-3 <= abs(value) < 1e9:
        return f"{value:.3e}"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1e4 else f"{value:.4g}"


def _short(value: float) -> str:
    """A number as an axis has room for it: 0.05, 200, 40k, 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e12:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:g}"
