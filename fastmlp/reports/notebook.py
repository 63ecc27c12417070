"""Networks and histories as notebooks show them: fragments of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fastmlp.history import History
from fastmlp.reports import drawings
from fastmlp.reports.charts import number
from fastmlp.reports.page import FIGURES, table

__all__ = ["history_html", "network_html"]

# Colours for light and dark themes alike: a notebook does not say which one it has.
_COLOURS = (
    ".fastmlp { --ink: currentColor; --quiet: #808890; --paper: transparent; --line: #80889060; --first: #2b7cc4; "
    "--second: #d06a1c; --on: #fff; max-width: 36rem; }"
)


def network_html(sizes: Sequence[int], activations: Sequence[str], summary: str) -> str:
    """The network drawn, above a summary of its layers."""
    return _fragment(f"{drawings.network(sizes, activations)}<pre>{escape(summary)}</pre>")


def history_html(history: History) -> str:
    """The loss by epoch, above the last row."""
    if not len(history):
        return _fragment(f"<p>{escape(repr(history))}</p>")
    names = [name for name in history.columns if not isinstance(history[name][-1], tuple)]
    last = [str(len(history)), *(number(history[name][-1]) for name in names)]
    rows = table(f"The last epoch; stopped: {history.stopped or 'not yet'}", ["epoch", *names], [last])
    return _fragment(drawings.loss_chart(history) + rows)


def _fragment(content: str) -> str:
    return f'<div class="fastmlp"><style>{_COLOURS}{_RULES}</style>{content}</div>'


def _within(rules: str) -> str:
    """The rules of a style for our fragments alone: a notebook has styles of its own."""
    result = []
    for rule in filter(str.strip, rules.split("}")):
        selectors, body = rule.split("{")
        result.append(", ".join(f".fastmlp {one.strip()}" for one in selectors.split(",")) + f" {{{body}}}")
    return "\n".join(result)


_RULES = _within(FIGURES)
