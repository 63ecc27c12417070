"""Many networks at once: `fit_many` and scikit-learn's searches, compared with fits one after another.

Run: python benchmarks/many.py [--rounds N] [--before CHECKOUT] [--out FILE]

Prints Markdown. Each round runs all ways in turn, and takes the ratios of ways of the same round, so that other load
affects them alike. With --before, each round has a process for the build in CHECKOUT as well, which does the searches.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# sizes, samples, batch, epochs, networks
NETWORKS = {
    "64-32-10, batch 32": ([64, 32, 10], 1437, 32, 20, 64),
    "2-4-3, batch 32": ([2, 4, 3], 300, 32, 300, 256),
}
PEERS_SHARE = 10  # peers train a tenth of the epochs, which is multiplied: one of them is slow
# 36 fits each: 12 settings, 3 folds
GRID = {"hidden_layer_sizes": [(16,), (32,), (64,)], "alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2]}
SEARCHES = {"digits": 60, "breast cancer": 60}  # max_iter


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def networks(name: str) -> dict[str, float]:
    """Seconds by ways to train the networks."""
    import numpy as np
    from contenders import Task
    from many_peers import THERE

    from fastmlp import MLP, fit_many

    sizes, samples, batch, epochs, number = NETWORKS[name]
    random = np.random.RandomState(0)
    x, y = random.standard_normal((samples, sizes[0])).astype(np.float32), random.randint(0, sizes[-1], samples)
    options = {"epochs": epochs, "batch_size": batch, "progress": False}

    def make(**settings):
        return [MLP(sizes, loss="softmax_cross_entropy", backend="numba", seed=k, **settings) for k in range(number)]

    def in_turn(models):
        for model in models:
            model.fit(x, y, **options)

    in_turn(make()[:2])  # compiles, or loads what is compiled
    one, other, third = make(), make(), make()
    result = {
        "in turn": seconds(lambda: in_turn(one)),
        "fit_many": seconds(lambda: fit_many(other, x, y, **options)),
    }
    tasks = [Task(x, y, m.weights, m.biases, batch, "adam", 1e-3, os.cpu_count() or 1, shuffle=False) for m in third]
    alone = {"epochs": 1, "batch_size": batch, "shuffle": False, "progress": False}
    expected = [copy.deepcopy(model).fit(x, y, **alone)["loss"][0] for model in third]
    for peer, train in THERE.items():
        _, losses = train(tasks, 0)
        np.testing.assert_allclose(losses, expected, rtol=1e-3, err_msg=f"{peer} computes something else")
        share = max(1, epochs // PEERS_SHARE)
        result[peer] = train([task._replace(shuffle=True) for task in tasks], share)[0] * epochs / share
    return result


def search(name: str) -> dict[str, float]:
    """Seconds by ways to run the search."""
    from joblib import parallel_config
    from sklearn import neural_network
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.preprocessing import StandardScaler

    from fastmlp import MLPClassifier

    x, y = (load_digits if name == "digits" else load_breast_cancer)(return_X_y=True)
    x = x / 16 if name == "digits" else StandardScaler().fit_transform(x)

    def run(kind=MLPClassifier):
        GridSearchCV(kind(max_iter=SEARCHES[name], random_state=0), GRID, cv=3, refit=False).fit(x, y)

    def together(backend, kind=MLPClassifier):
        with parallel_config(backend=backend, n_jobs=-1):
            run(kind)
            return seconds(lambda: run(kind))

    run()
    result = {"in turn": seconds(run)}
    for backend in ("threading", "loky"):
        result[backend] = together(backend)
    try:
        result["fastmlp"] = together("fastmlp")
    except ValueError:
        pass  # a build without this backend
    else:
        result["scikit-learn's MLP, in turn"] = seconds(lambda: run(neural_network.MLPClassifier))
    return result


def measure(only_searches: bool) -> dict[str, dict[str, float]]:
    warnings.simplefilter("ignore")
    result = {} if only_searches else {name: networks(name) for name in NETWORKS}
    return result | {name: search(name) for name in SEARCHES}


def round_of(checkout: Path, only_searches: bool) -> dict[str, dict[str, float]]:
    """`measure` in a process that imports fastmlp from a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, "--measure", *(["--only-searches"] if only_searches else [])]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def tables(now: list[dict], before: list[dict]) -> list[str]:
    """Markdown lines."""
    lines = ["| networks | way | s | samples/s | times fit_many's time |", "|---|---|---|---|---|"]
    for name, (_, samples, _, epochs, number) in NETWORKS.items():
        for way in now[0][name]:
            times = [one[name][way] for one in now]
            ratios = [one[name][way] / one[name]["fit_many"] for one in now]
            rate = samples * epochs * number / statistics.median(times)
            cells = f"{number} × {name}", way, spread(times, 2), f"{rate:,.0f}", spread(ratios, 2)
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| search | way | s | s, build before |" if before else "| search | way | s |"]
    lines.append("|---|---|---|---|" if before else "|---|---|---|")
    for name in SEARCHES:
        for way in now[0][name]:
            old = [one[name][way] for one in before if way in one[name]]
            cells = [name, way, spread([one[name][way] for one in now], 3)]
            cells += [spread(old, 3) if old else ""] if before else []
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="of a build to compare with")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only-searches", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.only_searches)))
        return
    from many_peers import PEERS, THERE
    from report import machine

    missing = [(name, package) for name, (package, _) in PEERS.items() if name not in THERE]
    now, before = [], []
    for _ in range(options.rounds):
        now.append(round_of(Path(__file__).resolve().parents[1], only_searches=False))
        if options.before:
            before.append(round_of(options.before, only_searches=True))
    suffix = " --before CHECKOUT" if options.before else ""
    text = "\n".join(
        [
            "# Many networks at once",
            "",
            *machine()[:-1],
            f"- command: `python benchmarks/many.py --rounds {options.rounds}{suffix}`",
            "",
            f"Medians of {options.rounds} rounds (lowest … highest). Adam, float32; in turn, a network has all cores "
            "that it is worth. The searches are 36 fits of `MLPClassifier` in float64, with 16, 32 or 64 hidden units, "
            "of up to 60 epochs.",
            "",
            *tables(now, before),
            *(f"\n{name} is left out: {package} is not installed." for name, package in missing),
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
