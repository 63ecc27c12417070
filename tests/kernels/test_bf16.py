"""precision="bf16" on the Numba backend: products bit for bit those of a NumPy model of VDPBF16PS, and what follows.

The operations run in two ways, on this CPU's AVX512_BF16 and by float32 arithmetic; the second in a process of its own.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from operation_calls import Guarded, numba_calls
from scipy.sparse import csr_array

from fastmlp import MLP, SGD, InputError, MLPClassifier, get_backend
from fastmlp.formulas.by_code import BUILT_IN
from fastmlp.kernels import codes
from fastmlp.kernels.cpu.machine.host import CPU, FEATURES, PAIRS

WAYS = ("AVX512_BF16", "float32 arithmetic")
PART = 1024  # factors whose sum is formed at once
SMALLEST = np.finfo(np.float32).tiny

# Rows, inputs and outputs: edges of tiles, a second part of the depth, a second block of columns, products that threads
# split by rows, by columns and by halves of the inputs, weights that they pack together
SHAPES = [
    (7, 5, 3),
    (9, 33, 17),
    (3, 1030, 30),
    (99, 298, 33),
    (17, 40, 290),
    (131, 301, 129),
    (130, 16, 70),
    (40, 31, 64),
]
CASES = [*((shape, "float32") for shape in SHAPES), ((131, 301, 129), "uint8")]
SPECIAL = np.float32([0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8, -1.1, 3.39e38, np.inf, -np.inf, np.nan, 1e-40, -1e-45, 2e-38])


def rounded(x):
    """x (float32) to the nearest bfloat16 number, ties to even, as a float32; what is below 1.2e-38 is 0."""
    bits = np.where(np.abs(x) < SMALLEST, np.float32(0), x).astype(np.float32).view(np.uint32)
    nearest = bits + 0x7FFF + ((bits >> 16) & 1) & 0xFFFF0000
    return np.where(np.isnan(x), x, nearest.astype(np.uint32).view(np.float32))


def summed(a, b):
    """Parts of A (M, K) B (K, N) of rounded factors: VDPBF16PS adds the second product of a pair first."""
    a, b = rounded(a), rounded(b)
    for begin in range(0, a.shape[1], PART):
        total = np.zeros((a.shape[0], b.shape[1]), np.float32)
        for k in range(begin, min(begin + PART, a.shape[1]), 2):
            for i in (k + 1, k):
                if i < a.shape[1]:
                    total += a[:, i : i + 1] * b[i]
        yield total


def multiplied(a, b, term):
    for part in summed(a, b):
        term = part + term
    return term


def layer(x, w, b):
    """x W + b; in a wide layer with few rows the sum of two halves of the inputs."""
    inputs, outputs = w.shape
    if not (inputs >= 256 and outputs >= 32 and 3 * len(x) <= inputs):
        return multiplied(x, w, b)
    half = (inputs + 3) // 4 * 2
    return multiplied(x[:, :half], w[:half], b) + multiplied(x[:, half:], w[half:], np.float32(0))


def drawn(rows, inputs, outputs, source):
    """Samples x, which of them are the batch, W, b and δ."""
    random = np.random.RandomState(rows)
    x = random.uniform(0, 255, (23, inputs)) if source == "uint8" else random.standard_normal((23, inputs))
    shapes = (inputs, outputs), (outputs,), (rows, outputs)
    return x.astype(source), random.randint(0, 23, rows), *(random.standard_normal(n).astype("f4") for n in shapes)


def run(name, written, *arguments):
    """Call an operation by one thread and by two; return the argument of number `written` as each has left it."""
    results = []
    for call in numba_calls(name, BUILT_IN, ["bf16"]):
        arrays = {i: a for i, a in enumerate(arguments) if isinstance(a, np.ndarray)}
        guarded = {i: Guarded(a, writeable=i > 0 or not name.endswith("_rows")) for i, a in arrays.items()}
        call([guarded[i].array if i in guarded else argument for i, argument in enumerate(arguments)])
        assert all(copy.guards_intact() for copy in guarded.values())
        results.append(guarded[written].array.copy())
    return np.stack(results)


def products():
    """What the operations write, by their names and the shapes."""
    results = {}
    for shape, source in CASES:
        x, order, w, b, delta = drawn(*shape, source)
        batch, none, out = x[order].astype("f4"), np.empty_like(delta), np.full_like(delta, np.nan)
        update, case = (delta, 0.5, 1.0, np.ones_like(w), 1.0, np.ones_like(b)), f"{shape} {source}"
        results[f"linear_rows {case}"] = run("linear_rows", 6, x, order, w, b, codes.RELU, none, out)
        results[f"accumulate_rows {case}"] = run("accumulate_rows", 5, x, order, *update)
        results[f"linear {case}"] = run("linear", 5, batch, w, b, codes.IDENTITY, none, out)
        results[f"accumulate {case}"] = run("accumulate", 4, batch, *update)
        below = np.full_like(batch, np.nan)
        results[f"backward_data {case}"] = run("backward_data", 5, delta, w, codes.RELU, batch, below, below.copy())
    one, none = np.ones((1, 1), "f4"), np.zeros((len(SPECIAL), 1), "f4")
    results["special"] = run("linear", 5, SPECIAL[:, None], one, none[0], codes.IDENTITY, none, none.copy())
    return results


@cache
def found(way):
    """The results of `products` in one of the WAYS; skips the test where the way is not open."""
    if (way == WAYS[0]) == PAIRS:
        return products()
    if way == WAYS[0]:
        pytest.skip("AVX512_BF16 is not among the instructions that Numba compiles for here")
    told = {"NUMBA_CPU_NAME": CPU, "NUMBA_CPU_FEATURES": FEATURES.replace("+avx512bf16", "-avx512bf16")}
    with TemporaryDirectory() as folder:
        path, imports = str(Path(folder, "found.npz")), {"PYTHONPATH": str(Path(__file__).parents[1])}
        settings = {"env": os.environ | told | imports, "capture_output": True, "text": True}
        done = subprocess.run([sys.executable, __file__, path], **settings)
        assert done.returncode == 0, done.stderr
        with np.load(path) as arrays:
            return dict(arrays)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("shape", "source"), CASES)
def test_products_are_those_of_the_model_bit_for_bit(way, shape, source):
    x, order, w, b, delta = drawn(*shape, source)
    batch = x[order].astype("f4")
    sums, gradient = layer(batch, w, b), np.ones_like(w)
    for part in summed(batch.T, delta):
        gradient += np.float32(0.5) * part
    below = multiplied(delta, w.T, np.zeros_like(batch)) * (batch > 0)
    expected = {"linear_rows": np.maximum(sums, 0), "linear": sums, "backward_data": below}
    for name, wanted in (expected | {"accumulate_rows": gradient, "accumulate": gradient}).items():
        for result in found(way)[f"{name} {shape} {source}"]:
            np.testing.assert_array_equal(result, wanted, err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_special_numbers_are_rounded_like_the_model(way):
    for result in found(way)["special"]:
        np.testing.assert_array_equal(result[:, 0], rounded(SPECIAL))


def test_the_model_rounds_to_nearest_even():
    x = np.float32([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.0, 255])
    np.testing.assert_array_equal(rounded(x), np.float32([1, 1 + 2**-6, 1 + 2**-7, -3, 255]))


RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((400, 260)).astype("f4")
Y = (X[:, :4] @ [1, 1, -1, -1] > 0) + 2 * (X[:, 4] > 0)


def network(precision="bf16", sizes=(260, 140, 4), **settings):
    settings = {"loss": "softmax_cross_entropy", "backend": "numba", "seed": 0} | settings
    return MLP(sizes, precision=precision, **settings)


@pytest.mark.parametrize(("optimizer", "batch_size"), [(SGD(0.1), 130), ("adam", 37), ("adam", "full")])
def test_training_does_not_depend_on_the_threads(optimizer, batch_size):
    trained = []
    for threads in (1, 2, 3):
        model = network(n_threads=threads)
        history = model.fit(X, Y, epochs=3, optimizer=optimizer, batch_size=batch_size)
        trained.append([*model.weights, *model.biases, history["loss"]])
    for other in trained[1:]:
        for one, another in zip(trained[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


def test_gradients_differ_from_those_in_float64_as_rounding_makes_them():
    """Each factor is off by 2⁻⁸ at most, up or down at random, and a sum of products by less; in float32 by 2⁻²⁴."""
    exact = network("float32", activation="tanh", dtype="float64").gradients(X, Y)
    for precision, least, most in (("bf16", 1e-4, 2**-7), ("float32", 0, 1e-6)):
        gradients = network(precision, activation="tanh").gradients(X, Y)
        for one, other in zip(gradients.weights + gradients.biases, exact.weights + exact.biases, strict=True):
            assert least <= np.linalg.norm(one - other) / np.linalg.norm(other) <= most


def test_predictions_are_products_of_rounded_factors():
    model = network(sizes=(260, 140, 20))
    w, b = model.weights, model.biases
    hidden = np.maximum(layer(X, w[0], b[0]), 0)
    np.testing.assert_array_equal(model.predict_raw(X), layer(hidden, w[1], b[1]))


def test_few_rows_and_small_networks_are_computed_in_float32():
    for sizes, rows in (((260, 140, 4), 1), ((260, 140, 4), 31), ((90, 40, 4), 400)):
        x = X[:rows, : sizes[0]].copy()
        one, other = (network(precision, sizes).predict_raw(x) for precision in ("bf16", "float32"))
        np.testing.assert_array_equal(one, other)
    assert (network().predict_raw(X[:32]) != network("float32").predict_raw(X[:32])).any()


def test_compressed_samples_enter_the_first_layer_in_float32():
    sparse = csr_array(X * (X > 1))
    model, exact = network(sizes=(260, 140, 4)), network("float32")
    hidden = np.maximum(sparse.toarray() @ model.weights[0] + model.biases[0], 0).astype("f4")
    wanted = layer(hidden, model.weights[1], model.biases[1])
    np.testing.assert_allclose(model.predict_raw(sparse), wanted, rtol=1e-2, atol=1e-2)
    assert (model.predict_raw(sparse) != exact.predict_raw(sparse)).any()
    assert model.fit(sparse, Y, epochs=30)["loss"][-1] < 0.5


def test_estimators_and_files_have_a_precision(tmp_path):
    settings = {"hidden_layer_sizes": (40,), "max_iter": 5, "random_state": 0, "backend": "numba"}
    one, other = (MLPClassifier(**settings, precision=p) for p in ("bf16", "float32"))
    with pytest.warns(UserWarning, match="Maximum iterations"):
        one.fit(X, Y), other.fit(X, Y)
    assert 0 < np.abs(one.coefs_[0] - other.coefs_[0]).max() < 0.01
    model = network()
    model.save(tmp_path / "model.safetensors")
    again = MLP.load(tmp_path / "model.safetensors", backend="numba", precision="bf16")
    np.testing.assert_array_equal(again.predict_raw(X), model.predict_raw(X))


def test_what_numba_does_not_offer_is_refused():
    with pytest.raises(
        InputError, match=r"precision='tf32' is not offered by backend='numba'\. Choose 'float32' or 'bf16'"
    ):
        network("tf32")
    with pytest.raises(InputError, match=r"precision='bf16' is for dtype='float32'; this network has dtype='float64'"):
        network(dtype="float64")
    assert get_backend("numba", "bf16").describe().endswith(", products in bf16")


if __name__ == "__main__":
    np.savez(sys.argv[1], **products())
