"""NumPy code is differentiated as it stands: functions, methods, operators, indexing.

Every row of the tables is a function written with plain NumPy. It has to give NumPy's own value,
and derivatives in both modes that agree with central differences; float32 has to stay float32.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import chainrule as cr
from chainrule.errors import ChainruleError, ConversionError, NoOpError


@dataclass(frozen=True)
class Case:
    """A function of arrays, their shapes, and the interval that their elements come from."""

    name: str
    function: object
    shapes: tuple = ((3, 4),)
    interval: tuple = (-2.0, 2.0)

    def inputs(self, dtype=np.float64):
        """Shuffled, evenly spaced elements: no two are equal or near, and none is at a kink."""
        rng = np.random.default_rng(len(self.name))
        low, high = self.interval
        arrays = []
        for position, shape in enumerate(self.shapes):
            count = math.prod(shape)
            places = (rng.permutation(count) + 0.31 + 0.23 * position) / count
            arrays.append((low + (high - low) * places).reshape(shape).astype(dtype))
        return arrays


def fixed(like, *shape):
    """A plain array that is no argument, of the dtype of ``like``."""
    count = math.prod(shape)
    return np.cos(np.arange(1.0, count + 1)).reshape(shape).astype(like.dtype)


def along_line(f):
    """The derivative of f(t) at t = 0 by a five-point stencil, whose error is O(h⁴)."""
    h = 1e-3
    return (f(-2 * h) - 8 * f(-h) + 8 * f(h) - f(2 * h)) / (12 * h)


def central_difference(f, x):
    """The gradient of a scalar function, element by element."""
    units = np.eye(x.size).reshape(x.size, *x.shape)
    return np.reshape([along_line(lambda t, u=u: f(x + t * u)) for u in units], x.shape)


positive, inside, above_one = (0.4, 2.5), (-0.8, 0.8), (1.2, 3.0)
vector, square, column = ((4,),), ((3, 3),), ((3, 1),)
two, product = ((3, 4), (3, 4)), ((3, 4), (4, 2))


def spd(x):
    """A symmetric positive definite matrix made from any square one."""
    return x @ x.T + 2 * np.eye(x.shape[0], dtype=x.dtype)


def slogdet_sum(x):
    sign, logarithm = np.linalg.slogdet(x)
    return sign * logarithm


def in_place(x):
    y = 2 * x
    y += 1
    y *= x
    y -= 3
    y /= 2
    y **= 2
    return y


def loop(x):
    total = 0.0
    for k in range(3):
        total = total * x + k
    return total


def branch(x):
    return np.sin(x) if np.sum(x) > 0 else np.cos(x)


def newton(x):
    """Square root by iteration, until a test on values ends it."""
    root = x
    while np.max(np.abs(root * root - x)) > 50 * np.finfo(x.dtype).eps:
        root = 0.5 * (root + x / root)
    return root


def rows(x):
    return sum(row * k for k, row in enumerate(x))


def unpacked(x):
    first, second, third = x
    return first * second - third


def one_hot_loss(x):
    labels = np.array([1, 3, 0])
    return -np.sum(np.eye(4, dtype=x.dtype)[labels] * np.log(x), axis=1)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def standardised(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-5)


def attention(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[-1]).astype(q.dtype)) @ v


def recurrent(x, w, u):
    state, states = np.zeros(3, dtype=x.dtype), []
    for step in x:
        state = np.tanh(w @ step + u @ state)
        states.append(state)
    return np.stack(states)


def distances(x, y):
    return np.sqrt(np.sum((x[:, None] - y[None]) ** 2, axis=-1))


def gaussian(x, a):
    covariance = spd(a)
    quadratic = x @ np.linalg.solve(covariance, x)
    return -0.5 * (quadratic + np.linalg.slogdet(covariance)[1] + 3 * math.log(2 * math.pi))


ufuncs = [
    *(Case(f.__name__, f) for f in (
        np.sin, np.cos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.exp, np.exp2,
        np.expm1, np.negative, np.positive, np.square, np.absolute, np.fabs, np.deg2rad, np.rad2deg,
        np.sign, np.floor, np.ceil, np.rint, np.trunc,
    )),
    *(Case(f.__name__, f, interval=positive) for f in (
        np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt, np.reciprocal,
    )),
    *(Case(f.__name__, f, interval=inside) for f in (np.tan, np.arcsin, np.arccos, np.arctanh)),
    Case("arccosh", np.arccosh, interval=above_one),
    *(Case(f"scipy {f.__name__}", f) for f in (
        scipy.special.expit, scipy.special.erf, scipy.special.expm1, scipy.special.exp2,
    )),
]  # fmt: skip

binary = [
    Case(f"{name}, {form}", function, shapes, interval)
    for ufunc, interval in (
        (np.add, (-2, 2)), (np.subtract, (-2, 2)), (np.multiply, (-2, 2)), (np.divide, positive),
        (np.power, positive), (np.maximum, (-2, 2)), (np.minimum, (-2, 2)), (np.hypot, positive),
        (np.logaddexp, (-2, 2)), (np.arctan2, positive), (np.fmax, (-2, 2)), (np.fmin, (-2, 2)),
    )
    for name in (ufunc.__name__,)
    for form, function, shapes in (
        ("two arrays", ufunc, two),
        ("broadcasting", ufunc, ((3, 1), (4,))),
        ("array on the left", lambda x, f=ufunc: f(np.abs(fixed(x, 3, 4)) + 0.5, x), ((3, 4),)),
        ("array on the right", lambda x, f=ufunc: f(x, np.abs(fixed(x, 4)) + 0.5), ((3, 4),)),
        ("number on the left", lambda x, f=ufunc: f(1.7, x), ((3, 4),)),
        ("number on the right", lambda x, f=ufunc: f(x, 1.7), ((3, 4),)),
    )
]  # fmt: skip

operators = [
    Case("x + y", lambda x, y: x + y, two),
    Case("x - y", lambda x, y: x - y, ((3, 1), (4,))),
    Case("x * y", lambda x, y: x * y, ((), (3, 4))),
    Case("x / y", lambda x, y: x / y, two, positive),
    Case("x ** y", lambda x, y: x**y, two, positive),
    Case("-x", lambda x: -x),
    Case("+x", lambda x: +x),
    Case("abs(x)", abs),
    Case("2 + x", lambda x: 2 + x),
    Case("2 - x", lambda x: 2 - x),
    Case("2 * x", lambda x: 2 * x),
    Case("2 / x", lambda x: 2 / x, interval=positive),
    Case("2 ** x", lambda x: 2**x),
    Case("x ** 3", lambda x: x**3),
    Case("x ** 0.5", lambda x: x**0.5, interval=positive),
    Case("x ** -1", lambda x: x**-1, interval=positive),
    Case("x % 0.7", lambda x: x % 0.7),
    Case("x // 0.7", lambda x: x // 0.7),
    Case("array + x", lambda x: fixed(x, 3, 4) + x),
    Case("array - x", lambda x: fixed(x, 4) - x),
    Case("array * x", lambda x: fixed(x, 3, 1) * x),
    Case("array / x", lambda x: fixed(x, 3, 4) / x, interval=positive),
    Case("array ** x", lambda x: np.abs(fixed(x, 3, 4)) ** x),
    Case("x - array", lambda x: x - fixed(x, 2, 3, 4)),
    Case("numpy scalar * x", lambda x: x.dtype.type(3) * x),
    Case("integer array * x", lambda x: np.arange(4, dtype=np.int8) * x),
    Case("boolean array * x", lambda x: (np.arange(4) > 1) * x),
    Case("x @ y", lambda x, y: x @ y, product),
    Case("x @ x.T", lambda x: x @ x.T),
    Case("vector @ matrix", lambda x, y: x @ y, ((3,), (3, 4))),
    Case("matrix @ vector", lambda x, y: x @ y, ((3, 4), (4,))),
    Case("vector @ vector", lambda x, y: x @ y, ((4,), (4,))),
    Case("batch @ matrix", lambda x, y: x @ y, ((2, 3, 4), (4, 2))),
    Case("batch @ batch", lambda x, y: x @ y, ((2, 1, 3, 4), (5, 4, 2))),
    Case("array @ x", lambda x: fixed(x, 5, 3) @ x),
    Case("x @ array", lambda x: x @ fixed(x, 4, 2)),
    Case("array vector @ x", lambda x: fixed(x, 3) @ x),
    Case("in place on a local name", in_place),
]

indexing = [
    Case("x[0]", lambda x: x[0]),
    Case("x[-1, 2]", lambda x: x[-1, 2]),
    Case("x[1:, ::-2]", lambda x: x[1:, ::-2]),
    Case("x[..., 1]", lambda x: x[..., 1]),
    Case("x[:, None]", lambda x: x[:, None]),
    Case("x[()]", lambda x: x[()], ((),)),
    Case("x[list]", lambda x: x[[2, 0, 2]]),
    Case("x[array]", lambda x: x[np.array([[0, 1], [1, 2]])]),
    Case("x[range, array]", lambda x: x[range(3), np.array([3, 0, 3])]),
    Case("x[arange, list]", lambda x: x[np.arange(3), [3, 0, 3]]),
    Case("x[:, array]", lambda x: x[:, np.array([1, 1, 3])]),
    Case("x[array, :, array]", lambda x: x[np.array([0, 1]), :, np.array([2, 2])], ((2, 3, 4),)),
    Case("x[slice, None, array]", lambda x: x[1:, None, np.array([0, 0])]),
    Case("x[np.ix_]", lambda x: x[np.ix_([0, 2], [1, 3])]),
    Case("x[rows mask]", lambda x: x[np.array([True, False, True])]),
    Case("x[mask]", lambda x: x[fixed(x, 3, 4) > 0]),
    Case("x[x > 0]", lambda x: x[x > 0]),
    Case("x[argmax]", lambda x: x[np.arange(3), np.argmax(x, axis=1)]),
    Case("x[argsort]", lambda x: x[np.argsort(x)], vector),
    Case("x[np.where(x > 0)]", lambda x: x[np.where(x > 0)]),
    Case("x[numpy integer]", lambda x: x[np.int64(1)]),
    Case("np.eye(C)[y]", one_hot_loss, interval=positive),
    Case("for row in x", rows),
    Case("unpacking", unpacked),
]

methods = [
    Case("x.T", lambda x: x.T),
    Case("x.mT", lambda x: x.mT, ((2, 3, 4),)),
    Case("x.sum()", lambda x: x.sum()),
    Case("x.sum(0)", lambda x: x.sum(0)),
    Case("x.sum(axis=1, keepdims=True)", lambda x: x.sum(axis=1, keepdims=True)),
    Case("x.mean()", lambda x: x.mean()),
    Case("x.mean(axis=0)", lambda x: x.mean(axis=0)),
    Case("x.reshape(2, 6)", lambda x: x.reshape(2, 6)),
    Case("x.reshape((4, -1))", lambda x: x.reshape((4, -1))),
    Case("x.reshape(-1)", lambda x: x.reshape(-1)),
    Case("x.dot(y)", lambda x, y: x.dot(y), product),
    Case("x.dot(array)", lambda x: x.dot(fixed(x, 4, 2))),
    Case("x.flatten()", lambda x: x.flatten()),
    Case("x.ravel()", lambda x: x.ravel()),
    Case("x.transpose()", lambda x: x.transpose()),
    Case("x.transpose(2, 0, 1)", lambda x: x.transpose(2, 0, 1), ((2, 3, 4),)),
    Case("x.transpose((1, 0))", lambda x: x.transpose((1, 0))),
    Case("x.swapaxes(0, 2)", lambda x: x.swapaxes(0, 2), ((2, 3, 4),)),
    Case("x.squeeze()", lambda x: x.squeeze(), ((1, 3, 1),)),
    Case("x.squeeze(axis=0)", lambda x: x.squeeze(axis=0), ((1, 3, 1),)),
    Case("x.max()", lambda x: x.max()),
    Case("x.max(axis=1)", lambda x: x.max(axis=1)),
    Case("x.min(axis=0, keepdims=True)", lambda x: x.min(axis=0, keepdims=True)),
    Case("x.std()", lambda x: x.std()),
    Case("x.std(axis=1, ddof=1)", lambda x: x.std(axis=1, ddof=1)),
    Case("x.var(axis=0)", lambda x: x.var(axis=0)),
    Case("x.prod(axis=1)", lambda x: x.prod(axis=1)),
    Case("x.clip(-1, 1)", lambda x: x.clip(-1, 1)),
    Case("x.cumsum()", lambda x: x.cumsum()),
    Case("x.cumsum(axis=1)", lambda x: x.cumsum(axis=1)),
    Case("x.cumprod(axis=0)", lambda x: x.cumprod(axis=0)),
    Case("x.astype(x.dtype)", lambda x: x.astype(x.dtype)),
    Case("x.copy()", lambda x: x.copy()),
    Case("x.take([0, 0], axis=1)", lambda x: x.take([0, 0], axis=1)),
    Case("x.repeat(2, axis=0)", lambda x: x.repeat(2, axis=0)),
    Case("x.diagonal()", lambda x: x.diagonal()),
    Case("x.trace()", lambda x: x.trace()),
    Case("x.round()", lambda x: x.round()),
    Case("methods chained", lambda x: ((x - x.mean(0)) / x.std(0)).dot(x.T).max(1)),
]

reductions = [
    Case("np.sum", np.sum),
    Case("np.sum over two axes", lambda x: np.sum(x, axis=(0, -1)), ((2, 3, 4),)),
    Case("np.mean over the last", lambda x: np.mean(x, axis=-1, keepdims=True)),
    Case("np.average", np.average),
    Case("np.prod", np.prod),
    Case("np.max", np.max),
    Case("np.amin over an axis", lambda x: np.amin(x, axis=1)),
    Case("np.ptp", lambda x: np.max(x, axis=0) - np.min(x, axis=0)),
    Case("np.var with ddof", lambda x: np.var(x, axis=1, ddof=1)),
    Case("np.std", np.std),
    Case("np.cumsum", lambda x: np.cumsum(x, axis=0)),
    Case("np.cumprod", lambda x: np.cumprod(x, axis=1)),
    Case("np.trace", np.trace),
    Case("np.add.reduce", np.add.reduce),
    Case("np.add.reduce over all", lambda x: np.add.reduce(x, axis=None)),
    Case("np.multiply.reduce", lambda x: np.multiply.reduce(x, axis=1)),
    Case("np.maximum.reduce", lambda x: np.maximum.reduce(x, axis=1)),
    Case("np.minimum.reduce", np.minimum.reduce),
]

shape_changes = [
    Case("np.reshape", lambda x: np.reshape(x, (6, 2))),
    Case("np.ravel", np.ravel),
    Case("np.transpose", np.transpose),
    Case("np.transpose axes", lambda x: np.transpose(x, (1, 2, 0)), ((2, 3, 4),)),
    Case("np.swapaxes", lambda x: np.swapaxes(x, 0, 1)),
    Case("np.moveaxis", lambda x: np.moveaxis(x, 0, -1), ((2, 3, 4),)),
    Case("np.expand_dims", lambda x: np.expand_dims(x, (0, 2))),
    Case("np.squeeze", np.squeeze, ((3, 1, 2),)),
    Case("np.broadcast_to", lambda x: np.broadcast_to(x, (2, 3, 4)), ((3, 1),)),
    Case("np.concatenate", lambda x, y: np.concatenate([x, y, x], axis=1), ((2, 3), (2, 1))),
    Case("np.concatenate with arrays", lambda x: np.concatenate([fixed(x, 1, 4), x])),
    Case("np.stack", lambda x, y: np.stack([x, y], axis=1), two),
    Case("np.vstack", lambda x, y: np.vstack([x, y]), ((4,), (4,))),
    Case("np.hstack", lambda x, y: np.hstack([x, y]), ((4,), (3,))),
    Case("np.split", lambda x: np.split(x, 2, axis=1)[1]),
    Case("np.split at places", lambda x: np.split(x, [1, 3])[1], ((4, 2),)),
    Case("np.pad", lambda x: np.pad(x, ((1, 0), (2, 1)))),
    Case("np.flip", lambda x: np.flip(x, axis=1)),
    Case("np.roll", lambda x: np.roll(x, 2, axis=1)),
    Case("np.tile", lambda x: np.tile(x, (2, 1, 2))),
    Case("np.repeat", lambda x: np.repeat(x, 3, axis=0)),
    Case("np.tril", lambda x: np.tril(x, -1), square),
    Case("np.triu", np.triu, square),
    Case("np.diag of a vector", np.diag, vector),
    Case("np.diag of a matrix", np.diag, square),
    Case("np.sort", lambda x: np.sort(x, axis=1)),
    Case("np.take", lambda x: np.take(x, [3, 1, 1], axis=1)),
    Case(
        "np.take_along_axis",
        lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0),
    ),
    Case("np.atleast_2d", np.atleast_2d, vector),
]

choices = [
    Case("np.where", lambda x, y: np.where(fixed(x, 3, 4) > 0, x, y), two),
    Case("np.where on the value", lambda x: np.where(x > 0, np.exp(x), x)),
    Case("np.where broadcasting", lambda x, y: np.where(fixed(x, 4) > 0, x, y), ((3, 1), (4,))),
    Case("np.where with numbers", lambda x: np.where(x < 0.5, x, 0)),
    Case("np.clip", lambda x: np.clip(x, -1, 1.1)),
    Case("np.maximum(0, x)", lambda x: np.maximum(0, x)),
    Case("np.zeros_like", lambda x: x + np.zeros_like(x)),
    Case("np.ones_like", lambda x: np.exp(x) * np.ones_like(x)),
    Case("np.full_like", lambda x: x * np.full_like(x, 3)),
    Case("np.shape, np.ndim, np.size", lambda x: x * np.shape(x)[0] / np.ndim(x) / np.size(x)),
    Case("len, shape, ndim, size", lambda x: x * len(x) / x.shape[1] / x.ndim / x.size),
    Case("mask * x", lambda x: (x > 0) * x),
    Case("np.argmax", lambda x: x.reshape(-1)[np.argmax(x)]),
    Case("branch", branch),
    Case("loop", loop),
    Case("loop until a value is small", newton, vector, positive),
]

products = [
    Case("np.dot", np.dot, product),
    Case("np.dot(array, x)", lambda x: np.dot(fixed(x, 5, 3), x)),
    Case("np.dot(x, array)", lambda x: np.dot(x, fixed(x, 4))),
    Case("np.dot(scalar, x)", lambda x: np.dot(x.dtype.type(2), x)),
    Case("np.matmul", np.matmul, product),
    Case("np.matmul(array, x)", lambda x: np.matmul(fixed(x, 2, 5, 3), x)),
    Case("np.inner", np.inner, ((2, 4), (3, 4))),
    Case("np.outer", np.outer, ((3,), (4,))),
    Case("np.outer(array, x)", lambda x: np.outer(fixed(x, 2), x), vector),
    Case("np.vdot", np.vdot, ((4,), (4,))),
    Case("np.tensordot", lambda x, y: np.tensordot(x, y, axes=1), product),
    Case(
        "np.tensordot over pairs",
        lambda x, y: np.tensordot(x, y, axes=([1, 0], [0, 1])),
        ((2, 3, 4), (3, 2)),
    ),
    Case("np.einsum product", lambda x, y: np.einsum("ij,jk->ik", x, y), product),
    Case("np.einsum implicit", lambda x, y: np.einsum("ij,jk", x, y), product),
    Case("np.einsum trace", lambda x: np.einsum("ii", x), square),
    Case("np.einsum row sums", lambda x: np.einsum("ij->i", x)),
    Case("np.einsum transpose", lambda x: np.einsum("ij->ji", x)),
    Case("np.einsum with an array", lambda x: np.einsum("bij,jk->bik", fixed(x, 2, 5, 3), x)),
    Case(
        "np.einsum of three",
        lambda x, y, z: np.einsum("ij,jk,k->i", x, y, z),
        ((2, 3), (3, 4), (4,)),
    ),
    Case("np.einsum ellipsis", lambda x: np.einsum("...i,i->...", x, fixed(x, 4))),
    Case("np.cross by parts", lambda x, y: x[[1, 2, 0]] * y[[2, 0, 1]], ((3,), (3,))),
]

linear_algebra = [
    Case("np.linalg.norm", np.linalg.norm),
    Case("np.linalg.norm over an axis", lambda x: np.linalg.norm(x, axis=1, keepdims=True)),
    Case("np.linalg.solve", lambda x, y: np.linalg.solve(spd(x), y), ((3, 3), (3, 2))),
    Case("np.linalg.solve a vector", lambda x, y: np.linalg.solve(spd(x), y), ((3, 3), (3,))),
    Case("np.linalg.solve(array, x)", lambda x: np.linalg.solve(spd(fixed(x, 3, 3)), x)),
    Case("np.linalg.inv", lambda x: np.linalg.inv(spd(x)), square),
    Case("np.linalg.inv of a batch", lambda x: np.linalg.inv(x + 9 * np.eye(3, dtype=x.dtype)),
         ((2, 3, 3),)),
    Case("np.linalg.det", np.linalg.det, square),
    Case("np.linalg.slogdet", slogdet_sum, square),
    Case("np.linalg.slogdet field", lambda x: np.linalg.slogdet(x).logabsdet, square),
    Case("np.linalg.cholesky", lambda x: np.linalg.cholesky(spd(x)), square),
]  # fmt: skip

programs = [
    Case("softmax", softmax),
    Case("standardised rows", standardised),
    Case("attention", attention, ((3, 4), (5, 4), (5, 2))),
    Case("recurrent network", recurrent, ((5, 2), (3, 2), (3, 3))),
    Case("moving average by slices", lambda x: (x[:-2] + x[1:-1] + x[2:]) / 3, ((6, 2),)),
    Case("pairwise distances", distances, ((3, 2), (4, 2))),
    Case("gaussian log-density", gaussian, ((3,), (3, 3))),
]

cases = [
    *ufuncs, *binary, *operators, *indexing, *methods, *reductions, *shape_changes, *choices,
    *products, *linear_algebra, *programs,
]  # fmt: skip
every_case = pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def test_case_names_are_distinct():
    assert len({case.name for case in cases}) == len(cases)


@every_case
def test_value_and_derivatives(case):
    """NumPy's value; the gradient of a random projection in reverse; its slope in forward."""
    inputs = case.inputs()
    expected = case.function(*inputs)
    rng = np.random.default_rng(5)
    weights = rng.normal(size=np.shape(expected))
    tangents = tuple(rng.normal(size=x.shape) for x in inputs)

    value, pull = cr.vjp(case.function, *inputs)
    assert type(value) is type(expected)
    assert value.shape == np.shape(expected)
    assert_allclose(value, expected, rtol=1e-14, atol=1e-15)

    gradients = pull(weights)
    for position, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):

        def projection(moved, position=position):
            arrays = [*inputs[:position], moved, *inputs[position + 1 :]]
            return np.sum(weights * case.function(*arrays))

        assert gradient.dtype == np.float64
        assert_allclose(gradient, central_difference(projection, x), rtol=1e-8, atol=1e-9)

    value, dy = cr.jvp(case.function, tuple(inputs), tangents)
    assert_allclose(value, expected, rtol=1e-14, atol=1e-15)
    along = sum(np.sum(g * dx) for g, dx in zip(gradients, tangents, strict=True))
    assert_allclose(np.sum(weights * dy), along, rtol=1e-11, atol=1e-12)


@every_case
def test_second_derivative(case):
    """The tangent of the gradient, against differences of the gradient along the same line."""
    inputs = case.inputs()
    rng = np.random.default_rng(6)
    weights = rng.normal(size=np.shape(case.function(*inputs)))
    tangents = tuple(rng.uniform(-0.5, 0.5, size=x.shape) for x in inputs)
    gradient = cr.grad(lambda *xs: np.sum(weights * case.function(*xs)), argnums=range(len(inputs)))

    _, second = cr.jvp(gradient, tuple(inputs), tangents)
    for k, dg in enumerate(second):

        def moved(t, k=k):
            return gradient(*(x + t * dx for x, dx in zip(inputs, tangents, strict=True)))[k]

        assert_allclose(dg, along_line(moved), rtol=1e-7, atol=1e-8)


@every_case
def test_float32_stays_float32(case):
    inputs = case.inputs(np.float32)
    expected = case.function(*inputs)
    assert expected.dtype == np.float32, "NumPy itself leaves float32 here: the case is at fault"
    value, pull = cr.vjp(case.function, *inputs)
    gradients = pull(np.ones_like(expected))
    _, dy = cr.jvp(case.function, tuple(inputs), tuple(np.ones_like(x) for x in inputs))
    assert {value.dtype, dy.dtype, *(g.dtype for g in gradients)} == {np.dtype(np.float32)}
    assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


point = np.array([0.5, 1.5, 2.5])


class TestConcreteArguments:
    """What nothing differentiates stays, or falls through to, plain NumPy."""

    def test_integers_and_booleans_are_not_traced(self):
        def f(x, count, flag, labels, mask):
            assert type(count) is int
            assert flag is True
            assert type(labels) is type(mask) is np.ndarray
            picked = x[np.arange(3), labels] if flag else x
            return sum(np.sum(picked[mask]) for _ in range(count))

        labels, mask = np.array([0, 3, 3]), np.array([True, False, True])
        gradient = cr.grad(f)(np.ones((3, 4)), 2, True, labels, mask)
        assert_array_equal(gradient, 2 * np.eye(4)[labels] * mask[:, None])

    def test_other_float_arguments_are_traced_too(self):
        """``x.dot(w)`` with a plain x would not reach ``w``."""
        gradient = cr.grad(lambda w, x: np.sum(x.dot(w)))(np.ones(4), np.arange(12.0).reshape(3, 4))
        assert_array_equal(gradient, [12, 15, 18, 21])

    def test_a_function_without_an_op_of_what_is_not_differentiated(self):
        x = np.array([1.0, 2.0, 4.0])
        gradient = cr.grad(lambda w, x: np.sum(w * np.nancumsum(x)))(np.ones(3), x)
        assert_array_equal(gradient, [1, 3, 7])

    def test_a_cast_is_undone_on_the_way_back(self):
        y, pull = cr.vjp(lambda x: x.astype(np.float32) * np.float32(3), np.ones(2))
        (gradient,) = pull(np.ones(2, dtype=np.float32))
        assert (y.dtype, gradient.dtype) == (np.float32, np.float64)
        assert_array_equal(gradient, [3, 3])

    def test_comparisons_index_and_mask_as_arrays_do(self):
        table = np.array([10.0, 20.0])
        gradient = cr.grad(lambda x: np.sum(x * table[x > 0.5]) + table[np.argmax(x)] * x[0])
        assert_array_equal(gradient(np.array([1.0, 2.0])), [10 + 20, 20])

    @pytest.mark.parametrize(
        ("ask", "answer"),
        [
            pytest.param(lambda x: np.allclose(x, x), True, id="allclose"),
            pytest.param(lambda x: np.array_equal(x, -x), False, id="array_equal"),
            pytest.param(lambda x: np.isclose(x, 0.5).sum(), 1, id="isclose"),
            pytest.param(lambda x: np.isfinite(x).all(), True, id="isfinite"),
            pytest.param(np.count_nonzero, 3, id="count_nonzero"),
            pytest.param(lambda x: np.nonzero(x)[0][-1], 2, id="nonzero"),
            pytest.param(lambda x: f"{x[0]:.2f}", "0.50", id="format"),
            pytest.param(lambda x: np.result_type(x, np.float32), np.float64, id="result_type"),
        ],
    )
    def test_questions_about_a_traced_value_lose_no_derivative(self, ask, answer):
        def f(x):
            assert ask(x) == answer
            return np.sum(x)

        assert_array_equal(cr.grad(f)(point), np.ones(3))

    def test_lists_and_nested_lists(self):
        x = np.ones((2, 2))
        assert_array_equal(cr.grad(lambda x: np.sum([1.0, 2.0] * x))(x), [[1, 2], [1, 2]])
        gradient = cr.grad(lambda x: np.sum(np.multiply(x, [[10], [100]]) @ [1, 2]))(x)
        assert_array_equal(gradient, [[10, 20], [100, 200]])


class TestLaterWrites:
    """The caller may change an array after the forward walk; the backward walk does not see it."""

    def test_to_a_constant(self):
        scale = np.ones(3)

        def f(x):
            y = x * scale
            scale[:] = 100
            return np.sum(y)

        assert_array_equal(cr.grad(f)(np.zeros(3)), [1, 1, 1])

    def test_to_an_argument_and_a_result(self):
        x = np.array([1.0, 2.0])
        y, pull = cr.vjp(lambda x: np.exp(x) * x, x)
        (before,) = pull(np.ones(2))
        expected = before.copy()
        x[:], y[:], before[:] = 0, 0, 0
        assert_array_equal(pull(np.ones(2))[0], expected)


@pytest.mark.parametrize(
    ("f", "name", "nearest"),
    [
        (np.nancumsum, "np.nancumsum", "np.nansum"),
        (np.nanprod, "np.nanprod", "np.prod"),
        (lambda x: x[np.nanargmax(x)], "np.nanargmax", "np.argmax"),
        (lambda x: np.linalg.eigvalsh(np.outer(x, x)), "np.linalg.eigvalsh", "np."),
        (np.hypot.reduce, "np.hypot.reduce", "np."),
        (lambda x: np.exp(x, where=x > 1), "np.exp", "where"),
        (lambda x: np.mean(x, where=x > 1), "np.mean", "where"),
        (lambda x: np.subtract.outer(x, x), "np.subtract.outer", "np.subtract"),
        (scipy.special.gammaln, "gammaln", "np."),
    ],
    ids=[
        "nancumsum",
        "nanprod",
        "nanargmax",
        "eigvalsh",
        "reduce",
        "exp where",
        "mean where",
        "outer",
        "gammaln",
    ],
)
def test_no_op_names_the_function_and_what_there_is(f, name, nearest):
    with pytest.raises(NoOpError) as caught:
        cr.grad(lambda x: np.sum(f(x)))(point)
    assert name in caught.value.what
    assert nearest in str(caught.value)
    assert "test_numpy_unchanged.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("f", "instead"),
    [
        (lambda x: np.array([x[0], x[1]]), "np.stack"),
        (lambda x: np.array([x[0], 1.0], dtype=object), "np.stack"),
        (np.asarray, "np."),
        (lambda x: fixed(x, 3)[x], "ops.take"),
        (lambda x: fixed(x, 3).dot(x), "np.dot"),
        (lambda x: math.sin(x[0]), "np.sin"),
        (lambda x: float(x[0]), "stop_gradient"),
        (lambda x: x[0].item(), "stop_gradient"),
        (lambda x: x.tolist(), "stop_gradient"),
    ],
    ids=["array", "object", "asarray", "index", "dot", "math", "float", "item", "tolist"],
)
def test_a_lost_derivative_is_an_error_with_a_way_out(f, instead):
    with pytest.raises(ConversionError) as caught:
        cr.grad(lambda x: np.sum(f(x)))(point)
    assert instead in str(caught.value)
    assert "test_numpy_unchanged.py:" in str(caught.value)


def test_writing_one_element_into_an_array_is_an_error():
    """NumPy reports this in its own words; ours, with the way out, take their place."""

    def f(x):
        np.zeros(3)[0] = x[0]

    with pytest.raises(ConversionError, match="would lose its derivative"):
        cr.grad(f)(point)


def write_element(x):
    x[0] = 1.0


def write_slice_into_array(x):
    np.zeros(3)[:] = x


def add_into_array(x):
    total = np.zeros(3)
    total += x


@pytest.mark.parametrize(
    "write",
    [
        write_element,
        write_slice_into_array,
        add_into_array,
        lambda x: np.add(x, 1, out=np.zeros(3)),
        lambda x: np.sum(x, out=np.zeros(())),
        lambda x: np.add.at(np.zeros(3), [0, 0, 1], x),
        lambda x: np.copyto(np.zeros(3), x),
        lambda x: x.sort(),
        lambda x: x.fill(0.0),
    ],
    ids=["element", "slice", "+=", "out", "out of sum", "add.at", "copyto", "sort", "fill"],
)
def test_in_place_writes_are_errors(write):
    """Writing to a traced value, or a traced value into an array, would lose a derivative."""

    def f(x):
        write(x)
        return np.sum(x)

    with pytest.raises(ChainruleError) as caught:
        cr.grad(f)(point)
    assert "test_numpy_unchanged.py:" in str(caught.value)
