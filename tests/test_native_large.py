"""Products of large matrices as machine code: edges, layouts, machines, shared rows, errors."""

import ctypes
import itertools
import os
from unittest.mock import patch

import numpy as np
import pytest
from llvmlite import ir

from chainrule.execute.native import engine, large
from chainrule.execute.native.large import is_large, large_product, large_work
from chainrule.execute.native.small import Multiplication

TARGETS = [(16, True), (8, False), (4, False)]
DTYPES = [np.float32, np.float64]
LAYOUTS = [a + b for a, b in itertools.product("rc", "rc")]
GUARD = 67
"""Numbers before and after a result that nobody may touch: odd, so that nothing is aligned."""


@pytest.fixture(autouse=True, scope="module")
def _nothing_stored():
    with patch.dict(os.environ, CHAINRULE_CACHE=""):
        yield


def multiplication(shape, layouts, dtype, gap=0):
    """Return a product whose operands lie by rows ("r") or by columns ("c"), with gaps between."""
    m, n, k = shape

    def strides(rows, columns, layout):
        return (columns + gap, 1) if layout == "r" else (1, rows + gap)

    a, b = strides(m, k, layouts[0]), strides(k, n, layouts[1])
    return Multiplication(np.dtype(dtype), m, n, k, a, b)


def compiled(cases, target, *, shared=False):
    """Return a function ``call(case, *addresses, *rows)`` for some products."""
    lanes, masks = target
    module = ir.Module("products")
    names = {}
    for x in cases:
        function = large_product(module, x, lanes, masks=masks, shared=shared)
        function.linkage = "external"
        names[x] = function.name
        written = sum(len(block.instructions) for block in function.blocks)
        assert written < 700, (x, written)
    text = str(module)
    library = engine.load(text, lambda: text)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, *[ctypes.c_int64] * shared)
    calls = {x: kind(library.function(name)) for x, name in names.items()}

    def call(x, *arguments):
        calls[x](*arguments)

    call.library = library
    return call


def operands(x, rng):
    """Return both matrices of a product as views of memory that ends where they do."""
    views = []
    for shape, strides in (((x.m, x.k), x.a), ((x.k, x.n), x.b)):
        count = sum((s - 1) * t for s, t in zip(shape, strides, strict=True)) + 1
        memory = np.full(count + 1, np.nan, x.dtype)  # what lies in gaps shows if it is used
        view = np.ndarray(shape, x.dtype, memory, 0, [t * x.dtype.itemsize for t in strides])
        view[...] = rng.standard_normal(shape)
        views.append(view)
    return views


def result(call, x, target, a, b, rows=None):
    """Return what the code wrote, having looked at what lies around it and its work memory.

    Parameters
    ----------
    rows
        The first and the last of what each of several threads does.
    """
    size = x.dtype.itemsize
    work = np.full(large_work(x, target[0]) + 2 * GUARD, 255, np.uint8)
    last = x.m if rows is None else rows[-1][1]
    c = np.full(last * x.n + 2 * GUARD, 77, x.dtype)
    for first, end in rows or [(0, x.m)]:
        call(
            x,
            a.ctypes.data + first * x.a[0] * size,
            b.ctypes.data,
            c.ctypes.data + (GUARD + first * x.n) * size,
            work.ctypes.data + GUARD,
            *([] if rows is None else [end - first]),
        )
    for memory, value in ((c, 77), (work, 255)):
        assert np.all(memory[:GUARD] == value), x
        assert np.all(memory[-GUARD:] == value), x
    return c[GUARD:-GUARD].reshape(last, x.n)


def near(got, a, b, x):
    """Require that no number is further off than rounding explains."""
    wide = np.float64 if x.dtype == np.float32 else np.longdouble
    want = a.astype(wide) @ b.astype(wide)
    size = np.abs(a).astype(wide) @ np.abs(b).astype(wide)
    assert np.max(np.abs(got - want) / size) <= 8 * np.finfo(x.dtype).eps, x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_edges_of_tiles_in_every_layout(target, dtype):
    """Heights, and widths of panels, one to three beyond or short of a whole number of tiles."""
    rng = np.random.default_rng(0)
    height = 14 if target[0] == 16 else 6
    lanes = target[0] * 4 // np.dtype(dtype).itemsize
    shapes = [
        (2 * height, 4 * lanes, 32),
        (2 * height - 1, 2 * lanes + 1, 17),
        (3 * height + 1, 4 * lanes - 1, 33),
        (3 * height - 3, 3 * lanes, 16),
        (height + 2, 2 * lanes + 3, 40),
        (16, lanes, 19),
        (29, lanes - 1, 31),
    ]
    cases = [
        multiplication(shape, LAYOUTS[k % 4], dtype, gap=3 * (k % 2))
        for k, shape in enumerate(shapes)
    ]
    cases += [multiplication((19, 2 * lanes + 2, 21), layouts, dtype, 1) for layouts in LAYOUTS]
    call = compiled(cases, target)
    for x in cases:
        a, b = operands(x, rng)
        near(result(call, x, target, a, b), a, b, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_pieces_and_copies(target, dtype, monkeypatch):
    """What is done for large sizes and awkward distances, at small ones."""
    monkeypatch.setattr(large, "_DEPTH", 32)
    monkeypatch.setattr(large, "_COPY", 2048)
    monkeypatch.setattr(large, "_WAY", 1)
    monkeypatch.setattr(large, "_OFTEN", 0)
    rng = np.random.default_rng(1)
    shapes = [(61, 35, 99), (17, 50, 64), (47, 9, 33), (17, 150, 20)]
    cases = [
        multiplication(shape, layouts, dtype)
        for shape, layouts in zip(shapes, ["rr", "rc", "cr", "rr"], strict=True)
    ]
    plan = large._plan(cases[0], target[0])
    assert (plan.pieces, plan.depth, plan.groups > 1) == (4, 25, True)
    assert large._plan(cases[3], target[0]).vectors == (4 if target[0] == 16 else 2)
    call = compiled(cases, target)
    for x in cases:
        a, b = operands(x, rng)
        near(result(call, x, target, a, b), a, b, x)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_threads_get_the_same_bits(target, copied, monkeypatch):
    if copied:
        monkeypatch.setattr(large, "_DEPTH", 32)
        monkeypatch.setattr(large, "_WAY", 1)
        monkeypatch.setattr(large, "_OFTEN", 0)
    monkeypatch.setattr(large, "_OFTEN", 0)
    rng = np.random.default_rng(2)
    for layouts, m, threads in [("rr", 64, 3), ("cc", 33, 2), ("cc", 31, 2)]:
        x = multiplication((m, 37, 50), layouts, np.float32)
        a, b = operands(x, rng)
        alone = result(compiled([x], target), x, target, a, b)
        part = x._replace(m=-(-m // threads))
        ends = [m * k // threads for k in range(threads + 1)]
        call = compiled([part], target, shared=True)
        rows = list(itertools.pairwise(ends))
        np.testing.assert_array_equal(result(call, part, target, a, b, rows), alone)


@pytest.mark.parametrize("target", TARGETS)
def test_the_error_is_that_of_numpy(target):
    rng = np.random.default_rng(3)
    shapes = [((40, 24, 3000), "rr"), ((33, 40, 1000), "rc"), ((30, 70, 200), "cr")]
    cases = [multiplication(shape, layouts, np.float32) for shape, layouts in shapes]
    call = compiled(cases, target)
    for x in cases:
        a, b = operands(x, rng)
        want = a.astype(np.float64) @ b.astype(np.float64)
        ours, numpys = (np.max(np.abs(y - want)) for y in (result(call, x, target, a, b), a @ b))
        assert ours <= 4 * numpys, x


@pytest.mark.parametrize("target", TARGETS)
def test_infinity_and_nan_stay_in_their_rows_and_columns(target):
    rng = np.random.default_rng(4)
    cases = [multiplication((20, 37, 20), layouts, np.float32) for layouts in ("rr", "cc")]
    call = compiled(cases, target)
    for x in cases:
        a, b = operands(x, rng)
        a[-1, -1], b[0, 0], b[0, -1] = np.inf, np.nan, -np.inf
        with np.errstate(invalid="ignore"):
            want = sum(np.multiply.outer(a[:, j], b[j]) for j in range(x.k))
        got = result(call, x, target, a, b)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_equal_products_and_tiles_share_their_code():
    module = ir.Module("products")
    x = multiplication((28, 64, 32), "rr", np.float32)
    first, again = (large_product(module, x, 16, masks=True) for _ in range(2))
    assert first is again
    tiles = [name for name in module.globals if name.startswith("tile")]
    large_product(module, x._replace(m=42), 16, masks=True)
    assert tiles == [name for name in module.globals if name.startswith("tile")]


@pytest.mark.parametrize("lanes", [16, 8])
def test_what_is_large(lanes):
    x = multiplication((256, 256, 256), "rr", np.float32)
    assert is_large(x, lanes)
    assert is_large(x._replace(b=(1, 256)), lanes)
    assert not is_large(x, 4)
    assert not is_large(x._replace(m=1, n=2**16), lanes)
    assert is_large(x._replace(m=64, n=80, k=64, b=(1, 64)), lanes)
    assert not is_large(x._replace(m=63, n=64, k=100, b=(1, 100)), 16)
    assert not is_large(x._replace(m=8, n=2000, b=(1, 256)), lanes)
    assert not is_large(x._replace(k=8), lanes)
    assert not is_large(x._replace(m=32, n=32), lanes)
    assert not is_large(x._replace(b=(512, 2)), lanes)
    assert large_work(x, lanes) == 256 * 8 * lanes
