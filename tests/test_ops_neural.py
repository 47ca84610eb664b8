"""Parts of networks, each against a direct loop or formula written without the library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from against_numpy import Row, check, table

from chainrule import Spec, grad, jacobian, ops, trace, value_and_grad, vmap
from chainrule.errors import ChainruleError, ShapeError

RNG = np.random.default_rng(0)


# ---------------------------------------------------------------- dropout


def test_dropout_keeps_the_mean_and_scales_what_stays():
    x = np.ones(100_000)
    for p in (0.1, 0.5, 0.9):
        y = ops.dropout(x, [3, 1], p)
        np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - p)])
        assert np.mean(y == 0) == pytest.approx(p, abs=0.01)
        assert np.mean(y) == pytest.approx(1, abs=0.03)


def test_dropout_follows_from_its_key_alone():
    x = RNG.normal(size=(20, 30))
    first = ops.dropout(x, [7, 0])
    np.testing.assert_array_equal(first, ops.dropout(x, np.array([7, 0])))
    for other in ([7, 1], [0, 7], [8, 0], [7], [7, 0, 0], [-7, 0]):
        assert np.any(first != ops.dropout(x, other))


def test_the_slope_of_dropout_is_its_mask():
    x = RNG.normal(size=50)
    y = ops.dropout(x, [1], 0.3)
    np.testing.assert_allclose(grad(lambda x: np.sum(ops.dropout(x, [1], 0.3)))(x), y / x)
    assert grad(lambda x: np.sum(ops.dropout(x, [1], 0.3)))(x.astype("f")).dtype == np.float32


def test_dropping_nothing_is_nothing_and_all_is_refused():
    x = RNG.normal(size=5)
    assert ops.dropout(x, [1], 0) is x
    for p in (1, -0.1, 1.5):
        with pytest.raises(ValueError, match="0 <= p < 1"):
            ops.dropout(x, [1], p)


def test_keys_that_differ_by_example_drop_differently():
    x, keys = np.ones((3, 40)), np.array([[1, 0], [1, 1], [1, 2]])
    rows = vmap(ops.dropout)(x, keys)
    np.testing.assert_array_equal(rows, [ops.dropout(a, k) for a, k in zip(x, keys, strict=True)])
    assert np.any(rows[0] != rows[1])


def test_uniform_numbers_are_uniform_and_independent_of_shape():
    u = ops.uniform(np.array([5]), shape=(300, 200))
    assert 0 <= u.min() < u.max() < 1
    np.testing.assert_allclose(np.histogram(u, 10, (0, 1))[0] / u.size, 0.1, atol=0.01)
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 0.02
    np.testing.assert_array_equal(u.ravel(), ops.uniform(np.array([5]), shape=(60_000,)))


# ---------------------------------------------------------------- norms


def standardised(x, axes, mean=None, variance=None):
    mean = x.mean(axis=axes, keepdims=True) if mean is None else mean
    variance = x.var(axis=axes, keepdims=True) if variance is None else variance
    return (x - mean) / np.sqrt(variance + 1e-5)


@pytest.mark.parametrize("axes", [(-1,), (1, 2), (0, 1, 2)])
def test_layer_norm(axes):
    x = RNG.normal(size=(3, 4, 5))
    np.testing.assert_allclose(ops.layer_norm(x, axes=axes), standardised(x, axes), atol=1e-12)
    w, b = RNG.normal(size=(2, 5))
    expected = standardised(x, -1) * w + b
    np.testing.assert_allclose(ops.layer_norm(x, w, b), expected, atol=1e-12)
    jac = jacobian(ops.layer_norm)(x[0, 0])
    np.testing.assert_allclose(jac.sum(axis=0), 0, atol=1e-12)  # the mean does not move
    assert np.all(np.isfinite(grad(lambda x: np.sum(ops.layer_norm(x) ** 2))(np.ones(4))))


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_batch_norm_with_and_without_running_statistics(shape):
    x = RNG.normal(size=shape)
    w, b, m = RNG.normal(size=(3, 3))
    v = RNG.uniform(0.5, 2, 3)
    axes = (0, *range(2, len(shape)))
    along = lambda p: p.reshape(-1, *[1] * (len(shape) - 2))
    y = ops.batch_norm(x)
    np.testing.assert_allclose(y, standardised(x, axes), atol=1e-12)
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(
        ops.batch_norm(x, w, b, m, v),
        standardised(x, axes, along(m), along(v)) * along(w) + along(b),
    )
    expected = standardised(x, axes, along(m), np.mean((x - along(m)) ** 2, axes, keepdims=True))
    np.testing.assert_allclose(ops.batch_norm(x, mean=m), expected)
    g = grad(lambda b: np.sum(ops.batch_norm(x, w, b, m, v)))(b)
    np.testing.assert_allclose(g, np.full(3, x.size / 3))
    check(Row("batch_norm", lambda x, w: np.tanh(ops.batch_norm(x, w)), (shape, (3,))))


# ---------------------------------------------------------------- unfold


def direct_patches(x, kernel, dilation, padding, stride):
    """Return the patches one by one."""
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = kernel, dilation, padding, stride
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2 * ph, w + 2 * pw))
    padded[:, :, ph : ph + h, pw : pw + w] = x
    columns = [
        padded[:, :, i : i + dh * (kh - 1) + 1 : dh, j : j + dw * (kw - 1) + 1 : dw].reshape(n, -1)
        for i in range(0, h + 2 * ph - dh * (kh - 1), sh)
        for j in range(0, w + 2 * pw - dw * (kw - 1), sw)
    ]
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_unfold_against_patches_one_by_one(kernel, dilation, padding, stride):
    x = RNG.normal(size=(2, 3, 6, 5))
    y = ops.unfold(x, kernel, dilation, padding, stride)
    np.testing.assert_array_equal(y, direct_patches(x, kernel, dilation, padding, stride))
    slope = grad(lambda x: np.sum(ops.unfold(x, kernel, dilation, padding, stride)))(x)
    counts = [  # in how many patches each entry lies
        np.sum(direct_patches(one.reshape(1, 1, 6, 5), kernel, dilation, padding, stride))
        for one in np.eye(30)
    ]
    np.testing.assert_array_equal(slope, np.broadcast_to(np.reshape(counts, (6, 5)), x.shape))


def test_a_convolution_by_unfolding_is_a_convolution():
    x, w = RNG.normal(size=(2, 3, 5, 6)), RNG.normal(size=(4, 3, 3, 2))

    def convolved(x, w):
        return np.reshape(w.reshape(4, -1) @ ops.unfold(x, (3, 2)), (x.shape[0], 4, 3, 5))

    direct = np.zeros((2, 4, 3, 5))
    for i, j in np.ndindex(3, 5):
        direct[:, :, i, j] = np.einsum("ncij,ocij->no", x[:, :, i : i + 3, j : j + 2], w)
    np.testing.assert_allclose(convolved(x, w), direct, atol=1e-13)
    check(Row("convolution", convolved, (x.shape, w.shape), order=1, by_shape=False))
    pooled = np.max(ops.unfold(x[:, :1], 2, stride=2).reshape(2, 4, 2, 3), axis=1)
    np.testing.assert_array_equal(pooled, x[:, 0, :4].reshape(2, 2, 2, 3, 2).max(axis=(2, 4)))


def test_unfold_refuses_what_does_not_fit():
    for x, kernel in [(np.ones((3, 4, 4)), 2), (np.ones((1, 1, 2, 4)), 3)]:
        with pytest.raises(ShapeError):
            ops.unfold(x, kernel)


# ---------------------------------------------------------------- activations and losses


def torch_gelu(x):
    """Hendrycks and Gimpel's formula, as PyTorch's approximate="tanh" has it."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


positive = (0.1, 0.9)
ACTIVATIONS = [
    ("gelu_tanh", ops.gelu_tanh, torch_gelu),
    ("hard_tanh", ops.hard_tanh, lambda x: np.minimum(np.maximum(x, -1.0), 1.0)),
    ("softsign", ops.softsign, lambda x: x / (1 + np.abs(x))),
    ("log_sigmoid", ops.log_sigmoid, scipy.special.log_expit),
    ("mish", ops.mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    ("silu", ops.silu, lambda x: x * scipy.special.expit(x)),
    ("gelu", ops.gelu, lambda x: x * scipy.special.ndtr(x)),
    ("elu", lambda x: ops.elu(x, alpha=0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    ("leaky", lambda x: ops.leaky_relu(x, slope=-0.2), lambda x: np.where(x > 0, x, -0.2 * x)),
]


@pytest.mark.parametrize(("name", "ours", "formula"), ACTIVATIONS, ids=[a[0] for a in ACTIVATIONS])
def test_activations_by_their_formulas(name, ours, formula):
    x = np.linspace(-3.1, 3, 40)
    np.testing.assert_allclose(ours(x), formula(x), rtol=1e-12, atol=1e-14)
    check(Row(name, ours, ((2, 7),)))


@table(
    Row("logit", scipy.special.logit, ((3, 4),), positive),
    Row("xlogy", scipy.special.xlogy, ((3, 4), (4,)), positive),
    Row("erfc", scipy.special.erfc, ((3, 4),)),
    Row("softmax", lambda x: ops.softmax(x, axis=0), ((3, 4),)),
    Row("cross-entropy", lambda x: ops.softmax_cross_entropy(x, np.array([2, 0])), ((2, 3),)),
)
def test_functions_of_scipy_and_losses(row):
    check(row)


def test_x_log_y_where_x_is_zero():
    f = scipy.special.xlogy
    for y in (0.0, -1.0, np.inf):
        value, slopes = value_and_grad(f, (0, 1))(0.0, y)
        assert (value, *slopes) == (f(0.0, y), 0, 0) == (0, 0, 0)
    assert value_and_grad(f, (0, 1))(0.0, 2.0) == (0, (np.log(2), 0))
    assert np.isnan(value_and_grad(f)(0.0, np.nan)[0])


def test_labels_that_are_no_class_are_refused():
    """A negative label would be read from the end, and its slope would not."""
    x = np.zeros((2, 3))
    for labels in ([0, 3], [0, -1]):
        with pytest.raises((ChainruleError, IndexError)):
            grad(lambda x, k=labels: np.sum(ops.softmax_cross_entropy(x, np.array(k))))(x)
    with pytest.raises(ShapeError):
        trace(ops.softmax_cross_entropy, Spec((2, 3)), Spec((2, 3), np.dtype(int)))
