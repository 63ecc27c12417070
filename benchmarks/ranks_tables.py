"""Tables and plot of what `ranks_network.py` has recorded: measured, by the model, and predicted."""

from __future__ import annotations

from itertools import product
from statistics import median
from typing import IO, Any

from ranks_cases import NETWORKS, SHARES
from ranks_model import Model, fit, hidden, parameter_bytes

__all__ = ["plot", "tables"]

Row = dict[str, Any]
DELAY = 10e-6  # s one way, of the networks that are predicted: cables and a switch
GIGABITS = [1, 10, 25, 100]
GIGABIT = 1.25e8  # bytes a second


def tables(rows: list[Row]) -> list[str]:
    """Markdown lines."""
    model, alone = fit(rows), computing(rows)
    lines = [f"ℓ = {1e6 * model.latency:.0f} µs for each trip, γ = {1e9 * model.copying:.2f} ns for each byte.", ""]
    lines += _head("ranks", "delay one way, µs", "Gbit/s", "bytes", "measured, µs", "model, µs", "model / measured")
    for row in rows:
        for size, seconds in row.get("sums", {}).items():
            by_model = model.sum(row["ranks"], int(size), row["delay"], row["rate"])
            measured = f"{1e6 * median(seconds):,.0f} ({1e6 * min(seconds):,.0f} … {1e6 * max(seconds):,.0f})"
            compared = measured, f"{1e6 * by_model:,.0f}", f"{by_model / median(seconds):.2f}"
            lines.append(_line(row["ranks"], *_link(row), f"{int(size):,}", *compared))
    lines += [
        "",
        *_head("network", "delay one way, µs", "Gbit/s", "step, ms", "model, ms", "model / step", "efficiency"),
    ]
    for row in (row for row in rows if row["part"] == "steps"):
        case, seconds = row["case"], row["seconds"]
        by_model = alone[case, 2] + model.sum(2, parameter_bytes(case), row["delay"], row["rate"])
        compared = f"{1e3 * by_model:.1f}", f"{by_model / seconds:.2f}", f"{alone[case, 1] / 2 / seconds:.2f}"
        lines.append(_line(case, *_link(row), f"{1e3 * seconds:.1f}", *compared))
    lines += ["", *_head("ms of 1/n of the batch, measured", *SHARES)]
    lines += [_line(case, *(f"{1e3 * alone[case, share]:.2f}" for share in SHARES)) for case in NETWORKS]
    for title, cell in {"efficiency, predicted": _efficiency, "overlap, % of the step": _overlap}.items():
        lines += ["", *_head(title, "Gbit/s", *SHARES[1:])]
        for case, gigabits in product(NETWORKS, GIGABITS):
            lines.append(_line(case, gigabits, *(cell(model, alone, case, ranks, gigabits) for ranks in SHARES[1:])))
    return lines


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _head(*cells: object) -> list[str]:
    return [_line(*cells), "|---" * len(cells) + "|"]


def _link(row: Row) -> tuple[str, str]:
    return f"{1e6 * row['delay']:,.0f}", f"{row['rate'] / GIGABIT:g}"


def computing(rows: list[Row]) -> dict[tuple[str, int], float]:
    """Seconds of a step of one process with a share of the batch, by network and share."""
    return {(row["case"], row["ranks"]): row["seconds"] for row in rows if row["part"] == "shares"}


def _step(model: Model, alone: dict, case: str, ranks: int, gigabits: float) -> float:
    return alone[case, ranks] + model.sum(ranks, parameter_bytes(case), DELAY, gigabits * GIGABIT)


def _efficiency(model: Model, alone: dict, case: str, ranks: int, gigabits: float) -> str:
    return f"{alone[case, 1] / ranks / _step(model, alone, case, ranks, gigabits):.2f}"


def _overlap(model: Model, alone: dict, case: str, ranks: int, gigabits: float) -> str:
    saved = hidden(model, case, ranks, DELAY, gigabits * GIGABIT, alone[case, ranks])
    return f"{100 * saved / _step(model, alone, case, ranks, gigabits):+.1f}"


def plot(rows: list[Row], file: IO[bytes]) -> None:
    """Efficiency against the number of ranks: lines are predicted, squares are measured on links of this machine."""
    from matplotlib.figure import Figure

    model, alone = fit(rows), computing(rows)
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, case in zip(figure.subplots(1, len(NETWORKS), sharey=True), NETWORKS, strict=True):
        limit = [alone[case, 1] / ranks / alone[case, ranks] for ranks in SHARES]
        axes.plot(SHARES, limit, ":", color="black", label="computing alone (measured)")
        for number, gigabits in enumerate(GIGABITS):
            values = [alone[case, 1] / ranks / _step(model, alone, case, ranks, gigabits) for ranks in SHARES]
            axes.plot(SHARES, values, "--", color=f"C{number}", label=f"{gigabits} Gbit/s (predicted)")
            for row in rows:
                there = row["part"] == "steps" and row["case"] == case and row["delay"] < 1e-4
                if there and row["rate"] == gigabits * GIGABIT:
                    efficiency = alone[case, 1] / 2 / row["seconds"]
                    axes.plot(2, efficiency, "s", color=f"C{number}", label=f"{gigabits} Gbit/s (measured)")
        axes.set_xscale("log", base=2)
        axes.set_xticks(SHARES, [str(ranks) for ranks in SHARES])
        axes.set(title=case, xlabel="ranks, a core each", ylim=(0, 1.05))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("efficiency")
    figure.axes[0].legend(fontsize="x-small")
    figure.savefig(file, dpi=110)
