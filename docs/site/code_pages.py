"""Pages that show a file of code: an example with what it prints and draws, any other file as it is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from links import CODE
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

LANGUAGES = {".py": "python", ".cu": "cuda", ".hpp": "cpp", ".sh": "bash"}
# Command lines shorter than the defaults of the examples that take long.
ARGUMENTS = {
    "mnist": ["--samples", "20_000", "--epochs", "1"],
    "larger_than_memory": ["--samples", "20_000", "--epochs", "1"],
}
ENDLESS = {"server"}  # examples that are shown without being run


class CodePage(MystParser):
    """Makes Markdown of a file of code."""

    supported = ("code",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        env = document.settings.env
        path, root = Path(env.doc2path(env.docname)), Path(env.srcdir)
        if path.parent == root / "docs" / "examples":
            page = example_page(path, inputstring, root)
        else:
            page = f"---\norphan: true\nnosearch: true\n---\n\n# {path.relative_to(root).as_posix()}\n\n"
            page += block(LANGUAGES[path.suffix], inputstring)
        super().parse(page, document)


def example_page(path: Path, source: str, root: Path) -> str:
    """The docstring as text, the figure, what a run prints, and the rest of the file."""
    tree = ast.parse(source)
    title, _, text = (ast.get_docstring(tree) or "").partition("\n")
    code = "".join(source.splitlines(keepends=True)[tree.body[0].end_lineno :]).lstrip()
    parts = [f"# {title.rstrip('.')}", text.strip()]
    if path.stem not in ENDLESS:
        parts += printed_and_drawn(path, "--plot" in source, root)
    return "\n\n".join([*parts, "## The code", block("python", code)])


def printed_and_drawn(path: Path, draws: bool, root: Path) -> list[str]:
    """The figure of a run, and what it prints."""
    figure = root / "build" / "examples" / f"{path.stem}.png"
    figure.unlink(missing_ok=True)
    printed = run(path, figure if draws else None)
    parts = []
    if figure.is_file():
        parts.append(f"![What {path.name} draws](/{figure.relative_to(root).as_posix()})")
    command = " ".join(["python", path.relative_to(root).as_posix(), *ARGUMENTS.get(path.stem, [])])
    return [*parts, "## What it prints", block("text", f"$ {command}\n{printed}")]


def run(path: Path, figure: Path | None) -> str:
    """Run an example as a user would, on NumPy, which compiles nothing; what it prints. An error in it is one here."""
    arguments = ARGUMENTS.get(path.stem, [])
    if figure is not None:
        figure.parent.mkdir(parents=True, exist_ok=True)
        arguments = [*arguments, "--plot", str(figure)]
    environment = {**os.environ, "FASTMLP_BACKEND": "numpy"}
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def block(language: str, text: str) -> str:
    """A block of code, whatever number of backticks is in it."""
    return f"`````````{language}\n{text.rstrip()}\n`````````"


def _page_of_module(app: Sphinx, env: BuildEnvironment, node: nodes.Element, text: nodes.Node) -> nodes.Node | None:
    """Make of `fastmlp.step` in a docstring a link to the page of fastmlp/step.py, where there is one."""
    path = node.get("reftarget", "").replace(".", "/")
    for page in (path, f"{path}/__init__"):
        if page in env.found_docs:
            return make_refnode(app.builder, node["refdoc"], page, None, text)
    return None


def setup(app: Sphinx) -> dict:
    app.connect("missing-reference", _page_of_module)
    app.add_source_parser(CodePage)
    for suffix in CODE:
        app.add_source_suffix(suffix, "code")
    return {"parallel_read_safe": True}
