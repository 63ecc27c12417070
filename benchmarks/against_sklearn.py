"""Training throughput compared with scikit-learn's MLPClassifier: same data, network, batch size and update rule.

Run: python benchmarks/against_sklearn.py [ROUNDS]. Prints a Markdown table. Plain SGD, float32, 784-128-10, both with
their default threads; each round times both, one after the other, and the ratio is taken round by round.
"""

import sys
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier
from workloads import make

SIZES = [784, 128, 10]
EPOCHS = 3
# regime: samples (a multiple of the batch), so that a call takes about half a second of scikit-learn's time
CASES = {"1": 1000, "32": 9600, "128": 12800, "full": 20000}


def sklearn_rate(x, y, batch):
    from time import perf_counter

    model = MLPClassifier(
        SIZES[1:-1], solver="sgd", momentum=0, alpha=0, batch_size=batch, learning_rate_init=1e-3,
        max_iter=EPOCHS, tol=0, n_iter_no_change=EPOCHS + 1, random_state=0,
    )  # fmt: skip
    begin = perf_counter()
    model.fit(x, y)
    return EPOCHS * len(x) / (perf_counter() - begin)


def fastmlp_rate(x, y, batch):
    from time import perf_counter

    model, _, _ = make(SIZES, "numba", 1)
    begin = perf_counter()
    model.fit(x, y, epochs=EPOCHS, batch_size=batch, optimizer="sgd", lr=1e-3, progress=False)
    return EPOCHS * len(x) / (perf_counter() - begin)


def table(rounds=7):
    """Markdown lines: median samples/s of both, median ratio and its range."""
    warnings.simplefilter("ignore")  # scikit-learn's ConvergenceWarning after three epochs
    lines = [
        "| batch size | scikit-learn, samples/s | fastmlp (numba), samples/s | ratio | lowest … highest |",
        "|---|---|---|---|---|",
    ]
    for regime, samples in CASES.items():
        _, x, y = make(SIZES, "numba", samples)
        batch = samples if regime == "full" else int(regime)
        pairs = [(sklearn_rate(x, y, batch), fastmlp_rate(x, y, batch)) for _ in range(rounds + 1)][1:]
        theirs, ours = np.array(pairs).T
        ratio = ours / theirs
        lines.append(
            f"| {regime} | {np.median(theirs):,.0f} | {np.median(ours):,.0f} | {np.median(ratio):.1f} "
            f"| {ratio.min():.1f} … {ratio.max():.1f} |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(table(int(sys.argv[1]) if len(sys.argv) > 1 else 7)))
