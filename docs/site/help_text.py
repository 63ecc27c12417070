"""The directive `help-text`: what a command of the command line says of itself."""

import os

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fastmlp.cli.parser import build_parser

os.environ["COLUMNS"] = "100"  # the width that argparse writes for


class HelpText(SphinxDirective):
    """A section that is named by the command, or of all commands where none is given."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        parser, title = build_parser(), "fastmlp"
        if self.arguments:
            (commands,) = (action for action in parser._actions if action.dest == "command")
            parser, title = commands.choices[self.arguments[0]], f"fastmlp {self.arguments[0]}"
        section = nodes.section(ids=[nodes.make_id(title)])
        section += nodes.title(text=title)
        text = parser.format_help()
        section += nodes.literal_block(text, text, language="text")
        return [section]


def setup(app: Sphinx) -> dict:
    app.add_directive("help-text", HelpText)
    return {"parallel_read_safe": True}
