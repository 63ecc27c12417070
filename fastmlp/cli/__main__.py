"""``python -m fastmlp.cli``: the command without its script."""

import sys

from fastmlp.cli import main

sys.exit(main())
