"""Every CUDA kernel, and short training runs, on the emulated device under the compiler's sanitizers: no races between
threads, no reads past an array. Faults planted in the kernels are found.

The tests run this file as a script with the name of a sanitizer, a dtype and perhaps a fault.
"""

import os
import re
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from coded import ACTIVATION, LOSS
from emulation import build
from emulation.device import EmulatedDevice
from operation_calls import CudaBench
from scipy import sparse

from fastmlp import MLP, SGD, Adam, RMSprop
from fastmlp.backends.cuda import programs
from fastmlp.backends.cuda.device import Launch
from fastmlp.backends.cuda_backend import CudaBackend
from fastmlp.kernels import codes
from fastmlp.kernels.cuda import operations, source
from fastmlp.optimizers import BY_CODE as RULES
from fastmlp.optimizers import code_of

DTYPES = {"thread": "float64", "address": "float32", "undefined": "float32"}
REPORTS = {
    "thread": r"WARNING: ThreadSanitizer: data race.*?{file}.cu:\d+",
    "address": r"ERROR: AddressSanitizer: .*?{file}.cu:\d+",
    "undefined": r"{file}.cu:\d+.*? runtime error: .* misaligned address",
}
# Of each the sanitizer that finds it, the file, a text in it, and by what that is replaced; and the operation that is
# compiled alone, if one is enough
FAULTS = {
    "no barrier after scratch is written": (
        *("thread", "reductions", "  if (lane == 0) of_warp[warp] = v;\n  __syncthreads();\n"),
        *("  if (lane == 0) of_warp[warp] = v;\n", "penalty"),
    ),
    "a ticket that orders nothing": (
        *("thread", "reductions", "atom_add_acq_rel(to.ticket, 1)", "atomicAdd(to.ticket, 1u)", "penalty"),
    ),
    "a tile that is written while it is read": (
        *("thread", "products", "k0 += DEPTH) {\n      __syncthreads();", "k0 += DEPTH) {", "linear"),
    ),
    "a barrier of the grid that orders nothing": (
        *("thread", "program", "atom_add_acq_rel(arrivals, 1)", "atomicAdd(arrivals, 1u)", None),
    ),
    "a row past the end of the weights": (
        *("address", "few", "if (k < left) v.of[k]", "if (k <= left) v.of[k]", "linear_few"),
    ),
    "16 bytes at once of what is not aligned": (
        *("undefined", "batches", "% sizeof(Pack<T, N>) == 0", "% sizeof(T) == 0", "scale"),
    ),
}


def run(sanitizer, *arguments):
    """Run this file under a sanitizer; return its exit code and error output."""
    try:
        words, variables = build.under_sanitizer(sanitizer)
    except build.CompilerMissingError as error:
        pytest.skip(str(error))
    variables[build.SANITIZERS[sanitizer].variable] += ":halt_on_error=1"
    command = [*words, sys.executable, __file__, sanitizer, DTYPES[sanitizer], *arguments]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=600)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("sanitizer", DTYPES)
def test_there_is_nothing_to_report(sanitizer):
    code, said = run(sanitizer)
    assert code == 0, said
    assert "Sanitizer: " not in said, said
    assert "runtime error" not in said, said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    sanitizer, file, *_ = FAULTS[fault]
    code, said = run(sanitizer, fault)
    assert code == 66, said
    assert re.search(REPORTS[sanitizer].format(file=file), said, re.DOTALL), said


# Within the process that has the sanitizer


launched = set()  # names of kernels


class TwoBlocks(EmulatedDevice):
    """Runs every kernel on two blocks, and a program on as many as it needs."""

    def _ready_launch(self, node, real):
        launched.add(node.name)
        return super()._ready_launch(node if node.cooperative else node._replace(blocks=2), real)


def planted(fault):
    """Source of the kernels with a fault; only of one operation if that is enough, which compiles faster."""
    _, _, right, wrong, name = FAULTS[fault]
    text = source()
    assert text.count(right) == 1
    text = text.replace(right, wrong)
    if name is None:
        return text
    text = text[: text.index('#line 1 "dispatch"')]
    return re.sub(rf"^OPERATION(?:_OF_FEW)?\((?!{name},).*", "", text, flags=re.MULTILINE)


def call_operations(device, dtype, margin, only=None):
    """Every operation, products by our kernels and by the library; arrays are aligned if there is no margin."""
    for name, arguments in (*of_layers(dtype), *of_buffers(dtype)):
        if only in (None, name):
            CudaBench(device, "kernel", margin, True).call(name, arguments)
            if name in ("linear", "backward_data", "accumulate"):
                CudaBench(device, "library", margin, False).call(name, arguments)
    if only is None:
        round_to_bf16(device, dtype, margin)


def round_to_bf16(device, dtype, margin):
    """The rounding of factors to bfloat16, which is not an operation of the contract."""
    for n in (1, 1003):
        x, out = device.upload(np.ones(n + margin, dtype)), device.empty(n + margin, np.uint16)
        arguments = np.zeros((), operations(np.dtype(dtype))["round_to_bf16"].arguments)
        arguments["x"], arguments["out"] = device.address(x[margin:]), device.address(out[margin:])
        arguments["n"] = n
        device.queue([Launch("round_to_bf16", 1, arguments)], np.dtype(dtype))


# Rows, inputs, outputs, activations and losses. A thread, some lanes of a warp or a block has a row of outputs
LAYERS = [
    ((1, 5, 3), [codes.RELU], [LOSS["huber"]]),
    ((9, 17, 34), [ACTIVATION["silu"], codes.SOFTMAX], LOSS.values()),
    ((40, 70, 9), [codes.RELU, codes.SOFTMAX], [codes.SOFTMAX_CROSS_ENTROPY, LOSS["squared_error"]]),
    ((4, 2, 600), [codes.SOFTMAX], [codes.SOFTMAX_CROSS_ENTROPY, LOSS["poisson"]]),
]
SAMPLES = 50


def of_layers(dtype):
    """Names and arguments of operations on batches."""
    random = np.random.RandomState(0)

    def draw(*shape):
        return random.standard_normal(shape).astype(dtype)

    for (rows, inputs, outputs), activations, losses in LAYERS:
        x, w, b, below = draw(rows, inputs), draw(inputs, outputs), draw(outputs), draw(rows, inputs)
        z, delta, a, slope = (draw(rows, outputs) for _ in range(4))
        order, numbers = random.randint(0, SAMPLES, rows), random.randint(0, 9, (SAMPLES, inputs)).astype(np.uint8)
        matrix = sparse.random(SAMPLES, inputs, 0.3, "csr", dtype, random)
        compressed = {"values": matrix.data, "columns": matrix.indices, "starts": matrix.indptr.astype(np.int64)}
        picked, compressed = {"x": numbers, "rows": order}, compressed | {"rows": order}
        for code in activations:
            layer = {"w": w, "b": b, "activation": code, "slope": slope, "out": a}
            yield "linear", {"x": x} | layer
            yield "linear_rows", picked | layer
            yield "linear_sparse", compressed | layer
            known = {"activation": code, "a": a, "slope": slope}
            yield "activation_backward", known | {"delta": delta}
            known = {"activation": code, "a": below, "slope": below}
            yield "backward_data", {"delta": delta, "w": w} | known | {"out": draw(rows, inputs)}
        factors = {"delta": delta, "alpha": 0.5, "beta": 0.9, "out": w, "bias_beta": 0.3, "bias": b}
        yield "accumulate", {"a": x} | factors
        yield "accumulate_rows", picked | factors
        yield "accumulate_sparse", compressed | factors
        hard = {"labels": random.randint(0, outputs, SAMPLES), "targets": draw(0, outputs), "weights": draw(SAMPLES)}
        soft = {"labels": np.zeros(0, np.int64), "targets": abs(draw(SAMPLES, outputs)), "weights": draw(0)}
        for loss, truth in product(losses, (hard, soft)):
            of_batch = {"parameter": np.array([0.7]), "z": z, "rows": order, "out": delta}
            yield "loss_gradient", {"loss": loss} | of_batch | truth
        place = {"keep": 0.7, "seed": 5, "step": 3, "layer": 1, "first_row": 2}
        yield "dropout", {"x": a} | place | {"out": delta}
        yield "total_weight", {"weights": abs(draw(SAMPLES)), "rows": order}
        yield "copy", {"x": a, "out": delta}


def of_buffers(dtype):
    """Names and arguments of operations on flat buffers."""
    for n in (1, 1003, 4096):
        w, g, m, v = np.abs(np.random.RandomState(0).standard_normal((4, n))).astype(dtype)
        yield "penalty", {"w": w, "l1": 0.1, "l2": 0.2}
        yield "regularize", {"w": w[: n // 2], "l1": 0.1, "l2": 0.2, "total": 3.0, "out": g}
        yield "clip", {"g": g, "max_norm": 0.5}
        yield "scale", {"w": w, "factor": 0.5}
        for rule in RULES[1:]:
            moments, constants = np.stack([m, v])[: len(rule.moments)], np.array([0.9, 0.99])[: len(rule.constants)]
            rates = {"rate1": 0.1, "rate2": 0.1, "rate3": 1e-3}
            yield (
                "apply_rule",
                {"rule": code_of(rule), "w": w, "g": g, "moments": moments, "constants": constants} | rates,
            )


def train(device, dtype, x, batch, optimizer, max_norm=None, chunk=16384, shards=False, **options):
    model = MLP([x.shape[1], 9, 7, 3], "tanh", dtype=dtype, backend="numpy", seed=3, **options)
    model._backend = CudaBackend(device=device)
    model._backend.chunk_of = lambda row_bytes: chunk
    y, weights = np.arange(x.shape[0]) % 3, np.linspace(0.5, 2, x.shape[0])
    options = {"max_norm": max_norm, "reproducible": shards}
    model.fit(x, y, epochs=1, batch_size=batch, optimizer=optimizer, sample_weight=weights, **options)
    model.predict(x[:5])


def train_everything(sanitizer, dtype):
    """Programs on clusters and on grids; graphs whose products are our kernels, and one with the library's."""
    x = np.random.RandomState(0).standard_normal((90, 6))
    compressed = sparse.csr_matrix(np.where(np.abs(x) < 0.5, 0, x))
    extras = {"dropout": 0.3, "l1": 1e-3, "l2": 1e-2}
    for order, clusters, barrier in (0, True, 0), (2, False, programs.BARRIER / 20):
        device = TwoBlocks(order, sanitizer, clusters=clusters, prefers_products=not clusters)
        programs.BARRIER = barrier  # seconds; so the blocks do as much as possible together, or some alone
        train(device, dtype, x[:16], 8, Adam(0.01), 0.1, **extras)
        train(device, dtype, x[:2], 1, SGD(0.01), l2=0.1)
        train(device, dtype, compressed[:9], 8, SGD(0.01))
        train(device, dtype, x[:82], 41, Adam(0.01), 0.1, **extras)
    device = TwoBlocks(1, sanitizer)
    train(device, dtype, x[:64], "full", SGD(0.01, momentum=0.9), chunk=32)
    train(device, dtype, compressed[:40], 40, RMSprop(0.01))
    train(device, dtype, x[:20], 20, SGD(0.01), shards=True)
    device.free_memory = lambda: 0  # samples stream from the host
    train(device, dtype, x[:48], 48, SGD(0.01), chunk=24)


class OneKernel(TwoBlocks):
    """Runs a single kernel, and ignores other queued work."""

    def __init__(self, name, *given, **named):
        super().__init__(*given, **named)
        self._name = name

    def queue(self, nodes, real):
        super().queue([node for node in nodes if isinstance(node, Launch) and node.name == self._name], real)


def main(sanitizer, dtype, fault=None):
    margin = 1 if sanitizer == "undefined" else 0  # of AddressSanitizer the memory beside an array is to be guarded
    if fault is None:
        call_operations(TwoBlocks(2, sanitizer), dtype, margin)
        train_everything(sanitizer, dtype)
        kernels = set(operations(np.dtype(dtype)))
        assert launched == kernels, kernels - launched
        return
    name = FAULTS[fault][4]
    pointers = {key: operation.pointers for key, operation in operations(np.dtype(dtype)).items()}
    faulty = {"source": planted(fault), "pointers": pointers, "clusters": False}
    if name is None:
        programs.BARRIER = 0
        device = TwoBlocks(2, sanitizer, **faulty)
        train(device, dtype, np.random.RandomState(0).standard_normal((8, 6)), 8, SGD(0.1))
    else:
        call_operations(OneKernel(name, 2, sanitizer, **faulty), dtype, margin, name.removesuffix("_few"))


if __name__ == "__main__":
    main(*sys.argv[1:])
