"""Programs drawn at random: every transform has to agree with every other and with differences."""

from __future__ import annotations

import numpy as np
import pytest
from every_op import difference

from chainrule import Spec, grad, hvp, jvp, ops, trace, vmap
from chainrule.graph import constants, read
from chainrule.transform import reverse, simplify

SHAPES = [(2, 3), (3,), (), (2, 1, 3), (4, 1), (3, 2)]
UNARY = [np.sin, np.tanh, np.square, ops.sigmoid, np.arctan, ops.softplus, np.negative, ops.gelu]
BINARY = [
    np.add,
    np.subtract,
    np.multiply,
    np.logaddexp,
    np.maximum,
    lambda a, b: a / (2 + np.sin(b)),
    lambda a, b: np.where(a > b, a, a * b),
]
ALONG = [
    lambda x, axis, rng: np.sum(x, axis=axis, keepdims=bool(rng.integers(2))),
    lambda x, axis, rng: np.mean(x, axis=axis),
    lambda x, axis, rng: np.max(x, axis=axis),
    lambda x, axis, rng: np.cumsum(x, axis=axis),
    lambda x, axis, rng: ops.softmax(x, axis=axis),
    lambda x, axis, rng: np.flip(x, axis),
    lambda x, axis, rng: np.roll(x, int(rng.integers(-3, 4)), axis),
    lambda x, axis, rng: np.concatenate([x, np.sin(x)], axis=axis),
    lambda x, axis, rng: np.take(x, rng.integers(-x.shape[axis], x.shape[axis], 3), axis=axis),
    lambda x, axis, rng: np.moveaxis(x, axis, 0)[::-1, None],
    lambda x, axis, rng: np.reshape(x, -1),
    lambda x, axis, rng: np.pad(x, 1, mode="edge"),
    lambda x, axis, rng: np.transpose(x, rng.permutation(x.ndim)),
    lambda x, axis, rng: x @ x.mT if x.ndim > 1 else np.outer(x, x),
]


def program(seed):
    """Return a function of two arrays that takes a random course, the same at every call."""

    def f(a, b):
        rng = np.random.default_rng(seed)
        values = [a, b]
        pick = lambda choices: choices[rng.integers(len(choices))]
        for _ in range(rng.integers(3, 9)):
            x, kind = pick(values), rng.integers(3)
            if kind == 0:
                y = pick(UNARY)(x)
            elif kind == 1:
                z = pick([*values, 1.7])
                y = pick(BINARY)(x, z if fits(x, z) else np.sum(z))
            elif x.ndim:
                y = pick(ALONG)(x, int(rng.integers(x.ndim)), rng)
            else:
                y = np.expand_dims(x, 0)
            values.append(y if y.size < 300 else np.mean(y))
        return np.sum(np.tanh(values[-1])) + 0.1 * np.sum(np.sin(values[-2]))

    return f


def fits(x, z):
    try:
        np.broadcast_shapes(x.shape, np.shape(z))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("seed", range(80))
def test_a_random_program(seed):
    rng = np.random.default_rng(seed + 1000)
    shapes = [SHAPES[rng.integers(len(SHAPES))] for _ in range(2)]
    xs = tuple(rng.uniform(-1.5, 1.5, shape) for shape in shapes)
    dxs = tuple(rng.normal(size=shape) for shape in shapes)
    f = program(seed)
    y, slopes = f(*xs), grad(f, (0, 1))(*xs)
    along = sum(np.sum(s * dx) for s, dx in zip(slopes, dxs, strict=True))

    value, dy = jvp(f, xs, dxs)
    assert value == pytest.approx(y, rel=1e-13)
    assert dy == pytest.approx(along, rel=1e-11, abs=1e-11)
    # close to a kink the wide step of the extrapolated difference straddles it, a small one not
    small = sum(
        sign * f(*[x + sign * 1e-6 * dx for x, dx in zip(xs, dxs, strict=True)]) for sign in (1, -1)
    )
    differences = np.array([difference(f, xs, dxs), small / 2e-6])
    assert np.min(np.abs(differences - along) / [1e-6, 1e-4]) < max(1, abs(along))

    graph = trace(f, *[Spec(shape) for shape in shapes]).check()
    backward = simplify(reverse(graph)).check()
    again = read(str(backward), constants(backward))
    for program_ in (backward, again):
        found = program_.evaluate(*xs, np.float64(1))
        assert found[0] == pytest.approx(y, rel=1e-13)
        for a, b in zip(found[1:], slopes, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)

    many = np.stack([xs[0], xs[0] + 0.1, xs[0] - 0.2])
    rows = vmap(grad(f, (0, 1)), (0, None))(many, xs[1])
    for i, x in enumerate(many):
        for a, b in zip(rows, grad(f, (0, 1))(x, xs[1]), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-10)

    turned = hvp(f, xs, dxs)
    twice = jvp(lambda *xs: jvp(f, xs, dxs)[1], xs, dxs)[1]
    total = sum(np.sum(h * dx) for h, dx in zip(turned, dxs, strict=True))
    assert total == pytest.approx(twice, rel=1e-9, abs=1e-9)
