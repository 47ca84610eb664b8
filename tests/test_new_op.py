"""A new op is one declaration: it then works in every transform and every generated check."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import test_every_op as generated
from every_op import calls

import chainrule
from chainrule import Spec, grad, hessian, jacobian, jvp, trace, vmap
from chainrule.execute.numpy import Program
from chainrule.graph import NUMPY, OPS, Case, read
from chainrule.ops.declare import bilinear, called_by, elementwise, flat, linear, rules
from chainrule.transform import forward, reverse, simplify

SOURCE = Path(chainrule.__file__).parent


def haversine_of(angle):
    return (1 - np.cos(angle)) / 2


def declare_elementwise():
    @elementwise(
        lambda x: np.sin(x) / 2, latex=r"\mathrm{hav} <x>", numpy=haversine_of, domain=(0.1, 3.0)
    )
    def haversine(x):
        """Half of one less the cosine."""
        return (1 - np.cos(x)) / 2

    return haversine


def declare_linear():
    def weights_back(g, weights):
        return np.expand_dims(g, -1) * np.asarray(weights, g.dtype)

    @linear(
        weights_back,
        shape=lambda x, weights: (x.shape[0],),
        cases=[Case((2, 3), weights=(1.0, -2.0, 0.5)), Case((3, 1), weights=(2.0,))],
    )
    def weigh_rows(x, *, weights):
        """The sum of each row's numbers times weights; without a rule for batches."""
        return x @ np.asarray(weights, x.dtype)

    return weigh_rows


def declare_rules():
    @rules(
        jvp=lambda dx, y: y * dx / np.sum(y, axis=-1, keepdims=True),
        vjp=lambda g, y: y * g / np.sum(y, axis=-1, keepdims=True),
        note="of each number by itself, over the sum of all",
        shape=lambda x: x.shape,
        cases=[Case((3,))],
    )
    def not_its_derivative(x):
        """Exponentials over the sum of exponentials, with rules that are wrong."""
        return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)

    return not_its_derivative


def declare_right_rules():
    @rules(
        jvp=lambda dx, x, y: np.sum(x * dx, axis=-1) / y,
        vjp=lambda g, x, y: np.expand_dims(g / y, -1) * x,
        note="the unit vector",
        shape=lambda x: x.shape[:-1],
        domain=(0.5, 2.0),
        cases=[Case((3,)), Case((2, 4))],
    )
    def length_of(x):
        """The length of vectors along the last axis."""
        return np.sqrt(np.sum(x * x, axis=-1))

    return length_of


def declare_bilinear():
    def correlate(g, factor):
        m = factor.shape[0]
        places = np.arange(g.shape[0] - m + 1)[:, None] + np.arange(m)
        return g[places] @ factor

    @bilinear(
        lambda g, b: correlate(g, factor=b),
        lambda g, a: correlate(g, factor=a),
        shape=lambda a, b: (a.shape[0] + b.shape[0] - 1,),
        cases=[Case((4,), (3,)), Case((1,), (2,))],
        cost=lambda a, b, y: 2.0 * a.shape[0] * b.shape[0],
    )
    def convolve_fully(a, b):
        """The coefficients of the product of two polynomials."""
        return np.convolve(a, b)

    return convolve_fully


DECLARATIONS = [declare_elementwise, declare_linear, declare_right_rules, declare_bilinear]


@pytest.fixture(params=DECLARATIONS, ids=lambda f: f.__name__.removeprefix("declare_"))
def op(request):
    """A new op, gone again after the test."""
    yield from declared(request.param)


def declared(declare):
    before, functions = set(OPS), dict(NUMPY)
    try:
        yield declare()
    finally:
        for name in set(OPS) - before:
            del OPS[name]
        NUMPY.clear()
        NUMPY.update(functions)


CHECKS = {name: check for name, check in inspect.getmembers(generated) if name.startswith("test_")}


def run_check(check, op):
    """Run one generated check as pytest would, on all calls of an op."""
    if "op" in inspect.signature(check).parameters:
        check(op)
    else:
        for call in calls(op):
            check(call)


@pytest.mark.parametrize("name", CHECKS)
def test_every_generated_check_holds(op, name):
    run_check(CHECKS[name], op)


def test_the_generated_checks_find_a_wrong_rule():
    for op in declared(declare_rules):
        with pytest.raises(AssertionError):
            run_check(CHECKS["test_forward_mode_is_the_difference_quotient"], op)


def test_every_transform_takes_it(op):
    call = calls(op)[0]
    xs = call.xs
    f = lambda *xs: np.sum(np.tanh(call.function(*xs)))
    y = call.function(*xs)
    places = tuple(range(len(xs)))
    slopes = grad(f, places)(*xs)
    rows = jacobian(call.function, places)(*xs)
    for x, slope, row in zip(xs, slopes, rows, strict=True):
        expected = np.tensordot(1 - np.tanh(y) ** 2, row, y.ndim)
        np.testing.assert_allclose(slope, expected, atol=1e-13)
        assert row.shape == y.shape + x.shape
    eps = 1e-5
    ahead = grad(f)(xs[0] + eps * np.ones_like(xs[0]), *xs[1:])
    behind = grad(f)(xs[0] - eps * np.ones_like(xs[0]), *xs[1:])
    turned = hessian(f)(*xs) @ np.ones(xs[0].shape[-1])
    turned = turned.sum(axis=tuple(range(xs[0].ndim, 2 * xs[0].ndim - 1)))
    np.testing.assert_allclose(turned, (ahead - behind) / (2 * eps), atol=1e-8)
    many = [np.stack([x, x + 0.1]) for x in xs]
    per_example = vmap(grad(f, places))(*many)
    one = grad(f, places)(*[m[1] for m in many])
    for a, b in zip(per_example, one, strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-13)
    assert jvp(call.function, xs, xs)[1].shape == y.shape


def test_graphs_of_it_run_print_and_simplify(op):
    call = calls(op)[0]
    specs = [Spec(x.shape, x.dtype) for x in call.xs]
    graph = trace(lambda *xs: np.sum(call.function(*xs)) * 1, *specs)
    y = graph.evaluate(*call.xs)[0]
    assert f"{op.name}(%0" in str(graph)
    for program in (graph, simplify(graph), read(str(graph))):
        np.testing.assert_array_equal(Program(program)(*call.xs)[0], y)
    back, ahead = reverse(graph), forward(graph)
    slopes = Program(back)(*call.xs, np.float64(1))[1:]
    dy = Program(ahead)(*call.xs, *call.xs)[1]
    total = sum(np.sum(s * x) for s, x in zip(slopes, call.xs, strict=True))
    np.testing.assert_allclose(dy, total, rtol=1e-13)
    rules_used = {node.origin.rule for node in back.nodes if node.origin}
    assert f"{op.name} backward" in rules_used
    assert op.cost(*call.operands, y=Spec((2,)), **call.attributes) > 0


def test_a_function_of_numbers_may_stand_for_it():
    for op in declared(declare_elementwise):
        assert NUMPY[haversine_of] is op
        called_by(np.i0)(op)
        assert grad(np.i0)(0.5) == np.sin(0.5) / 2
    assert haversine_of not in NUMPY
    assert np.i0 not in NUMPY


# ---------------------------------------------------------------- one file an op

DECORATORS = {f.__name__ for f in (elementwise, linear, bilinear, rules, flat)}


def declared_in(path):
    """Return the names that a file declares as ops, directly or by a function of its own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def calls_one_of(node, names):
        return any(
            isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in names
            for part in ast.walk(node)
        )

    makers, found = set(), []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            if any(calls_one_of(decorator, DECORATORS) for decorator in node.decorator_list):
                found.append(node.name.rstrip("_"))
            elif calls_one_of(node, DECORATORS):
                makers.add(node.name)
        elif isinstance(node, ast.Assign) and calls_one_of(node.value, makers):
            found.append(node.targets[0].id.rstrip("_"))
    return found


def test_every_op_is_declared_once_and_in_one_file():
    names = [name for path in SOURCE.rglob("*.py") for name in declared_in(path)]
    assert sorted(names) == sorted(set(names))
    assert set(names) == set(OPS)


def test_nothing_outside_the_ops_asks_for_an_op_by_name():
    """No second table: what differs from op to op is on the record of the op."""
    branch = re.compile(r"""\bop\.name\s*(==|!=|in\b|not\s+in\b)|\bOPS\[["']""")
    for path in SOURCE.rglob("*.py"):
        if path.parent.name != "ops":
            assert not branch.search(path.read_text(encoding="utf-8")), path
