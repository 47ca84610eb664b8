"""Learning rates that change, by the numbers they must give at each step."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from chainrule.errors import SettingError
from chainrule.execute import Program
from chainrule.graph import Spec, trace
from chainrule.train import (
    SGD,
    Constant,
    Cosine,
    OneCycle,
    ReduceOnPlateau,
    Step,
    WarmUp,
    rate_at,
)

schedules = [
    Constant(0.3),
    Step(0.4, step_size=3, gamma=0.5),
    Cosine(0.2, total_steps=7, min_lr=0.02),
    OneCycle(1.0, total_steps=9),
    OneCycle(1.0, total_steps=9, pct_start=0.0),
    OneCycle(1.0, total_steps=9, pct_start=1.0),
    OneCycle(1.0, total_steps=1),
    WarmUp(0.5, steps=4),
    WarmUp(Cosine(0.2, total_steps=5), steps=3, start_factor=0.1),
]


@pytest.mark.parametrize("schedule", schedules, ids=repr)
def test_a_step_may_be_a_number_an_array_or_traced(schedule):
    by_number = [schedule(step) for step in range(15)]
    assert_allclose([schedule(np.int64(step)) for step in range(15)], by_number, rtol=1e-15)
    program = Program(trace(lambda step: schedule(step) + 0 * step, Spec((), np.dtype("int64"))))
    traced = [program(np.int64(step))[0] for step in range(15)]
    assert_allclose(traced, by_number, rtol=1e-15)
    assert np.isfinite(by_number).all()


def test_step_falls_by_its_factor():
    rates = [Step(0.4, step_size=3, gamma=0.5)(step) for step in range(7)]
    assert rates == [0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1]


def test_cosine_goes_from_its_first_to_its_last_rate_and_stays():
    schedule = Cosine(0.2, total_steps=4, min_lr=0.1)
    half = np.sqrt(0.5)
    expected = [0.2, 0.15 + 0.05 * half, 0.15, 0.15 - 0.05 * half, 0.1, 0.1]
    assert_allclose([schedule(step) for step in range(6)], expected, rtol=1e-14)


def test_one_cycle_touches_its_three_rates():
    schedule = OneCycle(1.0, total_steps=11, pct_start=0.5454545454545454, div_factor=10)
    assert_allclose([schedule(k) for k in (0, 5, 10, 99)], [0.1, 1.0, 1e-5, 1e-5], rtol=1e-12)


def test_warm_up_is_a_line_to_the_first_rate_of_what_follows():
    schedule = WarmUp(Step(0.8, step_size=2, gamma=0.5), steps=4)
    expected = [0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.4, 0.4, 0.2]
    assert_allclose([schedule(step) for step in range(9)], expected, rtol=1e-15)


class TestReduceOnPlateau:
    def rates(self, schedule, metrics):
        state, found = schedule.init(), []
        for step, metric in enumerate(metrics):
            state = schedule.update(state, metric)
            found.append(float(rate_at(schedule, step, state)))
        return found

    def test_falls_after_more_than_patience_without_progress(self):
        schedule = ReduceOnPlateau(1.0, factor=0.5, patience=2)
        assert self.rates(schedule, [3, 2, 2, 2, 2, 2, 2, 2]) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]

    def test_larger_may_be_better(self):
        schedule = ReduceOnPlateau(1.0, factor=0.5, patience=0, mode="max")
        assert self.rates(schedule, [0.5, 0.6, 0.6, 0.7]) == [1, 1, 0.5, 0.5]

    def test_a_little_better_is_no_better(self):
        relative = ReduceOnPlateau(1.0, factor=0.5, patience=0, threshold=0.1)
        assert self.rates(relative, [10, 9.5, 8.9]) == [1, 0.5, 0.5]
        absolute = ReduceOnPlateau(1.0, 0.5, 0, threshold=1.0, threshold_mode="abs")
        assert self.rates(absolute, [10, 9.5, 8.9]) == [1, 0.5, 0.5]

    def test_cools_down_and_stops_at_its_smallest_rate(self):
        schedule = ReduceOnPlateau(1.0, factor=0.5, patience=0, cooldown=1, min_lr=0.3)
        assert self.rates(schedule, [1, 1, 1, 1, 1]) == [1, 0.5, 0.5, 0.3, 0.3]

    def test_what_is_not_a_number_is_no_progress(self):
        schedule = ReduceOnPlateau(1.0, factor=0.5, patience=1)
        assert self.rates(schedule, [np.nan, np.nan, 1.0, np.nan]) == [1, 0.5, 0.5, 0.5]

    def test_multiplies_another_schedule(self):
        schedule = ReduceOnPlateau(Step(1.0, step_size=2, gamma=0.1), factor=0.5, patience=0)
        assert_allclose(self.rates(schedule, [1, 1, 1]), [1, 0.5, 0.025], rtol=1e-15)

    def test_needs_its_state(self):
        w = np.ones(2)
        optimiser = SGD(ReduceOnPlateau(0.1))
        with pytest.raises(SettingError, match="ReduceOnPlateau needs its state"):
            optimiser.update(w, w, optimiser.init(w))
        assert (optimiser.update(w, w, optimiser.init(w), lr=0.5)[0] == 0.5).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-0.1),
        lambda: Step(0.1, step_size=0),
        lambda: Step(0.1, step_size=2.5),
        lambda: Cosine(0.1, total_steps=-3),
        lambda: Cosine(np.nan, total_steps=3),
        lambda: OneCycle(0.1, total_steps=10, pct_start=1.5),
        lambda: OneCycle(0.1, total_steps=10, div_factor=0),
        lambda: WarmUp(0.1, steps=0),
        lambda: WarmUp("fast", steps=3),
        lambda: WarmUp(ReduceOnPlateau(0.1), steps=3),
        lambda: ReduceOnPlateau(0.1, factor=1.0),
        lambda: ReduceOnPlateau(0.1, mode="smallest"),
        lambda: ReduceOnPlateau(0.1, threshold_mode="both"),
    ],
)
def test_what_is_impossible_is_an_error(make):
    with pytest.raises(SettingError):
        make()
