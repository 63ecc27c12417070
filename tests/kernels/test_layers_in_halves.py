"""Wide layers, whose sums over the inputs are computed in two halves: the same numbers from every team."""

from itertools import product

import numpy as np
import pytest
from coded import ACTIVATION

from fastmlp import MLP, SGD, Adam
from fastmlp.kernels import codes

INPUTS, OUTPUTS = (256, 301), (32, 33, 100)


def rows_of(inputs):
    """Of batches, up to the last that is formed in halves and one more."""
    from fastmlp.kernels.cpu.operations.sharing import is_in_halves

    most = inputs // 3
    assert is_in_halves(most, inputs, OUTPUTS[0]) and not is_in_halves(most + 1, inputs, OUTPUTS[0])
    return 1, 9, most, most + 1


def activated(code, z):
    """a = σ(z), and σ'(z) where it is stored."""
    if code == codes.SOFTMAX:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return {"out": e / e.sum(axis=1, keepdims=True)}
    if code == ACTIVATION["silu"]:
        s = 1 / (1 + np.exp(-z))
        return {"out": z * s, "slope": s + z * s * (1 - s)}
    return {"out": np.maximum(z, 0) if code == codes.RELU else z}


# an activation follows the sums, whatever the samples are converted from
FORWARD = [
    *product(["float32"], [codes.IDENTITY, codes.RELU, codes.SOFTMAX, ACTIVATION["silu"]]),
    ("float64", codes.RELU),
    ("uint8", ACTIVATION["silu"]),
]


@pytest.mark.parametrize(("source", "code"), FORWARD)
def test_forward(check, draw, nan, dtype, source, code):
    for inputs, outputs in product(INPUTS, OUTPUTS):
        w, b = draw(inputs, outputs) / 16, draw(outputs)
        b[0] = -np.inf if code in (codes.IDENTITY, codes.RELU, codes.SOFTMAX) else b[0]
        for rows in rows_of(inputs):
            x = np.random.RandomState(1).randint(0, 9, (2 * rows, inputs)).astype(source)
            order, given = np.arange(rows)[::-1] * 2, {"w": w, "b": b, "activation": code}
            batch = x[order].astype(dtype)
            expected = activated(code, batch.astype(float) @ w.astype(float) + b.astype(float))
            free = () if "slope" in expected else ("slope",)
            for name, where in (("linear_rows", {"x": x, "rows": order}), ("linear", {"x": batch})):
                if name == "linear_rows" or source == "float32":  # the other has samples of the network's dtype alone
                    check(name, expected, free, **where, **given, slope=nan(rows, outputs), out=nan(rows, outputs))


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam()], ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize(("source", "first"), [("float32", "relu"), ("uint8", "relu"), ("float32", "softmax")])
def test_training_does_not_depend_on_the_number_of_threads(dtype, source, first, optimizer):
    random, found = np.random.RandomState(0), []
    x, y = random.randint(0, 9, (100, 257)).astype(source), random.randint(0, 3, 100)
    for n_threads in (1, 2, 3, 4):
        model = MLP(
            [257, 256, 48, 3], [first, "relu", "identity"], dtype=dtype, backend="numba", n_threads=n_threads, seed=0
        )
        history = model.fit(x, y, epochs=3, batch_size=40, optimizer=optimizer)
        found.append(np.concatenate([array.ravel() for array in (*model.weights, *model.biases)] + [history["loss"]]))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
