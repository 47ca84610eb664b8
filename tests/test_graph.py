"""Graphs: what they mean, check, print, and what is left of them when simplified."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import Spec, grad, ops, trace
from chainrule.errors import GraphError, NotationError, SpecialisedError, StructureError
from chainrule.execute.numpy import Program
from chainrule.graph import Graph, Node, constants, read
from chainrule.ops import softmax_cross_entropy
from chainrule.transform import simplify

F8 = np.dtype(np.float64)


def loss(w, b, x, labels):
    hidden = np.maximum(0, x @ w + b)
    return np.mean(softmax_cross_entropy(hidden, labels))


SPECS = [Spec((3, 4)), Spec((4,)), Spec((5, 3)), Spec((5,), np.dtype(np.int64))]
GOLDEN = """\
graph(%0, %1, %2, %3) -> %8
  %0: float64[3, 4] = input w
  %1: float64[4] = input b
  %2: float64[5, 3] = input x
  %3: int64[5] = input labels
  %4: float64[5, 4] = matmul(%2, %0)
  %5: float64[5, 4] = add(%4, %1)
  %6: float64[5, 4] = relu(%5)
  %7: float64[5] = softmax_cross_entropy(%6, %3)
  %8: float64[] = mean(%7, axis=(0,), keepdims=False)"""


def test_a_graph_prints_as_the_program_it_is():
    assert str(trace(loss, *SPECS)) == GOLDEN


def test_text_reads_back():
    graph = read(GOLDEN)
    assert str(graph) == GOLDEN
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s.shape) for s in SPECS[:3]] + [np.array([0, 1, 2, 3, 0])]
    assert graph.evaluate(*arrays)[0] == loss(*arrays)


def test_large_constants_are_named_and_stand_in_a_table():
    table = np.arange(6.0).reshape(2, 3)
    graph = trace(lambda x: np.sum(x @ table) + np.inf * x[0] - 0.1, Spec((2,)))
    assert "constant c0" in str(graph)
    again = read(str(graph), constants(graph))
    x = np.array([1.0, 2.0])
    assert again.evaluate(x) == graph.evaluate(x)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "graph",
        "graph(%0) -> %0\n  %1: float64[] = input",
        "graph(%0) -> %0\n  %0: float64[] = nonsense(%0)",
        "graph(%0) -> %0\n  %0: float65[] = input",
        "graph(%0) -> %1\n  %0: float64[] = input\n  %1: float64[] = constant c7",
        "graph(%0) -> %1\n  %0: float64[] = input\n  %1: float64[] = exp(%0",
    ],
)
def test_text_that_is_no_graph_is_refused(text):
    with pytest.raises(NotationError):
        read(text)


def node(op, inputs, shape=(), **attributes):
    return Node(op, inputs, attributes, shape, F8)


@pytest.mark.parametrize(
    "graph",
    [
        Graph([node(ops.exp, (0,))], [], [0]),
        Graph([node(None, ())], [], [0]),
        Graph([node(None, ()), node(ops.exp, (0,))], [0, 1], [1]),
        Graph([node(None, ()), node(ops.exp, (0,), (2,))], [0], [1]),
        Graph([node(None, ())], [0], [3]),
    ],
    ids=["refers ahead", "neither input nor op", "input with op", "wrong shape", "no such output"],
)
def test_a_graph_that_breaks_a_rule_is_refused(graph):
    with pytest.raises(GraphError):
        graph.check()


def test_inputs_must_fit():
    graph = trace(np.exp, Spec((2,)))
    for wrong in ([], [np.zeros(3)], [np.zeros(2, np.float32)]):
        with pytest.raises(StructureError):
            graph.evaluate(*wrong)
        with pytest.raises(StructureError):
            Program(graph)(*wrong)


def test_a_branch_on_a_number_specialises_a_graph():
    def f(x):
        return x * 2 if np.sum(x) > 0 else x * 3

    graph = trace(f, np.ones(2))
    assert graph.specialised
    assert str(graph).startswith("specialised graph")
    assert read(str(graph)).specialised
    with pytest.raises(SpecialisedError):
        graph.evaluate(np.ones(2))
    assert not trace(lambda x: np.where(np.sum(x) > 0, x * 2, x * 3), np.ones(2)).specialised


def test_traces_on_numbers_record_comparisons_too():
    graph = trace(lambda x: np.where(x > 0, x, 0), np.array([1.0, -1.0]))
    np.testing.assert_array_equal(graph.evaluate(np.array([-1.0, 1.0]))[0], [0, 1])


def test_every_node_knows_the_line_it_came_from():
    graph = trace(loss, *SPECS)
    first = loss.__code__.co_firstlineno
    lines = [n.where.line - first for n in graph.nodes if n.op]
    assert lines == [1, 1, 1, 2, 2]
    assert str(graph.nodes[4].where) == f"test_graph.py:{first + 1}"


def simplified(f, *specs):
    return simplify(trace(f, *specs)).check()


def ops_of(graph):
    return [n.op.name for n in graph.nodes if n.op]


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: x * 1, []),
        (lambda x: 1 * x, []),
        (lambda x: x / 1, []),
        (lambda x: x**1, []),
        (lambda x: np.negative(-x), []),
        (lambda x: +x, []),
        (lambda x: x.T.T, []),
        (lambda x: x.reshape(6).reshape(2, 3), []),
        (lambda x: x[:, :], []),
        (lambda x: x.astype(float), []),
        (lambda x: np.broadcast_to(x, (2, 3)), []),
        (lambda x: np.concatenate([x]), []),
        (lambda x: np.exp(x) + np.exp(x), ["exp", "add"]),
        (lambda x: x + np.exp(2.0) * 3, ["add"]),
        (lambda x: x * 0, ["multiply"]),
        (lambda x: x + 0.0, ["add"]),
        (lambda x: (x + 1) + (x + True), ["add", "add"]),
        (lambda x: x * 0.0 + x * -0.0, ["multiply", "multiply", "add"]),
    ],
)
def test_what_simplifying_leaves(f, left):
    graph = simplified(f, Spec((2, 3)))
    assert ops_of(graph) == left
    x = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_array_equal(graph.evaluate(x)[0], f(x))


def test_simplifying_keeps_dtypes():
    graph = simplified(lambda x: x * np.float64(1), Spec((2,), np.dtype(np.float32)))
    assert graph.evaluate(np.ones(2, np.float32))[0].dtype == np.float64


def test_simplifying_keeps_where_a_derivative_came_from():
    graph = simplify(trace(grad(loss), *SPECS)).check()
    origins = [n for n in graph.nodes if n.origin]
    assert origins
    for index, n in enumerate(graph.nodes):
        if n.origin and n.origin.node != index:  # itself, where the forward node was not needed
            forward = graph.nodes[n.origin.node]
            assert n.origin.rule == f"{forward.op.name} backward"
    assert any(n.origin.node != k for k, n in enumerate(graph.nodes) if n.origin)


def test_dead_nodes_go_and_inputs_stay():
    graph = simplified(lambda x, y: (np.exp(x), x)[1], Spec((2,)), Spec((3,)))
    assert len(graph) == len(graph.inputs) == 2


def test_a_program_lets_go_of_what_it_no_longer_needs_and_says_the_same():
    graph = trace(grad(loss), *SPECS)
    program = Program(graph)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s.shape) for s in SPECS[:3]] + [np.array([0, 1, 2, 3, 0])]
    for _ in range(2):
        np.testing.assert_array_equal(program(*arrays)[0], graph.evaluate(*arrays)[0])
