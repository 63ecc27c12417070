"""Fit times of MLPClassifier and MLPRegressor compared with scikit-learn's, for its examples and default settings.

Run: FASTMLP_DATA=FOLDER python benchmarks/estimators.py [--rounds N] [--quick] [--out FILE]; see --help.

Prints Markdown. Data, preparation and parameters are those of scikit-learn's gallery, docstrings and user guide; MNIST,
adult and California housing are read from FOLDER and left out without it. Long fits have fewer epochs, as the table
says. Rounds are interleaved in one process, after an uncounted fit of each that compiles. In a round each estimator is
fitted repeatedly for 0.1 s, so that the slower first milliseconds after a pause do not count more for the faster one.
In float64 both must have the same score: the last line names the cases that do not.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from report import machine
from sklearn import datasets, neural_network
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

import fastmlp
from fastmlp.datasets import load, read_csv

SHORT = 0.1  # seconds for which a model is fitted again and again in a round, at least
START_UP = """
import time
begin = time.perf_counter()
from fastmlp import MLPClassifier
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
imported = time.perf_counter()
MLPClassifier(random_state=0, tol=0.1).fit(x, y)
print(imported - begin, time.perf_counter() - imported)
"""


class Case(NamedTuple):
    group: str
    data: str
    settings: str
    estimator: str
    parameters: dict[str, Any]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def classifier(group, data, settings, parameters, train, test) -> Case:
    return Case(group, data, settings, "MLPClassifier", parameters, train, test)


def split(x, y, **options):
    x, x_test, y, y_test = train_test_split(x, y, **options)
    return (x, y), (x_test, y_test)


def training_curves() -> Iterator[Case]:
    """plot_mlp_training_curves.py, scored on the training data."""
    sgd = {"solver": "sgd", "learning_rate_init": 0.2}
    momenta = {
        "": {"momentum": 0},
        " with momentum": {"momentum": 0.9, "nesterovs_momentum": False},
        " with Nesterov's momentum": {"momentum": 0.9, "nesterovs_momentum": True},
    }
    strategies = {
        f"{name}{momentum}": sgd | {"learning_rate": name} | parameters
        for name in ("constant", "invscaling")
        for momentum, parameters in momenta.items()
    } | {"adam": {"solver": "adam", "learning_rate_init": 0.01}}
    for name, (x, y) in {
        "iris": datasets.load_iris(return_X_y=True),
        "digits": datasets.load_digits(return_X_y=True),
        "circles": datasets.make_circles(noise=0.2, factor=0.5, random_state=1),
        "moons": datasets.make_moons(noise=0.3, random_state=0),
    }.items():
        samples = MinMaxScaler().fit_transform(x), y
        for settings, parameters in strategies.items():
            parameters = parameters | {"random_state": 0, "max_iter": 15 if name == "digits" else 400}
            yield classifier("training curves", name, settings, parameters, samples, samples)


def toy_sets(seed) -> Iterator[tuple[str, tuple, tuple]]:
    """The three sets of plot_mlp_alpha.py and plot_classifier_comparison.py."""
    x, y = datasets.make_classification(
        n_features=2, n_redundant=0, n_informative=2, random_state=seed, n_clusters_per_class=1
    )
    x += 2 * np.random.RandomState(2).uniform(size=x.shape)
    samples = {
        "moons": datasets.make_moons(noise=0.3, random_state=0),
        "circles": datasets.make_circles(noise=0.2, factor=0.5, random_state=1),
        "separable": (x, y),
    }
    for name, (x, y) in samples.items():
        (x, y), (x_test, y_test) = split(x, y, test_size=0.4, random_state=42)
        scaler = StandardScaler().fit(x)
        yield name, (scaler.transform(x), y), (scaler.transform(x_test), y_test)


def varying_alpha() -> Iterator[Case]:
    common = {"solver": "lbfgs", "random_state": 1, "max_iter": 2000, "early_stopping": True}
    common |= {"hidden_layer_sizes": [10, 10]}
    for name, train, test in toy_sets(0):
        for alpha in np.logspace(-1, 1, 5):
            parameters = common | {"alpha": float(alpha)}
            yield classifier("varying alpha", name, f"lbfgs, alpha={alpha:.2g}", parameters, train, test)


def classifier_comparison() -> Iterator[Case]:
    for name, train, test in toy_sets(1):
        parameters = {"alpha": 1, "max_iter": 1000, "random_state": 42}
        yield classifier("classifier comparison", name, "alpha=1", parameters, train, test)


def docstrings() -> Iterator[Case]:
    """The examples of the two docstrings and of the user guide."""
    x, y = datasets.make_classification(n_samples=100, random_state=1)
    train, test = split(x, y, stratify=y, random_state=1)
    yield classifier("docstring", "classification", "defaults", {"random_state": 1, "max_iter": 300}, train, test)
    train, test = split(*datasets.make_regression(n_samples=200, n_features=20, random_state=1), random_state=1)
    parameters = {"random_state": 1, "max_iter": 2000, "tol": 0.1}
    yield Case("docstring", "regression", "tol=0.1", "MLPRegressor", parameters, train, test)
    x, lbfgs = np.array([[0.0, 0.0], [1.0, 1.0]]), {"solver": "lbfgs", "alpha": 1e-5, "random_state": 1}
    for name, y, hidden in (("two samples", [0, 1], (5, 2)), ("two samples, labels", [[0, 1], [1, 1]], (15,))):
        samples = x, np.array(y)
        parameters = lbfgs | {"hidden_layer_sizes": hidden}
        yield classifier("user guide", name, f"lbfgs, {hidden}", parameters, samples, samples)


def defaults() -> Iterator[Case]:
    """Standardised bundled data at default parameters."""
    for name, loader, kind in (
        ("digits", datasets.load_digits, "MLPClassifier"),
        ("breast cancer", datasets.load_breast_cancer, "MLPClassifier"),
        ("iris", datasets.load_iris, "MLPClassifier"),
        ("diabetes", datasets.load_diabetes, "MLPRegressor"),
    ):
        (x, y), (x_test, y_test) = split(*loader(return_X_y=True), random_state=0)
        scaler = StandardScaler().fit(x)
        train, test = (scaler.transform(x), y), (scaler.transform(x_test), y_test)
        yield Case("defaults", name, "defaults", kind, {"random_state": 0}, train, test)


def larger() -> Iterator[Case]:
    """Data sets in files: MNIST, adult and California housing."""
    if not os.environ.get("FASTMLP_DATA"):
        print("FASTMLP_DATA names no folder: MNIST, adult and California housing are left out.", file=sys.stderr)
        return
    mnist = load("mnist")
    x, y = np.concatenate([mnist.x, mnist.x_test]), np.concatenate([mnist.y, mnist.y_test])
    train, test = split(x.reshape(len(x), -1).astype(np.float64), y, random_state=0, test_size=0.7)
    parameters = {"hidden_layer_sizes": (40,), "max_iter": 8, "alpha": 1e-4, "solver": "sgd", "random_state": 1}
    parameters |= {"learning_rate_init": 0.2}
    yield classifier("MNIST filters", "MNIST, 21,000", "sgd, (40,), 8 epochs", parameters, train, test)
    few = tuple(part[:10_000] for part in train), tuple(part[:10_000] for part in test)
    yield classifier("defaults", "MNIST, 10,000", "10 epochs", {"random_state": 0, "max_iter": 10}, *few)
    folder = Path(os.environ["FASTMLP_DATA"])
    adult = load(folder / "adult/adult.data", header=False, missing="impute", strip_label=".", test_fraction=0)
    x_test, y_test = adult.encoder.transform(read_csv(folder / "adult/adult.test", header=False, skip_lines=1))
    train, test = (adult.x, adult.y), (x_test, y_test)
    yield classifier("defaults", "adult", "10 epochs", {"random_state": 0, "max_iter": 10}, train, test)
    target = {"target": "median_house_value", "standardize_target": True}
    housing = load(folder / "california-housing/housing.csv", missing="impute", **target)
    train, test = (housing.x, housing.y), (housing.x_test, housing.y_test)
    parameters = {"random_state": 0, "max_iter": 20}
    yield Case("defaults", "housing", "20 epochs", "MLPRegressor", parameters, train, test)
    transform = QuantileTransformer().fit(train[0]).transform
    parameters = {"hidden_layer_sizes": (30, 15), "learning_rate_init": 0.01, "early_stopping": True, "random_state": 0}
    train, test = ((transform(x), y) for x, y in (train, test))
    yield Case("partial dependence", "housing", "(30, 15), early stopping", "MLPRegressor", parameters, train, test)


CASES = (training_curves, varying_alpha, classifier_comparison, docstrings, defaults, larger)


class Result(NamedTuple):
    case: Case
    dtype: str
    theirs: float  # seconds, median
    ours: float
    ratio: float  # median of the rounds
    low: float
    high: float
    scores: tuple[float, float]

    @property
    def equal(self) -> bool:
        return abs(self.scores[0] - self.scores[1]) < 1e-6

    def row(self) -> str:
        case, (theirs, ours) = self.case, self.scores
        digits = 4 if self.equal else 6
        return (
            f"| {case.group} | {case.data} | {case.settings} | {self.dtype} | {self.theirs:.3g} | {self.ours:.3g} "
            f"| {self.ratio:.1f} | {self.low:.1f} … {self.high:.1f} | {theirs:.{digits}f} | {ours:.{digits}f} |"
        )


def measure(case: Case, dtype: str, rounds: int, epochs: int | None) -> Result:
    """Interleaved rounds of both; the first one alternates from round to round."""
    x, y = case.train[0].astype(dtype), case.train[1]
    x_test, y_test = case.test[0].astype(dtype), case.test[1]
    limit = {} if epochs is None else {"max_iter": min(epochs, case.parameters.get("max_iter", 200))}
    models = [getattr(module, case.estimator)(**case.parameters | limit) for module in (neural_network, fastmlp)]

    def seconds(model):
        time.sleep(
            0.3
        )  # threads of the BLAS spin for a while after a product, which would slow down the next measurement
        begin, fits, taken = time.perf_counter(), 0, 0.0
        while fits == 0 or (taken < SHORT and epochs is None):
            model.fit(x, y)
            fits, taken = fits + 1, time.perf_counter() - begin
        return taken / fits

    for model in models:
        model.fit(x, y)
    taken: list[list[float]] = [[], []]
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            taken[which].append(seconds(models[which]))
    theirs, ours = map(np.array, taken)
    ratio = theirs / ours
    scores = models[0].score(x_test, y_test), models[1].score(x_test, y_test)
    return Result(
        case, dtype, np.median(theirs), np.median(ours), np.median(ratio), ratio.min(), ratio.max(), scores
    )  # fmt: skip


def geometric_means(results: list[Result]) -> list[str]:
    """Markdown lines: the mean ratio of every group and of all, a column per dtype."""
    dtypes = list(dict.fromkeys(result.dtype for result in results))
    lines = [f"| geometric mean of the ratio | cases | {' | '.join(dtypes)} |", "|---|---|" + "---|" * len(dtypes)]
    for group in [*dict.fromkeys(result.case.group for result in results), "all"]:
        chosen = [result for result in results if group in (result.case.group, "all")]
        means = [statistics.geometric_mean(r.ratio for r in chosen if r.dtype == dtype) for dtype in dtypes]
        lines.append(f"| {group} | {len(chosen) // len(dtypes)} | {' | '.join(f'{mean:.1f}' for mean in means)} |")
    return lines


def start_up() -> str:
    """The start-up cost of a new process with an empty and with a filled cache of compiled code."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"FASTMLP_CACHE_DIR": folder}
        command = [sys.executable, "-W", "ignore", "-c", START_UP]
        (_, cold), (imports, warm) = (
            map(float, subprocess.run(command, env=environment, check=True, capture_output=True).stdout.split())
            for _ in range(2)
        )
    return f"First fit of a process (digits): {cold:.1f} s compiling, {warm:.1f} s once cached; import {imports:.1f} s."


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="fits of each that are counted")
    parser.add_argument("--quick", action="store_true", help="one round of three epochs: only whether all of it runs")
    parser.add_argument("--dtype", choices=["float64", "float32", "both"], default="both", help="of the samples")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose group or data contain it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown to it, too")
    options = parser.parse_args()
    rounds, epochs = (1, 3) if options.quick else (options.rounds, None)
    warnings.simplefilter("ignore")  # convergence
    lines: list[str] = []

    def say(*texts: str) -> None:
        lines.extend(texts)
        print(*texts, sep="\n", flush=True)

    say(
        "# Fit times compared with scikit-learn's", "", *machine()[:-1], f"- command: `python {' '.join(sys.argv)}`", ""
    )
    if not options.quick:
        say(start_up(), "")
    say(
        f"Seconds of a fit, median of {rounds} interleaved rounds; accuracy or R² of both.",
        "",
        "| example | data | settings | samples | scikit-learn, s | fastmlp, s | ratio | lowest … highest "
        "| scikit-learn scores | fastmlp scores |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    results = []
    for dtype in ("float64", "float32") if options.dtype == "both" else (options.dtype,):
        for case in (case for cases in CASES for case in cases()):
            if options.only in f"{case.group} {case.data}":
                results.append(measure(case, dtype, rounds, epochs))
                say(results[-1].row())
    say("", *geometric_means(results), "")
    if exact := [r for r in results if r.dtype == "float64"]:
        names = "; ".join(f"{r.case.group}, {r.case.data}, {r.case.settings}" for r in exact if not r.equal)
        say(f"In float64 the scores differ in: {names}." if names else "In float64 all scores are the same.")
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
