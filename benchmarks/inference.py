"""Predictions by fastmlp, scikit-learn, onnxruntime, PyTorch and JAX: microseconds a call, for few rows and for many.

Run: python benchmarks/inference.py [--threads N] [--rounds N] [--peers PYTHON] [--output FILE]. Peers that are not
installed (`onnx` and `onnxruntime`; `torch`, eager and compiled; `jax`) are left out, with the reason. PyTorch and JAX
run in processes of their own (`inference_peers.py`), by the interpreter of another environment if --peers names one.
From 2,000 rows on, the rate of the arithmetic is given as a share of the peak of fused multiply-adds; a million rows of
networks that memory bounds are compared with one pass over the samples. All have the same weights, float32 samples and
number of threads; each round times them one after the other, in an order that rotates. What they predict is compared
first.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import surroundings

NETWORKS = [[30, 64, 2], [784, 128, 10], [100, 256, 256, 2], [512, 512, 10], [2048, 2048, 10]]
MEMORY_BOUND = [[100, 2], [30, 64, 2]]
TABLES = [(1, NETWORKS), (32, NETWORKS), (2000, NETWORKS), (1_000_000, MEMORY_BOUND)]  # rows, and networks
PASS = "one pass: the sum of all samples"
MANY = 2000  # rows, from which on the arithmetic is the time
SECONDS = 0.12  # of a contender in a round
PAUSE = 0.15  # seconds: threads of a BLAS spin for a tenth of a second after their last product


def onnx_session(sizes: list[int], weights: list, biases: list, threads: int) -> Callable:
    """The network as an ONNX graph in onnxruntime."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, values = [], "x"
    initializers = [numpy_helper.from_array(w, f"w{l}") for l, w in enumerate(weights)]
    initializers += [numpy_helper.from_array(b, f"b{l}") for l, b in enumerate(biases)]
    for l in range(len(weights)):
        nodes.append(helper.make_node("Gemm", [values, f"w{l}", f"b{l}"], [f"z{l}"]))
        last = l == len(weights) - 1
        activation, attributes = ("Softmax", {"axis": 1}) if last else ("Relu", {})
        nodes.append(helper.make_node(activation, [f"z{l}"], [f"a{l}"], **attributes))
        values = f"a{l}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, sizes[0]])],
        [helper.make_tensor_value_info(values, TensorProto.FLOAT, [None, sizes[-1]])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


class Notes(NamedTuple):
    """What is said of the peers above the tables, by name."""

    missing: dict[str, str]  # why they are left out
    versions: dict[str, str]  # of those in processes of their own


def contenders(
    sizes: list[int], rows: int, options: argparse.Namespace, notes: Notes, processes: ExitStack
) -> Iterator[tuple[str, Callable[[float], list[float]]]]:
    """Names, and functions of seconds that time calls; they give probabilities unless the name says predict."""
    import numpy as np
    from inference_peers import PEERS, Peer, samples, timed
    from sklearn.neural_network import MLPClassifier as Theirs

    from fastmlp import MLP, MLPClassifier

    x, threads = samples(rows, sizes[0]), options.threads
    some, y = samples(300, sizes[0]), np.arange(300) % sizes[-1]
    parameters = {"hidden_layer_sizes": tuple(sizes[1:-1]), "max_iter": 1, "random_state": 0}
    model = MLP(sizes, loss="softmax_cross_entropy", backend="numba", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (kind(**parameters).fit(some, y) for kind in (MLPClassifier, Theirs))
    functions = {
        "scikit-learn predict": theirs.predict,
        "MLPClassifier.predict": ours.predict,
        "scikit-learn predict_proba": theirs.predict_proba,
        "MLPClassifier.predict_proba": ours.predict_proba,
        "MLP.predict": model.predict,
        "MLP.predict_proba": model.predict_proba,
        "predictor": model.predictor(rows).proba,
    }
    expected = model.predict_proba(x)
    try:
        functions["onnxruntime"] = onnx_session(sizes, model.weights, model.biases, threads)
    except ImportError as error:
        notes.missing["onnxruntime"] = str(error)
    else:
        np.testing.assert_allclose(functions["onnxruntime"](x), expected, rtol=1e-3, atol=1e-5)
    for name, function in functions.items():
        yield name, partial(timed, function, x)
    for name in (name for name in PEERS if name not in notes.missing):
        try:
            peer = Peer(options.peers, name, model.weights, model.biases, rows, threads)
        except RuntimeError as error:
            notes.missing[name] = str(error)
            continue
        processes.callback(peer.close)
        notes.versions[name.removesuffix(" compiled")] = peer.version
        np.testing.assert_allclose(peer.answer, expected, rtol=1e-3, atol=1e-5)
        yield name, peer.timed
    if rows > MANY:
        yield PASS, partial(timed, np.sum, x)


def table(options: argparse.Namespace, notes: Notes) -> list[str]:
    """Markdown lines: medians and 99th percentiles, and of many rows the rate."""
    import numpy as np
    from fma_peak import fma_peak

    lines: list[str] = []
    for rows, networks in TABLES:
        peak = fma_peak(options.threads) * 1e3  # floating-point operations a microsecond
        results = {"-".join(map(str, sizes)): measured(sizes, rows, options, notes) for sizes in networks}
        names = list(dict.fromkeys(name for figures in results.values() for name in figures))
        lines += ["", f"## {rows:,} row{'s' * (rows > 1)}", "", f"| network | {' | '.join(names)} |"]
        lines.append(f"|---{'|---' * len(names)}|")
        for network, figures in results.items():
            work = 2 * rows * sum(i * o for i, o in pairwise(map(int, network.split("-"))))
            cells = []
            for name in names:
                calls = figures.get(name)
                cell = f"{np.median(calls):.1f} ({np.percentile(calls, 99):.0f})" if calls else ""
                rated = calls and rows >= MANY and name != PASS
                cells.append(cell + (f", {work / np.median(calls) / peak:.0%}" if rated else ""))
            lines.append(f"| {network} | {' | '.join(cells)} |")
    return lines


def measured(sizes: list[int], rows: int, options: argparse.Namespace, notes: Notes) -> dict[str, list[float]]:
    """Microseconds of each contender's calls."""
    with ExitStack() as processes:
        timers = dict(contenders(sizes, rows, options, notes, processes))
        figures: dict[str, list[float]] = {name: [] for name in timers}
        for turn in range(options.rounds):
            names = list(timers)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                time.sleep(PAUSE)
                figures[name] += timers[name](SECONDS)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="who has PyTorch and JAX")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("INFERENCE.md"))
    arguments = parser.parse_args()
    surroundings.limit_threads(arguments.threads)
    from fastmlp.files import atomic_write

    begin, notes = time.perf_counter(), Notes({}, {})
    body = table(arguments, notes)
    head = ["# Predictions", "", "Microseconds a call: median (99th percentile). Samples and networks in float32."]
    head[-1] += f" From {MANY:,} rows on the share of the FMA peak follows, which was measured before each table."
    took = time.perf_counter() - begin
    lines = [*head, "", *surroundings.heading(arguments.threads, notes.missing, took, notes.versions), *body]
    with atomic_write(arguments.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
