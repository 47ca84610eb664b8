"""Whose an array is: nothing that is handed out or taken in can corrupt what is computed later."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from chainrule import Spec, grad, jvp, ops, trace, vjp, vmap
from chainrule.errors import BranchError, GraphError, InputTypeError, SpecialisedError
from chainrule.execute import Prepared, Program
from chainrule.graph import OPS, Graph, Node, constants, read
from chainrule.transform import batch, reverse

F8 = np.dtype(np.float64)


@pytest.mark.parametrize("run", [lambda g: g.evaluate, Program], ids=["evaluate", "program"])
def test_writing_to_an_output_changes_no_later_run(run):
    zeros = np.zeros(3)
    call = run(trace(lambda x: (x, zeros, x * 2, x.T), Spec((3,))))
    x = np.ones(3)
    first = call(x)
    for k in range(len(first)):
        first[k] += 7
    np.testing.assert_array_equal(x, np.ones(3))
    for y, expected in zip(call(x), (1, 0, 2, 1), strict=True):
        np.testing.assert_array_equal(y, np.full(3, expected))


def test_the_zero_gradient_of_a_prepared_function_is_its_receivers():
    prepared = Prepared(grad(lambda w: np.sum(w["a"])))
    w = {"a": np.ones(2), "b": np.ones(2)}
    prepared(w)["b"][0] = 7
    np.testing.assert_array_equal(prepared(w)["b"], [0, 0])


def test_vmap_returns_arrays_of_its_receivers():
    rows = np.ones((3, 2))
    y = vmap(lambda x: x)(rows)
    y += 1
    constant = vmap(lambda x: np.zeros(2))(rows)
    constant += 1
    np.testing.assert_array_equal(rows, np.ones((3, 2)))


def test_a_mapped_file_that_changes_cannot_corrupt_the_backward_walk(tmp_path):
    x = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=(3,))
    x[:] = 1
    _, pull = vjp(lambda x: np.sum(x**2), x)
    x[:] = 100
    np.testing.assert_array_equal(pull(1.0)[0], [2, 2, 2])


def test_a_masked_array_is_refused():
    with pytest.raises(InputTypeError, match="masked"):
        grad(np.sum)(np.ma.masked_array([1.0, 2.0], [True, False]))


def test_a_large_array_used_again_is_copied_once_and_again_when_it_changed():
    table = np.ones((200, 200))

    def f(x):
        y = np.sum(table @ x) + np.sum(table @ x)
        table[:] = 2
        return y + np.sum(table @ x)

    graph = trace(f, Spec((200,)))
    assert len(graph.constants) == 2
    assert graph.evaluate(np.ones(200))[0] == 4 * 200 * 200


def test_a_specialised_graph_is_not_batched():
    graph = trace(lambda x: x * 2 if x > 0 else x * 3, np.float64(1))
    with pytest.raises(SpecialisedError):
        batch(graph, 2)


def test_integers_beside_numbers_in_a_container_are_constants_to_vjp():
    _, pull = vjp(lambda p: p["w"] * p["n"], {"w": np.ones(2), "n": 3})
    (gradient,) = pull(np.ones(2))
    np.testing.assert_array_equal(gradient["w"], [3, 3])
    assert gradient["n"] is None


def test_none_is_the_tangent_of_a_constant():
    labels = np.array([0, 1])
    logits = np.eye(2)
    _, dy = jvp(ops.softmax_cross_entropy, (logits, labels), (logits, None))
    _, expected = jvp(lambda x: ops.softmax_cross_entropy(x, labels), (logits,), (logits,))
    np.testing.assert_array_equal(dy, expected)


@pytest.mark.parametrize("first", [0.25, np.float64(0.25)])
@pytest.mark.parametrize("second", [0.25, np.float64(0.25)])
def test_numpy_scalars_as_attributes_do_not_promote(first, second):
    for number in (first, second):
        graph = trace(lambda x, a=number: ops.leaky_relu(x, slope=a), Spec((2,), "float32"))
        assert graph.nodes[-1].dtype == np.float32
        assert str(read(str(graph))) == str(graph)


def test_a_traced_attribute_is_refused_by_name():
    with pytest.raises(InputTypeError, match="leaky_relu takes slope as a plain number"):
        grad(lambda x, a: np.sum(ops.leaky_relu(x, slope=a)), (0, 1))(np.ones(2), 0.2)


def test_nothing_is_differentiated_by_an_integer_input():
    graph = trace(lambda x, n: x * n, Spec((2,)), Spec((2,), "int64"))
    assert len(reverse(graph).outputs) == 2
    with pytest.raises(InputTypeError):
        reverse(graph, [1])


@pytest.mark.parametrize(
    "graph",
    [
        Graph([Node(None, (), {}, (2,), F8)], [], [0], {0: np.zeros(3)}),
        Graph([Node(None, (), {}, (2,), F8)], [], [0], {0: np.zeros(2, np.float32)}),
        Graph([Node(None, (), {}, (2,), F8)], [0, 0], [0]),
    ],
    ids=["shape", "dtype", "input twice"],
)
def test_constants_and_inputs_are_checked(graph):
    with pytest.raises(GraphError):
        graph.check()


def test_a_long_double_constant_reads_back():
    graph = trace(lambda x: x * np.longdouble("0.1"), Spec((2,), np.longdouble))
    again = read(str(graph), constants(graph))
    x = np.ones(2, np.longdouble)
    np.testing.assert_array_equal(again.evaluate(x)[0], graph.evaluate(x)[0])


def test_copies_and_pickles_of_graphs_refer_to_the_same_ops():
    graph = trace(lambda x: np.sin(x) @ x, Spec((2,)))
    for again in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):  # noqa: S301 - ours
        assert str(again) == str(graph)
        assert again.nodes[1].op is OPS["sin"]


def test_arguments_that_all_examples_share_may_be_indexed_by_traced_ones():
    table = np.arange(6.0).reshape(3, 2)
    rows = vmap(lambda t, i: t[i].sum(), (None, 0))(table, np.array([0, 2, 2]))
    np.testing.assert_array_equal(rows, [1, 9, 9])
    scaled = vmap(lambda x, *, by: x * by)(np.ones(3), by=2.0)
    np.testing.assert_array_equal(scaled, [2, 2, 2])
    with pytest.raises(BranchError):
        vmap(lambda x: x if x > 0 else -x)(np.ones(3))
