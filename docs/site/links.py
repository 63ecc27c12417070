"""Links of Markdown pages, which are written for the checkout, made to lead somewhere on the site.

- A page in `SECTIONS` lists its subpages, as the items of a list or the rows of a table that begin with a link. The
  same list becomes the section's navigation.
- A link to a file of code leads to a page that shows it; `linked_code` finds the files that need one.
- A link to a folder leads to its README or `__init__.py`; where neither says anything, the site shows its name alone.
"""

import posixpath
import re
from pathlib import Path

from sphinx.application import Sphinx

SECTIONS = {"docs/index", "docs/guide", "docs/examples/README", "docs/api/README", "docs/performance", "docs/internals"}
CODE = (".py", ".cu", ".hpp", ".sh")

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#: ]+)(#[^)]*)?\)")  # not an address on the web, nor within the page
_SUBPAGE = re.compile(r"^(?:- |\| (?:\d+ \| )?)\[[^\]]*\]\(([^)#: ]+)\)", re.M)


def linked_code(root: Path, pages: list[str]) -> list[str]:
    """Paths, relative to the repository's root, of the files of code that the Markdown pages link to."""
    found = set()
    for pattern in pages:
        for page in root.glob(pattern):
            for _, _, target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
                path = _resolved(root, page, target)
                if path.is_dir():
                    path = _front(path) or path
                if path.suffix in CODE and path.is_file():
                    found.add(path.relative_to(root).as_posix())
    return sorted(found)


def _resolved(root: Path, page: Path, target: str) -> Path:
    """The path that a link on a page leads to, without a look at the disk: fastmlp/kernels stays what it is called."""
    return root / posixpath.normpath(posixpath.join(page.parent.relative_to(root).as_posix(), target))


def _front(folder: Path) -> Path | None:
    """The file that tells of a folder."""
    fronts = (folder / name for name in ("README.md", "__init__.py"))
    return next((front for front in fronts if front.is_file() and front.stat().st_size), None)


def _translate(app: Sphinx, docname: str, source: list[str]) -> None:
    """Change the text of a Markdown page, the one element of source, before it is read."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return

    def of_folder(link: re.Match) -> str:
        folder = _resolved(Path(app.srcdir), page, link[3])
        if link[1] or not folder.is_dir():
            return link[0]
        front = _front(folder)
        return f"[{link[2]}]({link[3]}/{front.name})" if front else link[2]

    source[0] = _LINK.sub(of_folder, source[0])
    if docname in SECTIONS:
        subpages = "\n".join(posixpath.splitext(target)[0] for target in _SUBPAGE.findall(source[0]))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{subpages}\n```\n"


def setup(app: Sphinx) -> dict:
    app.connect("source-read", _translate)
    return {"parallel_read_safe": True}
