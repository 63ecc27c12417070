"""Sphinx's settings for the site: CONTRIBUTING.md says how it is built.

The source folder is the whole repository, so that a page's links (`../benchmarks/PEERS.md`, `../fastmlp/step.py`)
lead to the same file on the site as they do in a checkout.
"""

import sys
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]

from links import linked_code  # noqa: E402
from sphinx.util import logging  # noqa: E402

import fastmlp  # noqa: E402

project = "fastmlp"
version = release = fastmlp.__version__
root_doc = "docs/index"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "code_pages",
    "help_text",
    "links",
    "names",
]
_pages = ["*.md", "docs/*.md", "docs/*/*.md", "benchmarks/*.md"]
include_patterns = [*_pages, "docs/api/*.rst", *linked_code(ROOT, _pages)]
exclude_patterns = [".*", "build", "dist", "fastmlp/kernels", "**/__pycache__"]

myst_heading_anchors = 3  # links such as architecture.md#tables
nitpicky = True  # a name of fastmlp in a docstring that leads nowhere fails the build
default_role = "py:obj"  # `name` in a docstring is a link where there is such an object
nitpick_ignore_regex = [("py:obj", r"(?!fastmlp\.).*"), ("py:class", r"(?!fastmlp\.).*")]  # other names are just code

autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings give types, with shapes
numpydoc_show_class_members = False  # autodoc lists them
# Parameters are those of the signature, in its order, each with a type and a description; so are what is returned and
# yielded. Of a short function one sentence may say it all: no section is required.
numpydoc_validation_checks = {"PR02", "PR03", "PR04", "PR05", "PR07", "PR10", "RT02", "RT03", "YD01"}

html_theme = "pydata_sphinx_theme"
html_title = "fastmlp"
smartquotes = False  # "relu" is a string
html_static_path = ["site/static"]
html_css_files = ["fastmlp.css"]
html_extra_path = ["site/index.html"]
html_copy_source = False
html_sidebars = {page: [] for page in ("docs/tutorial", "CHANGELOG", "CONTRIBUTING", "README")}  # no subpages to list
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],  # without the words, so that all fits into one line
    "show_prev_next": False,
    "footer_start": [],
    "footer_end": [],
}


def setup(app):
    app.connect("autodoc-skip-member", _is_left_out)
    app.connect("env-check-consistency", _check_public_names)


def _is_left_out(app, what, name, obj, skip, options):
    """Leave out constants, whose values are long, and fields of tuples, of which the docstring of the class tells."""
    is_constant = name.isupper() and not callable(obj)
    return True if is_constant or isinstance(obj, type(namedtuple("Pair", "first").first)) else None


def _check_public_names(app, env):
    documented = env.get_domain("py").objects
    for name in fastmlp.__all__:
        home = getattr(fastmlp, name).__module__
        if not {f"fastmlp.{name}", f"{home}.{name}"} & documented.keys():
            text = "fastmlp.%s is on no page of docs/api. Add it to one, or take it out of __all__."
            logging.getLogger(__name__).warning(text, name)
