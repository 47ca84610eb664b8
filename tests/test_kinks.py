"""What a derivative is where there is none: every convention at a kink, in both modes.

``slopes`` gives the whole Jacobian of a function at a point: by ``grad`` of each output in turn,
or by ``jvp`` along each input in turn.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import chainrule as cr
from chainrule import ops


def by_reverse(f, x):
    y = np.asarray(f(x))
    rows = [cr.grad(lambda x, k=k: np.ravel(f(x))[k])(x) for k in range(y.size)]
    return np.reshape(rows, y.shape + x.shape)


def by_forward(f, x):
    columns = [cr.jvp(f, (x,), (e.reshape(x.shape),))[1] for e in np.eye(x.size)]
    return np.stack(columns, axis=-1).reshape(np.shape(f(x)) + x.shape)


@pytest.fixture(params=[by_reverse, by_forward], ids=["reverse", "forward"])
def slopes(request):
    """The Jacobian of f at x, in one mode."""
    return lambda f, x: request.param(f, np.asarray(x, dtype=np.float64))


elementwise_kinks = [
    ("relu", ops.relu, [-1, 0, 2], [0, 0, 1]),
    ("leaky_relu", ops.leaky_relu, [-1, 0, 2], [0.01, 0.01, 1]),
    ("elu", ops.elu, [-1, 0, 2], [np.exp(-1), 1, 1]),
    ("relu6", ops.relu6, [-1, 0, 3, 6, 7], [0, 0, 1, 0, 0]),
    ("abs", np.abs, [-2, 0, 2], [-1, 0, 1]),
    ("builtin abs", abs, [-2, 0, 2], [-1, 0, 1]),
    ("fabs", np.fabs, [-2, 0, 2], [-1, 0, 1]),
    ("sign", np.sign, [-2, 0, 2], [0, 0, 0]),
    ("floor", np.floor, [-1, 0, 0.5], [0, 0, 0]),
    ("maximum(0, x)", lambda x: np.maximum(0, x), [-1, 0, 2], [0, 0, 1]),
    ("maximum(x, 0)", lambda x: np.maximum(x, 0), [-1, 0, 2], [0, 0, 1]),
    ("maximum(0.0, x)", lambda x: np.maximum(0.0, x), [-1, 0, 2], [0, 0, 1]),
    ("maximum(x, 0.0)", lambda x: np.maximum(x, 0.0), [-1, 0, 2], [0, 0, 1]),
    ("maximum(zeros, x)", lambda x: np.maximum(np.zeros(3), x), [-1, 0, 2], [0, 0.5, 1]),
    ("maximum(x, x)", lambda x: np.maximum(x, x), [-1, 0, 2], [1, 1, 1]),
    ("minimum(x, x)", lambda x: np.minimum(x, x), [-1, 0, 2], [1, 1, 1]),
    ("clip", lambda x: np.clip(x, -1, 2), [-3, -1, 0, 2, 3], [0, 0, 1, 0, 0]),
    ("clip method", lambda x: x.clip(-1, 2), [-3, -1, 0, 2, 3], [0, 0, 1, 0, 0]),
    ("clip from below", lambda x: np.clip(x, 0, None), [-1, 0, 2], [0, 0, 1]),
    ("clip from above", lambda x: np.clip(x, None, 0), [-1, 0, 2], [1, 0, 0]),
    ("x**2", lambda x: x**2, [-1, 0, 2], [-2, 0, 4]),
    ("x**1", lambda x: x**1, [-1, 0, 2], [1, 1, 1]),
    ("x**0", lambda x: x**0, [-1, 0, 2], [0, 0, 0]),
]


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [row[1:] for row in elementwise_kinks],
    ids=[row[0] for row in elementwise_kinks],
)
def test_elementwise(slopes, f, x, expected):
    assert_allclose(slopes(f, x), np.diag(expected), rtol=1e-15)


@pytest.mark.parametrize(("extreme", "rival"), [(np.maximum, 1.0), (np.minimum, -1.0)])
def test_a_tie_of_two_arrays_is_shared(slopes, extreme, rival):
    """Each of the tied operands gets one half; where there is no tie the winner gets all."""
    a, b = np.array([0.0, 3.0, rival]), np.array([rival, 3.0, 0.0])
    for_a = slopes(lambda a: extreme(a, b), a)
    for_b = slopes(lambda b: extreme(a, b), b)
    assert_array_equal(for_a, np.diag([0, 0.5, 1]))
    assert_array_equal(for_b, np.diag([1, 0.5, 0]))


@pytest.mark.parametrize("sign", [1, -1], ids=["max", "min"])
class TestExtremeOverAnAxis:
    """Tied elements share the slope equally, so that it sums to 1."""

    def extreme(self, sign, x, **kwargs):
        return (np.max if sign == 1 else np.min)(x, **kwargs)

    def test_over_everything(self, slopes, sign):
        x = sign * np.array([[3.0, 1.0], [3.0, 3.0]])
        expected = np.array([[1, 0], [1, 1]]) / 3
        assert_allclose(slopes(lambda x: self.extreme(sign, x), x), expected, rtol=1e-15)

    def test_row_by_row(self, slopes, sign):
        x = sign * np.array([[2.0, 2.0, 1.0], [0.0, 5.0, 4.0]])
        expected = np.zeros((2, 2, 3))
        expected[0, 0] = [0.5, 0.5, 0]
        expected[1, 1] = [0, 1, 0]
        assert_array_equal(slopes(lambda x: self.extreme(sign, x, axis=1), x), expected)

    def test_as_a_reduction_of_the_ufunc(self, slopes, sign):
        x = sign * np.array([4.0, 4.0, 1.0, 4.0])
        ufunc = np.maximum if sign == 1 else np.minimum
        expected = np.array([1, 1, 0, 1]) / 3
        assert_allclose(slopes(ufunc.reduce, x), expected, rtol=1e-15)


class TestNormAndSpread:
    """0 at 0, where the norm and the standard deviation have a cone's tip."""

    @pytest.mark.parametrize(
        "f",
        [
            np.linalg.norm,
            lambda x: np.linalg.norm(x, axis=0),
            np.std,
            lambda x: np.std(x, ddof=1),
            lambda x: x.std(),
            np.var,
        ],
        ids=["norm", "norm over an axis", "std", "std with ddof", "std method", "var"],
    )
    def test_zero_at_zero(self, slopes, f):
        assert_array_equal(slopes(f, np.zeros(4)), np.zeros(4))

    def test_std_of_equal_numbers(self, slopes):
        assert_array_equal(slopes(np.std, np.full(4, 3.0)), np.zeros(4))

    def test_frobenius(self, slopes):
        assert_array_equal(slopes(np.linalg.norm, np.zeros((2, 3))), np.zeros((2, 3)))

    def test_a_zero_row_leaves_the_others_alone(self, slopes):
        x = np.array([[0.0, 0.0], [3.0, 4.0]])
        expected = np.zeros((2, 2, 2))
        expected[1, 1] = [0.6, 0.8]
        assert_allclose(slopes(lambda x: np.linalg.norm(x, axis=1), x), expected, rtol=1e-15)


class TestInfinityAndNaN:
    """As IEEE 754 says: nothing is replaced, nothing is clipped, and no 0 · x becomes 0."""

    @pytest.mark.parametrize(
        ("f", "x", "slope"),
        [
            pytest.param(np.sqrt, 0, np.inf, id="sqrt"),
            pytest.param(lambda x: x**0.5, 0, np.inf, id="power"),
            pytest.param(np.cbrt, 0, np.inf, id="cbrt"),
            pytest.param(np.log, 0, np.inf, id="log"),
            pytest.param(lambda x: 1 / x, 0, -np.inf, id="1/x"),
            pytest.param(np.exp, 1000, np.inf, id="exp far right"),
            pytest.param(np.exp, -np.inf, 0, id="exp far left"),
            pytest.param(np.tanh, np.inf, 0, id="tanh"),
            pytest.param(ops.sigmoid, -np.inf, 0, id="sigmoid"),
            pytest.param(ops.relu, np.inf, 1, id="relu"),
            pytest.param(np.square, np.inf, np.inf, id="square"),
            pytest.param(np.square, np.nan, np.nan, id="square of nan"),
            pytest.param(np.sin, np.inf, np.nan, id="sin"),
            pytest.param(lambda x: np.inf * x, 0, np.inf, id="inf*x"),
            pytest.param(lambda x: 0 * (1 / x), 0, np.nan, id="0*(1/x)"),
        ],
    )
    def test_slope(self, slopes, f, x, slope):
        with np.errstate(all="ignore"):
            assert_array_equal(slopes(f, x), slope)

    @pytest.mark.parametrize(
        "f",
        [
            pytest.param(ops.relu, id="relu"),
            pytest.param(lambda x: np.maximum(0, x), id="maximum(0, x)"),
            pytest.param(lambda x: np.clip(x, -1, 1), id="clip"),
            pytest.param(np.abs, id="abs"),
            pytest.param(np.max, id="max"),
            pytest.param(np.sum, id="sum"),
        ],
    )
    def test_nan_passes_forward(self, f):
        x = np.array([1.0, np.nan])
        value, _ = cr.vjp(f, x)
        assert_array_equal(value, f(x))
        assert np.isnan(value.flat[-1])

    def test_nan_stays_in_its_element(self):
        """Addition and multiplication element by element do not spread a NaN to the neighbours."""
        gradient = cr.grad(lambda x: np.sum(x * x))(np.array([1.0, np.nan, 3.0]))
        assert_array_equal(gradient, [2.0, np.nan, 6.0])

    def test_logsumexp_with_minus_infinity(self, slopes):
        """A masked score (−∞) has probability 0, and nothing turns into NaN."""
        assert_allclose(slopes(ops.logsumexp, [-np.inf, 0.0, 0.0]), [0, 0.5, 0.5], rtol=1e-15)


class TestProductWithZeros:
    """The product of the others, by multiplication and not by division."""

    factors = pytest.mark.parametrize(
        "x",
        [[1.0, 2.0, 3.0, 4.0], [2.0, 0.0, 3.0, 5.0], [0.0, 4.0, 0.0, 7.0], [0.0, 0.0, 0.0, 2.0]],
        ids=["no zero", "one zero", "two zeros", "three zeros"],
    )

    @factors
    @pytest.mark.parametrize(
        "prod",
        [np.prod, lambda x: x.prod(), np.multiply.reduce],
        ids=["function", "method", "ufunc reduction"],
    )
    def test_first_derivative(self, slopes, prod, x):
        expected = [np.prod(np.delete(x, i)) for i in range(4)]
        assert_allclose(slopes(prod, x), expected, rtol=1e-15)

    @factors
    def test_second_derivative(self, x):
        expected = [
            [0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)
        ]
        assert_allclose(cr.hessian(np.prod)(np.array(x)), expected, rtol=1e-14)

    @factors
    def test_second_derivative_forward_over_forward(self, x):
        """d²/dxᵢdxⱼ as the tangent of a tangent, for every pair at once."""
        x, v, w = np.array(x), np.array([1.0, -2.0, 0.5, 3.0]), np.array([2.0, 1.0, -1.0, 0.25])
        _, second = cr.jvp(lambda x: cr.jvp(np.prod, (x,), (v,))[1], (x,), (w,))
        pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
        expected = sum(v[i] * w[j] * np.prod(np.delete(x, [i, j])) for i, j in pairs)
        assert_allclose(second, expected, rtol=1e-13, atol=1e-13)

    def test_over_an_axis(self, slopes):
        x = np.array([[0.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
        expected = np.zeros((3, 3, 3))
        expected[0, 0] = [6, 0, 0]
        expected[1, 1] = [6, 3, 2]
        assert_allclose(slopes(lambda x: np.prod(x, axis=1), x), expected, rtol=1e-15)

    def test_cumulative(self, slopes):
        expected = [[1, 0, 0, 0], [0, 2, 0, 0], [0, 6, 0, 0], [0, 30, 0, 0]]
        assert_allclose(slopes(np.cumprod, [2.0, 0.0, 3.0, 5.0]), expected, rtol=1e-15)


class TestIndexing:
    """Indexing with an element taken twice: its two slopes add up."""

    indices = np.array([2, 0, 2, 2])

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: x[TestIndexing.indices],
            lambda x: x[[2, 0, 2, 2]],
            lambda x: x[[-1, 0, 2, -1]],
            lambda x: np.take(x, TestIndexing.indices),
            lambda x: np.take_along_axis(x, TestIndexing.indices, axis=0),
            lambda x: np.stack([x[2], x[0], x[2], x[2]]),
        ],
        ids=["array", "list", "negative", "take", "take_along_axis", "one by one"],
    )
    def test_repeated(self, slopes, f):
        x = np.array([5.0, 6.0, 7.0])
        assert_array_equal(slopes(f, x), np.eye(3)[self.indices])
        assert_array_equal(cr.grad(lambda x: np.sum(f(x)))(x), [1, 0, 3])

    def test_repeated_pairs(self):
        rows, columns = np.array([0, 1, 0]), np.array([1, 1, 1])
        gradient = cr.grad(lambda x: np.sum(x[rows, columns] * [1.0, 10.0, 100.0]))
        assert_array_equal(gradient(np.ones((2, 2))), [[0, 101], [0, 10]])

    def test_repeated_rows(self):
        """An embedding: whole rows looked up more than once."""
        ids = np.array([[1, 1], [2, 1]])
        gradient = cr.grad(lambda table: np.sum(table[ids] ** 2))
        table = np.arange(6.0).reshape(3, 2)
        assert_array_equal(gradient(table), 2 * table * [[0], [3], [1]])

    def test_second_derivative(self):
        hessian = cr.hessian(lambda x: np.sum(x[self.indices] ** 3))(np.array([1.0, 2.0, 3.0]))
        assert_array_equal(hessian, np.diag([6.0, 0.0, 54.0]))


class TestWhereBroadcasts:
    """Each branch gets a gradient of its own shape, summed over what broadcasting repeated."""

    condition = np.array([[True], [False], [True]])
    x, y = np.array([1.0, 2.0]), np.array([[3.0], [4.0], [5.0]])

    def test_gradients(self):
        dx, dy = cr.grad(lambda x, y: np.sum(np.where(self.condition, x, y)), argnums=(0, 1))(
            self.x, self.y
        )
        assert_array_equal(dx, [2, 2])
        assert_array_equal(dy, [[0], [2], [0]])

    def test_tangent(self):
        value, dy = cr.jvp(
            lambda x, y: np.where(self.condition, x, y), (self.x, self.y), (-self.x, 10 * self.y)
        )
        assert_array_equal(value, [[1, 2], [4, 4], [1, 2]])
        assert_array_equal(dy, [[-1, -2], [40, 40], [-1, -2]])

    def test_scalar_branch(self, slopes):
        condition = np.array([True, False, True])
        assert_array_equal(slopes(lambda x: np.where(condition, x, 0.0), 3.0), [1, 0, 1])

    def test_condition_on_the_value(self, slopes):
        assert_array_equal(
            slopes(lambda x: np.where(x > 0, x, 0), [-1.0, 0.0, 2.0]), np.diag([0, 0, 1])
        )


@pytest.mark.parametrize("f", [np.abs, ops.relu, lambda x: np.maximum(0, x)])
def test_gradient_check_does_not_fail_at_a_kink(f):
    """Differences straddle the kink there; the check says that it skipped it."""
    cr.gradcheck(lambda x: np.sum(f(x)), (np.array([-1.0, 0.0, 2.0]),))
