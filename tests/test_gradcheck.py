"""The gradient check: what it passes, what it catches, what it skips and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from every_op import every_call, name_of

from chainrule import gradcheck, nn, ops
from chainrule.errors import GradientError, InputTypeError, OutputError
from chainrule.graph import OPS
from chainrule.inspect import Check


@pytest.fixture
def wrong_cube():
    """Return an op whose reverse and forward rule lack a factor 3."""

    @ops.elementwise(lambda x: x * x)
    def wrong_cube(x):
        """The third power, with a wrong slope."""
        return x * x * x

    yield wrong_cube
    del OPS["wrong_cube"]


@pytest.mark.parametrize("call", every_call(lambda op: op.differentiable), ids=name_of)
def test_every_op_passes_away_from_its_kinks(call):
    check = gradcheck(call.function, call.xs)
    assert check.skipped == 0
    assert check.compared == sum(x.size for x in call.xs) * np.size(call.function(*call.xs))


def test_a_wrong_slope_is_named_with_both_numbers_and_their_ratio(wrong_cube):
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda w: 1.0 * wrong_cube(w), np.array([1.0, 2.0]))
    text = str(caught.value)
    assert "CR601" in text
    assert "2 of 4 entries" in text
    assert "output[1] by w[1]" in text
    assert "derivative  4\n" in text
    assert "difference  12\n" in text
    assert "ratio       0.333333" in text


def test_a_rule_wrong_in_one_mode_alone_is_told_apart():
    @ops.rules(jvp=lambda dx: 2 * dx, vjp=lambda g: g, shape=lambda x: x.shape)
    def twice_forward(x):
        """The same, but twice in forward mode."""
        return x + 0

    try:
        with pytest.raises(GradientError, match="forward mode differs"):
            gradcheck(twice_forward, np.ones(2))
    finally:
        del OPS["twice_forward"]


def test_a_large_jacobian_is_checked_along_random_directions(wrong_cube):
    x = np.linspace(0.5, 1.5, 3000)
    check = gradcheck(lambda x: np.sum(x**3), x)
    assert check.directions
    assert check.compared == 4
    assert check.largest_relative < 1e-6
    assert "random directions" in str(check)
    with pytest.raises(GradientError, match="argument 0 along a random direction"):
        gradcheck(wrong_cube, x)


def test_containers_go_in_and_come_out():
    def f(parameters, x, k):
        h = np.tanh(x @ parameters["w"] + parameters["b"][0])
        return {"h": h[k], "rest": [h.sum(), 3.0]}

    parameters = {"w": np.ones((3, 2)), "b": [np.zeros(2)]}
    check = gradcheck(f, (parameters, np.linspace(-1, 1, 6).reshape(2, 3), 1))
    assert check.compared == (6 + 2 + 6) * 4


def test_constant_outputs_and_unused_inputs_have_slope_0():
    assert gradcheck(lambda x, y: y * 1.0, (np.ones(2), np.ones(3))).compared == 5 * 3


@pytest.mark.parametrize(
    ("f", "x", "compared", "said"),
    [
        (np.abs, [0.0, 1.0], 2, "absolute at test_gradcheck.py"),
        (lambda x: np.maximum(0, x), [1e-7, 1.0], 2, "relu"),
        (np.max, [1.0, 1.0, 0.0], 1, "max"),
        (lambda x: np.where(x > 0, x, 2 * x), [0.0], 0, "greater"),
        (lambda x: x[0] if x[0] > 0 else 2 * x[0], [0.0], 0, "another branch"),
        (lambda x: x[x > 0], [0.0, 1.0], 1, ""),
        (np.sqrt, [0.0], 0, "not finite one step away"),
        (np.linalg.norm, [0.0, 0.0], 0, ""),
    ],
)
def test_what_has_no_derivative_here_is_skipped_aloud(f, x, compared, said):
    check = gradcheck(f, np.array(x))
    assert check.compared == compared
    assert check.skipped > 0
    assert said in check.kinks[0]
    assert "not differentiable here, skipped" in str(check)


def test_a_kink_that_does_not_touch_an_input_does_not_hide_it():
    check = gradcheck(lambda x, y: np.sum(np.abs(x)) + np.sum(y**2), (np.zeros(3), np.ones(2)))
    assert (check.compared, check.skipped) == (2, 3)


def test_a_branch_is_traced_anew_at_every_step():
    def power(x, n=5):
        y = x
        while y < 100:
            y = y * x
        return y

    assert gradcheck(power, np.array(3.0)).compared == 1


def test_float32_is_refused_with_the_reason_or_cast():
    x = np.ones(3, np.float32)
    with pytest.raises(InputTypeError, match=r"x is float32\[3\].*6 digits") as caught:
        gradcheck(lambda x: x * x, x)
    assert "cast=True" in str(caught.value)
    assert gradcheck(lambda x: x * x, x, cast=True).compared == 9
    with pytest.raises(InputTypeError, match="makes float32"):
        gradcheck(lambda x: x.astype(np.float32), np.ones(3))


def test_bad_input_is_said():
    with pytest.raises(InputTypeError, match="nothing to differentiate"):
        gradcheck(lambda k: k, np.arange(3))
    with pytest.raises(OutputError):
        gradcheck(np.argmax, np.ones(3))
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="different numbers for the same inputs"):
        gradcheck(lambda x: x * rng.normal(), np.ones(2))
    with np.errstate(invalid="ignore"), pytest.raises(GradientError, match="not finite here"):
        gradcheck(np.sqrt, np.array([-1.0]))


def test_a_run_repeats_bit_by_bit_and_does_not_touch_its_inputs():
    x = np.linspace(0, 1, 3000)
    kept = x.copy()
    assert gradcheck(lambda x: np.sum(np.sin(x)), x) == gradcheck(lambda x: np.sum(np.sin(x)), x)
    np.testing.assert_array_equal(x, kept)


def test_the_verdict_reads_in_one_line():
    check = Check(largest_absolute=1.2e-9, largest_relative=3.5e-8, compared=4, skipped=0)
    assert str(check) == (
        "4 entries by reverse and forward mode agree with central differences: "
        "largest difference 1.2e-09, relative 3.5e-08."
    )


def test_steps_grow_with_the_numbers_that_they_move():
    x = np.array([1e-2, 1.0, 3e4, 2e12])  # beside the last a step of 1e-6 is rounded away
    check = gradcheck(lambda x: np.log(x) * 1e3, x)
    assert check.compared == 16
    assert check.largest_relative < 1e-7
    assert gradcheck(lambda x: 3.0 * x, x).largest_relative < 1e-7
    large = np.linspace(1e6, 2e6, 3000)
    assert gradcheck(lambda x: np.sum(x * np.sqrt(x)), large).largest_relative < 1e-6


def test_who_draws_random_numbers_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="rng is a Generator, which draws on"):
        gradcheck(lambda x: x * rng.normal(), np.ones(2))
    model = nn.Sequential(nn.Linear(3, 3, seed=0), nn.Dropout(0.5))
    with pytest.raises(GradientError, match=r"it\.1 is a Dropout in training"):
        gradcheck(model, np.ones((2, 3)))
    with pytest.raises(GradientError, match=r"model\.1 is a Dropout in training"):
        gradcheck(lambda x: model(x).sum(), np.ones((2, 3)))
    model.eval()
    assert gradcheck(model, np.ones((2, 3))).skipped == 0


def test_inputs_that_share_memory_are_said_beside_a_difference(wrong_cube):
    x = np.linspace(0.5, 1.0, 4)
    with pytest.raises(GradientError, match="a and b share memory"):
        gradcheck(lambda a, b: wrong_cube(a) + 1.0 * b, (x, x[:]))
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda a, b: wrong_cube(a) + 1.0 * b, (x, x.copy()))
    assert "share memory" not in str(caught.value)
