"""Every op as machine code: each test is generated from the registry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from every_op import Call, calls, every_call, name_of
from natively import HOST, TARGETS, agree, check_plan, host_steps, largest, run

from chainrule import ops
from chainrule.compile import plan
from chainrule.execute.answers import OUTSIDE
from chainrule.execute.native import code as native
from chainrule.execute.native.ability import able
from chainrule.execute.native.program import NativeProgram
from chainrule.graph import OPS, Each, Spec, trace
from chainrule.transform import reverse, simplify

HOSTED = {
    "argmax",
    "argmin",
    "argsort",
    "cholesky",
    "cumsum",
    "det",
    "einsum",
    "inv",
    "log_abs_det",
    "sign_of_det",
    "solve",
}
"""The ops that NumPy computes between compiled steps; no more may come here."""

OTHERS = [
    TARGETS[0]._replace(checked=True),
    TARGETS[1],
    TARGETS[2],
    TARGETS[1]._replace(checked=True),
    TARGETS[2]._replace(checked=True),
]
CALLS = every_call()
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 0.5, -1.0, 3.0]


def numbered(wanted=lambda _: True):
    """Give a test each call and a number, for it to choose a target by."""
    chosen = [(k, call) for k, call in enumerate(CALLS) if wanted(call)]
    return pytest.mark.parametrize(("k", "call"), chosen, ids=[name_of(c) for _, c in chosen])


def program_of(call: Call):
    """Return the graph of an op, of its derivatives too if it has them, and what it is given."""
    graph = trace(lambda *xs: call.op(*xs, **call.attributes), *specs(call.operands))
    if not call.op.differentiable:
        return graph, call.operands
    (node,) = (graph.nodes[i] for i in graph.outputs)
    u = np.random.default_rng(2).normal(size=node.shape).astype(np.float32).astype(node.dtype)
    return simplify(reverse(graph, call.places)), (*call.operands, u[()])


def specs(arrays):
    return [Spec(np.shape(x), np.asarray(x).dtype) for x in arrays]


def check(call: Call, target):
    """Require of machine code what NumPy gives, for a call in its own precision."""
    graph, given = program_of(call)
    wide, exact = program_of(call.as_type(np.float64))
    if any(0 in node.shape for node in graph.nodes):
        return
    with np.errstate(all="ignore"):
        numbers = wide.walk(*exact)
        wanted = graph.evaluate(*given)
    program = NativeProgram(graph, target=target)
    check_plan(program.plan)
    found = run(program, given)
    assert found.answer == 0
    types = {x.dtype for x in (*given, *wanted)}
    least = np.float32 if np.dtype(np.float32) in types else np.float64
    agree(found.results, wanted, wide.results(numbers), largest(numbers), least)


@numbered()
def test_an_op_and_its_derivative(k, call):
    check(call, HOST)
    check(call.as_type(np.float32), HOST)
    check(call.as_type(np.float32 if k % 2 else np.float64), OTHERS[k % len(OTHERS)])


@pytest.mark.slow
@numbered()
def test_an_op_and_its_derivative_on_every_target(k, call):
    for target in (*TARGETS, *[t._replace(checked=True) for t in TARGETS]):
        for dtype in (np.float64, np.float32):
            check(call.as_type(dtype), target)


@numbered(lambda call: call.op.differentiable and isinstance(call.op.form, Each))
def test_a_second_derivative(k, call):
    graph, given = program_of(call)
    twice = simplify(reverse(graph, call.places))
    u = [np.asarray(np.cos(np.arange(x.size) + 1.0).reshape(x.shape))[()] for x in call.xs]
    more = [graph.nodes[i] for i in graph.outputs]
    given = (*given, np.ones(more[0].shape)[()], *u)
    numbers = twice.walk(*given)
    wanted = twice.results(numbers)
    target = [HOST, *OTHERS][k % (1 + len(OTHERS))]
    agree(run(NativeProgram(twice, target=target), given).results, wanted, wanted, largest(numbers))


EACH = [OPS[n] for n in sorted(OPS) if isinstance(OPS[n].form, Each)]


@pytest.mark.parametrize("op", EACH, ids=str)
def test_nan_and_infinity_go_where_they_go_in_numpy(op):
    call = calls(op)[0]
    floats = [k for k, x in enumerate(call.operands) if x.dtype.kind == "f"]
    grid = list(itertools.product(SPECIAL, repeat=len(floats)))
    dtype = np.float32 if len(op.name) % 2 else np.float64
    operands = [np.resize(x, len(grid)) for x in call.operands]
    for place, k in enumerate(floats):
        operands[k] = np.array([row[place] for row in grid], dtype)
    if not floats:
        return
    graph, given = program_of(call._replace(operands=tuple(operands)))
    with np.errstate(all="ignore"):
        wanted = graph.evaluate(*given)
    for a, b in zip(run(NativeProgram(graph), given).results, wanted, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_array_equal(a[np.isinf(b)], b[np.isinf(b)])


def test_what_numpy_computes():
    found: set[str] = set()
    for call in CALLS:
        graph, _ = program_of(call)
        if not any(0 in node.shape for node in graph.nodes):
            found |= host_steps(plan(graph, able=able))
    assert found <= HOSTED, "an op lost its machine code"
    assert found == HOSTED, "an op has machine code now: take it from the list"


PLACES = np.array([3, 36, 0, 11])
LIES = {
    "read": (lambda x: np.sqrt(x) + 1, (37,), "input"),
    "written": (lambda x: np.sqrt(x) + 1, (37,), "output"),
    "read backwards": (lambda x: np.sqrt(x[:, ::-1]) + 1, (7, 5), "input"),
    "folded": (lambda x: np.max(x, axis=1), (7, 5), "input"),
    "a column folded": (lambda x: np.sum(x, axis=0), (7, 5), "output"),
    "gathered": (lambda x: x[PLACES] + 1, (37,), "input"),
    "scattered": (lambda x: ops.scatter_add(x, PLACES, shape=(37,)), (4,), "input"),
    "placed": (lambda x: np.concatenate([x, x]), (37,), "input"),
    "placed with gaps": (lambda x: np.stack([x, x], axis=1), (37,), "input"),
    "copied": (lambda x: np.flip(x) + 1, (37,), "donated"),
}


@pytest.mark.parametrize("target", [t._replace(checked=True) for t in TARGETS], ids=str)
@pytest.mark.parametrize("name", LIES)
def test_a_checked_build_says_when_an_address_is_outside(monkeypatch, name, target):
    """A plan that lies about the length of an array is found out before memory is touched."""
    function, shape, which = LIES[name]
    donated = {0: 0} if which == "donated" else {}
    graph = simplify(trace(function, Spec(shape)))
    made = plan(graph, donated, able=able)
    monkeypatch.setattr(native, "plan", lambda *_: made)
    monkeypatch.setattr(native, "_REMEMBERED", 0)
    native._known.clear()
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    sound = run(NativeProgram(graph, donated, target=target), [x])
    assert sound.answer == 0
    np.testing.assert_allclose(sound.results[0], function(x), rtol=1e-14)
    ends = made.graph.inputs if which != "output" else made.graph.outputs
    node = made.graph.nodes[ends[0]]
    made.graph.nodes[ends[0]] = node._replace(shape=(*node.shape[:-1], node.shape[-1] - 1))
    lying = NativeProgram(graph, donated, target=target)
    made.graph.nodes[ends[0]] = node
    assert run(lying, [x]).answer == OUTSIDE
