"""Graphs, their text and traced values where something is odd, nested or refused."""

from __future__ import annotations

import _thread
import operator
import threading

import numpy as np
import pytest

from chainrule import Graph, Spec, grad, jvp, ops, trace, vjp, vmap
from chainrule.errors import (
    AxisError,
    ChainruleError,
    ConversionError,
    DeclarationError,
    GraphError,
    InputTypeError,
    LeakError,
    NoOpError,
    NotationError,
    OutputError,
)
from chainrule.graph import NUMPY, OPS, Node, Tracer, constants, describe, literal, read, user_line
from chainrule.graph.dispatch import call_function
from chainrule.ops.declare import elementwise, flat, linear
from chainrule.transform import forward, reverse, simplify

F8 = np.dtype(np.float64)


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ops.leaky_relu(x, slope=np.float64(0.25)),
        lambda x: ops.leaky_relu(x, slope=np.inf),
        lambda x: ops.leaky_relu(x, slope=-np.inf),
        lambda x: ops.elu(x, alpha=-0.5),
        lambda x: x[::-1, None, np.int64(1)],
        lambda x: x.astype(np.float32),
        lambda x: np.float32(0.1) * x + np.nan,
        lambda x: np.where(np.array([True, False, True]), x, -np.inf),
        lambda x: np.sum(x[np.array([[0, 1], [1, 0]])]),
    ],
)
def test_attributes_and_constants_survive_their_text(f):
    graph = trace(f, Spec((2, 3)))
    again = read(str(graph), constants(graph))
    assert str(again) == str(graph)
    x = np.array([[1.0, -2, 3], [0.5, 4, -1]])
    np.testing.assert_array_equal(again.evaluate(x)[0], graph.evaluate(x)[0])


def test_the_literal_of_a_number_of_numpy_is_pythons():
    assert literal((np.float32(0.5), np.dtype("f4"), slice(1, None))) == (
        "(0.5, 'float32', slice(1, None, None))"
    )


def test_a_dtype_that_numpy_would_read_otherwise_keeps_its_constants():
    graph = trace(lambda x: x * np.float32(0.1), Spec((2,), np.dtype("f4")))
    assert read(str(graph)).evaluate(np.ones(2, "f4"))[0].dtype == np.float32


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotationError, "exp(%0) + (%0)"),
        (NotationError, "exp(%0)(%0)"),
        (NotationError, "exp(%0, slope=x)"),
        (NotationError, "exp(y)"),
        (NotationError, "exp %0"),
        (GraphError, "exp(%0, %0)"),
        (GraphError, "exp(%0, slope=1)"),
        (GraphError, "sum(%0)"),
        (GraphError, "matmul(%0, %0)"),
        (GraphError, "reshape(%0, shape=(3,))"),
        (GraphError, "exp(%5)"),
    ],
)
def test_lines_that_say_no_call_are_refused(error, line):
    with pytest.raises(error):
        read(f"graph(%0) -> %1\n  %0: float64[2] = input x\n  %1: float64[2] = {line}")


def test_a_graph_may_hold_values_of_an_outer_trace():
    def f(v, x):
        graph = trace(lambda x: x * v * 1 + x * v * 1 + np.exp(v), Spec(()))
        small = simplify(graph)
        assert len(small) < len(graph)
        (a,), (b,) = graph.evaluate(x), small.evaluate(x)
        return a + 0 * b

    assert grad(f, (0, 1))(3.0, 2.0) == (4 + np.exp(3.0), 6)


def test_describe():
    assert describe(np.zeros((2, 3))) == "float64[2, 3]"
    assert describe(2) == "2 (int)"
    assert "type" in describe(np.float32)


def test_a_graph_that_refers_to_nothing_is_refused():
    with pytest.raises(GraphError):
        Graph([Node(None, (), {}, (), F8)], [0], [0], {7: 1.0}).check()
    assert len(Graph().check()) == 0
    assert Graph([Node(None, (), {}, (), F8)], [0], [0]).dependents([]) == [False]


# ---------------------------------------------------------------- ops as records


def test_attributes_by_position_and_what_a_call_must_have():
    x = np.ones((2, 3))
    np.testing.assert_array_equal(ops.reshape(x, (3, 2)), np.ones((3, 2)))
    for walk in (lambda f: f(x), lambda f: grad(lambda x: np.sum(f(x)))(x)):
        with pytest.raises(TypeError):
            walk(lambda x: ops.transpose(x, (1, 0), 2))
        with pytest.raises(TypeError):
            walk(lambda x: ops.transpose(x, (1, 0), axes=(1, 0)))
        with pytest.raises(TypeError):
            walk(lambda x: ops.transpose(x, axis=(1, 0)))
        with pytest.raises(TypeError):
            walk(ops.reshape)
        with pytest.raises(TypeError):
            walk(ops.add)


def test_an_op_shows_how_it_is_called_and_what_it_costs():
    assert repr(OPS["reshape"]) == "<op reshape(x, shape)>"
    assert repr(ops.gather) == "<op gather(x, *indices)>"
    assert repr(ops.leaky_relu) == "<op leaky_relu(x, slope=0.01)>"
    assert ops.tanh.__doc__ == ops.tanh.doc
    a, b = Spec((2, 3)), Spec((3, 4))
    product = OPS["matmul"]
    assert product.cost(a, b, y=product.infer([a, b], {})) == 2 * 2 * 3 * 4
    assert ops.tanh.cost(a, y=a) == 6
    assert OPS["einsum"].cost(a, b, y=Spec((2, 4)), subscripts="ij,jk->ik") == 48


@pytest.mark.parametrize(
    "declare",
    [
        lambda: elementwise(lambda x, z: z)(_cube),
        lambda: elementwise(1, 1)(_cube),
        lambda: linear(lambda g: g)(_cube),
        lambda: elementwise(1)(_named_tanh),
    ],
    ids=["unknown name", "too many", "no shape", "name is taken"],
)
def test_a_wrong_declaration_is_refused_and_leaves_nothing_behind(declare):
    before = dict(OPS)
    with pytest.raises(DeclarationError):
        declare()
    assert before == OPS


def _cube(x):
    """The third power."""
    return x**3


def _named_tanh(x):
    return np.tanh(x)


_named_tanh.__name__ = "tanh"


def test_an_op_says_why_it_has_no_derivative():
    @flat("because a test says so", shape=lambda x: x.shape, dtype=lambda x: F8)
    def nothing_like_it(x):
        """Zeros."""
        return np.zeros_like(x)

    try:
        assert nothing_like_it.derivative.reason == "because a test says so"
        derivative = nothing_like_it.derivative
        assert derivative.pull(nothing_like_it, 0, 1.0, [1.0], 0.0, {}) is None
        assert derivative.push(nothing_like_it, [1.0], [1.0], 0.0, {}) is None
    finally:
        del OPS["nothing_like_it"]


# ---------------------------------------------------------------- values


def test_values_answer_as_arrays_do():
    x = np.arange(6.0).reshape(2, 3)

    def f(x):
        assert (x.ndim, x.size, len(x)) == (2, 6, 2)
        assert repr(x[0, 0]) == "Value(float64[], 0.0)"
        assert f"{x[0, 1]:.1f}" == "1.0"
        assert 5.0 in x
        assert 7.0 not in x
        with pytest.raises(TypeError):
            len(x[0, 0])
        with pytest.raises(TypeError):
            hash(x)
        return np.sum(x.mT @ x) + round(x[0, 1], 1) + x.T[0, 0]

    assert np.all(np.isfinite(grad(f)(x)))
    assert repr(Tracer().input(x[0])) == "Value(float64[3], [0. 1. 2.])"


def test_whole_numbers_lose_nothing_by_becoming_pythons():
    def f(x):
        order = np.argsort(x)
        assert order.tolist() == [2, 0, 1]
        assert order[0].item() == 2
        assert operator.index(order[1]) == 0
        assert [10, 20, 30][order[2]] == 20
        assert np.asarray(order).tolist() == [2, 0, 1]
        return x[order[0]]

    trace(f, np.array([2.0, 3.0, 1.0]))
    graph = trace(lambda x: x * int(np.argmax(x)), np.array([1.0, 2.0]))
    assert graph.specialised


def test_shapes_print_as_shapes():
    def f(x):
        assert repr(x) == f"{x}" == "Value(float64[2])"
        return x

    trace(f, Spec((2,)))


def test_a_value_outlives_its_trace_only_as_an_error():
    kept = []
    grad(lambda x: kept.append(x) or x * 2)(1.0)
    (x,) = kept
    for use in (lambda: x + 1, lambda: np.sin(x), lambda: float(x), lambda: bool(x > 0)):
        with pytest.raises(LeakError):
            use()


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (ConversionError, lambda x: [1, 2, 3][x[0]]),
        (AxisError, lambda x: x[x[0]]),
        (InputTypeError, lambda x: np.sum(x * np.array([None, 1, 2]))),
        (NoOpError, lambda x: np.sum(np.fft.fft(x))),
        (NoOpError, lambda x: np.sum(np.add(x, 1, dtype=np.float32))),
        (NoOpError, lambda x: np.sum(np.zeros_like(x, np.float32, "C"))),
    ],
)
def test_what_values_refuse(error, f):
    with pytest.raises(error):
        grad(f)(np.ones(3))


def test_a_trace_of_what_is_no_array_is_refused():
    for y in ("text", [1.0, None, "x"], object()):
        with pytest.raises(OutputError):
            trace(lambda x, y=y: y, Spec(()))


def test_names_of_inputs_follow_the_arguments():
    graph = trace(lambda p, x: p["w"] * x[0], {"w": 1.0, "b": 2.0}, (Spec(()),))
    assert sorted(graph.nodes[i].name for i in graph.inputs) == ["p['b']", "p['w']", "x[0]"]
    assert str(trace(np.sin, Spec(()))).splitlines()[1] == "  %0: float64[] = input"
    method = Spec((2,))

    class Model:
        def loss(self, x):
            return np.sum(x)

    assert "input x" in str(trace(Model().loss, method))


def test_the_line_of_a_program_is_the_users():
    assert user_line().file == __file__
    graph = trace(lambda x: vmap(np.sin)(x) + jvp(np.cos, (x,), (x,))[1], np.ones(2))
    assert {node.where.file for node in graph.nodes if node.op} == {__file__}
    assert not str(Graph([Node(None, (), {}, (), F8)]).nodes[0].where)


def test_where_no_line_is_the_users_it_is_nowhere():
    """In a thread that a library starts, on a function of a library."""
    found, done = [], threading.Lock()
    text = "def run():\n    found.append(user_line())\n    done.release()"
    space = {"found": found, "done": done, "user_line": user_line}
    exec(compile(text, np.__file__, "exec"), space)  # noqa: S102 - code of another file
    done.acquire()
    _thread.start_new_thread(space["run"], ())
    assert done.acquire(timeout=10)
    assert not str(found[0])


def test_derivatives_of_graphs_whose_output_is_an_input_or_constant():
    graph = trace(lambda x, k: (x, 2.0, x * k), Spec((2,)), Spec((2,), np.dtype(int)))
    x, k = np.ones(2), np.array([3, 4])
    ahead = forward(graph).check().evaluate(x, k, np.array([1.0, 0.5]))
    np.testing.assert_array_equal(ahead[3], [1, 0.5])
    assert ahead[4] == 0
    np.testing.assert_array_equal(ahead[5], [3, 2])
    back = reverse(graph, [0]).check().evaluate(x, k, x, np.float64(1), x)
    np.testing.assert_array_equal(back[3], [4, 5])
    twice = trace(lambda x: (x * x, x * x), Spec(()))
    twice.outputs = [twice.outputs[0]] * 2
    assert reverse(twice).evaluate(np.float64(3), np.float64(1), np.float64(10))[2] == 66


def test_values_of_values_are_known_by_the_array_behind_them():
    def f(x):
        return grad(lambda y: y * y if (y.concrete, f"{y:.1f}") == (2.0, "2.0") else y)(x)

    assert grad(f)(2.0) == 2


def test_a_function_without_a_signature_is_called_as_it_stands():
    """As before NumPy 2.4, which tells those of its functions that are written in C."""

    class Silent:
        __module__, __name__ = "numpy", "silent"

        @property
        def __signature__(self):
            raise ValueError("no signature found")

        def __call__(self, *args):
            raise AssertionError("stands for a function of NumPy")

    silent = Silent()
    ops.called_by(silent)(ops.add)
    ops.called_by(np.i0)(ops.join)
    try:
        assert call_function(silent, (1.0, 2.0), {}) == 3
        with pytest.raises(NoOpError):
            call_function(silent, (1.0, 2.0), {"dtype": float})
        arrays = np.ones(1), np.zeros(1), np.ones(1)
        np.testing.assert_array_equal(call_function(np.i0, arrays, {"axis": 0}), [1, 0, 1])
    finally:
        del NUMPY[silent], NUMPY[np.i0]


def test_an_argument_that_numpy_ignores_is_ignored():
    x = np.array([3.0, 1.0])
    y, _ = vjp(lambda x: np.sum(a=x, axis=None, dtype=None, out=None), x)
    assert y == 4
    with pytest.raises(ChainruleError):
        vjp(lambda x: np.max(x, 0, np.zeros(())), x)
