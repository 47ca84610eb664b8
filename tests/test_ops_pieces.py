"""What is made of pieces: choices, bounds, steps, comparisons, casts, and what NumPy asks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from against_numpy import Row, check, table

from chainrule import Spec, grad, jvp, ops, trace, value_and_grad, vjp, vmap
from chainrule.errors import NoOpError
from chainrule.ops import cast, clamp

x34, two = ((3, 4),), ((3, 4), (3, 4))
odd = np.array([-np.inf, -2.0, -0.0, 0.0, 0.5, np.nan, np.inf])
mask = np.array([[True, False, True, False]] * 3)


@table(
    Row("copysign", np.copysign, two),
    Row("copysign of numbers", lambda x: np.copysign(2.0, x) * x + np.copysign(x, -1.0), x34),
    Row("heaviside", np.heaviside, two),
    Row("heaviside of a number", lambda h: np.heaviside(0.0, h), ((3,),)),
    Row("nan_to_num", np.nan_to_num, x34),
    Row("select", lambda x, y: np.select([x > 1, mask], [x * y, y**2], x), two),
    Row("select without a default", lambda x: np.select([x > 1, x > 0], [x, 3.0]), x34),
    Row("where of three shapes", lambda x, y: np.where(mask[0], x, y), ((3, 1), ())),
    Row("where with numbers", lambda x: np.where(mask, 1, np.where(mask[0], x, 2.5)), x34),
    Row("clip low", lambda x: np.clip(x, -0.5, None), x34),
    Row("clip high", lambda x: np.clip(x, a_min=None, a_max=0.5), x34),
    Row("clip by the array interface", lambda x: np.clip(x, min=-1, max=1), x34),
    Row("clip nothing", lambda x: np.clip(x, None, None), x34),
    Row("clip to arrays", np.clip, ((3, 4), (4,), (3, 1)), (-2, 2)),
    Row("clip to crossed bounds", np.clip, ((3, 4), (3, 4), (3, 4))),
    Row("clip of whole numbers", lambda a: np.clip(np.arange(4), a, None), ((4,),)),
    Row("clip of whole numbers, high", lambda a: np.clip(np.arange(4), None, a), ((4,),)),
    Row("clip method", lambda x: x.clip(-1, max=1), x34),
    Row("round", lambda x: np.round(x, 1) * x, x34),
    Row("round to tens", lambda x: np.round(100 * x, -1) * x, x34),
    Row("modf by parts", lambda x: (x - np.trunc(x)) * 2 + np.trunc(x), x34),
    Row("fmod", np.fmod, two, (0.6, 1.9)),
    Row("remainder", np.remainder, two, (0.6, 1.9)),
    Row("divmod", lambda x, y: np.multiply(*np.divmod(x, y)), two, (0.6, 1.9)),
    Row("divmod operator", lambda x: sum(divmod(x, 0.7)) + sum(divmod(5.0, x)), x34, (0.6, 1.9)),
    Row("float_power", np.float_power, two, (0.5, 2)),
    Row("logaddexp2", np.logaddexp2, two),
    Row("sinc", np.sinc, x34),
    Row("sinc at 0", lambda x: np.sinc(x * 0), x34),
    Row("full_like of a traced number", lambda x: np.full_like(x, x[0, 0]), x34),
    Row("full_like, another shape", lambda x: np.full_like(x, x[0, 0], shape=(2,)), x34),
    Row(
        "like", lambda x: x * (np.ones_like(x) + np.zeros_like(x)) + 0 * np.empty_like(x, int), x34
    ),
    Row("ones_like, another shape", lambda x: x * np.ones_like(x, shape=(2, 3, 4)), x34),
    Row("full_like of a number", lambda x: x + np.full_like(x, 2, dtype=np.float64), x34),
    Row("real", lambda x: np.real(x) + x.real + np.conjugate(x), x34),
    Row("size along", lambda x: x * np.size(x, 1), x34),
    Row("truth", lambda x: x * ((x > 0) & (x < 1) | ~(x > -1) ^ (x > 5)), x34),
    Row("logic", lambda x: x * np.logical_xor(x > 0, np.logical_not(x > 1)), x34),
    Row("comparisons", lambda x, y: x * (x != y) + y * (x >= y) - x * (x <= 0.3), two),
)
def test_pieces(row):
    check(row)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.nan_to_num, [0, 1, 1, 1, 1, 0, 0]),
        (lambda x: np.nan_to_num(x, nan=7.0, posinf=8.0, neginf=-8.0), [0, 1, 1, 1, 1, 0, 0]),
        (lambda x: np.nan_to_num(x, True, 7.0), [0, 1, 1, 1, 1, 0, 0]),
        (lambda x: np.heaviside(x, 0.5), [0] * 7),
        (np.sign, [0] * 7),
        (np.abs, [-1, -1, 0, 0, 1, np.nan, 1]),
        (lambda x: np.clip(x, -2, 0.5), [0, 0, 1, 1, 0, 0, 0]),
        (lambda x: np.fmax(x, 0.1), [0, 0, 0, 0, 1, 0, 1]),
        (lambda x: np.fmin(0.1, x), [1, 1, 1, 1, 0, 0, 0]),
        (np.signbit, [0] * 7),
        (np.isfinite, [0] * 7),
        (np.isnan, [0] * 7),
        (np.isinf, [0] * 7),
        (np.positive, [1] * 7),
    ],
)
def test_values_and_slopes_at_odd_numbers(f, slope):
    y, pull = vjp(lambda x: 1.0 * f(x), odd)
    np.testing.assert_array_equal(y, 1.0 * f(odd))
    np.testing.assert_array_equal(pull(np.ones(7))[0], slope)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(jvp(lambda x: 1.0 * f(x), (odd,), (np.ones(7),))[1], slope)


def test_the_limits_of_nan_to_num_are_those_of_the_type():
    for dtype in (np.float32, np.float64):
        x = odd.astype(dtype)
        y = vjp(np.nan_to_num, x)[0]
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, np.nan_to_num(x))


def test_a_clipped_number_pulls_at_the_bound_that_holds_it():
    x, low, high = np.array([-3.0, 0.0, 3.0, 1.0]), -1.0, 1.0
    y, (dx, dlow, dhigh) = value_and_grad(
        lambda x, a, b: np.sum(np.clip(x, a, b)), (0, 1, 2)
    )(x, low, high)  # fmt: skip
    assert (y, dlow, dhigh) == (1, 1, 1)
    np.testing.assert_array_equal(dx, [0, 1, 0, 0])
    _, (_, dlow, dhigh) = value_and_grad(clamp, (0, 1, 2))(0.0, 2.0, 1.0)
    assert (dlow, dhigh) == (0, 1)  # bounds that cross: NumPy takes the upper one


def test_ties_of_two_and_the_literal_zero():
    assert grad(np.maximum, (0, 1))(1.0, 1.0) == (0.5, 0.5)
    assert grad(np.minimum, (0, 1))(1.0, 1.0) == (0.5, 0.5)
    assert grad(lambda x: np.maximum(x, 0))(0.0) == 0
    assert grad(lambda x: np.maximum(0.0, x))(0.0) == 0
    assert grad(lambda x: np.maximum(x, np.float64(0)))(0.0) == 0.5


def test_sinc_near_zero_to_fourth_order():
    """By its series, which alternates: sinc x = Σ (-1)ᵏ (πx)²ᵏ / (2k + 1)!."""
    f = np.sinc
    for x in (0.0, 1e-9, 0.02, 0.0318, 0.0319, 0.1):
        derivatives, slope = [], f
        for order in range(5):
            derivatives.append(slope(x))
            slope = grad(slope)
            series = [
                (-1) ** k * np.pi ** (2 * k) / math.factorial(2 * k + 1)
                * math.perm(2 * k, order) * x ** (2 * k - order)
                for k in range((order + 1) // 2, 12)
            ]  # fmt: skip
            tolerance = [1e-15, 1e-13, 1e-12, 1e-10, 1e-8][order]
            assert derivatives[-1] == pytest.approx(sum(series), abs=tolerance, rel=1e-8)


def test_casts():
    x = np.array([0.1, 1.6, -2.7])
    for dtype in (np.float32, np.float64, np.int8, bool, "f2"):
        y = vjp(lambda x, d=dtype: x.astype(d) * 1.0, x)[0]
        np.testing.assert_array_equal(y, x.astype(dtype) * 1.0)
    assert grad(lambda x: np.sum(x.astype(int) * x))(x).tolist() == [0, 1, -2]
    g = grad(lambda x: np.sum(np.astype(x, np.float32) ** 2))(x)
    assert g.dtype == np.float64
    np.testing.assert_allclose(g, 2 * x, rtol=1e-6)
    assert cast(1.5, dtype="float32").dtype == np.float32
    graph = trace(lambda x: x.astype(np.float32).astype(np.int64), Spec((3,)))
    np.testing.assert_array_equal(graph.evaluate(x)[0], [0, 1, -2])


def test_float_power_is_in_double_precision():
    x = np.array([1.1, 2.2], np.float32)
    y, pull = vjp(lambda x: np.float_power(x, 2), x)
    np.testing.assert_array_equal(y, np.float_power(x, 2))
    assert y.dtype == np.float64
    assert pull(np.ones(2))[0].dtype == np.float32


def test_questions_are_numpys_to_answer():
    x = np.array([3.0, 0.0, 1.0])
    questions = [
        lambda x: np.allclose(x, x + 1),
        np.argwhere,
        lambda x: np.array_equiv(x, x),
        np.flatnonzero,
        lambda x: np.searchsorted(np.sort(x), 0.5),
        lambda x: np.where(x)[0],
        lambda x: x.nonzero()[0],
        lambda x: np.result_type(x, np.float32, 1.0),
        lambda x: np.isclose(x, 1.0, atol=0.5),
    ]

    def f(x):
        answers.extend(question(x) for question in questions)
        return np.sum(x)

    answers = []
    grad(f)(x)
    for found, question in zip(answers, questions, strict=True):
        np.testing.assert_array_equal(found, question(x))


def test_stop_gradient_and_vmap_of_choices():
    x = np.linspace(-2, 2, 12).reshape(3, 4)
    rows = vmap(grad(lambda x: np.sum(np.where(x > 0, x**2, ops.stop_gradient(x)))))(x)
    np.testing.assert_array_equal(rows, np.where(x > 0, 2 * x, 0))


@pytest.mark.parametrize(
    "f",
    [lambda x: x & 1, lambda x: np.bitwise_or(x > 0, x), lambda x: ~x, lambda x: x ^ (x > 0)],
)
def test_bits_of_numbers_are_refused(f):
    with pytest.raises(NoOpError):
        grad(lambda x: np.sum(f(x)))(np.ones(3))
