"""Schedules: their definitions as properties over random runs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.errors import InputError
from fastmlp.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    Step,
    WarmUp,
    get_schedule,
)

NAMES = (
    "constant",
    "step",
    "exponential",
    "inverse_scaling",
    "cosine",
    "one_cycle",
    "warm_up",
    "reduce_on_plateau",
)
LOSSES = st.lists(st.floats(-10, 10) | st.just(math.nan) | st.just(math.inf), max_size=30)


def run(schedule: Schedule, lr: float = 0.1, epochs: int = 20, steps: int = 7, losses=()) -> np.ndarray:
    """Rates of a whole run (epochs, steps), with only the earlier losses passed for each epoch."""
    losses = list(losses) or [1.0 / (epoch + 1) for epoch in range(epochs)]
    return np.array([schedule.rates(lr, epoch, epochs, steps, losses[:epoch]) for epoch in range(epochs)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 9), (2, 1), (6, 1), (13, 5)])
def test_rates_are_one_float64_per_update_within_0_and_lr(name, epochs, steps):
    rates = run(get_schedule(name), 0.3, epochs, steps)
    assert rates.shape == (epochs, steps)
    assert rates.dtype == np.float64
    assert (rates >= 0).all()
    assert (rates <= 0.3 * (1 + 1e-12)).all()
    assert (rates > 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_rates_scale_with_lr(name):
    np.testing.assert_allclose(run(get_schedule(name), 2.0), 4 * run(get_schedule(name), 0.5), rtol=1e-12)


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "inverse_scaling", "reduce_on_plateau"])
def test_epoch_schedules_hold_still_within_an_epoch(name):
    rates = run(get_schedule(name), losses=[1.0] * 20)
    assert (rates == rates[:, :1]).all()


@pytest.mark.parametrize("name", ["step", "exponential", "inverse_scaling", "cosine", "reduce_on_plateau"])
def test_decaying_schedules_start_at_lr_and_never_rise(name):
    rates = run(get_schedule(name), losses=[1.0] * 20).ravel()
    assert rates[0] == 0.1
    assert (np.diff(rates) <= 0).all()
    assert rates[-1] < 0.1


def test_step_waits_then_multiplies():
    rates = run(Step(every=3, factor=0.5), 1.0, epochs=7)[:, 0]
    assert rates.tolist() == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_exponential_has_a_constant_ratio():
    rates = run(Exponential(decay=0.7))[:, 0]
    np.testing.assert_allclose(rates[1:] / rates[:-1], 0.7)


def test_inverse_scaling_is_a_power_of_the_epoch():
    rates = run(InverseScaling(power=2.0), 1.0)[:, 0]
    np.testing.assert_allclose(rates, 1 / np.arange(1, 21) ** 2.0)


@given(st.floats(0, 0.9), st.integers(1, 9), st.integers(1, 9))
def test_cosine_falls_with_every_update_and_is_symmetric(final, epochs, steps):
    rates = run(Cosine(final), 1.0, epochs, steps).ravel()
    assert (np.diff(rates) < 0).all()
    assert rates[-1] > final
    # cos(π − x) = −cos(x): update k and update n − k lie as far above the middle as below it.
    np.testing.assert_allclose(rates[1:] + rates[:0:-1], 1 + final)


@given(st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1), st.integers(1, 9), st.integers(1, 9))
def test_one_cycle_rises_to_exactly_lr_once_and_falls_to_its_final_rate(fraction, start, final, epochs, steps):
    rates = run(OneCycle(fraction, start, final), 0.3, epochs, steps).ravel()
    peak = max(1, round(fraction * rates.size)) - 1
    assert rates[peak] == 0.3 == rates.max()
    assert (np.diff(rates[: peak + 1]) >= 0).all()
    assert (np.diff(rates[peak:]) <= 0).all()
    assert rates[0] >= 0.3 * start * (1 - 1e-12)
    if peak < rates.size - 1:
        assert rates[-1] == pytest.approx(0.3 * final)


def test_one_cycle_begins_near_its_start():
    assert run(OneCycle(), 1.0, 10, 1000).ravel()[0] == pytest.approx(1 / 25, rel=1e-3)


def test_warm_up_climbs_straight_to_the_first_rate_of_what_follows():
    then = OneCycle()
    rates = run(WarmUp(3, then), 0.2, epochs=8, steps=5)
    rise = rates[:3].ravel()
    np.testing.assert_allclose(np.diff(rise), rise[0])
    assert rise[-1] == rates[3, 0]
    np.testing.assert_array_equal(rates[3:], run(then, 0.2, epochs=5, steps=5))


def test_a_run_shorter_than_its_warm_up_only_rises():
    rates = run(WarmUp(5, Cosine()), 1.0, epochs=2, steps=4).ravel()
    assert (np.diff(rates) > 0).all()
    assert rates[-1] == pytest.approx(2 / 5)


def test_the_plateau_after_a_warm_up_does_not_see_the_losses_of_the_warm_up():
    losses = [0.0, 5.0, 4.0, 3.0, 2.0]
    rates = run(WarmUp(1, ReduceOnPlateau(patience=2)), 1.0, epochs=5, losses=losses)
    assert (rates[1:] == 1.0).all()


def test_plateau_reduces_after_each_patience_epochs_without_improvement():
    losses = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    rates = run(ReduceOnPlateau(factor=0.5, patience=2), 1.0, epochs=10, losses=losses)[:, 0]
    assert rates.tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize(("drop", "reduced"), [(0.005, True), (0.02, False)])
@pytest.mark.parametrize("first", [1.0, -1.0])
def test_plateau_asks_for_an_improvement_relative_to_the_loss(first, drop, reduced):
    losses = [first, first - drop]
    rate = ReduceOnPlateau(factor=0.5, patience=1, threshold=0.01).rates(1.0, 2, 9, 1, losses)[0]
    assert rate == (0.5 if reduced else 1.0)


def test_plateau_survives_a_loss_that_is_not_a_number():
    schedule = ReduceOnPlateau(factor=0.5, patience=2)
    assert schedule.rates(1.0, 3, 9, 1, [math.nan, 2.0, 1.0])[0] == 1.0
    assert schedule.rates(1.0, 4, 9, 1, [2.0, math.nan, 1.0, math.inf])[0] == 1.0
    assert schedule.rates(1.0, 3, 9, 1, [1.0, math.nan, math.inf])[0] == 0.5


@given(LOSSES, st.integers(1, 5))
def test_plateau_stays_above_its_minimum_and_never_rises(losses, patience):
    rates = run(ReduceOnPlateau(0.1, patience, minimum=3e-3), 0.1, epochs=31, losses=[*losses, 1.0])
    assert (np.diff(rates[:, 0]) <= 0).all()
    assert rates.min() >= 3e-3


def test_the_minimum_never_raises_the_rate():
    assert ReduceOnPlateau(minimum=1.0).rates(0.1, 0, 5, 2, []).tolist() == [0.1, 0.1]


@settings(max_examples=25)
@given(st.sampled_from(NAMES), LOSSES)
def test_rates_depend_on_nothing_but_the_arguments(name, losses):
    schedule, epoch = get_schedule(name), len(losses)
    first = schedule.rates(0.1, epoch, 31, 3, losses)
    schedule.rates(0.7, 0, 9, 2, [])
    np.testing.assert_array_equal(first, schedule.rates(0.1, epoch, 31, 3, tuple(losses)))
    np.testing.assert_array_equal(first, get_schedule(name).rates(0.1, epoch, 31, 3, losses))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step(every=0),
        lambda: Step(every=2.0),
        lambda: Step(factor=0),
        lambda: Step(factor=1.5),
        lambda: Exponential(decay=0.0),
        lambda: Exponential(decay=math.nan),
        lambda: InverseScaling(power=-1),
        lambda: InverseScaling(power=math.inf),
        lambda: Cosine(final=2),
        lambda: Cosine(final="0"),
        lambda: OneCycle(peak_fraction=1.1),
        lambda: OneCycle(start=0),
        lambda: OneCycle(final=-0.1),
        lambda: WarmUp(epochs=0),
        lambda: WarmUp(epochs=True),
        lambda: WarmUp(then="cosine"),
        lambda: WarmUp(then=Cosine),
        lambda: ReduceOnPlateau(factor=0),
        lambda: ReduceOnPlateau(patience=0),
        lambda: ReduceOnPlateau(threshold=-1),
        lambda: ReduceOnPlateau(minimum=-1),
    ],
)
def test_arguments_out_of_range_are_refused_with_the_class_that_refuses(make):
    with pytest.raises(InputError, match=r"^(Step|Exponential|InverseScaling|Cosine|OneCycle|WarmUp|Reduce)"):
        make()


def test_the_refusal_says_what_is_allowed():
    message = r"Step: factor=2 cannot be used. Give a finite number > 0 and <= 1, such as 0.5."
    with pytest.raises(InputError, match=f"^{message}$"):
        Step(factor=2)


def test_get_schedule_takes_instances_and_foreign_schedules():
    class Own:
        def rates(self, lr, epoch, epochs, steps, losses):
            return np.full(steps, lr)

    own, step = Own(), Step(2, 0.1)
    assert get_schedule(own) is own
    assert get_schedule(step) is step
    assert get_schedule("constant") == Constant()


@pytest.mark.parametrize("wrong", ["linear", Cosine, None, 0.1])
def test_get_schedule_names_the_choices(wrong):
    with pytest.raises(InputError, match="'one_cycle', 'warm_up'"):
        get_schedule(wrong)
