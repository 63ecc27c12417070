"""Directives that show what the library knows by name: a table of the losses, curves of activations and schedules."""

from pathlib import Path

import numpy as np
from docutils import nodes
from docutils.parsers.rst.directives.images import Image
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fastmlp.activations import ACTIVATIONS, activate
from fastmlp.losses import LOSSES
from fastmlp.schedules import SCHEDULES


class LossTable(SphinxDirective):
    """Names, formulas and links of the losses."""

    def run(self) -> list[nodes.Node]:
        head = _row(*map(nodes.Text, ("name", "loss of a sample", "from z to a prediction")))
        body = [
            _row(nodes.literal("", loss.name), nodes.Text(loss.formula), nodes.Text(loss.link))
            for loss in LOSSES.values()
        ]
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
        group += [nodes.thead("", head), nodes.tbody("", *body)]
        return [nodes.table("", group)]


def _row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


class Curves(Image):
    """A figure with a panel for each activation or schedule."""

    def run(self) -> list[nodes.Node]:
        what = self.arguments[0]
        root = Path(self.state.document.settings.env.srcdir)
        path = root / "build" / "figures" / f"{what}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        {"activations": _activations, "schedules": _schedules}[what]().savefig(path, dpi=110)
        self.arguments[0] = f"/{path.relative_to(root).as_posix()}"
        return super().run()


def _activations() -> Figure:
    """Of those that work on each number by itself, which softmax does not."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    names = [name for name in ACTIVATIONS if name != "softmax"]
    for axes, name in zip(figure.subplots(3, 4, sharex=True, sharey=True).flat, names, strict=False):
        x = np.linspace(-4, 4, 401)
        values = x[:, None].copy()
        activate(ACTIVATIONS[name], values, np.empty_like(values))
        axes.plot(x, values[:, 0])
        axes.set(title=name, ylim=(-1.5, 3))
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(names) :]:
        axes.axis("off")
    return figure


def _schedules() -> Figure:
    """The rates of 50 epochs of 10 updates, by each schedule's defaults, while the loss does not improve."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    for axes, (name, schedule) in zip(figure.subplots(2, 4, sharex=True).flat, SCHEDULES.items(), strict=True):
        rates = [schedule().rates(1.0, epoch, 50, 10, [1.0] * epoch) for epoch in range(50)]
        axes.plot(np.arange(500) / 10, np.concatenate(rates))
        axes.set(title=name, ylim=(-0.05, 1.05))
        axes.grid(alpha=0.3)
    figure.supxlabel("epoch")
    figure.supylabel("rate / lr")
    return figure


def setup(app: Sphinx) -> dict:
    app.add_directive("loss-table", LossTable)
    app.add_directive("curves", Curves)
    return {"parallel_read_safe": True}
