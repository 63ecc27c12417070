"""Every CUDA kernel against the NumPy reference in float64: emulated on a CPU, or with --require-gpu on a GPU.

Arrays that a kernel must overwrite are NaN before. Other arrays and the memory on either side of each array must not
change. The result must have the same bits with every schedule of the emulation's threads, or in a second GPU run.
"""

from itertools import count, product

import numpy as np
import pytest
from coded import ACTIVATION, LOSS, STORE_SLOPE
from emulation.device import EmulatedDevice
from sampling import SAMPLES, picks, wide
from scipy import sparse

from fastmlp.activations import BY_CODE, activate, multiply_by_derivative
from fastmlp.backends import get_backend
from fastmlp.backends.cuda.device import Launch
from fastmlp.backends.cuda.numbers import SCALAR
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.dropout import drop
from fastmlp.kernels import codes
from fastmlp.kernels.cuda import KINDS, MAX_BLOCKS, operations
from fastmlp.losses import BY_CODE as LOSSES
from fastmlp.losses import loss_and_gradient
from fastmlp.optimizers import BY_CODE as RULES
from fastmlp.optimizers import code_of

SCHEDULES = (0, 1, 2)
BLOCKS = (1, 5)
LENGTHS = (0, 1, 3, 4, 15, 16, 1000, 7003)
SHIFTS = (0, 1)  # of arrays against the alignment that accesses of 16 bytes want
MARGIN = 64  # elements on either side of an array
ROWS = (0, 1, 33)
COLUMNS = (1, 3, 8, 17, 32, 130, 600)  # a thread, lanes of a warp or a block to a row
EXACT = {"rtol": 0, "atol": 0}

ops = NumpyOps()


@pytest.fixture(scope="module")
def devices(request):
    """The devices on which each kernel runs: the emulation with several schedules, or the GPU twice."""
    if request.config.getoption("--require-gpu"):
        return [get_backend("cuda")._device] * 2
    return [EmulatedDevice(schedule) for schedule in SCHEDULES]


class Shifted:
    """An array that begins some elements past an aligned address."""

    def __init__(self, array, by):
        self.array, self.by = array, by


def device_number(offset=0.0, factor=1.0, *numbers):
    """A Scalar, offset + factor * the product of up to two numbers on the device."""
    return offset, factor, *[np.array([x]) for x in numbers], *[None] * (2 - len(numbers))


def reduction():
    return np.full(MAX_BLOCKS, np.nan), np.zeros(1, np.uint32), np.full(1, np.nan)


def run(name, dtype, blocks, here, arguments, written):
    """Launch a kernel on a device; return the arrays `written`. All others must not change."""
    places = []  # host array, shift, device array

    def place(value):
        if isinstance(value, tuple):
            return tuple(map(place, value))
        host, by = (value.array, value.by) if isinstance(value, Shifted) else (value, 0)
        if host is None:
            return 0
        if not isinstance(host, np.ndarray):
            return host
        whole, by = here.empty(host.size + 2 * (MARGIN + by), host.dtype), MARGIN + by
        here.fill(whole, 0xFF)
        array = whole[by : by + host.size]
        here.write(array, host)
        places.append((host, by, whole))
        return here.address(array)

    operation = operations(np.dtype(dtype))[name]
    struct = operation.arguments
    assert arguments.keys() == set(struct.names)
    for field, value in arguments.items():
        host = value.array if isinstance(value, Shifted) else value
        assert field in operation.written or not any(host is array for array in written), f"{name} writes {field}"
    packed = np.zeros((), struct)
    for field, value in arguments.items():
        packed[field] = place(value)
    here.queue([Launch(name, blocks, packed)], np.dtype(dtype))
    results = {}
    for host, by, whole in places:
        after = here.download(whole)
        inside = after[by : by + host.size].reshape(host.shape)
        margins = np.concatenate([after[:by], after[by + host.size :]])
        assert (margins.view(np.uint8) == 0xFF).all(), f"{name} wrote beside an array"
        if any(host is array for array in written):
            results[id(host)] = inside
        else:
            assert inside.tobytes() == host.tobytes(), f"{name} wrote what it is to read"
    return [results[id(array)] for array in written]


@pytest.fixture
def check(devices, dtype, tolerance):
    """check(kernel, {result: expected, ...} as pairs, **arguments): with every number of blocks, on two devices each.

    These are the first and, in turn, one of the others, so that every device runs every number of blocks.
    """
    turns = count()

    def check(name, expected, tolerance=tolerance, blocks=BLOCKS, **arguments):
        scratch = [part for value in arguments.values() if is_reduction(value) for part in value[:1]]
        written = [array for array, _ in expected]
        turn = next(turns)
        for number, n in enumerate(blocks):
            chosen = devices[0], devices[1 + (turn + number) % (len(devices) - 1)]
            first, other = (run(name, dtype, n, here, arguments, written + scratch) for here in chosen)
            for result, (array, values) in zip(first, expected, strict=False):
                assert result.dtype == array.dtype
                np.testing.assert_allclose(result, values, err_msg=f"{name} by {n} blocks", **tolerance)
            assert [a.tobytes() for a in other] == [a.tobytes() for a in first], f"{name} gives this now and that then"

    return check


def is_reduction(value):
    return isinstance(value, tuple) and isinstance(value[0], np.ndarray) and value[0].shape == (MAX_BLOCKS,)


def batch(rows):
    """Indices of `rows` samples from some position of an order on, and these samples."""
    order = picks(SAMPLES, rows + 3)
    return (order, np.array([2])), order[2 : 2 + rows]


# Batches


def samples_of(name, inputs):
    random, dtype = np.random.RandomState(1), np.dtype(name)
    if dtype.kind == "f":
        x = (random.standard_normal((SAMPLES, inputs)) * 10.0 ** random.randint(-7, 4, (SAMPLES, inputs))).astype(dtype)
        x[::7], x[1::7], x[2::7] = np.inf, np.nan, -0.0
        return x
    if dtype.kind == "b":
        return random.randint(0, 2, (SAMPLES, inputs)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.randint(limits.min, limits.max, (SAMPLES, inputs), dtype)


@pytest.mark.parametrize("source", [dtype.name for dtype in KINDS])
def test_gather_converts_to_the_last_bit(check, nan, dtype, source):
    for n, inputs, shift in product(ROWS, (1, 3, 8, 34), SHIFTS):
        x, (rows, samples), out = samples_of(source, inputs), batch(n), nan(n, inputs)
        with np.errstate(over="ignore"):
            expected = x[samples].astype(dtype)
        given = {"x": Shifted(x, shift), "kind": KINDS[x.dtype], "rows": rows, "n": n, "inputs": inputs}
        check("gather", [(out, expected)], EXACT, **given, out=Shifted(out, shift))


def test_gather_without_a_position(check, nan):
    x, order, out = samples_of("uint8", 4), picks(SAMPLES, 9), nan(9, 4)
    check("gather", [(out, x[order])], EXACT, x=x, kind=KINDS[x.dtype], rows=(order, None), out=out, n=9, inputs=4)


def test_mean_scale(check, draw):
    for n in (0, 1, 9, 700):
        (rows, samples), weights, total = batch(n), abs(draw(SAMPLES)), reduction()
        expected = 1 / weights[samples].sum(dtype=np.float64) if n else 0
        check("mean_scale", [(total[2], expected)], weights=weights, rows=rows, n=n, sum=total)
    for weight, expected in ((0, 0), (-1, -1 / 700), (np.nan, np.nan)):
        total = reduction()
        check("mean_scale", [(total[2], expected)], weights=weights * 0 + weight, rows=rows, n=n, sum=total)


@pytest.mark.parametrize("shift", SHIFTS)
def test_copy_and_scale(check, draw, nan, dtype, shift):
    for n in LENGTHS:
        x, out = draw(n), nan(n)
        check("copy", [(out, x)], EXACT, x=x, out=Shifted(out, shift), n=n)
        check("scale", [(x, x * dtype_of(dtype, 0.7))], w=Shifted(x, shift), factor=device_number(1, -0.1, 3.0), n=n)


@pytest.mark.parametrize("shift", SHIFTS)
def test_rounding_to_bfloat16(check, dtype, shift):
    ties = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F817FFF, 0x7F7FFFFF, 0xFF800000, 0x80000001], np.uint32)
    expected = [0x3F80, 0x3F82, 0x3F81, 0x3F81, 0x7F80, 0xFF80, 0x8000]
    x = np.concatenate([ties.view(np.float32), np.random.RandomState(0).standard_normal(7003).astype(np.float32)])
    for n in (0, 7, 7010):
        out = np.zeros(n, np.uint16)
        nearest = nearest_bfloat16(x[:n])
        assert nearest[:7].tolist() == expected[: min(n, 7)]
        check(
            "round_to_bf16",
            [(out, nearest)],
            EXACT,
            x=Shifted(x[:n].astype(dtype), shift),
            out=Shifted(out, shift),
            n=n,
        )
    nans, out = np.array([0x7F800001, 0xFFFFFFFF, 0x7FC00000], np.uint32).view(np.float32), np.zeros(3, np.uint16)
    with np.errstate(invalid="ignore"):
        x = nans.astype(dtype)
    check("round_to_bf16", [(out, np.full(3, 0x7FFF))], EXACT, x=x, out=out, n=3)


def nearest_bfloat16(x):
    """Bits of the nearer of the two neighbours of each number, the even one if both are as near."""
    below = x.view(np.uint32) >> 16
    rest = x.view(np.uint32) & 0xFFFF
    return (below + ((rest > 0x8000) | ((rest == 0x8000) & (below & 1 == 1)))).astype(np.uint16)


def dtype_of(dtype, number):
    return np.dtype(dtype).type(number)


def test_store_scalar(check, nan, dtype):
    for number, expected in (
        (device_number(0.1, 7.0), 7.1),
        (device_number(0.1, 7.0, 2.0), 14.1),
        (device_number(0.1, 7.0, 2.0, 3.0), 42.1),
    ):
        to = nan(1)
        check("store_scalar", [(to, dtype_of(dtype, expected))], number=number, to=to)


def test_store_sum(check, nan, devices):
    held = devices[0].upload(np.array([2.0, 3.0]))
    first = devices[0].address(held)
    terms = np.array([(0.5, 0.0, 0, 0), (0.25, 4.0, first, first + 8)], SCALAR).view(np.uint8)
    to = nan(1).astype(np.float64)
    check("store_sum", [(to, 24.75)], terms=terms, n_terms=2, to=to)


def test_advance(check, devices):
    table, rates, loss, step = np.arange(24.0).reshape(8, 3), np.zeros(6), np.array([7.0, 0.5]), np.array([1e15])
    done, position, sums = np.array([2]), np.array([64]), np.array([2.0, 3.0])
    expected = [(rates, table[5:7].ravel()), (loss, [7.0, 8.6]), (step, 1e15 + 3), (done, 5), (position, 160)]
    here = devices[0]
    held = here.upload(sums)  # the terms' numbers, by address
    terms = np.array([(0.1, 0.0, 0, 0), (0.0, 4.0, here.address(held), 0)], "f8, f8, u8, u8").view(np.uint8)
    moved = {"rates": rates, "losses": loss, "step": step, "done": done, "position": position}
    moved["epoch"] = np.array([1])
    check("advance", expected, terms=terms, n_terms=2, table=table, **moved, steps=3, ahead=2, batch=96)
    del held


# Activations


def activated(code, z):
    a, slope = z.astype(np.float64), np.zeros(z.shape)
    if a.size:
        with np.errstate(all="ignore"):
            activate(BY_CODE[code], a, slope)
    return a, slope


@pytest.mark.parametrize("code", ACTIVATION.values())
def test_bias_and_activation(check, draw, nan, code):
    for rows, columns, shift, biased in product(ROWS, COLUMNS, SHIFTS, (True, False)):
        if rows * columns > 1000 and (shift or not biased):
            continue
        z, b, slope = 3 * draw(rows, columns), draw(columns), nan(rows, columns)
        a, derivative = activated(code, z.astype(np.float64) + (b if biased else 0))
        expected = [(z, a)] + ([(slope, derivative)] if code in STORE_SLOPE else [])
        given = {"activation": code, "rows": rows, "columns": columns, "slope": Shifted(slope, shift)}
        check("bias_activation", expected, a=Shifted(z, shift), b=b if biased else None, **given)


@pytest.mark.parametrize("code", ACTIVATION.values())
def test_activations_far_from_zero(check, dtype, code):
    ends = [0.0, -0.0, 1e-30, -1e-30, 1, -1, 15, -15, 40, -40, 88, -88, 1e3, -1e3, 1e6, -1e6]
    z = np.repeat(ends, 3).reshape(-1, 3).astype(dtype)
    z[:, 1] = 1
    a, derivative = activated(code, z)
    slope = np.empty_like(z)
    expected = [(z, a)] + ([(slope, derivative)] if code in STORE_SLOPE else [])
    given = {"activation": code, "rows": len(z), "columns": 3}
    check("bias_activation", expected, b=None, a=z, slope=slope, **given)


@pytest.mark.parametrize("code", sorted(set(ACTIVATION.values()) - {codes.THRESHOLD}))
def test_nan_passes_every_activation(check, nan, dtype, code):
    z, delta, a = nan(9, 17), nan(9, 17), np.full((9, 17), 0.5, dtype)
    slope = np.ones_like(z)
    shape = {"activation": code, "rows": 9, "columns": 17}
    written = [(z, z)] + ([(slope, z)] if code in STORE_SLOPE else [])
    check("bias_activation", written, a=z, b=None, slope=slope, **shape)
    check("activation_backward", [(delta, delta)], a=a, slope=slope, delta=delta, **shape)


@pytest.mark.parametrize("code", ACTIVATION.values())
def test_activation_backward(check, draw, nan, dtype, code):
    for rows, columns, shift in product(ROWS, COLUMNS, SHIFTS):
        a, slope = (x.astype(dtype) for x in activated(code, 3 * draw(rows, columns)))
        slope = slope if code in STORE_SLOPE else nan(rows, columns)
        delta = draw(rows, columns)
        a64, slope64, expected = wide(a, slope, delta)
        multiply_by_derivative(BY_CODE[code], a64, slope64, expected)
        given = {"activation": code, "a": Shifted(a, shift), "slope": Shifted(slope, shift)}
        check("activation_backward", [(delta, expected)], **given, delta=delta, rows=rows, columns=columns)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (-0.3, 1.0), (0.5, 0.9)])
def test_bias_gradient(check, draw, nan, alpha, beta):
    for rows, columns, splits in product((0, 1, 31, 33, 300), (1, 3, 8, 9, 130), (1, 7)):
        delta, bias = draw(rows, columns), draw(columns) if beta else nan(columns)
        d64, b64 = wide(delta, bias)
        expected = alpha * d64.sum(axis=0) + (beta * b64 if beta else 0)
        factors = {"alpha": device_number(0, alpha, 0.5, 2.0), "beta": device_number(0, beta, 1.0)}
        given = {"delta": delta, **factors, "bias": bias, "rows": rows, "columns": columns, "splits": splits}
        check("bias_gradient", [(bias, expected)], **given, sum=reduction())


def test_dropout_has_the_masks_of_the_reference(check, draw, nan):
    for rows, columns, shift in product(ROWS, (1, 3, 4, 17, 32, 600), SHIFTS):
        x, out, seed, step, keep = draw(rows, columns), nan(rows, columns), 2**63 + 12345, 2**33 + 7, 0.7
        expected = np.empty_like(x)
        if rows:
            drop(x, keep, seed, step, 2, 5, expected)
        given = {"keep": keep, "seed": seed, "step": device_number(7, 2.0, 2.0**32), "layer": 2, "first_row": 5}
        given |= {"rows": rows, "columns": columns}
        check("dropout", [(out, expected)], EXACT, x=Shifted(x, shift), out=Shifted(out, shift), **given)


def test_dropout_in_place(devices, dtype, draw):
    x, here = draw(9, 34), devices[0]
    expected, array = np.empty_like(x), here.upload(x)
    drop(x, 0.5, 1, 2, 3, 0, expected)
    arguments = np.zeros((), operations(np.dtype(dtype))["dropout"].arguments)
    arguments["x"] = arguments["out"] = here.address(array)
    for name, value in {"keep": 0.5, "seed": 1, "step": (2.0, 0.0, 0, 0), "layer": 3, "rows": 9, "columns": 34}.items():
        arguments[name] = value
    here.queue([Launch("dropout", 2, arguments)], np.dtype(dtype))
    np.testing.assert_array_equal(here.download(array), expected)


# Products: few rows, and more, which go by tiles

# Rows, inputs and outputs for the kernels of many rows, and of few: with and without accesses of 16 bytes, and with
# columns for some lanes of a warp, for all, and for several passes
PRODUCTS = [*product((0, 1, 9, 32), (1, 33), (1, 9, 130)), *product((33, 130), (1, 65), (3, 64, 130))]
OF_FEW = [*product((0, 1, 2, 9, 17, 32), ((1, 9), (33, 130), (36, 132), (300, 40)), SHIFTS)]
KERNELS = [
    *(("", rows, *sizes, 1) for rows, *sizes in PRODUCTS),
    *(("_few", rows, *sizes, shift) for rows, sizes, shift in OF_FEW),
]


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU, ACTIVATION["silu"]])
def test_linear(check, draw, nan, code):
    for kernel, rows, inputs, outputs, shift in KERNELS:
        x, w, b = draw(inputs, rows).T.copy(), draw(inputs, outputs), draw(outputs)
        x64, w64, b64 = wide(x, w, b)
        a, derivative = activated(code, x64 @ w64 + b64)
        out, slope = nan(rows, outputs), nan(rows, outputs)
        expected = [(out, a)] + ([(slope, derivative)] if code in STORE_SLOPE else [])
        given = {"x": Shifted(x, shift), "w": w, "b": b, "activation": code, "slope": slope, "out": Shifted(out, shift)}
        check(f"linear{kernel}", expected, **given, rows=rows, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU, ACTIVATION["silu"]])
def test_backward_data(check, draw, nan, dtype, code):
    for kernel, rows, outputs, inputs, shift in KERNELS:
        delta, w = draw(outputs, rows).T.copy(), draw(outputs, inputs).T.copy()
        a, slope = (x.astype(dtype) for x in activated(code, 3 * draw(rows, inputs)))
        a, slope = (nan(rows, inputs), slope) if code in STORE_SLOPE else (a, nan(rows, inputs))
        d64, w64, a64, slope64 = wide(delta, w, a, slope)
        expected, out = d64 @ w64.T, nan(rows, inputs)
        if rows:
            multiply_by_derivative(BY_CODE[code], a64, slope64, expected)
        given = {"delta": Shifted(delta, shift), "w": w, "activation": code, "a": a, "slope": slope, "out": out}
        check(f"backward_data{kernel}", [(out, expected)], **given, rows=rows, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(("alpha", "beta", "bias_beta"), [(1.0, 0.0, 0.0), (-0.3, 1.0, 0.9), (0.5, 0.9, 1.0)])
def test_accumulate(check, draw, nan, alpha, beta, bias_beta):
    of_many = [*PRODUCTS[6:], *((5, rows, 9) for rows in (0, 2, 32, 129))]
    cases = [("", rows, inputs, outputs, 1, False) for inputs, rows, outputs in of_many]
    cases += [("_few", rows, *sizes, shift, way) for (rows, sizes, shift), way in product(OF_FEW, (False, True))]
    for kernel, rows, inputs, outputs, shift, by_columns in cases:
        x, delta = draw(rows, inputs), draw(rows, outputs)
        x[:, ::3] = 0
        out = draw(inputs, outputs) if beta else nan(inputs, outputs)
        bias = draw(outputs) if bias_beta else nan(outputs)
        x64, d64, out64, bias64 = wide(x, delta, out, bias)
        expected = [
            (out, alpha * x64.T @ d64 + (beta * out64 if beta else 0)),
            (bias, alpha * d64.sum(axis=0) + (bias_beta * bias64 if bias_beta else 0)),
        ]
        factors = {"alpha": device_number(0, alpha, 0.5, 2.0), "beta": device_number(0, beta, 1.0)}
        given = {
            "x": x,
            "delta": Shifted(delta, shift),
            **factors,
            "bias_beta": device_number(bias_beta, 0),
            "out": out,
        }
        sizes = {"by_columns": by_columns, "rows": rows, "inputs": inputs, "outputs": outputs}
        check(f"accumulate{kernel}", expected, **given, bias=bias, **sizes)


# Losses


def losses(n, outputs, labelled, weighted, draw):
    """Logits, what is known of the samples, and the same for the reference: targets and weights of the batch."""
    (rows, samples), random = batch(n), np.random.RandomState(3)
    z = 3 * draw(n, outputs)
    targets = random.uniform(0, 1, (SAMPLES, outputs)).astype(z.dtype)
    labels, weights = random.randint(0, outputs, SAMPLES), abs(draw(SAMPLES)) if weighted else None
    targets[::3] = np.eye(outputs)[labels[::3]]
    one_hot = np.eye(outputs)[labels]
    given = {"z": z, "weights": weights, "rows": rows, "n": n, "outputs": outputs}
    given |= {"labels": labels, "targets": None} if labelled else {"labels": None, "targets": targets}
    truth = (one_hot if labelled else targets)[samples].astype(np.float64)
    return given, truth, weights[samples].astype(np.float64) if weighted else np.ones(n)


def means(loss):
    """Arguments of `loss_gradient`: what is a mean over the outputs; a gradient that is not scaled."""
    how = {"value_is_mean": LOSSES[loss].value_is_mean, "gradient_is_mean": LOSSES[loss].gradient_is_mean}
    return how | {"scale": device_number(1.0, 0.0)}


@pytest.mark.parametrize("loss", LOSS.values())
def test_loss_and_its_gradient(check, draw, nan, loss):
    """In pairs of sizes; labels and targets take turns, and every other loss has them the other way round."""
    sizes = [*product((1, 3, 8, 10), (0, 1, 9, 33)), *product((40, 150, 600), (3, 4))]
    for number, (outputs, n) in enumerate(sizes):
        labelled = bool((number + number // 4 + loss) % 2)
        weighted = bool(n % 2)
        given, truth, weights = losses(n, outputs, labelled, weighted, draw)
        expected, parameter, z = np.zeros(truth.shape), np.array([0.7]), given["z"].astype(np.float64)
        value = loss_and_gradient(LOSSES[loss], parameter, z, truth, weights, expected) if n else 0
        out, total = nan(n, outputs), reduction()
        given |= {"loss": loss, "parameter": parameter, "parameters": 1, "out": out, "sum": total} | means(loss)
        given |= {"scale": device_number(0.0, -0.5, 3.0)}
        check("loss_gradient", [(out, -1.5 * expected), (total[2], value)], **given)


def test_a_quantile_for_each_output(check, draw, nan):
    for n, outputs in product((1, 31), (2, 17)):
        given, truth, weights = losses(n, outputs, False, True, draw)
        expected, parameter = np.zeros(truth.shape), np.linspace(0.1, 0.9, outputs)
        value = loss_and_gradient(
            LOSSES[LOSS["quantile"]], parameter, given["z"].astype(np.float64), truth, weights, expected
        )
        out, total = nan(n, outputs), reduction()
        given |= {"loss": LOSS["quantile"], "parameter": parameter, "parameters": outputs, "out": out, "sum": total}
        given |= means(LOSS["quantile"])
        check("loss_gradient", [(out, expected), (total[2], value)], **given)


def of_targets(loss, z, target):
    """Arguments of `loss_gradient` for all samples in their order, unweighted, and its two results."""
    out, total = np.full_like(z, np.nan), reduction()
    n, outputs = z.shape
    truth = {"labels": None, "targets": target, "weights": None, "rows": (np.arange(n), None)}
    given = {"loss": loss, "parameter": np.array([0.7]), "parameters": 1, "z": z, **truth, "n": n, "outputs": outputs}
    return given | {"out": out, "sum": total} | means(loss), out, total[2]


@pytest.mark.parametrize("loss", [codes.SOFTMAX_CROSS_ENTROPY, LOSS["binary_cross_entropy"]])
def test_cross_entropies_do_not_overflow(check, dtype, loss):
    z = np.array([[1e4, -1e4], [-1e4, 1e4], [100, 100], [-300, 300]], dtype)
    target = np.array([[0, 1], [0, 1], [1, 0], [0.5, 0.5]], dtype)
    expected = np.zeros(z.shape)
    value = loss_and_gradient(LOSSES[loss], [0.7], *wide(z, target), np.ones(4), expected)
    given, out, total = of_targets(loss, z, target)
    check("loss_gradient", [(out, expected), (total, value)], **given)


def test_a_logit_of_minus_infinity_is_a_probability_of_zero(check, dtype):
    z = np.array([[-np.inf, 1, -np.inf], [2, -np.inf, 2]], dtype)
    target = np.array([[0, 1, 0], [1, 0, 0]], dtype)
    given, out, total = of_targets(codes.SOFTMAX_CROSS_ENTROPY, z, target)
    check("loss_gradient", [(out, [[0, 0, 0], [-0.5, 0, 0.5]]), (total, np.log(2))], **given)


@pytest.mark.parametrize(
    ("loss", "logs"), [(codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, 4), (codes.CLIPPED_BINARY_CROSS_ENTROPY, 12)]
)
def test_even_a_certain_answer_is_clipped(check, devices, dtype, loss, logs):
    right = np.eye(3, dtype=dtype)[[0, 1, 2, 0]]
    z, eps = np.where(right, 1e4, -1e4).astype(dtype), np.finfo(dtype).eps
    given, out, total = of_targets(loss, z, right)
    check("loss_gradient", [(out, 0 * z), (total, -logs * np.log1p(-eps))], {"rtol": 1e-5, "atol": 0}, **given)
    given, out, total = of_targets(loss, -z, right)
    value = run("loss_gradient", dtype, 1, devices[0], given, [out, total, given["sum"][0]])[1]
    assert np.isfinite(value)


@pytest.mark.parametrize("loss", LOSS.values())
@pytest.mark.parametrize("outputs", [3, 40, 600])
def test_nan_is_seen_in_every_loss(check, dtype, loss, outputs):
    z, target = np.zeros((9, outputs), dtype), np.full((9, outputs), 0.5, dtype)
    z[4, 1] = np.nan
    expected = np.zeros(z.shape)
    with np.errstate(invalid="ignore"):
        loss_and_gradient(LOSSES[loss], [0.7], *wide(z, target), np.ones(9), expected)
    assert np.isnan(expected[4, 1])
    given, out, total = of_targets(loss, z, target)
    check("loss_gradient", [(out, expected), (total, np.nan)], **given)


# Rules


def of_numpy(name, *arguments):
    """The arrays among the arguments as NumPy's operation leaves them in float64; and what it returns."""
    given = [x.astype(np.float64) if isinstance(x, np.ndarray) else x for x in arguments]
    with np.errstate(all="ignore"):
        returned = getattr(ops, name)(*given)
    return [x for x in given if isinstance(x, np.ndarray)], returned


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2), (-0.1, -0.2)])
def test_penalties(check, draw, shift, l1, l2):
    for n in LENGTHS:
        w, out, total = draw(n), draw(n + 37), reduction()
        w[::3] = 0
        factors = {"l1": device_number(0, l1, 1.0), "l2": device_number(0, l2, 0.5, 2.0)}
        value = of_numpy("penalty", w, l1, l2)[1]
        check("penalty", [(total[2], value)], w=Shifted(w, shift), n=n, sum=total, **factors)
        (_, expected), _ = of_numpy("regularize", w, l1, l2, 8.0, out)
        factors |= {"scale": device_number(0, 0.25, 0.5), "n": n + 37, "n_weights": n}
        check("regularize", [(out, expected)], w=Shifted(w, shift), out=Shifted(out, shift), **factors)


def of_clip(here, dtype, g, max_norm, blocks):
    """What the three kernels of `clip` make of g, and the norm."""
    n, peak, norm = g.size, reduction(), reduction()
    (_, top) = run("peak", dtype, blocks, here, {"g": g, "n": n, "peak": peak}, [peak[0], peak[2]])
    given = {"g": g, "n": n, "peak": top, "norm": norm}
    (_, length) = run("gradient_norm", dtype, blocks, here, given, [norm[0], norm[2]])
    (clipped,) = run("rescale", dtype, blocks, here, {"g": g, "n": n, "norm": length, "max_norm": max_norm}, [g])
    return clipped, length[0]


def test_clipping(devices, dtype, draw, tolerance):
    for n, size, blocks in product((1, 3, 16, 1000), (1.0, 1e-30, 1e30, 0.0), BLOCKS):
        g = draw(n) * dtype_of(dtype, size)
        expected = np.linalg.norm(g.astype(np.float64) / (size or 1)) * size
        clipped, norm = of_clip(devices[0], dtype, g, 0.5 * size, blocks)
        np.testing.assert_allclose(norm, expected, rtol=tolerance["rtol"])
        reference = g.astype(np.float64)
        ops.clip(reference, 0.5 * size)
        np.testing.assert_allclose(clipped, reference, rtol=tolerance["rtol"])


def test_clipping_of_the_largest_and_smallest_numbers(devices, dtype, tolerance):
    limits = np.finfo(dtype)
    # on the GPU float32 numbers below the smallest normal one count as 0
    flushed = dtype == "float32" and not isinstance(devices[0], EmulatedDevice)
    for size in (limits.max / 2, limits.tiny) if flushed else (limits.max / 2, limits.tiny, limits.smallest_subnormal):
        _, norm = of_clip(devices[0], dtype, np.array([size, 0, -size, 0, 0], dtype), 1.0, 1)
        exact = np.sqrt(2.0) * np.float64(size)
        np.testing.assert_allclose(norm, exact, rtol=tolerance["rtol"], atol=1e-323)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_clipping_leaves_what_is_not_finite_visible(devices, dtype, draw, odd):
    g = draw(1000)
    g[3] = odd
    reference = g.copy()
    with np.errstate(invalid="ignore"):
        ops.clip(reference, 0.1)
    for blocks in BLOCKS:
        clipped, norm = of_clip(devices[0], dtype, g, 0.1, blocks)
        np.testing.assert_array_equal(norm, abs(odd))
        np.testing.assert_array_equal(clipped, reference)


@pytest.mark.parametrize("shift", SHIFTS)
def test_clipping_is_the_same_every_time(check, draw, shift):
    for n in LENGTHS:
        g, peak, norm = draw(n), reduction(), reduction()
        top = np.abs(g).max(initial=0).astype(np.float64)
        check("peak", [(peak[2], top)], EXACT, g=Shifted(g, shift), n=n, peak=peak)
        given = {"g": Shifted(g, shift), "n": n, "peak": np.array([top]), "norm": norm}
        check("gradient_norm", [(norm[2], np.linalg.norm(g.astype(np.float64)))], **given)
        given = {"g": Shifted(g, shift), "n": n, "norm": np.array([2.0]), "max_norm": 1.0}
        check("rescale", [(g, g.astype(np.float64) / 2)], **given)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("rule", RULES[1:], ids=lambda rule: f"{rule.name} {rule.formula.__name__}")
def test_update_rules(check, draw, rule, shift):
    constants = np.array([0.9, 0.99][: len(rule.constants)])
    for n in LENGTHS:
        w, g, moments = draw(n), draw(n), abs(draw(len(rule.moments), n))
        numbers = 0.1, 0.2, 1e-3
        (w_after, _, after, _), _ = of_numpy("apply_rule", code_of(rule), w, g, moments, *numbers, constants)
        rates = {f"rate{i + 1}": device_number(0, 2 * number, 0.5) for i, number in enumerate(numbers)}
        arrays = {"w": Shifted(w, shift), "g": Shifted(g, shift), "moments": Shifted(moments, shift)}
        arrays |= {"constants": constants}
        check("apply_rule", [(w, w_after), (moments, after)], rule=code_of(rule), **arrays, **rates, n=n)


# Compressed rows


def compressed(inputs, density, dtype):
    """Samples in compressed rows, some of them empty, with columns in any order and some twice; and as a matrix."""
    random = np.random.RandomState(5)
    lengths = random.binomial(inputs, density, SAMPLES)
    lengths[::5] = 0
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns = random.randint(0, inputs, starts[-1]).astype(np.int32)
    values = random.standard_normal(starts[-1]).astype(dtype)
    given = {"values": values, "columns": columns, "starts": starts}
    return given, sparse.csr_matrix((values.astype(np.float64), columns, starts), (SAMPLES, inputs)).toarray()


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU, ACTIVATION["silu"]])
def test_linear_of_compressed_rows(check, draw, nan, dtype, code):
    for n, inputs, outputs in product(ROWS, (1, 40, 200), (1, 3, 32, 33, 130)):
        given, x = compressed(inputs, 0.2, dtype)
        (rows, samples), w, b = batch(n), draw(inputs, outputs), draw(outputs)
        w64, b64 = wide(w, b)
        a, derivative = activated(code, x[samples] @ w64 + b64)
        out, slope = nan(n, outputs), nan(n, outputs)
        expected = [(out, a)] + ([(slope, derivative)] if code in STORE_SLOPE else [])
        given |= {"rows": rows, "w": w, "b": b, "activation": code, "slope": slope, "out": out}
        check("linear_sparse", expected, **given, n=n, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (-0.3, 1.0), (0.5, 0.9)])
def test_accumulate_of_compressed_rows(check, draw, nan, dtype, alpha, beta):
    # with many entries in few columns the blocks' lists are filled again and again
    for n, inputs, outputs, density in [
        *product((0, 1, 9, 70), (1, 40), (1, 3, 33), (0.3,)), (70, 300, 5, 0.1), (33, 100, 300, 0.5), (70, 700, 2, 0.8)
    ]:  # fmt: skip
        given, x = compressed(inputs, density, dtype)
        (rows, samples), delta = batch(n), draw(n, outputs)
        out = draw(inputs, outputs) if beta else nan(inputs, outputs)
        d64, o64 = wide(delta, out)
        expected = alpha * x[samples].T @ d64 + (beta * o64 if beta else 0)
        factors = {"alpha": device_number(0, alpha, 0.5, 2.0), "beta": device_number(0, beta, 1.0)}
        given |= {"rows": rows, "delta": delta, **factors, "out": out}
        check("accumulate_sparse", [(out, expected)], **given, n=n, inputs=inputs, outputs=outputs)
