"""A trace that follows writes: what NumPy computes, and its derivative."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.errors import InPlaceError
from chainrule.inspect.walking import walk
from chainrule.transform import pull_back

rng = np.random.default_rng(0)
A = rng.normal(size=(4, 3))


def set_entries(x):
    y = 2 * x
    y[1] = x[0] * 3
    y[:, 2] = 5.0
    y[[0, 3], [0, 1]] = x[2, :2]
    return y


def mask(x):
    y = x * 1.5
    y[y < 0] = 0
    y[x > 1] *= x[0, 0]
    return y


def operators(x):
    y = x + 1
    z = y
    y += x * x
    y *= 2
    y /= np.sum(x * x)
    y -= z  # the same array
    y **= 2
    return y + z


def parts(x):
    y = x * 1.0
    y[:, 0] += x[:, 1]
    y[1] *= x[2]
    y[2, 1] -= x[0, 0]
    return y


def at_places(x):
    y = x * x
    np.add.at(y, ([0, 0, 2], [1, 1, 2]), x[1] * 3)
    np.subtract.at(y, 3, x[0])
    return y


def into(x):
    y = x * 1.0
    np.multiply(x, 3.0, out=y)
    np.exp(y, out=y)
    y.fill(2.0)
    return y * x


def twice_at_one_place(x):
    y = x * 1.0
    y[[0, 0]] = x[1:3] * 7
    return y


EVERY = [set_entries, mask, operators, parts, at_places, into, twice_at_one_place]


@pytest.mark.parametrize("f", EVERY)
def test_numbers_are_numpys_and_derivatives_those_of_differences(f):
    run = walk(f, (A,), in_place=True, keep_flat=True)
    (y,) = run.outputs
    np.testing.assert_array_equal(run.results()[0], f(A.copy()))
    g = rng.normal(size=A.shape)
    found = pull_back(run.graph, run.numbers, run.active, {y.index: g})[0]
    for place in np.ndindex(A.shape):
        step = np.zeros(A.shape)
        step[place] = 1e-6
        slope = np.sum(g * (f(A + step) - f(A - step))) / 2e-6
        np.testing.assert_allclose(found[place], slope, rtol=1e-6, atol=1e-7)


def test_a_number_without_axes_is_made_anew_as_in_python():
    def f(x):
        total = np.sum(x)
        kept = total
        total += 1.0
        return total * 10 + kept

    run = walk(f, (A,), in_place=True)
    np.testing.assert_allclose(run.results()[0], f(A))


def test_writes_to_views_are_refused_and_not_guessed():
    def transposed(x):
        y = x * 1.0
        t = y.T
        t[0] = 0
        return y

    def part(x):
        y = x * 1.0
        row = y[0]
        row += 1
        return y * 2

    for f in (transposed, part):
        with pytest.raises(InPlaceError, match="view"):
            walk(f, (A,), in_place=True)


def test_a_shape_that_numpy_refuses_is_refused():
    def f(x):
        y = x[:, :1] * 1.0
        y += x
        return y

    with pytest.raises(ValueError, match="hold"):
        walk(f, (A,), in_place=True)


def test_without_it_writes_are_errors_and_operators_make_new_values():
    with pytest.raises(InPlaceError, match="cannot be written to"):
        walk(set_entries, (A,))

    def f(x):
        y = z = x * 1.0
        y += 1
        return z

    np.testing.assert_array_equal(walk(f, (A,)).results()[0], A)  # as documented: a new value
