"""NumPy code called on numbers in registers computes what it computes on arrays."""

from __future__ import annotations

import functools
import itertools
import operator

import numpy as np
import pytest
import scipy.special
from every_op import calls
from native_loop import FLOATS, agree, checked, computed, drawn, kernel, looped, special_values

from chainrule.graph import OPS, Each
from chainrule.ops.declare import elementwise

# ------------------------------------------------------------------------- every op

EACH = sorted(name for name, op in OPS.items() if isinstance(op.form, Each))

# one rounding, or none
EXACT = [
    "absolute",
    "add",
    "cast",
    "ceil",
    "clamp",
    "copysign",
    "discretise",
    "divide",
    "equal",
    "floor",
    "floor_divide",
    "fmod",
    "greater",
    "greater_equal",
    "isinf",
    "isnan",
    "leaky_relu",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "positive",
    "reciprocal",
    "relu",
    "relu6",
    "remainder",
    "rint",
    "sign",
    "signbit",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "trunc",
    "where",
]


def spread_out(call):
    """Return the operands of a call, broadcast, as vectors of one length."""
    shape = np.broadcast_shapes(*[x.shape for x in call.operands])
    return [np.broadcast_to(x, shape).ravel() for x in call.operands]


@functools.cache
def kernel_of(name, dtype):
    """Return an op's first call, the op as NumPy computes it, and as a kernel does."""
    call = calls(OPS[name])[0].as_type(dtype)
    rule = functools.partial(call.op.forward, **call.attributes)
    return call, rule, kernel(rule, [x.dtype for x in call.operands])


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_forward_rule_called_on_numbers_is_a_kernel(name, dtype):
    call, rule, run = kernel_of(name, dtype)
    xs = spread_out(call)
    agree(checked(run, *xs), rule(*xs), 0 if name in EXACT else 8)


# where a product overflows in NumPy, one that is fused with a sum need not
FUSED = {"binary_cross_entropy"}


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_kernel_treats_zeros_infinities_and_nan_as_numpy_does(name, dtype):
    call, rule, run = kernel_of(name, dtype)
    values = special_values(dtype)
    if name in FUSED:
        values = values[~(np.abs(values) > 1e15) | np.isinf(values)]
    count = sum(x.dtype.kind == "f" for x in call.operands)
    grid = np.array(list(itertools.product(values, repeat=max(1, min(count, 2))))).T.astype(dtype)
    columns = iter([*grid, np.roll(grid[0], 7)])
    xs = [
        next(columns) if x.dtype.kind == "f" else np.resize(x, grid.shape[1]) for x in call.operands
    ]
    with np.errstate(all="ignore"):
        expected = rule(*xs)
    y = checked(run, *xs)
    if name == "discretise":  # of what does not fit, C says nothing
        fits = np.abs(xs[0]) < 2**62
        y, expected = y[fits], expected[fits]
    agree(y, expected, 0 if name in EXACT else 8)


def test_an_op_that_a_user_declares_has_a_kernel():
    @elementwise(why="a test")
    def wobble(x, *, rate=2.0):
        """A wave that dies away."""
        y = np.sin(rate * x) * np.exp(-np.abs(x))
        return np.where(np.logical_and(x > -1, x < 1), y, 0)[()]

    try:
        x = np.linspace(-3, 3, 99).astype(np.float32)
        agree(computed(wobble.forward, x), wobble(x), 4)
    finally:
        del OPS["wobble"]


# ------------------------------------------------------------------------- types

TYPES = [np.dtype(t) for t in ("?", "i1", "u1", "i4", "u4", "i8", "u8", "f4", "f8")]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "fmod",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "left_shift",
    "right_shift",
    "copysign",
    "heaviside",
]
UNARY = [
    "negative",
    "positive",
    "absolute",
    "sign",
    "square",
    "sqrt",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "isnan",
    "isinf",
    "isfinite",
    "logical_not",
    "invert",
    "signbit",
    "fabs",
    "conjugate",
    "deg2rad",
    "rad2deg",
    "degrees",
    "radians",
]


def given_by_numpy(ufunc, *xs):
    """Return what NumPy gives, None where it computes nothing, or computes in float16."""
    try:
        dtypes = ufunc.resolve_dtypes((*[x.dtype for x in xs], None))
    except TypeError:
        return None
    with np.errstate(all="ignore"):
        return None if np.float16 in dtypes else ufunc(*xs)


@pytest.mark.parametrize("name", BINARY)
def test_two_operands_are_promoted_and_computed_as_numpy_does(name):
    ufunc = getattr(np, name)
    pairs, expected = [], []
    for a, b in itertools.product(TYPES, TYPES):
        y = given_by_numpy(ufunc, drawn(a, seed=0), drawn(b, seed=1))
        if y is not None:
            pairs.append((TYPES.index(a), TYPES.index(b)))
            expected.append(y)

    def rule(*xs):
        return [ufunc(xs[a], xs[b + len(TYPES)]) for a, b in pairs]

    xs = [drawn(dtype, seed=seed) for seed in (0, 1) for dtype in TYPES]
    assert len(pairs) >= 4
    for y, z in zip(looped(rule, [x.dtype for x in xs], 8)(*xs), expected, strict=True):
        agree(y, z, 0)


@pytest.mark.parametrize("name", UNARY)
def test_one_operand_of_any_type(name):
    ufunc = getattr(np, name)
    results = {dtype: given_by_numpy(ufunc, drawn(dtype)) for dtype in TYPES}
    known = [dtype for dtype in TYPES if results[dtype] is not None]
    xs = [drawn(dtype) for dtype in known]
    ys = looped(lambda *xs: [ufunc(x) for x in xs], known, 8)(*xs)
    for dtype, y in zip(known, ys, strict=True):
        agree(y, results[dtype], 0)
    for dtype in set(TYPES) - set(known):
        with pytest.raises(TypeError):
            looped(ufunc, [dtype], 8)


@pytest.mark.parametrize("a", TYPES, ids=str)
def test_casts_are_numpy_casts(a):
    x = drawn(a)
    if a.kind == "f":  # what does not fit is open in C
        x = np.abs(np.r_[x, np.arange(-3, 4) * a.type(0.9), 0.0, 100.7].astype(a))
    ys = looped(lambda x: [x.astype(b) for b in TYPES], [a], 8)(x)
    for b, y in zip(TYPES, ys, strict=True):
        agree(y, x.astype(b), 0)


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.lt,
    operator.eq,
    operator.ge,
]


@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("i4", "i8", "f4", "f8")], ids=str)
def test_scalars_of_python_are_weak_and_those_of_numpy_strong(dtype):
    def rule(x):
        scalars = [2, 0.5, True, np.float32(3), np.float64(3), np.int64(3)]
        return [y for f in OPERATORS for s in scalars for y in (f(x, s), f(s, x))]

    x = drawn(dtype)
    x[x == 0] = 1
    with np.errstate(all="ignore"):
        for y, expected in zip(looped(rule, [dtype], 8)(x), rule(x), strict=True):
            agree(y, expected, 0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_powers_with_a_constant_exponent(dtype):
    exponents = [0, 1, 2, 3, 4, -1, 0.5, -0.5, 2.5, -3, 7]

    def rule(x):
        return [x**exponent for exponent in exponents]

    x = special_values(dtype)
    with np.errstate(all="ignore"):
        for y, expected in zip(looped(rule, [dtype], 8)(x), rule(x), strict=True):
            agree(y, expected, 3)
    exponents = [0, 1, 2, 3, 7]
    x = drawn(np.dtype(np.int64))
    for y, expected in zip(looped(rule, [x.dtype], 8)(x), rule(x), strict=True):
        agree(y, expected, 0)


# ------------------------------------------------------------------------- functions of NumPy's

RULES = {
    "where with scalars": lambda x: np.where(x > 0, 1, 0.5),
    "where of truth values": lambda x: np.where(x > 0, x < 1, True),
    "where of a number": lambda x: np.where(x, 2 * x, 1.0),
    "clip": lambda x: np.clip(x, -1, 1.5),
    "clip below": lambda x: np.clip(x, 0, None),
    "clip above": lambda x: x.clip(max=0.25),
    "clip between numbers": lambda x: np.clip(0.5, x, np.sqrt(x)),
    "clip at a tie": lambda x: (
        np.copysign(1, np.clip(x, 0, 6)) + np.copysign(1, np.clip(x, -4, -0.0))
    ),
    "nan_to_num": lambda x: np.nan_to_num(x, nan=2.0, posinf=3.0),
    "sinc": np.sinc,
    "round": lambda x: np.round(x, 1),
    "select": lambda x: np.select([x > 1, x > 0], [x, 2 * x], -1.0),
    "likes": lambda x: np.full_like(x, 3) + np.ones_like(x) - np.zeros_like(x),
    "questions": lambda x: x * (np.ndim(x * 0) + 1) if np.shape(x) == () else x,
    "parts": lambda x: np.real(x).copy()[()] + x[...].real,
    "divmod": lambda x: np.divmod(x, 0.75)[0] + np.divmod(x, 0.75)[1],
    "astype": lambda x: np.astype(x > 0, np.float32) * np.result_type(x).type(2),
    "bits": lambda x: ((x > 0) & ~(x > 1)) | ((x < -1) ^ (x < -2)),
    "expit": scipy.special.expit,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "gammaln": scipy.special.gammaln,
    "logit": lambda x: scipy.special.logit(1 / (2 + np.abs(x))),
    "xlogy": lambda x: scipy.special.xlogy(x, np.abs(x)),
    "constants": lambda x: np.where(x > 0, x.dtype.type(1), x.dtype.type(0)),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_functions_of_numpy_and_scipy_on_numbers(name, dtype):
    rule = RULES[name]
    x = np.concatenate([np.linspace(-4, 4, 63), [0.0, np.nan, np.inf, -np.inf]]).astype(dtype)
    if name in {"gammaln", "parts", "likes"}:
        x = np.abs(x)
    with np.errstate(all="ignore"):
        try:
            expected = np.asarray(rule(x))
        except (ValueError, IndexError):
            expected = None
        if name == "questions":
            expected = x
    agree(computed(rule, x), expected, 8)


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: x if x > 0 else -x,
        float,
        int,
        len,
        list,
        np.asarray,
        np.sum,
        np.sort,
        lambda x: x[0],
        np.where,
        lambda x: x + np.ones(3),
        lambda x: x + 1j,
        lambda x: np.add(x, x, out=np.ones(3)),
        lambda x: np.exp(x.astype(np.int8)),
        np.spacing,
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.int64) ** x.astype(np.int64),
        lambda x: x.astype(np.uint8) + 256,
        lambda x: np.array([1.0, 2.0]) @ x,
        hash,
    ],
)
def test_what_has_no_kernel_is_a_type_error(refused):
    with pytest.raises(TypeError):
        looped(refused, [np.dtype(np.float32)], 4)
