"""Every formula of the tables, new ones too: its derivative, and what the backends make of it."""

import numpy as np
import pytest

from fastmlp import activations, losses, optimizers

SMOOTH = np.setdiff1d(np.linspace(-3, 3, 61).round(3), [0.0])  # between the kinks
STEP = 1e-6


def slope_of(function, at):
    return (function(at + STEP) - function(at - STEP)) / (2 * STEP)


@pytest.mark.parametrize("activation", [one for one in activations.BY_CODE if one.value], ids=lambda one: one.name)
def test_every_derivative_is_the_slope_of_its_activation(activation):
    a, slope, delta = SMOOTH[:, None].copy(), np.full((60, 1), np.nan), np.linspace(-1, 2, 60)[:, None]
    activations.activate(activation, a, slope)
    np.testing.assert_array_equal(a[:, 0], activation.value(SMOOTH))
    expected = delta[:, 0] * slope_of(activation.value, SMOOTH)
    activations.multiply_by_derivative(activation, a, slope, delta)
    np.testing.assert_allclose(delta[:, 0], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("loss", [one for one in losses.BY_CODE if one.value], ids=lambda one: one.name)
def test_every_gradient_is_the_slope_of_its_loss(loss):
    z, y = SMOOTH.reshape(-1, 3), np.linspace(0.05, 0.95, 60).reshape(-1, 3)
    found = loss.gradient(z, y, *loss.parameter)
    np.testing.assert_allclose(found, slope_of(lambda at: loss.value(at, y, *loss.parameter), z), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rule", optimizers.BY_CODE[1:], ids=lambda rule: f"{rule.name} {rule.formula.__name__}")
def test_every_backend_updates_by_the_formula_of_the_rule(check, draw, rule):
    rates = {"rate1": 0.1, "rate2": 0.25, "rate3": 1e-3}
    constants = np.linspace(0.7, 0.95, len(rule.constants))
    known = dict(zip(rule.rates, rates.values(), strict=False)) | dict(zip(rule.constants, constants, strict=True))
    for n in (1, 15, 64, 65, 1000):
        w, g, moments = draw(n), draw(n), abs(draw(len(rule.moments), n))
        arrays = {"w": w, "g": g, **dict(zip(rule.moments, moments, strict=True))}
        values = known | {name: array.astype(np.float64) for name, array in arrays.items()}
        after, *later = rule.updated(*(values[name] for name in rule.parameters))
        expected = {"w": after, "moments": np.reshape(later, moments.shape)}
        check(
            "apply_rule",
            expected,
            rule=optimizers.code_of(rule),
            w=w,
            g=g,
            moments=moments,
            **rates,
            constants=constants,
        )
