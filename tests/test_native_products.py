"""Products of matrices as machine code, in every layout and on every kind of machine."""

import ctypes
import itertools
import os
from unittest.mock import patch

import numpy as np
import pytest
from llvmlite import ir

from chainrule.execute.native import engine
from chainrule.execute.native.products import form_of
from chainrule.execute.native.program import NativeProgram
from chainrule.execute.native.small import Multiplication, small_product
from chainrule.execute.native.writing import Target
from chainrule.graph import Spec, trace

TARGETS = [(16, True), (8, False), (4, False)]
DTYPES = [np.float32, np.float64]
SHAPES = [
    (1, 1, 1),
    (1, 1, 37),
    (4, 3, 2),
    (3, 3, 3),
    (2, 5, 1),
    (1, 7, 3),
    (1, 40, 19),
    (9, 1, 21),
    (5, 17, 33),
    (18, 10, 24),
    (7, 4, 6),
    (6, 3, 30),
    (7, 50, 11),
    (33, 34, 8),
]
GUARD = 64
"""Numbers before and after a result that nobody may touch."""


@pytest.fixture(autouse=True, scope="module")
def _nothing_stored():
    with patch.dict(os.environ, CHAINRULE_CACHE=""):
        yield


def multiplication(m, n, k, a, b, dtype, gap=0):
    """Return a product whose operands lie by rows ("r") or by columns ("c"), with gaps between."""

    def strides(rows, columns, layout):
        row, column = (columns + gap, 1) if layout == "r" else (1, rows + gap)
        return row * (rows > 1), column * (columns > 1)

    return Multiplication(np.dtype(dtype), m, n, k, strides(m, k, a), strides(k, n, b))


def forms(x):
    """Return the ways in which a product could be computed."""
    turned = x.turned
    return [
        form
        for form, is_possible in (
            ("flat", turned.span <= 16),
            ("outer", turned.b_by_rows),
            ("packed", turned.b[0] == 1 or turned.k == 1),
            ("dot", turned.dots),
        )
        if is_possible
    ]


def compiled(cases, lanes, masks):
    """Return a function ``call(k, a, b, c)`` for cases of a product and a form."""
    module = ir.Module("products")
    functions = []
    for x, form in cases:
        function = small_product(module, x.turned, form, lanes, masks=masks)
        function.linkage = "external"
        functions.append(function)
        size = sum(len(block.instructions) for block in function.blocks)
        assert size < 600, (x, form, size)
    text = str(module)
    library = engine.load(text, lambda: text)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)
    calls = [kind(library.function(function.name)) for function in functions]

    def call(k, a, b, c):
        x = cases[k][0]
        operands = (a, b) if x.turned is x else (b, a)
        calls[k](*operands, c)

    call.library = library
    return call


def operands(x, rng):
    """Return both matrices of a product as views, and what holds their numbers."""
    held, views = [], []
    for shape, strides in (((x.m, x.k), x.a), ((x.k, x.n), x.b)):
        count = sum((s - 1) * t for s, t in zip(shape, strides, strict=True)) + 1
        memory = rng.standard_normal(count).astype(x.dtype)
        steps = [t * x.dtype.itemsize for t in strides]
        held.append(memory)
        views.append(np.ndarray(shape, x.dtype, memory, 0, steps))
    return held, views


def result(call, k, x, held):
    """Return what the code wrote, having looked at what lies around it."""
    c = np.full(x.m * x.n + 2 * GUARD, 77, x.dtype)
    a, b = (memory.ctypes.data for memory in held)
    call(k, a, b, c.ctypes.data + GUARD * x.dtype.itemsize)
    assert np.all(c[:GUARD] == 77)
    assert np.all(c[-GUARD:] == 77)
    return c[GUARD:-GUARD].reshape(x.m, x.n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lanes", "masks"), TARGETS)
def test_every_form_in_every_layout(lanes, masks, dtype):
    rng = np.random.default_rng(0)
    cases = [
        (x, form)
        for k, shape in enumerate(SHAPES)
        for layouts in itertools.product("rc", "rc")
        for x in [multiplication(*shape, *layouts, dtype, gap=3 * (k % 2))]
        for form in forms(x)
    ]
    call = compiled(cases, lanes, masks)
    for k, (x, form) in enumerate(cases):
        held, (a, b) = operands(x, rng)
        got = result(call, k, x, held)
        wide = np.float64 if dtype is np.float32 else np.longdouble
        want = a.astype(wide) @ b.astype(wide)
        size = np.abs(a).astype(wide) @ np.abs(b).astype(wide)
        assert np.max(np.abs(got - want) / size) <= 4 * np.finfo(dtype).eps, (x, form)


@pytest.mark.parametrize(("lanes", "masks"), TARGETS)
def test_the_error_is_that_of_numpy(lanes, masks):
    rng = np.random.default_rng(1)
    shapes = [(1, 24, 1000), (3, 24, 1000), (40, 24, 300)]
    cases = [
        (x, form)
        for shape, b in itertools.product(shapes, "rc")
        for x in [multiplication(*shape, "r", b, np.float32)]
        for form in [form_of(x, lanes)]
        if form != "blas"
    ]
    assert len(cases) >= 2
    call = compiled(cases, lanes, masks)
    for k, (x, form) in enumerate(cases):
        held, (a, b) = operands(x, rng)
        want = a.astype(np.float64) @ b.astype(np.float64)
        ours, numpys = (np.max(np.abs(y - want)) for y in (result(call, k, x, held), a @ b))
        assert ours <= 4 * numpys, (x, form)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lanes", "masks"), TARGETS)
def test_infinity_and_nan_stay_in_their_rows_and_columns(lanes, masks, dtype):
    rng = np.random.default_rng(2)
    cases = [
        (x, form)
        for shape, b in itertools.product([(4, 3, 3), (3, 11, 5), (1, 9, 7)], "rc")
        for x in [multiplication(*shape, "r", b, dtype)]
        for form in forms(x)
    ]
    call = compiled(cases, lanes, masks)
    for k, (x, form) in enumerate(cases):
        held, (a, b) = operands(x, rng)
        a[-1, -1], b[0, 0], b[0, -1] = np.inf, np.nan, -np.inf
        with np.errstate(invalid="ignore"):
            want = sum(np.multiply.outer(a[:, j], b[j]) for j in range(x.k))
        np.testing.assert_allclose(result(call, k, x, held), want, rtol=1e-4, err_msg=form)


def test_equal_products_share_their_code():
    module = ir.Module("products")
    x = multiplication(4, 5, 6, "r", "r", np.float32)
    first, again = (small_product(module, x, "outer", 16, masks=True) for _ in range(2))
    assert first is again


@pytest.mark.parametrize(
    "target", [*[Target(*target) for target in TARGETS], Target(16, masks=True, checked=True)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_programs(target, dtype):
    """Stacks, views with an offset, vectors, and a product that is left to BLAS."""
    functions = [
        (lambda x, y: x @ y, (2, 3, 4, 5), (3, 5, 6)),
        (lambda x, y: x @ np.swapaxes(y, -1, -2), (3, 9, 20), (3, 7, 20)),
        (lambda x, y: np.swapaxes(x, -1, -2) @ y, (2, 8, 6), (1, 8, 3)),
        (lambda x, y: x[1:, 2:] @ y[:, 3:], (6, 9), (7, 20)),
        (lambda x, y: x[1:, 2:].T @ y[1:, 1:].T, (7, 9), (5, 7)),
        (lambda x, y: x @ y, (21,), (21, 13)),
        (lambda x, y: x @ y, (13, 21), (21,)),
        (lambda x, y: x @ y, (21,), (21,)),
        (lambda x, y: x @ y, (150, 130), (130, 140)),
    ]
    rng = np.random.default_rng(3)
    for function, *shapes in functions:
        xs = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
        graph = trace(function, *[Spec(x.shape, x.dtype) for x in xs])
        (got,) = NativeProgram(graph, target=target)(xs)
        eps = 20 * np.finfo(dtype).eps
        np.testing.assert_allclose(got, function(*xs), rtol=eps, atol=20 * eps)


@pytest.mark.parametrize("lanes", [16, 8, 4])
def test_what_the_small_forms_are_not_for_is_left_to_others(lanes):
    assert form_of(multiplication(256, 256, 256, "r", "r", np.float32), lanes) == "blas"
    assert form_of(multiplication(256, 256, 256, "r", "c", np.float64), lanes) == "blas"
    assert form_of(multiplication(1, 512, 512, "r", "c", np.float32), lanes) == "dot"
    assert form_of(multiplication(1, 512, 512, "r", "r", np.float32), lanes) == "outer"
