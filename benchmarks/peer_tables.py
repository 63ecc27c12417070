"""Tables and plot of the results of peers.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, NamedTuple

import numpy as np
from contenders import OURS

REFERENCE = "scikit-learn"


class Cell(NamedTuple):
    """The measurements of one network at one batch size."""

    network: str
    batch: str
    rates: dict[str, np.ndarray]  # samples per second of each contender, a number per round
    threads: int  # that fastmlp takes
    gflops: np.ndarray  # of fastmlp, per round
    peak: np.ndarray  # GFLOP/s of that many threads, per round


def median_and_spread(values: np.ndarray) -> str:
    return f"{np.median(values):.2f} ({values.min():.2f} … {values.max():.2f})"


def best_peer(cell: Cell) -> tuple[str, np.ndarray]:
    """The peer with the highest median, and the rate of the best peer in each round."""
    peers = {name: rates for name, rates in cell.rates.items() if name != OURS}
    return max(peers, key=lambda name: float(np.median(peers[name]))), np.max(list(peers.values()), axis=0)


def tables(cells: Sequence[Cell]) -> list[str]:
    """Markdown lines."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.rates))
    lines = [
        "## Samples per second",
        "",
        "Medians of the rounds.",
        "",
        f"| network | batch | {' | '.join(names)} |",
        "|---|---|" + "---|" * len(names),
    ]
    for cell in cells:
        rates = [f"{np.median(cell.rates[name]):,.0f}" if name in cell.rates else "–" for name in names]
        lines.append(f"| {cell.network} | {cell.batch} | {' | '.join(rates)} |")
    lines += [
        "",
        "![samples per second](peers.png)",
        "",
        "## Ratios",
        "",
        "fastmlp's speed relative to the best other library of the round, and to scikit-learn: median of the rounds",
        "(lowest … highest). Arithmetic: forward products, gradients of weights, δ below the last layer; relative to",
        "the FMA peak that as many threads reached in registers between these runs.",
        "",
        "| network | batch | best peer | over the best peer | over scikit-learn | threads | GFLOP/s | of FMA peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        (name, best), ours = best_peer(cell), cell.rates[OURS]
        reference = median_and_spread(ours / cell.rates[REFERENCE]) if REFERENCE in cell.rates else "–"
        lines.append(
            f"| {cell.network} | {cell.batch} | {name} | {median_and_spread(ours / best)} | {reference} "
            f"| {cell.threads} | {np.median(cell.gflops):.1f} | {np.median(cell.gflops) / cell.peak.max():.0%} |"
        )
    return lines


def plot(cells: Sequence[Cell], file: IO[bytes]) -> None:
    """Samples per second by batch size: a panel per network, a line per contender."""
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(cell.network for cell in cells))
    names = list(dict.fromkeys(name for cell in cells for name in cell.rates))
    figure = Figure(figsize=(3.4 * len(networks), 3.6), layout="constrained")
    for axes, network in zip(np.atleast_1d(figure.subplots(1, len(networks))), networks, strict=True):
        shown = [cell for cell in cells if cell.network == network]
        for name in names:
            rates = [np.median(cell.rates[name]) if name in cell.rates else np.nan for cell in shown]
            style = {"linewidth": 2.5, "color": "black"} if name == OURS else {}
            axes.semilogy([cell.batch for cell in shown], rates, marker="o", label=name, **style)
        axes.set(title=network, xlabel="batch size")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("samples per second")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(file, format="png", dpi=110)
