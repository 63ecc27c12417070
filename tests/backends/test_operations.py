"""Every operation of the contract but `loss_gradient`, on every backend, against its formula in float64.

Arrays that an operation must overwrite are NaN before; see `check` in conftest for what must not change.
"""

import inspect
from itertools import product

import numpy as np
import pytest
from coded import ACTIVATION, STORE_SLOPE
from sampling import SAMPLES, picks, wide
from scipy import special

from fastmlp import MLP, InputError
from fastmlp.activations import BY_CODE, activate
from fastmlp.backends.numpy_ops import NumpyOps
from fastmlp.dropout import philox
from fastmlp.kernels import codes
from fastmlp.optimizers import SGD, Adam, RMSprop, code_of

# On both sides of multiples of 4, 8, 16, 32, 64 and 128: the edges of tiles, vectors and the threads' shares
ROWS = (0, 1, 2, 7, 8, 9, 31, 127, 129)
COLUMNS = (1, 3, 10, 16, 17, 33, 65, 127, 129)
DEPTHS = (1, 3, 129)
LENGTHS = (1, 15, 63, 64, 65, 129, 1000)
BETAS = (0.0, 1.0, 0.9)
FACTORS = [(1.0, 0.0, 0.0), (-0.3, 1.0, 0.9), (0.5, 0.9, 1.0)]  # alpha, beta, bias_beta
SOURCES = ("float32", "float64", "uint8", "int64", "bool")
EXACT = {"rtol": 0, "atol": 0}
ACTIVATIONS = ACTIVATION.values()
SILU = ACTIVATION["silu"]


def test_the_kernels_have_the_names_and_parameters_of_the_contract():
    from fastmlp.kernels.cpu.catalog import prototype
    from fastmlp.kernels.cpu.table import OPERATIONS
    from fastmlp.kernels.cpu.team.views import VIEWS

    def parameters(functions):
        return {function.__name__: list(inspect.signature(function).parameters)[1:] for function in functions}

    methods = [method for _, method in inspect.getmembers(NumpyOps, inspect.isfunction)]
    contract = parameters(method for method in methods if not method.__name__.startswith("_"))
    # views are code emitted in place, which has no names for its parameters: the buffer and these
    for view in VIEWS:
        assert len(contract.pop(view.__name__)) == 1 + len(view.rest)
    assert parameters(map(prototype, (*OPERATIONS, "apply_rule"))) == contract


def sigma(code, z):
    """σ(z) and σ'(z) in float64; for softmax the second is the Jacobian of each row."""
    if code == codes.SOFTMAX:
        a = special.softmax(z, axis=1)
        return a, a[:, :, None] * (np.eye(z.shape[1]) - a[:, None, :])
    one, c, k = np.ones_like(z), np.sqrt(2 / np.pi), 0.044715
    s, t, cdf, density = special.expit(z), np.tanh(c * (z + k * z**3)), special.ndtr(z), np.exp(-(z**2) / 2)
    left = np.minimum(z, 0)
    known = {
        "identity": (z, one),
        "relu": (np.maximum(z, 0), one * (z > 0)),
        "leaky_relu": (np.where(z > 0, z, 0.01 * z), np.where(z > 0, 1, 0.01)),
        "elu": (np.where(z > 0, z, np.expm1(left)), np.where(z > 0, 1, np.exp(left))),
        "sigmoid": (s, s * (1 - s)),
        "tanh": (np.tanh(z), 1 - np.tanh(z) ** 2),
        "softplus": (np.logaddexp(z, 0), s),
        "gelu": (z * cdf, cdf + z * density / np.sqrt(2 * np.pi)),
        "gelu_tanh": (z * (1 + t) / 2, (1 + t) / 2 + z / 2 * (1 - t**2) * c * (1 + 3 * k * z**2)),
        "silu": (z * s, s + z * s * (1 - s)),
        "threshold": (one * (z >= 0), one),
    }
    return known.get(BY_CODE[code].name) or by_formula(BY_CODE[code], z)


def by_formula(activation, z):
    """The same of an activation that is not written out above: what NumPy makes of its formula in float64."""
    a, slope = z.copy(), np.empty_like(z)
    activate(activation, a, slope)
    return a, slope if activation.stores_slope else activation.pullback(a, np.ones_like(a))


def through(code, derivative, delta):
    """∂L/∂z from ∂L/∂a."""
    return np.einsum("bij,bi->bj", derivative, delta) if code == codes.SOFTMAX else derivative * delta


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU])
def test_linear_at_the_edges_of_all_tiles(check, draw, nan, code):
    for rows, inputs, outputs in product(ROWS, DEPTHS, COLUMNS):
        x, w, b = draw(inputs, rows).T.copy(), draw(inputs, outputs), draw(outputs)
        x64, w64, b64 = wide(x, w, b)
        expected = {"out": sigma(code, x64 @ w64 + b64)[0]}
        slope, out = nan(rows, outputs), nan(rows, outputs)
        check("linear", expected, ("slope",), x=x, w=w, b=b, activation=code, slope=slope, out=out)


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU])
def test_linear_rows_at_the_edges_of_all_tiles(check, draw, nan, code):
    for rows, inputs, outputs in product(ROWS, DEPTHS, COLUMNS):
        x, w, b = draw(inputs, SAMPLES).T.copy(), draw(inputs, outputs), draw(outputs)
        order = picks(SAMPLES, rows)
        x64, w64, b64 = wide(x, w, b)
        expected = {"out": sigma(code, x64[order] @ w64 + b64)[0]}
        slope, out = nan(rows, outputs), nan(rows, outputs)
        given = {"x": x, "rows": order, "w": w, "b": b, "activation": code}
        check("linear_rows", expected, ("slope",), **given, slope=slope, out=out)


def draw_source(source, columns, largest=9):
    """SAMPLES samples of a dtype; integers, if there are negative ones, on both sides of zero."""
    random, shape = np.random.RandomState(1), (SAMPLES, columns)
    if source.startswith("float"):
        return random.standard_normal(shape).astype(source)
    lowest = -largest if source == "int64" else 0
    return random.randint(lowest, (1 if source == "bool" else largest) + 1, shape).astype(source)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU, codes.SOFTMAX, SILU])
def test_linear_rows_of_any_real_dtype(check, draw, nan, dtype, code, source):
    for rows, inputs, outputs in product((0, 1, 9, 129), (1, 3, 33), (1, 17, 65)):
        x, w, b, order = draw_source(source, inputs), draw(inputs, outputs) / 9, draw(outputs), picks(SAMPLES, rows)
        x64, w64, b64 = wide(x.astype(dtype), w, b)
        a, derivative = sigma(code, x64[order] @ w64 + b64)
        stored = {"slope": derivative} if code in STORE_SLOPE else {}
        free = () if stored else ("slope",)
        given = {"x": x, "rows": order, "w": w, "b": b, "activation": code}
        check("linear_rows", {"out": a} | stored, free, **given, slope=nan(rows, outputs), out=nan(rows, outputs))


@pytest.mark.parametrize("source", SOURCES)
def test_any_real_dtype_is_converted_to_the_last_bit(check, nan, dtype, source):
    """Products with the unit matrix are the samples themselves."""
    for rows, columns in product(ROWS, (1, 3, 17)):
        x, order = draw_source(source, columns, {"uint8": 255, "int64": 2**60}.get(source)), picks(SAMPLES, rows)
        batch, slope, out = x[order].astype(dtype), nan(rows, columns), nan(rows, columns)
        layer = {"w": np.eye(columns, dtype=dtype), "b": np.zeros(columns, dtype), "activation": codes.IDENTITY}
        given = {"tolerance": EXACT, "x": x, "rows": order}
        check("linear_rows", {"out": batch}, ("slope",), **given, **layer, slope=slope, out=out)
        factors = {"alpha": 1.0, "beta": 0.0, "bias_beta": 0.0}
        expected, written = {"out": batch.T, "bias": np.ones(rows)}, {"out": nan(columns, rows), "bias": nan(rows)}
        check("accumulate_rows", expected, **given, delta=np.eye(rows, dtype=dtype), **factors, **written)


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_expected_stays_as_it_is(check, source):
    nothing = np.zeros(0, np.int64)
    for rows, columns in product(ROWS, (1, 17, 3000)):
        x, order = draw_source(source, columns), picks(SAMPLES, rows)
        for labels in (np.arange(SAMPLES) % 3, nothing):
            check("announce_next_batch", {}, x=x, labels=labels, rows=order)
        check("announce_next_batch", {}, x=x[:0], labels=nothing, rows=order)  # of sparse samples x is empty


@pytest.mark.parametrize("code", ACTIVATIONS)
def test_linear_with_each_activation(check, draw, nan, code):
    for rows, outputs in product((0, 1, 9, 129), (1, 3, 17, 33)):
        x, w, b = draw(rows, 7), draw(7, outputs), draw(outputs)
        x64, w64, b64 = wide(x, w, b)
        a, derivative = sigma(code, x64 @ w64 + b64)
        stored = {"slope": derivative} if code in STORE_SLOPE else {}
        slope, out = nan(rows, outputs), nan(rows, outputs)
        free = () if stored else ("slope",)
        check("linear", {"out": a} | stored, free, x=x, w=w, b=b, activation=code, slope=slope, out=out)


@pytest.mark.parametrize("code", ACTIVATIONS)
def test_activations_and_derivatives_far_from_zero(check, dtype, code):
    ends = [0.0, -0.0, 1e-30, -1e-30, 1, -1, 15, -15, 40, -40, 88, -88, 1e3, -1e3, 1e6, -1e6]
    z = np.repeat(ends, 3).reshape(-1, 3).astype(dtype)
    z[:, 1] = 1
    a, derivative = sigma(code, z.astype(np.float64))
    stored = {"slope": derivative} if code in STORE_SLOPE else {}
    free = () if stored else ("slope",)
    # a product with the unit matrix is z itself
    layer = {"x": z, "w": np.eye(3, dtype=dtype), "b": np.zeros(3, dtype), "activation": code}
    check("linear", {"out": a} | stored, free, **layer, slope=np.empty_like(z), out=np.empty_like(z))
    delta, slope = np.ones_like(z), derivative.astype(dtype) if stored else np.empty_like(z)
    expected = {"delta": through(code, derivative, np.ones(z.shape))}
    check("activation_backward", expected, free, activation=code, a=a.astype(dtype), slope=slope, delta=delta)


@pytest.mark.parametrize("code", sorted(set(ACTIVATIONS) - {codes.THRESHOLD}))
def test_nan_passes_every_activation(check, nan, dtype, code):
    layer = {"x": nan(9, 3), "w": np.ones((3, 17), dtype), "b": np.zeros(17, dtype), "activation": code}
    zeros = np.zeros((9, 17), dtype)
    check("linear", {"out": nan(9, 17)}, ("slope",), **layer, slope=zeros, out=zeros)


@pytest.mark.parametrize("code", ACTIVATIONS)
def test_activation_backward(check, draw, nan, dtype, code):
    for rows, columns in product((0, 1, 9, 129), (1, 3, 17, 33)):
        a, derivative = sigma(code, 3 * draw(rows, columns).astype(np.float64))
        free = () if code in STORE_SLOPE else ("slope",)
        slope, delta = nan(rows, columns) if free else derivative.astype(dtype), draw(rows, columns)
        expected = {"delta": through(code, derivative, delta.astype(np.float64))}
        given = {"activation": code, "a": a.astype(dtype), "slope": slope, "delta": delta}
        check("activation_backward", expected, free, **given)


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU])
def test_backward_data_at_the_edges_of_all_tiles(check, draw, nan, code):
    for rows, inputs, outputs in product(ROWS, COLUMNS, DEPTHS):
        delta, w = draw(outputs, rows).T.copy(), draw(outputs, inputs).T.copy()
        a = np.maximum(draw(rows, inputs), 0) if code == codes.RELU else nan(rows, inputs)
        d64, w64 = wide(delta, w)
        passes = a > 0 if code == codes.RELU else True
        given = {"delta": delta, "w": w, "activation": code, "a": a, "slope": nan(rows, inputs)}
        check("backward_data", {"out": d64 @ w64.T * passes}, ("slope",), **given, out=nan(rows, inputs))


def test_weights_of_any_shape_are_transposed(check, draw, nan):
    for inputs, outputs in product(COLUMNS, COLUMNS):
        w = draw(inputs, outputs)
        unused = nan(outputs, inputs)
        given = {"delta": np.eye(outputs, dtype=w.dtype), "w": w, "activation": codes.IDENTITY, "a": unused}
        expected = {"out": w.T.astype(np.float64)}
        check("backward_data", expected, tolerance=EXACT, **given, slope=unused, out=nan(outputs, inputs))


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU])
def test_nan_passes_backward_data(check, draw, nan, dtype, code):
    a = np.ones((9, 33), dtype)
    given = {"delta": nan(9, 3), "w": draw(33, 3), "activation": code, "a": a, "slope": nan(9, 33)}
    check("backward_data", {"out": nan(9, 33)}, ("slope",), **given, out=np.zeros_like(a))


@pytest.mark.parametrize("code", ACTIVATIONS)
def test_backward_data_with_each_activation(check, draw, nan, dtype, code):
    for rows, inputs in product((0, 1, 9, 31), (1, 3, 17, 33)):
        delta, w = draw(rows, 10), draw(inputs, 10)
        a, derivative = sigma(code, 3 * draw(rows, inputs).astype(np.float64))
        free = () if code in STORE_SLOPE else ("slope",)
        slope = nan(rows, inputs) if free else derivative.astype(dtype)
        d64, w64 = wide(delta, w)
        expected = {"out": through(code, derivative, d64 @ w64.T)}
        given = {"delta": delta, "w": w, "activation": code, "a": a.astype(dtype), "slope": slope}
        check("backward_data", expected, free, **given, out=nan(rows, inputs))


@pytest.fixture
def accumulation(draw, nan):
    """accumulation(a, delta, alpha, beta, bias_beta): what `accumulate` gives, and its arguments but for a."""

    def accumulation(a, delta, alpha, beta, bias_beta):
        out, bias = (
            draw(*shape) if factor else nan(*shape)
            for shape, factor in (((a.shape[1], delta.shape[1]), beta), (delta.shape[1:], bias_beta))
        )
        a64, d64, out64, bias64 = wide(a, delta, out, bias)
        expected = {
            "out": alpha * a64.T @ d64 + (beta * out64 if beta else 0),
            "bias": alpha * d64.sum(axis=0) + (bias_beta * bias64 if bias_beta else 0),
        }
        given = {"delta": delta, "alpha": alpha, "beta": beta, "out": out, "bias_beta": bias_beta, "bias": bias}
        return expected, given

    return accumulation


@pytest.mark.parametrize("factors", FACTORS)
def test_accumulate_at_the_edges_of_all_tiles(check, draw, accumulation, factors):
    for rows, inputs, outputs in product((0, *DEPTHS), COLUMNS[::2], COLUMNS):
        a = draw(rows, inputs)
        expected, given = accumulation(a, draw(rows, outputs), *factors)
        check("accumulate", expected, a=a, **given)


@pytest.mark.parametrize("bias_beta", BETAS)
@pytest.mark.parametrize(("alpha", "beta"), [factors[:2] for factors in FACTORS])
def test_accumulate_with_the_bias(check, draw, accumulation, alpha, beta, bias_beta):
    for rows, outputs in product(ROWS, COLUMNS):
        a = draw(rows, 3)
        expected, given = accumulation(a, draw(rows, outputs), alpha, beta, bias_beta)
        check("accumulate", expected, a=a, **given)


@pytest.mark.parametrize("factors", FACTORS)
def test_accumulate_rows_at_the_edges_of_all_tiles(check, draw, accumulation, factors):
    for rows, inputs, outputs in product((0, *DEPTHS), COLUMNS[::2], COLUMNS):
        x, order = draw(SAMPLES, inputs), picks(SAMPLES, rows)
        expected, given = accumulation(x[order], draw(rows, outputs), *factors)
        check("accumulate_rows", expected, x=x, rows=order, **given)


@pytest.mark.parametrize(("inputs", "outputs"), [(8192, 1), (8192, 33), (1, 8192), (33, 8192)])
def test_products_of_the_widest_layers(check, draw, nan, accumulation, inputs, outputs):
    for rows in (1, 9):
        a, w, b, delta = draw(inputs, rows).T.copy(), draw(inputs, outputs), draw(outputs), draw(outputs, rows).T.copy()
        a64, w64, b64, d64 = wide(a, w, b, delta)
        layer = {"x": a, "w": w, "b": b, "activation": codes.IDENTITY}
        check("linear", {"out": a64 @ w64 + b64}, ("slope",), **layer, slope=nan(rows, outputs), out=nan(rows, outputs))
        unused, below = nan(rows, inputs), {"delta": delta, "w": w, "activation": codes.IDENTITY}
        check("backward_data", {"out": d64 @ w64.T}, **below, a=unused, slope=unused, out=nan(rows, inputs))
        expected, given = accumulation(a, delta, *FACTORS[0])
        check("accumulate", expected, a=a, **given)


LARGE = 1100, 1003  # inputs and outputs of a layer whose products are formed in blocks, whole ones and parts


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.RELU])
def test_products_of_a_large_layer(check, draw, nan, dtype, accumulation, code):
    inputs, outputs = LARGE
    w, b = draw(*LARGE), draw(outputs)
    for rows, source, factors in ((3, dtype, FACTORS[0]), (67, dtype, FACTORS[2]), (67, "uint8", FACTORS[1])):
        x, order = draw_source(source, inputs, 1), picks(SAMPLES, rows)
        a, delta = x[order].astype(dtype), draw(outputs, rows).T.copy()
        a64, w64, b64, d64 = wide(a, w, b, delta)
        slope, out = nan(rows, outputs), nan(rows, outputs)
        layer = {"w": w, "b": b, "activation": code, "slope": slope, "out": out}
        expected = {"out": sigma(code, a64 @ w64 + b64)[0]}
        check("linear", expected, ("slope",), x=a, **layer)
        check("linear_rows", expected, ("slope",), x=x, rows=order, **layer)
        below = {
            "delta": delta,
            "w": w,
            "activation": code,
            "a": a,
            "slope": nan(rows, inputs),
            "out": nan(rows, inputs),
        }
        check("backward_data", {"out": d64 @ w64.T * ((a > 0) if code == codes.RELU else 1)}, ("slope",), **below)
        expected, given = accumulation(a, delta, *factors)
        check("accumulate", expected, a=a, **given)
        check("accumulate_rows", expected, x=x, rows=order, **given)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_large_layers_do_not_depend_on_the_number_of_threads(dtype, activation):
    random, found = np.random.RandomState(0), []
    x, y = random.standard_normal((150, 20)), random.randint(0, 3, 150)
    for n_threads in (1, 2, 3):
        model = MLP([20, *LARGE, 3], activation, dtype=dtype, backend="numba", n_threads=n_threads, seed=0)
        history = model.fit(x, y, epochs=1, batch_size=140, optimizer="sgd")  # one batch of many rows and one of few
        found.append(np.concatenate([array.ravel() for array in model.weights] + [history["loss"]]))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("factors", FACTORS)
def test_accumulate_rows_of_any_real_dtype(check, draw, accumulation, dtype, factors, source):
    for rows, inputs, outputs in product((0, 1, 9, 129), (1, 3, 17, 33), (1, 17, 65)):
        x, order = draw_source(source, inputs), picks(SAMPLES, rows)
        expected, given = accumulation(x[order].astype(dtype), draw(rows, outputs) / 9, *factors)
        check("accumulate_rows", expected, x=x, rows=order, **given)


@pytest.fixture
def draw_sparse(draw):
    """draw_sparse(samples, inputs, most): compressed rows of up to so many entries, and the dense array.

    The entries of a row are unsorted and some share a column: such values add up.
    """
    random = np.random.RandomState(1)

    def draw_sparse(samples, inputs, most):
        starts = np.append(0, np.cumsum(random.randint(0, most + 1, samples)))
        values, columns = draw(starts[-1]) * 3, random.randint(0, inputs, starts[-1])
        dense = np.zeros((samples, inputs))
        np.add.at(dense, (np.repeat(np.arange(samples), np.diff(starts)), columns), values)
        return {"values": values, "columns": columns.astype(np.int32), "starts": starts}, dense

    return draw_sparse


# Samples, inputs and the most entries of a row: nothing but empty rows, many entries in one column, most columns empty
SPARSE = [(1, 1, 0), (5, 3, 9), (7, 130, 20)]


@pytest.mark.parametrize("code", [codes.IDENTITY, codes.SOFTMAX, SILU])
def test_linear_sparse(check, draw, draw_sparse, nan, code):
    for rows, shape, outputs in product((0, 1, 2, 9, 33), SPARSE, COLUMNS):
        x, dense = draw_sparse(*shape)
        order = picks(shape[0], rows)
        w, b = draw(shape[1], outputs), draw(outputs)
        w64, b64 = wide(w, b)
        a, derivative = sigma(code, dense[order] @ w64 + b64)
        stored = {"slope": derivative} if code in STORE_SLOPE else {}
        given = x | {"rows": order, "w": w, "b": b, "activation": code}
        free = () if stored else ("slope",)
        slope, out = nan(rows, outputs), nan(rows, outputs)
        check("linear_sparse", {"out": a} | stored, free, **given, slope=slope, out=out)


@pytest.mark.parametrize("factors", FACTORS)
def test_accumulate_sparse(check, draw, draw_sparse, accumulation, factors):
    for rows, shape, outputs in product((0, 1, 2, 9, 33), SPARSE, COLUMNS):
        x, dense = draw_sparse(*shape)
        order = picks(shape[0], rows)
        expected, given = accumulation(dense[order], draw(rows, outputs), *factors)
        check("accumulate_sparse", expected, **x, rows=order, **given)


def test_views_are_windows_on_the_flat_buffer(backend, dtype):
    def write(ops, flat):
        ops.matrix(flat, 5, 3, 4)[1, 2] = 7
        ops.vector(flat, 20, 4)[3] = 8

    flat, ops = np.zeros(30, dtype), NumpyOps()
    if backend == "numba":
        import numba

        import fastmlp.backends.compiled.call_table  # noqa: F401  # views become methods of the team
        from fastmlp.backends.compiled.options import OPTIONS
        from fastmlp.kernels.cpu.team.members import make_teams

        write, (ops,) = numba.njit(**OPTIONS)(write), make_teams(1, np.zeros(0, dtype), np.zeros(0, np.int64))
    write(ops, flat)
    assert {i: flat[i] for i in np.flatnonzero(flat)} == {5 + 4 + 2: 7, 20 + 3: 8}


def test_samples_that_are_not_finite_are_seen(check, draw, backend, dtype):
    if backend == "cuda":
        pytest.skip("the CUDA backend leaves the check to the host")
    for kind, columns in product((dtype, "uint8"), COLUMNS):
        x = (draw(columns, SAMPLES).T * 9).astype(kind)
        x[1, -1] = np.finfo(x.dtype).max if x.dtype.kind == "f" else 255  # finite, if not twice as much
        order = picks(SAMPLES, 33)
        check("zero_if_finite", {"share": 0}, tolerance=EXACT, x=x, rows=order)
        if x.dtype.kind == "f":
            for value, column in product((np.inf, -np.inf, np.nan), {0, columns // 2, columns - 1}):
                spoiled = x.copy()
                spoiled[order[-1], column] = value
                check("zero_if_finite", {"share": np.nan}, tolerance=EXACT, x=spoiled, rows=order)
                others = order[order != order[-1]]
                check("zero_if_finite", {"share": 0}, tolerance=EXACT, x=spoiled, rows=others)


def test_total_weight_and_copy(check, draw, nan, dtype):
    x, weights = draw(SAMPLES, 3), abs(draw(SAMPLES))
    for rows in ROWS:
        order = picks(SAMPLES, rows)
        whole = weights[order].astype(np.float64).sum()
        for given, total in ((weights, whole), (-weights, -whole), (np.zeros(0, dtype), rows), (0 * weights, 0)):
            check("total_weight", {"whole": total or np.inf}, weights=given, rows=order)
        check("copy", {"out": x[order]}, tolerance=EXACT, x=x[order], out=nan(rows, 3))


def philox_of_the_paper(counter, key):
    """Philox4x32-10 in the plainest Python. Source: Salmon et al., SC 2011, section 3.3."""
    x, (k0, k1) = list(counter), key
    for _ in range(10):
        a, b = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [b >> 32 ^ x[1] ^ k0, b % 2**32, a >> 32 ^ x[3] ^ k1, a % 2**32]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return x


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, words):
    counter, key, words = ([int(word, 16) for word in text.split()] for text in (counter, key, words))
    assert philox_of_the_paper(counter, key) == words
    ours = philox(tuple(np.array([word], np.uint64) for word in counter), key[0] | key[1] << 32)
    assert [int(word[0]) for word in ours] == words


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.01])
def test_dropout_is_decided_by_philox_alone(check, draw, nan, keep):
    seed, step, layer, first_row = 0x123456789ABCDEF0, 2**32 + 5, 3, 512
    place = {"keep": keep, "seed": seed, "step": step, "layer": layer, "first_row": first_row}
    for rows, columns in ((1, 3), (2, 1), (9, 4), (2, 17), (1, 35), (3, 64), (2, 75)):
        x, kept = draw(rows, columns) + 2, np.zeros((rows, columns))
        for i, j in np.ndindex(kept.shape):
            counter = j // 4, first_row + i, step % 2**32, layer
            kept[i, j] = philox_of_the_paper(counter, (seed % 2**32, seed >> 32))[j % 4] < keep * 2**32
        check("dropout", {"out": x * kept / keep}, x=x, **place, out=nan(rows, columns))


def test_penalty_and_its_gradient(check, draw):
    for n, (l1, l2) in product(LENGTHS, [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2), (-0.1, -0.2)]):
        w, out = draw(n), draw(n + 37)
        w[::5] = 0
        w64, o64 = wide(w, out)
        check("penalty", {"share": l1 * abs(w64).sum() + l2 / 2 * (w64**2).sum()}, w=w, l1=l1, l2=l2)
        o64[:n] += l2 * w64 + l1 * np.sign(w64)
        for total in (1.0, 3.0, np.inf):
            check("regularize", {"out": o64 / total}, w=w, l1=l1, l2=l2, total=total, out=out)


def test_clip_and_scale(check, draw):
    for n in LENGTHS:
        g = draw(n)
        g64 = g.astype(np.float64)
        norm = float(np.linalg.norm(g64))
        check("clip", {"g": g64 / 2}, g=g, max_norm=norm / 2)
        check("clip", {"g": g64}, tolerance=EXACT, g=g, max_norm=norm * 2)
        check("scale", {"w": g64 * 0.9}, w=g, factor=0.9)


@pytest.mark.parametrize("dtype", ["float32"])
def test_clip_of_a_gradient_whose_squares_overflow(check):
    check("clip", {"g": np.full(100, 0.5)}, g=np.full(100, 1e20, np.float32), max_norm=5.0)


def test_clip_shows_what_is_not_finite(check, nan, dtype):
    g = np.ones(100, dtype)
    g[50] = np.nan
    check("clip", {"g": g}, g=g, max_norm=1.0)
    g[50] = np.inf
    check("clip", {"g": np.where(np.isinf(g), np.nan, 0)}, g=g, max_norm=1.0)


def update(rule, n, draw, **constants):
    """Arguments of `apply_rule` for parameters (n,) but the rates, and the moments."""
    moments = np.stack([draw(n) for _ in rule.moments]) if rule.moments else np.zeros((0, n), draw(0).dtype)
    values = np.array([constants[name] for name in rule.constants], np.float64)
    return {"rule": code_of(rule), "w": draw(n), "g": draw(n), "moments": moments, "constants": values}


def test_sgd(check, draw):
    rates = {"rate1": 0.1, "rate2": 3.0, "rate3": 0.0}
    for n in LENGTHS:
        given = update(SGD().rule, n, draw)
        w64, g64 = wide(given["w"], given["g"])
        check("apply_rule", {"w": w64 - 0.1 * g64}, ("g",), **given, **rates)
        for nesterov in (False, True):
            given = update(SGD(momentum=0.9, nesterov=nesterov).rule, n, draw, momentum=0.9)
            w64, g64, v64 = wide(given["w"], given["g"], given["moments"])
            moved = 0.9 * v64 - 0.1 * g64
            w = w64 + (0.9 * moved[0] - 0.1 * g64 if nesterov else moved[0])
            check("apply_rule", {"w": w, "moments": moved}, ("g",), **given, **rates)


def test_adam_and_rmsprop(check, draw):
    rates = {"rate1": 0.0, "rate2": 0.1, "rate3": 1e-3}
    for n in LENGTHS:
        given = update(Adam().rule, n, draw, beta1=0.9, beta2=0.99)
        given["moments"][1] **= 2
        given["g"][::7] = given["moments"][:, ::7] = 0
        w64, g64, (m64, v64) = wide(given["w"], given["g"], given["moments"])
        m1, v1 = 0.9 * m64 + 0.1 * g64, 0.99 * v64 + 0.01 * g64**2
        expected = {"w": w64 - 0.1 * m1 / (np.sqrt(v1) + 1e-3), "moments": np.stack([m1, v1])}
        check("apply_rule", expected, **given, **rates)
        # without a memory, of which nothing may be left over, however large
        expected = {"w": w64 - 0.1 * g64 / (np.abs(g64) + 1e-3), "moments": np.stack([g64, g64**2])}
        large = given["moments"] * 1e6
        check("apply_rule", expected, **given | {"moments": large, "constants": np.zeros(2)}, **rates)

        given |= {"rule": code_of(RMSprop().rule), "constants": np.array([0.99, 1e-3]), "moments": given["moments"][1:]}
        expected = {"w": w64 - 0.1 * g64 / (np.sqrt(v1) + 1e-3), "moments": v1[None]}
        check("apply_rule", expected, ("g",), **given, rate1=0.1, rate2=2.0, rate3=0.0)


def test_a_code_that_stands_for_nothing_is_refused(check, draw, nan):
    x, w, b = draw(9, 3), draw(3, 5), draw(5)
    layer = {"x": x, "w": w, "b": b, "slope": nan(9, 5), "out": nan(9, 5)}
    with pytest.raises(InputError, match=r"99 is the code of no activation\. Those known are 0 to"):
        check("linear", {}, **layer, activation=99)
    given = {"activation": 99, "a": nan(9, 5), "slope": nan(9, 5), "delta": nan(9, 5)}
    with pytest.raises(InputError, match="99 is the code of no activation"):
        check("activation_backward", {}, **given)
    z, nothing = draw(9, 5), np.zeros(0, np.int64)
    truth = {"labels": nothing, "targets": draw(9, 5), "weights": draw(0), "rows": np.arange(9)}
    with pytest.raises(InputError, match="99 is the code of no loss"):
        check("loss_gradient", {}, loss=99, parameter=np.zeros(0), z=z, **truth, out=nan(9, 5))
    given = update(SGD().rule, 5, draw) | {"rule": 99}
    with pytest.raises(InputError, match="99 is the code of no update rule"):
        check("apply_rule", {}, **given, rate1=0.1, rate2=1.0, rate3=0.0)
