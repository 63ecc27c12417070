"""``python -m fastmlp.cli``: the command without its script."""

import sys

from fastmlp.cli import run

sys.exit(run())
