"""The HTML page of a report: its style, and the pieces of which sections are made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["FIGURES", "figure", "page", "section", "table"]

# of the figures, wherever they are shown; the colours are set around them
FIGURES = """
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
svg text.on-cell { fill: var(--on); }
.grid { stroke: var(--line); fill: none; }
.edges { stroke: var(--quiet); stroke-width: 0.5; stroke-opacity: 0.45; fill: none; }
.unit { fill: var(--paper); stroke: var(--first); stroke-width: 1.6; }
.line { fill: none; stroke: var(--ink); stroke-width: 1.8; stroke-linejoin: round; }
.dots { fill: none; stroke: var(--ink); stroke-linecap: round; }
.first { stroke: var(--first); }
.second { stroke: var(--second); }
.line.second { stroke-dasharray: 6 4; }
.dots.first { stroke-opacity: 0.75; }
.reference { stroke: var(--quiet); stroke-width: 1.2; stroke-dasharray: 2 3; }
.bar, .cell { fill: var(--first); }
.cell { stroke: var(--line); stroke-width: 0.5; }
"""
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #ffffff; --line: #d5dae0;
  --first: #0b62a8; --second: #b84a00; --wash: #f4f6f8; --on: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #a3adb8; --paper: #14181d; --line: #39424c;
  --first: #66b3f0; --second: #f0a060; --wash: #1d232a; --on: #14181d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--line); padding-bottom: 0.2rem; }
p { max-width: 46rem; margin: 0.5rem 0; }
.lead { font-size: 1.15rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; list-style: none; padding: 0; margin: 0.6rem 0; }
a { color: var(--first); }
a:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--second); outline-offset: 2px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1rem 2rem; }
figure { margin: 0.5rem 0; min-width: 0; }
figcaption { color: var(--quiet); font-size: 0.9rem; margin-top: 0.2rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: 0.2rem 0; }
th, td { padding: 0.22rem 0.8rem 0.22rem 0; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; }
.text { text-align: left; white-space: normal; }
pre { background: var(--wash); padding: 0.7rem; white-space: pre-wrap; font-size: 0.88rem; margin: 0.5rem 0; }
.key::before { content: ""; display: inline-block; width: 1.6rem; border-top: 2px solid var(--first);
  vertical-align: middle; margin-right: 0.3rem; }
.key.dashed::before { border-top: 2px dashed var(--second); }
@media print { :root { color-scheme: light; --ink: #000; --quiet: #444; --paper: #fff; --line: #bbb; --first: #0b62a8;
  --second: #b84a00; --wash: #f4f6f8; --on: #fff; }
  @page { margin: 16mm; } body { padding: 0; max-width: none; font-size: 10pt; } nav { display: none; }
  .figures { grid-template-columns: 1fr 1fr; } figure, table, pre { break-inside: avoid; } h2 { break-after: avoid; }
  .scroll { overflow: visible; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(title: str, lead: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole page. sections: for each its id, its heading, and its content as HTML."""
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading, _ in sections)
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title><style>{_STYLE}{FIGURES}</style></head><body>",
            f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>',
            f'<nav aria-label="Sections"><ul>{links}</ul></nav></header><main>',
            *(section(*one) for one in sections),
            "</main></body></html>\n",
        ]
    )


def section(name: str, heading: str, content: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(heading)}</h2>{content}</section>'


def figure(svg: str, caption: str) -> str:
    """A figure; the caption is HTML."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def table(caption: str, heading: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose first column names the row; the first `texts` columns are texts, the others numbers.

    A wide one scrolls by itself, also by the keyboard.
    """

    def kind(k: int) -> str:
        return ' class="text"' if k < texts else ""

    head = "".join(f'<th scope="col"{kind(k)}>{escape(cell)}</th>' for k, cell in enumerate(heading))
    body = []
    for first, *others in rows:
        cells = "".join(f"<td{kind(k)}>{escape(cell)}</td>" for k, cell in enumerate(others, start=1))
        body.append(f'<tr><th scope="row" class="text">{escape(first)}</th>{cells}</tr>')
    inner = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>{inner}</table></div>'
