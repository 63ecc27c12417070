"""Training on shared cores: with another busy process, two fits in threads, workers of joblib's backends.

Run: python benchmarks/crowds.py [ROUNDS]. Prints a Markdown table: median seconds of one fit, or of two at once, with
one thread and with the default number. Each round runs all cases in turn, so that other load affects them all. Only the
busy process is pinned, to one of the cores.
"""

import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from statistics import median
from threading import Thread
from time import perf_counter

import numpy as np
from joblib import Parallel, delayed, parallel_config

from fastmlp import MLP

# sizes, batch, samples, epochs: about half a second with one thread
NETWORKS = {
    "20-100-3, batch 32": ([20, 100, 3], 32, 9600, 18),
    "784-128-10, batch 200": ([784, 128, 10], 200, 10000, 11),
}


def fit(network, n_threads):
    sizes, batch, samples, epochs = NETWORKS[network]
    random = np.random.RandomState(0)
    x, y = random.standard_normal((samples, sizes[0])).astype(np.float32), random.randint(0, sizes[-1], samples)
    model = MLP(sizes, loss="softmax_cross_entropy", backend="numba", seed=0, n_threads=n_threads)
    begin = perf_counter()
    model.fit(x, y, epochs=epochs, batch_size=batch, optimizer="adam", progress=False)
    return perf_counter() - begin


@contextmanager
def busy():
    """A process that keeps one core busy."""
    core = max(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def alone(network, n_threads):
    return fit(network, n_threads)


def with_a_busy_process(network, n_threads):
    with busy():
        return fit(network, n_threads)


def two_threads(network, n_threads):
    seconds = []
    threads = [Thread(target=lambda: seconds.append(fit(network, n_threads))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(seconds)


def two_jobs(backend):
    def jobs(network, n_threads):
        with parallel_config(backend=backend), Parallel(n_jobs=2) as parallel:
            parallel(delayed(fit)(network, n_threads) for _ in range(2))  # starts the workers
            return max(parallel(delayed(fit)(network, n_threads) for _ in range(2)))

    return jobs


CASES = {
    "alone": alone,
    "with a busy process": with_a_busy_process,
    "two fits in threads": two_threads,
    **{f"joblib, two jobs, {backend}": two_jobs(backend) for backend in ("loky", "threading", "multiprocessing")},
}


def table(rounds=5):
    """Markdown lines."""
    warnings.simplefilter("ignore")
    lines = ["| network | case | 1 thread, s | default, s | default / 1 thread |", "|---|---|---|---|---|"]
    for network in NETWORKS:
        fit(network, 1), fit(network, None)  # compiles, or loads what is compiled
        seconds = {(case, n): [] for case in CASES for n in (1, None)}
        for _ in range(rounds):
            for case, n in seconds:
                seconds[case, n].append(CASES[case](network, n))
        for case in CASES:
            one, default = (median(seconds[case, n]) for n in (1, None))
            ratio = median(d / o for o, d in zip(seconds[case, 1], seconds[case, None], strict=True))
            lines.append(f"| {network} | {case} | {one:.2f} | {default:.2f} | {ratio:.2f} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
