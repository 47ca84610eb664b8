"""The errors of transcendentals in registers; from memory to registers and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from llvmlite import ir
from native_loop import (
    FLOATS,
    INT64,
    agree,
    computed,
    drawn,
    function_of,
    loaded,
    looped,
    special_values,
)

from chainrule.execute.native.numbers import (
    Number,
    constant,
    load,
    load_masked,
    memory_type,
    reduce_add,
    reduce_max,
    reduce_min,
    reduce_mul,
    store,
    store_masked,
)

# ------------------------------------------------------------------------- transcendentals

# the largest error, in units in the last place of the result, in float32 and float64
LARGEST = {
    "exp": (1.1, 1.1),
    "exp2": (1.3, 1.4),
    "expm1": (1.5, 2.0),
    "tanh": (1.4, 1.4),
    "sinh": (1.7, 1.7),
    "cosh": (1.6, 1.6),
    "log": (1.0, 1.0),
    "log2": (1.4, 1.1),
    "log10": (1.4, 1.1),
    "log1p": (1.2, 1.0),
    "sin": (0.6, 0.9),
    "cos": (0.6, 0.9),
    "sqrt": (0.51, 0.51),
}


def sample(dtype):
    """Return numbers of all sizes, many of ordinary ones, and those where something changes."""
    rng = np.random.default_rng(5)
    bits = np.dtype(f"u{dtype.itemsize}")
    quarters = np.arange(1, 2000) * (np.pi / 2)
    parts = [
        rng.integers(0, np.iinfo(bits).max, 60000, bits).view(dtype),
        rng.normal(size=40000) * 30,
        rng.uniform(-2, 2, 60000),
        rng.uniform(0.5, 1.6, 30000),
        rng.uniform(-110, 110, 20000),
        rng.uniform(-750, 750, 20000),
        rng.normal(size=20000) * 1e-4,
        rng.normal(size=5000) * 1e8,
        quarters,
        [88.72283, 88.72284, -103.97, -103.98, -87.3, 709.782712893384, 709.7827128933841],
        [-745.1332, -745.134, -708.4, 2.0**30, 2.0**31, 128, 1024, -149, -150, -1074, -1075],
    ]
    values = np.concatenate([np.asarray(part).astype(dtype) for part in parts])
    return np.concatenate([values, special_values(dtype)])


def errors(y, exact):
    """Return the distances from exact results in units of the last place of these."""
    largest = np.finfo(y.dtype).max
    unit = np.spacing(np.minimum(np.abs(exact), largest).astype(y.dtype))
    return np.abs(y - exact) / unit.astype(exact.dtype)


@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize("k", [0, 1], ids=["float32", "float64"])
def test_the_largest_error_of_a_transcendental_is_what_is_stated(name, k):
    dtype, ufunc = FLOATS[k], getattr(np, name)
    wide = (np.float64, np.longdouble)[k]
    x = sample(dtype)
    with np.errstate(all="ignore"):
        exact, numpy = ufunc(x.astype(wide)), ufunc(x)
        y = computed(ufunc, x)
        rounded = exact.astype(dtype)
        finite = np.isfinite(exact) & (np.abs(exact) <= np.finfo(dtype).max)
        ours, theirs = errors(y[finite], exact[finite]), errors(numpy[finite], exact[finite])
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    zeros = exact == 0
    np.testing.assert_array_equal(np.signbit(y[zeros]), np.signbit(exact[zeros]))
    slack = 0 if np.finfo(wide).eps < np.finfo(dtype).eps / 100 else 0.5
    assert np.max(ours) <= LARGEST[name][k] + slack, x[finite][np.argmax(ours)]
    assert np.max(ours) <= 4 * np.max(theirs)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_largest_error_of_the_error_function_and_the_logistic_one(dtype):
    x = sample(dtype)
    x = x[np.isfinite(x)]
    exact = np.array([math.erf(v) for v in x.tolist()])
    assert np.max(errors(computed(scipy.special.erf, x), exact)) <= (1.3, 2.1)[dtype.itemsize // 8]
    with np.errstate(all="ignore"):
        wide = x.astype(np.longdouble)
        exact = 1 / (1 + np.exp(-wide))
        assert np.max(errors(computed(scipy.special.expit, x), exact)) <= 2.6


# ------------------------------------------------------------------------- memory and lanes

MEMORY = [np.dtype(t) for t in ("?", "i1", "i4", "i8", "f4", "f8")]


@pytest.mark.parametrize("dtype", MEMORY, ids=str)
def test_the_first_lanes_are_moved_and_no_others(dtype):
    for width in (8, 16):
        function = function_of(2)
        builder = ir.IRBuilder(function.append_basic_block())
        count, source, target = function.args
        x = load_masked(builder, source, dtype, width, count)
        store_masked(x, target, count)
        store(x, builder.gep(target, [INT64(width)], source_etype=memory_type(dtype)))
        builder.ret_void()
        copy = loaded(function)
        for n in range(width + 1):
            x, y = drawn(dtype, width), np.full(2 * width, 1, dtype)
            copy(n, x, y)
            np.testing.assert_array_equal(y[:n], x[:n])
            np.testing.assert_array_equal(y[n:width], 1)
            np.testing.assert_array_equal(
                y[width:], np.where(np.arange(width) < n, x, dtype.type(0))
            )


@pytest.mark.parametrize(
    ("reduce", "numpy"),
    [(reduce_add, np.sum), (reduce_mul, np.prod), (reduce_max, np.max), (reduce_min, np.min)],
)
def test_all_lanes_become_one_number(reduce, numpy):
    for dtype in [np.dtype(t) for t in ("?", "i4", "i8", "f4", "f8")]:
        for width in (1, 2, 16):
            function = function_of(2)
            builder = ir.IRBuilder(function.append_basic_block())
            _, source, target = function.args
            y = reduce(load(builder, source, dtype, width))
            assert y.width == 1
            store(y, target)
            builder.ret_void()
            code = loaded(function)
            x = drawn(dtype, 16)[-width:]
            inputs = [x] if dtype.kind != "f" else [x, np.r_[x[1:], np.nan].astype(dtype)]
            for x in inputs:
                expected = (
                    numpy(x, dtype=y.dtype) if reduce in {reduce_add, reduce_mul} else numpy(x)
                )
                result = code(0, x, np.empty(1, y.dtype))[0]
                np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_scalars_spread_over_lanes_where_they_meet_a_vector():
    def rule(x):
        bound = constant(x.builder, 0.75, np.dtype(np.float32))
        return np.minimum(np.where(bound > 0.5, x, bound), np.sqrt(bound))

    x = np.linspace(-2, 2, 32).astype(np.float32)
    agree(computed(rule, x), np.minimum(x, np.sqrt(np.float32(0.75))), 0)
    with pytest.raises(TypeError, match="lanes do not fit"):
        looped(lambda x: x + Number(x.builder, x.value, x.dtype, 3), [x.dtype], 4)
