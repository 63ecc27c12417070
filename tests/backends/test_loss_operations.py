"""The operation `loss_gradient` with every loss, on every backend, against its formula in float64.

See `check` in conftest for what must not change.
"""

from itertools import product

import numpy as np
import pytest
from coded import LOSS
from sampling import SAMPLES, picks, wide
from scipy import special
from sklearn.neural_network import _base as sklearn_base

from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels import codes
from fastmlp.losses import BY_CODE, custom_loss

LOSSES = LOSS.values()


def loss_of(code, z, y, eps=0.0):
    """ℓ of each row and ∂ℓ/∂z in float64; the Huber loss bends at 0.7, probabilities are clipped to [eps, 1 - eps]."""
    r, outputs = z - y, z.shape[1]
    if code == codes.SOFTMAX_CROSS_ENTROPY:
        mass = y.sum(axis=1, keepdims=True)
        return -(y * special.log_softmax(z, axis=1)).sum(1), mass * special.softmax(z, axis=1) - y
    if code == LOSS["binary_cross_entropy"]:
        return -(y * special.log_expit(z) + (1 - y) * special.log_expit(-z)).sum(1), special.expit(z) - y
    if code == codes.CLIPPED_SOFTMAX_CROSS_ENTROPY:
        p = special.softmax(z, axis=1)
        return -special.xlogy(y, p.clip(eps, 1 - eps)).sum(1), p - y
    if code == codes.CLIPPED_BINARY_CROSS_ENTROPY:
        p = special.expit(z)
        clipped = p.clip(eps, 1 - eps)
        return -(special.xlogy(y, clipped) + special.xlogy(1 - y, 1 - clipped)).sum(1), p - y
    if code == LOSS["poisson"]:
        return (np.exp(z) - y + special.xlogy(y, y) - y * z).sum(1), np.exp(z) - y
    bent = np.where(abs(r) <= 0.7, r**2 / 2, 0.7 * (abs(r) - 0.35))
    known = {
        "squared_error": ((r**2).sum(1), 2 * r),
        "mean_squared_error": ((r**2).mean(1), 2 * r / outputs),
        "half_squared_error": ((r**2).sum(1) / 2, r),
        "half_mean_squared_error": ((r**2).mean(1) / 2, r),
        "quantile": (np.where(r > 0, 0.3 * r, -0.7 * r).mean(1), (0.3 * (r > 0) - 0.7 * (r < 0)) / outputs),
        "absolute_error": (abs(r).mean(1), np.sign(r) / outputs),
        "huber": (bent.mean(1), np.clip(r, -0.7, 0.7) / outputs),
    }
    return known.get(BY_CODE[code].name) or by_formula(BY_CODE[code], z, y)


def by_formula(loss, z, y):
    """The same of a loss that is not written out above: what NumPy makes of its formula in float64."""
    value, gradient = (function(z, y, *loss.parameter) for function in (loss.value, loss.gradient))
    return (
        value.mean(1) if loss.value_is_mean else value.sum(1),
        gradient / z.shape[1] if loss.gradient_is_mean else gradient,
    )


def known(targets, weights=None, rows=None, labelled=False):
    """The arguments of `loss_gradient` for samples with these targets (N, O), one-hot if labelled, and weights (N,).

    The batch is `rows`, or all samples in their order.
    """
    return {
        "labels": targets.argmax(axis=1) if labelled else np.zeros(0, np.int64),
        "targets": targets[:0] if labelled else targets,
        "weights": targets[:0, 0] if weights is None else weights,
        "rows": np.arange(len(targets)) if rows is None else rows,
    }


def draw_batches(draw):
    """z, targets and weights of SAMPLES samples, of which `rows` are the batch, and what is known of them.

    Targets are soft with some one-hot rows amid, or all are one-hot and known as labels.
    """
    random = np.random.RandomState(3)
    for rows, outputs, labelled, weighted in product((0, 1, 7, 31, 129), (1, 3, 10, 17), (False, True), (False, True)):
        order, z, weights = picks(SAMPLES, rows), 3 * draw(rows, outputs), abs(draw(SAMPLES))
        targets = random.uniform(0, 1, (SAMPLES, outputs)).astype(z.dtype)
        one_hot = targets if labelled else targets[::3]
        one_hot[:] = np.eye(outputs)[random.randint(0, outputs, len(one_hot))]
        given = known(targets, weights if weighted else None, order, labelled)
        yield z, targets[order], weights[order] if weighted else np.ones(rows), given


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_its_gradient(check, draw, nan, loss):
    for z, target, weight, given in draw_batches(draw):
        z64, y64, s64 = wide(z, target, weight)
        value, derivative = loss_of(loss, z64, y64, np.finfo(z.dtype).eps)
        expected = {"out": s64[:, None] * derivative, "share": value @ s64}
        check("loss_gradient", expected, loss=loss, parameter=np.array([0.7]), z=z, **given, out=nan(*z.shape))


def test_a_quantile_for_each_output(check, draw, nan):
    for rows, outputs in product((0, 1, 31), (1, 3, 17)):
        z, target, weight, q = 3 * draw(rows, outputs), draw(rows, outputs), abs(draw(rows)), np.linspace(0, 1, outputs)
        if rows:
            target[0] = z[0]  # at the kink the gradient is 0
        r = z.astype(np.float64) - target
        value = np.maximum((1 - q) * r, -q * r).mean(axis=1)
        derivative = np.where(r > 0, 1 - q, np.where(r < 0, -q, 0)) / outputs
        expected = {"out": weight[:, None] * derivative, "share": value @ weight}
        given = {"loss": LOSS["quantile"], "parameter": q, "z": z} | known(target, weight)
        check("loss_gradient", expected, **given, out=nan(rows, outputs))


def pseudo_huber(bend):
    return custom_loss(
        lambda z, y: bend**2 * (np.sqrt(1 + ((z - y) / bend) ** 2) - 1),
        lambda z, y: (z - y) / np.sqrt(1 + ((z - y) / bend) ** 2),
    )


def pinball(q):
    return custom_loss(
        lambda z, y: np.where(z > y, (1 - q) * (z - y), q * (y - z)), lambda z, y: np.where(z > y, 1 - q, -q)
    )


@pytest.mark.parametrize("custom", [pseudo_huber(0.7), pinball(0.3)])
def test_custom_loss_and_its_gradient(check, draw, nan, custom):
    for z, target, weight, given in draw_batches(draw):
        z64, y64, s64 = wide(z, target, weight)
        expected = {"out": s64[:, None] * custom.gradient(z64, y64), "share": custom.value(z64, y64).sum(axis=1) @ s64}
        given |= {"loss": len(LOSS), "parameter": np.zeros(0), "z": z}
        check("loss_gradient", expected, formulas=Formulas.of([], custom), **given, out=nan(*z.shape))


@pytest.mark.parametrize(
    ("loss", "activation", "theirs"),
    [
        (codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, "softmax", "log_loss"),
        (codes.CLIPPED_BINARY_CROSS_ENTROPY, "logistic", "binary_log_loss"),
        (LOSS["half_mean_squared_error"], "identity", "squared_error"),
        (LOSS["poisson"], "exp", "poisson"),
    ],
)
def test_losses_of_scikit_learn_are_its_own_to_the_last_digits(check, draw, dtype, loss, activation, theirs):
    z, weight = 2 * draw(60, 3) * 60**0.5, np.linspace(0, 2, 60).astype(dtype)
    if activation != "exp":
        z[::3] *= 1e5  # certain answers, right and wrong
    target = np.eye(3, dtype=dtype)[np.arange(60) % 3]
    predicted = z.copy()
    sklearn_base.ACTIVATIONS[activation](predicted)
    value = sklearn_base.LOSS_FUNCTIONS[theirs](target, predicted, weight) * weight.sum()
    if activation in ("softmax", "logistic"):
        assert (predicted[::3].max(), predicted[::3].min()) == (1, 0)
    given = {"loss": loss, "parameter": np.zeros(0), "z": z} | known(target, weight)
    # the gradient is of the loss that is not clipped
    check("loss_gradient", {"out": weight[:, None] * (predicted - target), "share": value}, **given, out=z * np.nan)


@pytest.mark.parametrize(
    ("loss", "logs"), [(codes.CLIPPED_SOFTMAX_CROSS_ENTROPY, 4), (codes.CLIPPED_BINARY_CROSS_ENTROPY, 12)]
)
def test_even_a_certain_and_right_answer_is_clipped(check, dtype, loss, logs):
    target = np.eye(4, 3, dtype=dtype)
    target[3, 0] = 1
    z = np.where(target, 1e4, -1e4).astype(dtype)
    given = {"loss": loss, "parameter": np.zeros(0), "z": z} | known(target)
    expected = {"share": -logs * np.log1p(-np.finfo(dtype).eps), "out": np.zeros_like(z)}
    check("loss_gradient", expected, tolerance={"rtol": 1e-5}, **given, out=z * np.nan)


@pytest.mark.parametrize("loss", [codes.SOFTMAX_CROSS_ENTROPY, LOSS["binary_cross_entropy"]])
def test_cross_entropies_do_not_overflow(check, dtype, loss):
    z = np.array([[1e4, -1e4], [-1e4, 1e4], [100, 100], [-300, 300]], dtype)
    target = np.array([[0, 1], [0, 1], [1, 0], [0.5, 0.5]], dtype)
    value, derivative = loss_of(loss, *wide(z, target))
    given = {"loss": loss, "parameter": np.array([0.7]), "z": z} | known(target)
    check("loss_gradient", {"out": derivative, "share": value.sum()}, **given, out=np.empty_like(z))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labelled", [False, True])
def test_nan_is_seen_in_every_loss(check, dtype, loss, labelled):
    z, target = np.zeros((9, 3), dtype), np.full((9, 3), 0.5, dtype)
    if labelled:
        target[:] = [1, 0, 0]
    z[4, 1] = np.nan
    _, derivative = loss_of(loss, *wide(z, target))
    derivative[4, 1] = np.nan
    given = {"loss": loss, "parameter": np.array([0.7]), "z": z} | known(target, labelled=labelled)
    check("loss_gradient", {"share": np.nan, "out": derivative}, **given, out=np.empty_like(z))
