"""Every op's record, held to its word: each test here is generated from the registry."""

from __future__ import annotations

import re

import numpy as np
import pytest
from every_op import Call, calls, difference, directions, every_call, name_of

from chainrule import grad, jvp, vjp, vmap
from chainrule.execute.numpy import run
from chainrule.graph import OPS, Op, Spec, constants, read, trace
from chainrule.ops.batching import looped
from chainrule.transform import batch, forward, reverse, simplify


def per_call(wanted=lambda _: True):
    return pytest.mark.parametrize("call", every_call(wanted), ids=name_of)


def per_op(wanted=lambda _: True):
    return pytest.mark.parametrize("op", [OPS[n] for n in sorted(OPS) if wanted(OPS[n])], ids=str)


def is_differentiable(op: Op) -> bool:
    return op.differentiable


def agree(a, b, tolerance=1e-12):
    """Require two arrays to be equal to a tolerance relative to the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    scale = max(1.0, float(np.max(np.abs(b.astype(float)), initial=0.0)))
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def specs(call: Call) -> list[Spec]:
    return [Spec(x.shape, x.dtype) for x in call.operands]


def whole(call: Call):
    """Return the op as a function of all its operands."""
    return lambda *operands: call.op(*operands, **call.attributes)


@per_op()
def test_a_record_is_complete(op):
    assert op.doc
    assert op.cases, "no cases, so nothing would be tested"
    assert op.derivative.kind in {"partials", "linear", "bilinear", "rules", "flat"}
    named = set(re.findall(r"<(\w+)>", op.latex))
    assert named <= set(op.operands)
    assert op.differentiable or op.derivative.reason
    assert op.flat <= set(op.operands)
    is_ours = op.forward.__module__.startswith("chainrule.")
    assert not is_ours or op.batch is not looped, "an op of ours acts on many examples at once"


@per_call()
def test_shape_and_dtype_are_what_numpy_gives(call):
    for dtype in (np.float64, np.float32):
        typed = call.as_type(dtype)
        y = typed.op(*typed.operands, **typed.attributes)
        assert typed.op.infer(typed.operands, typed.attributes) == (y.shape, y.dtype)


@per_call(is_differentiable)
def test_forward_mode_is_the_difference_quotient(call):
    dxs = directions(call)
    y, dy = jvp(call.function, call.xs, dxs)
    agree(y, call.function(*call.xs))
    agree(dy, difference(call.function, call.xs, dxs), 1e-8)


@per_call(is_differentiable)
def test_reverse_mode_is_the_transpose_of_forward_mode(call):
    dxs = directions(call)
    y, dy = jvp(call.function, call.xs, dxs)
    u = np.random.default_rng(2).normal(size=y.shape)
    _, pull = vjp(call.function, *call.xs)
    pulled = sum(np.sum(a * b) for a, b in zip(pull(u), dxs, strict=True))
    agree(pulled, np.sum(u * dy), 1e-12)


@per_call(is_differentiable)
def test_second_derivatives_are_differences_of_first_ones(call):
    dxs = directions(call)
    u = np.random.default_rng(2).normal(size=call.function(*call.xs).shape)
    v = directions(call, seed=3)

    def along(*xs):
        """The gradient of <u, f> times a fixed direction, a number."""
        _, pull = vjp(call.function, *xs)
        return sum(np.sum(a * b) for a, b in zip(pull(u), v, strict=True))

    expected = difference(along, call.xs, dxs)
    gradient = grad(along, tuple(range(len(call.xs))))(*call.xs)
    agree(sum(np.sum(a * b) for a, b in zip(gradient, dxs, strict=True)), expected, 1e-8)
    agree(jvp(along, call.xs, dxs)[1], expected, 1e-8)


@per_call(is_differentiable)
def test_float32_stays_float32_through_every_rule(call):
    call = call.as_type(np.float32)
    graph = trace(whole(call), *specs(call))
    for derivative in (reverse(graph, call.places), forward(graph)):
        floats = {n.dtype.name for n in derivative.nodes if np.issubdtype(n.dtype, np.floating)}
        assert floats == {"float32"}, str(derivative)


@per_call()
def test_graphs_of_an_op_and_its_derivatives_check_print_and_read_back(call):
    graph = trace(whole(call), *specs(call))
    programs = [graph, simplify(graph)]
    if call.op.differentiable:
        programs += [reverse(graph, call.places), forward(graph)]
    for program in programs:
        program.check()
        assert str(read(str(program), constants(program))) == str(program)


@per_call()
def test_every_executor_gives_what_the_graph_means(call):
    graph = trace(whole(call), *specs(call))
    y = call.op(*call.operands, **call.attributes)
    np.testing.assert_array_equal(graph.evaluate(*call.operands)[0], y)
    np.testing.assert_array_equal(run(graph, *call.operands)[0], y)
    if call.op.differentiable:
        program = reverse(graph, call.places)
        given = (*call.operands, np.ones(y.shape, y.dtype)[()])
        expected = program.evaluate(*given)
        for a, b, c in zip(
            expected, run(program, *given), simplify(program).evaluate(*given), strict=True
        ):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(c, a)


@per_call()
def test_the_graph_of_the_derivative_is_the_derivative(call):
    if not call.op.differentiable:
        y = jvp(call.function, call.xs, directions(call))[1]
        assert not np.any(y)
        return
    y = call.function(*call.xs)
    u = np.random.default_rng(2).normal(size=y.shape)[()]
    program = reverse(trace(whole(call), *specs(call)), call.places)
    _, pull = vjp(call.function, *call.xs)
    for a, b in zip(program.evaluate(*call.operands, u)[1:], pull(u), strict=True):
        agree(a, b)
    backward = [node for node in program.nodes if node.origin]
    for node in backward:
        assert program.nodes[node.origin.node].op is call.op
        assert node.origin.rule == f"{call.op.name} backward"


@per_call()
def test_the_batch_rule_is_a_loop(call):
    n = 3
    copies = [calls(call.op, seed)[_which(call)].operands for seed in range(n)]
    stacked = [np.stack(parts) for parts in zip(*copies, strict=True)]
    for chosen in _choices(len(stacked)):
        operands = [s if k in chosen else call.operands[k] for k, s in enumerate(stacked)]
        axes = tuple(0 if k in chosen else None for k in range(len(stacked)))
        ys = vmap(whole(call), axes)(*operands)
        for i in range(n):
            row = [x[i] if k in chosen else x for k, x in enumerate(operands)]
            agree(ys[i], call.op(*row, **call.attributes))
        graph = trace(whole(call), *specs(call))
        flags = [k in chosen for k in range(len(stacked))]
        batched = batch(graph, n, flags).check().evaluate(*operands)[0]
        np.testing.assert_array_equal(batched, ys)
        if call.op.differentiable:
            program = reverse(graph, call.places)
            u = np.ones((n, *ys.shape[1:]), ys.dtype)
            rows = batch(program, n, [*flags, True]).check().evaluate(*operands, u)
            for i in range(n):
                row = [x[i] if k in chosen else x for k, x in enumerate(operands)]
                for a, b in zip(rows, program.evaluate(*row, u[i][()]), strict=True):
                    agree(a[i], b)


def _which(call: Call) -> int:
    """Return the number of a call's case."""
    for k, other in enumerate(calls(call.op)):
        same = all(np.array_equal(a, b) for a, b in zip(call.operands, other.operands, strict=True))
        if same and other.attributes == call.attributes:
            return k
    raise AssertionError(call)


def _choices(count: int) -> list[set[int]]:
    """Return which operands have examples: all, and each alone."""
    return [set(range(count)), *([{k} for k in range(count)] if count > 1 else [])]
