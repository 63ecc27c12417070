"""``python -m fastmlp.cli``: the command where its script is not on the path."""

import sys

from fastmlp.cli import run

sys.exit(run())
