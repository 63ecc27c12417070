"""Predictions by fastmlp, scikit-learn, onnxruntime, PyTorch and JAX: microseconds a call, for few rows and for many.

Run: python benchmarks/inference.py [--threads N] [--rounds N] [--output FILE]. Peers that are not installed (`onnx` and
`onnxruntime`; `torch`, eager and compiled; `jax`) are left out. From 2,000 rows on, the rate of the arithmetic is given
as a share of the peak of fused multiply-adds; a million rows of networks that memory bounds are compared with one pass
over the samples. All have the same weights and float32 samples, one process and the same number of
threads; each round times them one after the other, in an order that rotates. What they predict is compared first.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

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


def compiled_torch_network(sizes: list[int], weights: list, biases: list, threads: int) -> Callable:
    """The network in PyTorch, compiled for each number of rows."""
    return torch_network(sizes, weights, biases, threads, compiled=True)


def jax_network(sizes: list[int], weights: list, biases: list, threads: int) -> Callable:
    """The network in JAX, jitted; its threads are limited by `surroundings`."""
    import jax
    import numpy as np

    @jax.jit
    def outputs(x):
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = jax.nn.relu(x @ w + b)
        return jax.nn.softmax(x @ weights[-1] + biases[-1])

    return lambda x: np.asarray(outputs(x))


def torch_network(sizes: list[int], weights: list, biases: list, threads: int, compiled: bool = False) -> Callable:
    """The network in PyTorch, eager or compiled."""
    import torch

    torch.set_num_threads(threads)
    layers: list = []
    for w, b in zip(weights, biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data[...] = torch.from_numpy(w.T.copy())
        layer.bias.data[...] = torch.from_numpy(b)
        layers += [layer, torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(dim=1)).eval()
    run = torch.compile(network, dynamic=False) if compiled else network

    def predict(x):
        with torch.inference_mode():
            return run(torch.from_numpy(x)).numpy()

    return predict


def contenders(sizes: list[int], rows: int, threads: int, missing: dict[str, str]) -> Iterator[tuple[str, Callable]]:
    """Names, and functions of samples (n, I); probabilities (n, C) unless the name says predict."""
    import numpy as np
    from sklearn.neural_network import MLPClassifier as Theirs

    from fastmlp import MLP, MLPClassifier

    random = np.random.RandomState(0)
    x = random.rand(300, sizes[0]).astype(np.float32)
    y = np.arange(300) % sizes[-1]
    parameters = {"hidden_layer_sizes": tuple(sizes[1:-1]), "max_iter": 1, "random_state": 0}
    model = MLP(sizes, loss="softmax_cross_entropy", backend="numba", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (kind(**parameters).fit(x, y) for kind in (MLPClassifier, Theirs))
    yield "scikit-learn predict", theirs.predict
    yield "MLPClassifier.predict", ours.predict
    yield "scikit-learn predict_proba", theirs.predict_proba
    yield "MLPClassifier.predict_proba", ours.predict_proba
    yield "MLP.predict", model.predict
    yield "MLP.predict_proba", model.predict_proba
    yield "predictor", model.predictor(rows).proba
    arguments = sizes, model.weights, model.biases, threads
    peers = {"PyTorch": torch_network, "PyTorch compiled": compiled_torch_network, "JAX": jax_network}
    for name, make in {"onnxruntime": onnx_session, **peers}.items():
        sample = x[:rows]
        try:
            found = make(*arguments)
            answer = found(sample)
        except Exception as error:  # it is not installed, or lacks a C++ compiler
            missing[name] = str(error).partition("\n")[0]
        else:
            np.testing.assert_allclose(answer, model.predict_proba(sample), rtol=1e-3, atol=1e-5)
            yield name, found
    if rows > MANY:
        yield PASS, np.sum


def timed(function: Callable, x, seconds: float) -> list[float]:
    """Microseconds of calls that take about so long together."""
    function(x)
    figures, end = [], time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        function(x)
        figures.append((time.perf_counter() - begin) * 1e6)
    return figures


def table(threads: int, rounds: int, missing: dict[str, str]) -> list[str]:
    """Markdown lines: medians and 99th percentiles, and of many rows the rate."""
    import numpy as np
    from fma_peak import fma_peak

    lines: list[str] = []
    for rows, networks in TABLES:
        peak = fma_peak(threads) * 1e3  # floating-point operations a microsecond
        results: dict[str, dict[str, list[float]]] = {}
        for sizes in networks:
            x = np.random.RandomState(1).rand(rows, sizes[0]).astype(np.float32)
            functions = dict(contenders(sizes, rows, threads, missing))
            of_network = results["-".join(map(str, sizes))] = {name: [] for name in functions}
            for turn in range(rounds):
                names = list(functions)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    time.sleep(PAUSE)
                    of_network[name] += timed(functions[name], x, SECONDS)
        names = list(next(iter(results.values())))
        lines += ["", f"## {rows:,} row{'s' * (rows > 1)}", "", f"| network | {' | '.join(names)} |"]
        lines.append(f"|---{'|---' * len(names)}|")
        for network, figures in results.items():
            cells = [f"{np.median(calls):.1f} ({np.percentile(calls, 99):.0f})" for calls in figures.values()]
            if rows >= MANY:
                work = 2 * rows * sum(i * o for i, o in pairwise(map(int, network.split("-"))))
                shares = ["" if name == PASS else f", {work / np.median(figures[name]) / peak:.0%}" for name in figures]
                cells = [cell + share for cell, share in zip(cells, shares, strict=True)]
            lines.append(f"| {network} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("INFERENCE.md"))
    arguments = parser.parse_args()
    surroundings.limit_threads(arguments.threads)
    from fastmlp.files import atomic_write

    begin, missing = time.perf_counter(), dict[str, str]()
    body = table(arguments.threads, arguments.rounds, missing)
    head = ["# Predictions", "", "Microseconds a call: median (99th percentile). Samples and networks in float32."]
    head[-1] += f" From {MANY:,} rows on the share of the FMA peak follows, which was measured before each table."
    lines = [*head, "", *surroundings.heading(arguments.threads, missing, time.perf_counter() - begin), *body]
    with atomic_write(arguments.output) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print("\n".join(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
