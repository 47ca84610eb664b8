"""Machine code for graphs of every kind: NumPy's results, in every memory and for every array."""

from __future__ import annotations

import copy
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from natively import HOST, TARGETS, agree, check_plan, largest, run
from random_graphs import arrays_of, courses, function_of

import chainrule as cr
from chainrule import ops
from chainrule.errors import ChainruleError, LabelError
from chainrule.execute.answers import REFUSED
from chainrule.execute.native import code, sharing
from chainrule.execute.native.program import NativeProgram
from chainrule.graph import OPS, Spec, trace
from chainrule.ops.declare import elementwise
from chainrule.transform import simplify

WAYS = [
    (HOST, np.float64),
    (TARGETS[0]._replace(checked=True), np.float32),
    (TARGETS[1], np.float32),
    (TARGETS[1]._replace(checked=True), np.float64),
    (TARGETS[2], np.float64),
    (HOST, np.float32),
]


@pytest.fixture(autouse=True, scope="module")
def _small_steps_are_shared():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "_WORTH", 4096)
        code._known.clear()
        yield
    code._known.clear()


def graph_of(function, given):
    return simplify(trace(function, *[Spec(np.shape(x), np.asarray(x).dtype) for x in given]))


def taken(graph, how):
    """Return which outputs take the memory of which inputs: none, their own, or the last to fit."""
    specs = [(graph.nodes[i].shape, graph.nodes[i].dtype) for i in graph.outputs]
    found: dict[int, int] = {}
    for k, i in enumerate(graph.inputs):
        fitting = [
            out
            for out, spec in enumerate(specs)
            if spec == (graph.nodes[i].shape, graph.nodes[i].dtype) and out not in found
        ]
        if how and fitting:
            found[fitting[0 if how == 1 else -1]] = k
    return found


def check_course(course, way, how, threads=1):
    """Require what a course comes to, and its gradient, to be NumPy's to rounding."""
    target, dtype = way
    given = arrays_of(course, dtype)
    exact = [x.astype(float) if x.dtype.kind == "f" else x for x in given]
    graph, wide = graph_of(function_of(course), given), graph_of(function_of(course), exact)
    assume(all(0 not in node.shape for node in graph.nodes))
    donated = taken(graph, how)
    guards = (len(course.shapes),) if how == 1 else ()
    program = NativeProgram(graph, donated, guards, target=target, threads=threads)
    check_plan(program.plan)
    with np.errstate(all="ignore"):
        wanted = graph.evaluate(*given)
        numbers = wide.walk(*exact)
    found = run(program, given)
    assert found.answer == 0
    for _ in range(3 if program.threads > 1 else 0):
        for a, b in zip(run(program, given).results, found.results, strict=True):
            np.testing.assert_array_equal(a, b)
    agree(found.results, wanted, wide.results(numbers), 4 * largest(numbers), dtype)
    for k, x in enumerate(given):
        if k not in donated.values():
            np.testing.assert_array_equal(found.inputs[k], x)


AS_MANY = {"suppress_health_check": list(HealthCheck)}


@settings(max_examples=40, **AS_MANY)
@given(courses, st.sampled_from(WAYS), st.integers(0, 2))
def test_a_random_graph(course, way, how):
    check_course(course, way, how)


@settings(max_examples=20, **AS_MANY)
@given(courses, st.sampled_from(WAYS), st.integers(0, 2))
def test_a_random_graph_of_two_threads(course, way, how):
    check_course(course, way, how, threads=2)


@pytest.mark.slow
@settings(max_examples=400, **AS_MANY)
@given(courses, st.sampled_from(WAYS), st.integers(0, 2), st.integers(1, 2))
def test_many_random_graphs(course, way, how, threads):
    check_course(course, way, how, threads)


@pytest.mark.parametrize("shape", [(12, 15, 15), (23, 9, 37)])
def test_threads_begin_folds_of_their_own_rows_alone(shape):
    """One thread once began the sums of another again, after these were done."""
    x = np.random.default_rng(0).normal(size=shape)
    f = lambda x: (np.max(x / 9, axis=1), np.sum(np.tanh(x), axis=1))
    program = NativeProgram(graph_of(f, [x]), threads=2)
    assert program.threads == 2
    for _ in range(20):
        for a, b in zip(run(program, [x]).results, f(x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


# ------------------------------------------------------------------ sums, and what they lose


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(3468,), (3, 5000), (40_003,), (5, 1100)])
def test_a_long_sum_is_as_precise_as_numpy(target, shape):
    x = np.full(shape, 0.1, np.float32)
    exact = 0.1 * shape[-1] + shape[-1] * (float(np.float32(0.1)) - 0.1)
    for axis in (None, -1):
        graph = graph_of(lambda x, axis=axis: np.sum(np.abs(x), axis=axis), [x])
        y = run(NativeProgram(graph, target=target), [x]).results[0]
        whole = exact * (len(x) if x.ndim > 1 and axis is None else 1)
        np.testing.assert_allclose(y, whole, rtol=4e-7)


# ------------------------------------------------------------------ memory


def test_an_array_is_not_overwritten_before_its_last_reader_in_a_loop():
    """A number that ends in a loop was once replaced by one that another reader came after."""

    def f(x, y):
        s = np.sum(np.tanh(x))
        z = np.sum(y)
        t = np.tanh(np.exp(z - z) * 0.5)
        return t + s / 17 * 2, t

    given = [np.arange(17.0) / 9, np.arange(8.0)]
    program = NativeProgram(graph_of(f, given))
    check_plan(program.plan)
    np.testing.assert_allclose(run(program, given).results, f(*given), rtol=1e-14)


def test_a_parameter_that_is_read_after_it_is_written_is_copied():
    def f(x, y):
        new = x + y
        return new, y * x - new

    x, y = np.arange(37.0), np.linspace(0, 1, 37)
    graph = graph_of(f, [x, y])
    for donated in ({0: 0}, {1: 0}, {0: 1}, {0: 0, 1: 1}, {0: 1, 1: 0}):
        program = NativeProgram(graph, donated)
        check_plan(program.plan)
        found = run(program, [x, y])
        for k, (a, b) in enumerate(zip(found.results, f(x, y), strict=True)):
            np.testing.assert_allclose(a, b, rtol=1e-14)
            assert k not in donated or a is found.inputs[donated[k]]


def test_outputs_may_change_places_with_inputs():
    x, y = np.arange(12.0).reshape(3, 4), np.ones((3, 4))
    graph = graph_of(lambda x, y: (y, x, np.flip(x, 1) + y), [x, y])
    found = run(NativeProgram(graph, {0: 0, 1: 1}), [x, y])
    np.testing.assert_array_equal(found.inputs[0], y)
    np.testing.assert_array_equal(found.inputs[1], x)
    np.testing.assert_array_equal(found.results[2], x[:, ::-1] + y)


def test_a_sum_along_an_axis_of_one_may_change_its_type():
    x = np.array([[0.3], [-1.0], [2.0]])
    f = lambda x: (np.sum(x > 0, axis=1), np.where(np.any(x > 1, axis=1), x[:, 0], -x[:, 0]))
    for a, b in zip(run(NativeProgram(graph_of(f, [x])), [x]).results, f(x), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------ what code is found under


def test_numbers_that_are_written_alike_are_not_taken_for_each_other():
    x = np.ones(3)
    for number in (np.inf, -np.inf, np.nan, 0.0, -0.0):
        graph = graph_of(lambda x, number=number: np.copysign(1.0, number) * (x * number), [x])
        y = NativeProgram(graph)([x])
        assert y is not None
        np.testing.assert_array_equal(y[0], graph.evaluate(x)[0])


@pytest.mark.parametrize("change", ["rule", "number"])
def test_an_op_declared_anew_is_not_taken_for_the_old_one(change):
    def declared(k):
        @elementwise(lambda x: 0 * x, latex="k<x>")
        def times_k(x):
            """K times x."""
            return k * x if change == "number" or k == 2 else x + k

        OPS.pop("times_k")
        return times_k

    x = np.arange(3.0)
    for k in (2.0, 3.0):
        op = declared(k)
        graph = trace(op, Spec((3,)))
        y = NativeProgram(graph)([x])
        assert y is not None
        np.testing.assert_array_equal(y[0], graph.evaluate(x)[0])


# ------------------------------------------------------------------ calls


def softmax_slopes(n):
    def f(x, w):
        y = ops.softmax(np.tanh(x @ w), axis=-1)
        return np.sum(y * y), y

    g = cr.value_and_grad(f, (0, 1), has_aux=True)
    rng = np.random.default_rng(n)
    given = [rng.normal(size=(n, 33)), rng.normal(size=(33, 17))]
    return lambda x, w: [*g(x, w)[0], *g(x, w)[1]], given


def test_the_same_graph_gives_the_same_bits():
    f, given = softmax_slopes(37)
    graph = graph_of(f, given)
    one, other = NativeProgram(graph), NativeProgram(graph_of(f, given))
    for a, b, c in zip(one(given), one(given), other(given), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("n", [3, 900])
def test_threads_may_call_one_program_at_once(n):
    f, (x, w) = softmax_slopes(n)
    program = NativeProgram(graph_of(f, (x, w)))
    alone = [program([x + k, w]) for k in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            many = list(threads.map(lambda k: program([x + k % 4, w]), range(200)))
    finally:
        sys.setswitchinterval(before)
    for k, found in enumerate(many):
        for a, b in zip(found, alone[k % 4], strict=True):
            np.testing.assert_array_equal(a, b)


def unaligned(x):
    return np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


KINDS = {
    "with gaps": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "in columns": np.asfortranarray,
    "read only": read_only,
    "not aligned": unaligned,
    "of the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 7), (70, 90)], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_of_every_kind(kind, shape, dtype):
    plain = np.random.default_rng(0).normal(size=shape).astype(dtype)
    x = KINDS[kind](plain)
    f = cr.compile(lambda x: (np.sin(x) * 2, np.sum(x, axis=0), x))
    for a, b in zip(f(x), (np.sin(x) * 2, np.sum(x, axis=0), x), strict=True):
        assert a.dtype == b.dtype.newbyteorder("=")
        np.testing.assert_allclose(a, b, rtol=1e-5 if dtype is np.float32 else 1e-13, atol=1e-6)
    np.testing.assert_array_equal(x, plain)


@pytest.mark.parametrize("x", [2, 2.5, True, np.float32(1.5), np.array(3.0), np.int8(3)], ids=repr)
def test_numbers_in_place_of_arrays(x):
    f = cr.compile(lambda x, y: (np.exp(y) * x, x + x))
    for a, b in zip(f(x, 0.5), (np.exp(0.5) * x, x + x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert np.asarray(a).dtype == np.asarray(b).dtype


def test_a_number_of_pythons_takes_the_type_of_what_it_meets():
    f = cr.compile(lambda x, factor, *, shift=0.0: x * factor + shift)
    x = np.ones(3, np.float32)
    for y, expected in ((f(x, 2.5), 2.5), (f(x, 3, shift=0.25), 3.25), (f(x, 2.5, shift=1), 3.5)):
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, np.full(3, expected, np.float32))


def test_a_compiled_function_within_another():
    inner = cr.compile(lambda x: np.sin(x) * 2)
    x = np.linspace(0, 1, 5)
    np.testing.assert_allclose(cr.compile(lambda x: inner(x) + 1)(x), np.sin(x) * 2 + 1)
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(inner(x)))(x), 2 * np.cos(x))


def test_copies_of_a_compiled_function_compile_anew():
    f = cr.compile(np.tanh)
    x = np.linspace(0, 1, 5)
    f(x)
    np.testing.assert_array_equal(copy.deepcopy(f)(x), f(x))


def test_a_sum_of_half_precision_is_numpys():
    x = np.full(3000, 60000, np.float16)
    assert cr.compile(np.mean)(x) == np.mean(x)


def test_what_is_returned_belongs_to_the_caller():
    for n in (5, 5000):
        x = np.arange(float(n))
        program = NativeProgram(graph_of(lambda x: (x, x, x * 2), [x]))
        first = program([x])
        for y in first:
            np.add(y, 1, out=y)
        np.testing.assert_array_equal(x, np.arange(float(n)))
        for a, b in zip(program([x]), (x, x, 2 * x), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x * 2, (0, 3)),
        (lambda x: np.sum(x) + 1, (3, 0)),
        (lambda x: np.sum(x[:0]) + np.sum(x), (3,)),
    ],
)
def test_arrays_of_no_elements_are_numpys(function, shape):
    x = np.ones(shape)
    with pytest.raises(ChainruleError, match="empty"):
        NativeProgram(graph_of(function, [x]))
    np.testing.assert_array_equal(cr.compile(function)(x), function(x))


# ------------------------------------------------------------------ places out of range

OUT = {
    "taken": (lambda x, i: x[i] * 2, [11, -12], (np.ones((11, 3)), np.array([0, 10, -11, 4]))),
    "taken in pairs": (lambda x, i: x[i, i], [3, -4], (np.ones((11, 3)), np.array([0, 2, -3]))),
    "added": (
        lambda x, i: ops.scatter_add(x, i, shape=(5, 3)),
        [5, -6, 2**40],
        (np.ones((4, 3)), np.array([0, -5, 4, 1])),
    ),
    "labels": (
        ops.softmax_cross_entropy,
        [3, -1],
        (np.ones((20, 3)), np.arange(20) % 3),
    ),
    "one of many": (
        np.take,
        [33, -34],
        (np.arange(33.0), np.arange(37) % 33),
    ),
}


@pytest.mark.parametrize("target", [HOST, *[t._replace(checked=True) for t in TARGETS]], ids=str)
@pytest.mark.parametrize("name", OUT)
def test_a_place_out_of_range_is_refused_and_numpy_says_why(name, target):
    function, wrong, (x, places) = OUT[name]
    program = NativeProgram(graph_of(function, [x, places]), target=target)
    assert run(program, [x, places]).answer == 0
    np.testing.assert_allclose(program([x, places])[0], function(x, places))
    for number in wrong:
        for k in (0, len(places) - 1):
            bad = places.copy()
            bad[k] = number
            assert run(program, [x, bad]).answer == REFUSED
            assert program([x, bad]) is None
            with pytest.raises((IndexError, LabelError)):
                cr.compile(function)(x, bad)
    assert program([x, places]) is not None
