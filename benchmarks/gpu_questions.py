"""What NVIDIA's documentation leaves open, asked of the GPU: epilogues of cublasLt, bits that repeat, clusters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gpu_device import Sizes, device_of
from gpu_process import attempted

from fastmlp.backends.cuda.cublaslt import CublasLtError
from fastmlp.backends.cuda.device import Device, Launch, Matmul, mask_width
from fastmlp.kernels.cuda import operations

__all__ = ["questions"]

KINDS = (("float32", "float32"), ("float32", "tf32"), ("float32", "bf16"), ("float64", "float32"))
SHAPES = ((128, 784, 512), (1024, 512, 256), (16384, 784, 128))  # rows, inputs, outputs
TINY = ((40, 12, 8),)
ABOVE = 10  # outputs of the layer above
TOLERANCE = {"float32": 1e-4, "tf32": 2e-2, "bf16": 2e-2}
TIMES = 5  # that a product is repeated

Keep = Callable[[Any], None]


class Operands(NamedTuple):
    """Host arrays of a layer, its rows and the layer above, of numbers that are exact in bfloat16 and sums of which are
    exact in float32.
    """

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    delta: np.ndarray  # of the layer
    above: np.ndarray  # δ of the layer above
    w_above: np.ndarray


def questions(sizes: Sizes, deadline: float, keep: Keep) -> dict[str, Any]:
    """Answers, each with the case and what it was told from."""
    result: dict[str, Any] = {"answers": [], "failures": []}
    asked = (_masks, _sums_of_a_gradient, _repeats)
    for shape in TINY if sizes.emulated else SHAPES:
        for dtype, precision in KINDS:
            if not sizes.emulated and deadline < time.perf_counter():
                result["failures"].append("no time was left for all cases")
                return result
            case = f"{dtype} ({precision}), {' × '.join(map(str, shape))}"
            for ask in asked:
                with attempted(f"{ask.__name__.strip('_')}, {case}", result["failures"]):
                    device = device_of(precision)
                    with device.lock():
                        found = ask(device, _operands(*shape, np.dtype(dtype)), TOLERANCE[precision])
                    result["answers"] += [{"case": case, "question": what, "answer": answer} for what, answer in found]
                keep(result)
    with attempted("clusters", result["failures"]):
        result["answers"].append({"case": "", "question": "Can eight blocks be a cluster?", "answer": _cluster()})
    return result


def _operands(rows: int, inputs: int, outputs: int, dtype: np.dtype) -> Operands:
    random = np.random.default_rng(0)
    shapes = (rows, inputs), (inputs, outputs), (outputs,), (rows, outputs), (rows, ABOVE), (outputs, ABOVE)
    return Operands(*(random.integers(-4, 5, shape).astype(dtype) / 4 for shape in shapes))


def _masks(device: Device, o: Operands, tolerance: float) -> list[tuple[str, str]]:
    """Whether ReLU's mask and the product that reads it are there, and when rows are summed."""
    rows, outputs = o.delta.shape
    x, w, b, above, w_above = map(device.upload, (o.x, o.w, o.b, o.above, o.w_above))
    a, below = (device.empty(o.delta.size, o.x.dtype).reshape(rows, outputs) for _ in range(2))
    sums = device.empty(outputs, o.x.dtype)
    mask = device.empty(rows * mask_width(outputs), np.uint8).reshape(rows, mask_width(outputs))
    plain = [Matmul(x, w, a, epilogue="relu_bias", vector=b), Matmul(above, w_above, below, transpose_b=True)]
    masked = [
        Matmul(x, w, a, epilogue="relu_aux_bias", vector=b, mask=mask),
        Matmul(above, w_above, below, transpose_b=True, epilogue="drelu_bgrad", vector=sums, mask=mask),
    ]
    exists = "Do RELU_AUX_BIAS and DRELU_BGRAD exist?"
    after = "Is DRELU_BGRAD's sum taken after the mask?"
    problem = _problem(device, masked, o.x.dtype)
    if problem:
        return [(exists, f"no: {problem}"), (after, "not there")]
    z, unmasked = wide(o.x) @ wide(o.w) + wide(o.b), wide(o.above) @ wide(o.w_above).T
    right = _near(device.download(below), unmasked * (z > 0), tolerance)
    microseconds = [1e6 * device.seconds(nodes, o.x.dtype) for nodes in (masked, plain)]
    told = f"{microseconds[0]:.1f} µs for both, {microseconds[1]:.1f} µs without masks and sums"
    given = device.download(sums)
    answers = {"yes": (unmasked * (z > 0)).sum(axis=0), "**no**: before": unmasked.sum(axis=0)}
    return [
        (exists, f"yes; the result is {'right' if right else '**wrong**'}; {told}"),
        (after, _which(given, answers, tolerance)),
    ]


def _sums_of_a_gradient(device: Device, o: Operands, tolerance: float) -> list[tuple[str, str]]:
    """Whether BGRADA is there, with factors of the host and of the device, and whether its sum is scaled."""
    found = []
    x, delta = device.upload(o.x), device.upload(o.delta)
    expected, plain = 0.5 * wide(o.x).T @ wide(o.delta), wide(o.delta).sum(axis=0)
    for where in ("host", "device"):
        start = np.ones((o.x.shape[1], o.delta.shape[1]), o.x.dtype)
        out, sums = device.upload(start), device.empty(o.delta.shape[1], o.x.dtype)
        factors: tuple[Any, Any] = (0.5, 1.0)
        if where == "device":
            factors = tuple(device.upload(np.array([factor], o.x.dtype)) for factor in factors)
        how = {"alpha": factors[0], "beta": factors[1], "epilogue": "bgrad", "vector": sums}
        exists = f"Does BGRADA exist with factors of the {where}?"
        scaled = f"Is its sum the plain one, not scaled by alpha ({where})?"
        problem = _problem(device, [Matmul(x, delta, out, transpose_a=True, **how)], o.x.dtype)
        if problem:
            found += [(exists, f"no: {problem}"), (scaled, "not there")]
            continue
        right = _near(device.download(out), expected + 1, tolerance)
        answers = {"yes": plain, "**no**: scaled": 0.5 * plain}
        found += [
            (exists, f"yes; the result is {'right' if right else '**wrong**'}"),
            (scaled, _which(device.download(sums), answers, tolerance)),
        ]
    return found


def _repeats(device: Device, o: Operands, tolerance: float) -> list[tuple[str, str]]:
    """Whether products have the same bits every time, of numbers whose sums are rounded."""
    random, dtype = np.random.default_rng(1), o.x.dtype
    host_x, host_delta = (random.standard_normal(array.shape).astype(dtype) for array in (o.x, o.delta))
    x, delta, w = (device.upload(array) for array in (host_x, host_delta, o.w))
    out, gradient = device.empty(delta.size, dtype), device.empty(w.size, dtype)
    out, gradient = out.reshape(*o.delta.shape), gradient.reshape(*o.w.shape)
    found = []
    for what, node, written in (
        ("a forward product", Matmul(x, w, out), out),
        ("a gradient", Matmul(x, delta, gradient, transpose_a=True), gradient),
    ):
        bits = set()
        for _ in range(TIMES):
            device.queue([node], dtype)
            bits.add(device.download(written).tobytes())
        found.append((f"Does {what} repeat bit for bit?", "yes" if len(bits) == 1 else f"**no**: {len(bits)} results"))
    return found


def _cluster() -> str:
    """Launch an empty program on a cluster."""
    device, real = device_of(), np.dtype(np.float32)
    if not device.clusters:
        return "no: the compute capability is below 9.0"
    with device.lock():
        memory = device.upload(np.zeros(64, np.int64))
        arguments = np.zeros((), operations(real)["cluster_program"].arguments)
        arguments["instructions"] = arguments["arrivals"] = device.address(memory)
        try:
            device.queue([Launch("cluster_program", 8, arguments, cooperative=True, cluster=True)], real)
            device.download(memory)
        except RuntimeError as error:
            return f"**no**: {error}"
    return "yes"


def wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


def _problem(device: Device, nodes: list[Any], real: np.dtype) -> str | None:
    """Queue these; why that is not possible."""
    try:
        device.queue(nodes, real)
    except CublasLtError as error:
        return str(error).split(" for Product")[0]
    return None


def _near(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    return bool(np.abs(found - expected).max() <= tolerance * max(np.abs(expected).max(), 1.0))


def _which(found: np.ndarray, answers: dict[str, np.ndarray], tolerance: float) -> str:
    """The answer whose array was found."""
    return next((answer for answer, it in answers.items() if _near(found, it, tolerance)), "**neither**")
