"""Times of `partial_fit` on few samples, as in a loop over a stream, compared with scikit-learn's.

Run: python benchmarks/online.py [--rounds N] [--before CHECKOUT] [--out FILE]

Prints Markdown. Each round is a new process for this build, and one for the build in CHECKOUT. In it, blocks of calls
of fastmlp and scikit-learn alternate, after uncounted calls that compile. A figure is the median over the rounds of the
median call of a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

FEATURES, WARM, BLOCKS, CALLS = 20, 30, 10, 30
CASES = list(product(("MLPRegressor", "MLPClassifier"), (1, 32), (None, 0)))


def measure() -> dict[str, list[float]]:
    """For each case the median microseconds of a call: fastmlp's and scikit-learn's."""
    import numpy as np
    from sklearn import neural_network

    import fastmlp

    random = np.random.RandomState(0)
    x = random.standard_normal((64, FEATURES))
    targets = {"MLPRegressor": x[:, 0], "MLPClassifier": np.arange(64) % 3}
    result = {}
    for kind, rows, seed in CASES:
        y, models = targets[kind], [getattr(library, kind)(random_state=seed) for library in (fastmlp, neural_network)]
        first: dict[str, Any] = {"classes": [0, 1, 2]} if kind == "MLPClassifier" else {}
        times: list[list[float]] = [[], []]
        for model in models:
            model.partial_fit(x, y, **first)
            for _ in range(WARM):
                model.partial_fit(x[:rows], y[:rows])
        for _ in range(BLOCKS):
            for model, taken in zip(models, times, strict=True):
                model.partial_fit(x[:rows], y[:rows])  # the caches are the other's
                for _ in range(CALLS):
                    begin = time.perf_counter()
                    model.partial_fit(x[:rows], y[:rows])
                    taken.append(1e6 * (time.perf_counter() - begin))
        result[f"{kind}, {rows} row{'s' * (rows > 1)}, random_state={seed}"] = [*map(statistics.median, times)]
    return result


def round_of(checkout: Path) -> dict[str, list[float]]:
    """`measure` in a process that imports fastmlp from a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-W", "ignore", __file__, "--measure"]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def table(rounds: dict[str, list[dict[str, list[float]]]]) -> list[str]:
    """Markdown lines; rounds by the name of the build."""
    before = "before" in rounds
    heading = [
        "case",
        "scikit-learn, µs",
        "fastmlp, µs",
        *(["build before, µs"] if before else []),
        "of scikit-learn's",
    ]
    lines = [f"| {' | '.join([*heading, 'lowest … highest'])} |", "|---" * (len(heading) + 1) + "|"]
    for case in rounds["now"][0]:
        ours, theirs = zip(*(one[case] for one in rounds["now"]), strict=True)
        ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
        old = [statistics.median(one[case][0] for one in rounds["before"])] if before else []
        figures = [f"{value:.0f}" for value in (statistics.median(theirs), statistics.median(ours), *old)]
        ratio, spread = f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f} … {ratios[-1]:.2f}"
        lines.append(f"| {' | '.join([case, *figures, ratio, spread])} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="of a build to compare with")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure()))
        return
    from report import machine

    builds = {"now": Path(__file__).resolve().parents[1]} | ({"before": options.before} if options.before else {})
    rounds: dict[str, list[dict[str, list[float]]]] = {name: [] for name in builds}
    for _ in range(options.rounds):
        for name, checkout in builds.items():
            rounds[name].append(round_of(checkout))
    before = " --before CHECKOUT" if options.before else ""
    text = "\n".join(
        [
            "# Partial fits on few samples, compared with scikit-learn's",
            "",
            *machine()[:-1],
            f"- command: `python benchmarks/online.py --rounds {options.rounds}{before}`",
            "",
            f"{FEATURES} features and the defaults: 100 hidden units, Adam. Medians of {options.rounds} rounds.",
            "",
            *table(rounds),
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
