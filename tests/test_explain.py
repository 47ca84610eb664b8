"""Formulas are executable, balanced, and what a person would write."""

from __future__ import annotations

import keyword

import numpy as np
import pytest
from every_op import every_call, name_of
from formulas import SCOPE, drawn, of_ops, require_balanced, run

from chainrule import Spec, ops, trace
from chainrule.explain import Explainer, formula, forward, gradient
from chainrule.explain.latex import latex
from chainrule.explain.naming import latex_name, settled, variable
from chainrule.explain.reader import Formula, Reader
from chainrule.explain.source import source
from chainrule.graph import OPS
from chainrule.ops import sum_to
from chainrule.ops.declare import elementwise


def traced(call):
    """Return the graph of a call, the names of its nodes and their numbers."""
    graph = trace(lambda *xs: call.op(*xs, **call.attributes), *call.operands)
    names = [f"x{k}" for k in range(len(call.operands))]
    names += [""] * (len(graph) - len(names))
    (output,) = graph.outputs
    names[output] = "y"
    numbers = {f"x{k}": x for k, x in enumerate(call.operands)}
    numbers["y"] = call.op(*call.operands, **call.attributes)
    return graph, names, numbers


def cases(calls):
    return pytest.mark.parametrize("call", calls, ids=name_of)


# ------------------------------------------------------------------ every op


@cases(every_call(lambda op: op.differentiable))
def test_the_line_of_a_gradient_computes_what_the_rule_pulls_back(call):
    graph, names, numbers = traced(call)
    y = numbers["y"]
    g = np.asarray(np.random.default_rng(3).normal(size=y.shape))[()]
    active = graph.dependents(graph.inputs)
    for k in call.places:
        pulled = call.op.derivative.pull(call.op, k, g, call.operands, y, call.attributes)
        x = call.operands[k]
        pulled = pulled if pulled.shape == x.shape else sum_to(pulled, x.shape)
        pulled = pulled if y.shape else pulled / g  # the gradient of a number is 1
        formula = gradient(graph, graph.inputs[k], names, active)
        found = run(formula.numpy, {**numbers, "dy": g})
        assert np.shape(found) == x.shape, formula
        np.testing.assert_allclose(found, pulled, rtol=1e-12, atol=1e-12, err_msg=str(formula))
        assert formula.numpy.splitlines()[-1].startswith(f"dx{k} = ")
        require_balanced(formula.latex)


@cases(every_call())
def test_the_line_of_a_node_computes_it(call):
    graph, names, numbers = traced(call)
    formula = forward(graph, graph.outputs[0], names)
    found = run(formula.numpy, numbers)
    assert np.shape(found) == numbers["y"].shape
    np.testing.assert_allclose(found, numbers["y"], rtol=1e-12, atol=1e-12, err_msg=str(formula))
    require_balanced(formula.latex)


def line_of(f, *shapes, wrt=0):
    """Return the line of a gradient, where the arguments are a, b, c and the result is y."""
    graph = trace(f, *[Spec(shape) for shape in shapes])
    names = ["abc"[i] if i in graph.inputs else "" for i in range(len(graph))]
    names[graph.outputs[0]] = "y"
    return gradient(graph, wrt, names, graph.dependents(graph.inputs)).numpy.split(" = ", 1)[1]


@pytest.mark.parametrize(
    ("f", "shapes", "line"),
    [
        (np.tanh, [(2,)], "dy * (1 - y**2)"),
        (ops.sigmoid, [(2,)], "dy * y * (1 - y)"),
        (lambda a: 1 / (1 + np.exp(-a)), [(2,)], "dy * y * (1 - y)"),
        (lambda a: np.maximum(0, a), [(2,)], "(y > 0) * dy"),
        (np.log, [(2,)], "dy / a"),
        (np.sqrt, [(2,)], "0.5 * dy / y"),
        (lambda a: a**3, [(2,)], "3 * dy * a**2"),
        (lambda a: a * a, [(2,)], "2 * dy * a"),
        (lambda a: -a / 32, [(2,)], "-dy / 32"),
        (lambda a, b: a - b, [(4, 3), (3,)], "dy"),
        (lambda b, a: a - b, [(3,), (4, 3)], "-dy.sum(axis=0)"),
        (lambda b, a: a * b, [(4, 1), (4, 3)], "(dy * b).sum(axis=1, keepdims=True)"),
        (lambda a, b: a @ b.T, [(4, 3), (5, 3)], "dy @ b"),
        (lambda b, a: a @ b.T, [(5, 3), (4, 3)], "dy.T @ b"),
        (lambda a, b: (a * b) @ b.T, [(4, 3), (4, 3)], "dy @ b * b"),
        (lambda a, b: np.matmul(b, a), [(2, 3, 5), (2, 4, 3)], "b.mT @ dy"),
        (np.sum, [(4, 3)], "np.full((4, 3), 1.0)"),
        (lambda a: np.sum(a, axis=1), [(4, 3)], "np.broadcast_to(dy[:, None], (4, 3))"),
        (lambda a: np.mean(a**2), [(4, 3)], "2 * a / 12"),
        (ops.softmax, [(4, 3)], "y * (dy - (dy * y).sum(axis=1, keepdims=True))"),
        (lambda a: a[1:3], [(4,)], "ops.embed(dy, index=np.s_[1:3], shape=(4,))"),
        (lambda a, b: np.concatenate([a, b]), [(2,), (3,)], "dy[0:2]"),
        (lambda a: np.maximum(0, a) * 2, [(2,)], "2 * (a > 0) * dy"),
        (lambda a, b: b @ a, [(3,), (4, 3)], "b.T @ dy"),
        (lambda a, b: a @ b, [(4, 3), (3,)], "np.outer(dy, b)"),
        (lambda a, b: b @ a, [(3, 4), (3,)], "np.outer(b, dy)"),
        (lambda a, b: a @ b, [(3,), (3, 4)], "dy @ b.T"),
        (lambda a, b: a @ b, [(3,), (3,)], "b"),
        (lambda a, b: b @ a.T / 8, [(5, 3), (4, 3)], "dy.T @ b / 8"),
        (lambda a: np.exp(a) / np.sum(np.exp(a)), [(3,)], "dy * y - (dy * y).sum() * y"),
        (lambda a: np.sqrt(1 + a * a), [(3,)], "dy * a / y"),
        (lambda a: np.ravel(a.T), [(5, 4)], "np.reshape(dy, (4, 5)).T"),
        (lambda a, b: a * (b > 0), [(2,), (2,)], "(b > 0) * dy"),
        (lambda a, b: a / b / 5, [(2,), (2,)], "dy / b / 5"),
        (lambda a, b: -np.sum(a * (b - 1)), [(2,), (2,)], "1 - b"),
        (lambda a, b: -np.sum(a * (3 * b)), [(2,), (2,)], "-3 * b"),
        (lambda a: np.mean(np.sum(a * a, axis=1)), [(4, 3)], "2 * a / 4"),
        (
            lambda a: -ops.log_softmax(a),
            [(4, 3)],
            "ops.softmax(a, axis=1) * dy.sum(axis=1, keepdims=True) - dy",
        ),
        (
            lambda a: a[range(2), [1, 0]],
            [(2, 3)],
            "(np.array([1, 0])[:, None] == np.arange(3)) * dy[:, None]",
        ),
        (
            lambda a: a[range(2), [1, -1]],
            [(2, 3)],
            "ops.scatter_add(dy, np.arange(2), np.array([1, -1]), shape=(2, 3))",
        ),
        (
            lambda a: a[[1, 0], [1, 1]],
            [(2, 3)],
            "ops.scatter_add(dy, np.array([1, 0]), np.full((2,), 1), shape=(2, 3))",
        ),
        (lambda a: 2.0**-a, [(2,)], "-0.6931471805599453 * dy * y"),
    ],
)
def test_lines_read_as_a_person_writes_them(f, shapes, line):
    assert line_of(f, *shapes) == line


# ------------------------------------------------------------------ names and what is not named


def test_what_has_no_name_is_written_inside():
    graph = trace(lambda X, W: np.sum(np.tanh(X @ W)), Spec((5, 3)), Spec((3, 2)))
    names = ["X", "W", "matmul", "tanh", "loss"]  # as a walk calls what has no name
    formula = gradient(graph, 1, names, [True] * 5)
    assert formula.numpy == "dW = X.T @ (1 - np.tanh(X @ W)**2)"
    assert forward(graph, 4, names).numpy == "loss = np.tanh(X @ W).sum()"
    assert forward(graph, 0, names) == Formula("X", "X")
    assert gradient(graph, 2, names, [True] * 5).numpy == "dv2 = 1 - np.tanh(X @ W)**2"


def test_contributions_of_all_consumers_that_lead_to_the_result_add_up():
    graph = trace(lambda x: [np.sin(x), np.exp(x), x * 3][0], Spec((2,)))
    graph.outputs = [1]
    names = ["x", "s", "e", "", "t"]
    both = gradient(graph, 0, names, [True] * 5)
    assert both.numpy == "dx = 3 * dt + de * e + ds * np.cos(x)"
    assert r"3 \, \frac{\partial L}{\partial t} + " in both.latex
    one = gradient(graph, 0, names, [True] * 5, wanted=[True, True, False, False, False])
    assert one.numpy == "dx = ds * np.cos(x)"


def test_what_computes_a_named_value_is_written_by_its_name():
    def f(x):
        s = 1 / (1 + np.exp(-x))
        return np.exp(-x) * s

    graph = trace(f, Spec((2,)))
    names = of_ops(graph, ("divide", "s"))
    line = gradient(graph, 0, names, [True] * len(graph)).numpy
    x = np.array([0.3, -0.8])
    s, dy = 1 / (1 + np.exp(-x)), np.array([2.0, -1.0])
    found = run(line, {"x": x, "s": s, "dloss": dy, "ds": dy * np.exp(-x)})
    np.testing.assert_allclose(found, -dy * s * (1 - s), rtol=1e-12)  # as y = 1 / (1 + e^x)
    assert line == "dx = ds * s * (1 - s) - dloss * (1 - s)"


def test_an_inactive_consumer_adds_nothing():
    graph = trace(lambda x: ops.stop_gradient(x) * x, Spec((2,)))
    assert gradient(graph, 0, ["x", "c", "y"], [True, False, True]).numpy == "dx = dy * c"


def test_names_of_any_kind():
    graph = trace(lambda p: np.tanh(p["W1"] @ p["b"]), {"W1": Spec((2, 3)), "b": Spec((3, 4))})
    names = [graph.nodes[0].name, "layers.0.weight", "", "h_prev"]
    found = gradient(graph, 0, names, [True] * 4)
    assert found.numpy == "dp['W1'] = dh_prev * (1 - h_prev**2) @ layers_0_weight.T".replace(
        "dh_prev * (1 - h_prev**2)", "(dh_prev * (1 - h_prev**2))"
    )
    assert found.latex.startswith(r"\frac{\partial L}{\partial W_{1}} = ")
    assert gradient(graph, 1, names, [True] * 4).numpy.startswith("dlayers_0_weight = p['W1'].T @")


def test_names_in_latex():
    expected = {
        "x": "x",
        "W12": "W_{12}",
        "alpha": r"\alpha",
        "sigma_2": r"\sigma_{2}",
        "loss": r"\mathrm{loss}",
        "fc1": r"\mathrm{fc}_{1}",
        "h_prev": r"h_{\mathrm{prev}}",
        "exp_scores": r"\mathrm{exp\_scores}",
        "p['b1']": "b_{1}",
        "layers.0.weight": r"\mathrm{layers.0.weight}",
        "argument 0": r"\mathrm{argument\ 0}",
        "<lambda>": r"\mathrm{lambda}",
        "{}": r"\cdot",
    }
    assert {name: latex_name(name) for name in expected} == expected


def test_constants_are_written_out_while_they_are_short():
    table = np.random.default_rng(0).normal(size=(4, 5))
    functions = {
        "y = x * np.array([1.5, 2.0])": lambda x: x * np.array([1.5, 2.0]),
        "y = x / 3": lambda x: x / 3,
        "y = x * 0.1": lambda x: x * 0.1,
        "y = x - np.full((2,), 1.0)": lambda x: x - np.ones(2),
        "y = x @ np.eye(2)": lambda x: np.reshape(x, (1, 2)) @ np.eye(2),
        "y = np.where(x > 0, x, -np.inf)": lambda x: np.where(x > 0, x, -np.inf),
        "y = x[None, :] * c1": lambda x: x[None] * table[:, :2],
    }
    for line, f in functions.items():
        graph = trace(f, Spec((2,)))
        names = ["x", *[""] * (len(graph) - 2), "y"]
        assert forward(graph, len(graph) - 1, names).numpy.replace(
            "np.reshape(x, (1, 2))", "x"
        ) in {
            line,
            line.replace("c1", "c2"),
            line.replace("x @", "x[None, :] @"),
        }


def test_the_numbers_of_a_large_constant_are_not_looked_at():
    labels, data = np.zeros(2**20 + 1, int), np.ones((2**20 + 1, 1))
    graph = trace(lambda W: np.sum((data @ W)[range(len(data)), labels]), Spec((1, 2)))
    names = ["data" if x.ndim == 2 else "labels" for x in graph.constants.values()]
    named = dict(zip(graph.constants, names, strict=True))
    names = [named.get(i, "W" if i in graph.inputs else "") for i in range(len(graph))]
    line = gradient(graph, graph.inputs[0], names, [True] * len(graph)).numpy
    assert line.startswith("dW = data.T @ ops.scatter_add(")


def test_a_long_formula_names_what_it_repeats():
    graph = trace(lambda x: np.prod(np.sin(x)), Spec((6,)))
    formula = gradient(graph, 0, ["x", "", "loss"], [True] * 3)
    lines = formula.numpy.splitlines()
    assert lines[0].startswith("t1 = ")
    assert lines[-1].startswith("dx = ")
    assert max(map(len, lines)) < 140
    x = np.linspace(0.1, 0.9, 6)
    np.testing.assert_allclose(
        run(formula.numpy, {"x": x}), np.cos(x) * np.prod(np.sin(x)) / np.sin(x), rtol=1e-12
    )


def test_an_op_of_a_users_is_called_by_its_name():
    @elementwise(lambda x: 2 * np.cos(2 * x), latex=r"\mathrm{wave}(<x>)")
    def wave(x):
        """A wave."""
        return np.sin(2 * x)

    try:
        graph = trace(wave, Spec((2,)))
        assert forward(graph, 1, ["x", "y"]) == Formula("y = wave(x)", r"y = \mathrm{wave}(x)")
        assert gradient(graph, 0, ["x", "y"], [True] * 2).numpy == "dx = 2 * dy * np.cos(2 * x)"
    finally:
        del OPS["wave"]


# ------------------------------------------------------------------ brackets


def written(f, *shapes):
    """Return the NumPy and LaTeX of a function of a, b, c as it stands."""
    graph = trace(f, *[Spec(shape) for shape in shapes])
    texts = {i: Formula(x, x) for i, x in zip(graph.inputs, "abc", strict=False)}
    reader = Reader(graph, texts)
    return source(reader, graph.outputs[0]), latex(reader, graph.outputs[0])


@pytest.mark.parametrize(
    ("f", "numpy", "tex"),
    [
        (lambda a, b: a - (b - a), "a - (b - a)", "a - (b - a)"),
        (lambda a, b: (a + b) * a, "(a + b) * a", r"(a + b) \odot a"),
        (lambda a, b: a + b * a, "a + b * a", r"a + b \odot a"),
        (lambda a, b: -(a + b), "-(a + b)", "-(a + b)"),
        (lambda a, b: a - -b, "a - -b", "a - (-b)"),
        (lambda a, b: (a * b) @ a, "(a * b) @ a", r"(a \odot b)\,a"),
        (lambda a, b: a * (b @ a), "a * (b @ a)", r"a \odot b\,a"),
        (lambda a, b: a @ (b @ a), "a @ (b @ a)", r"a\,b\,a"),
        (lambda a, b: a / (b / a), "a / (b / a)", r"a / \frac{b}{a}"),
        (lambda a, b: (a + b) / a, "(a + b) / a", r"\frac{a + b}{a}"),
        (lambda a, b: (a + b) ** 2, "(a + b)**2", "{(a + b)}^{2}"),
        (lambda a, b: np.square(-a), "(-a)**2", "(-a)^2"),
        (lambda a, b: np.square(np.square(a)), "(a**2)**2", "(a^2)^2"),
        (lambda a, b: np.log(a) * b, "np.log(a) * b", r"(\log a) \odot b"),
        (lambda a, b: b * np.log(a), "b * np.log(a)", r"b \odot \log a"),
        (lambda a, b: np.log(a * b), "np.log(a * b)", r"\log (a \odot b)"),
        (lambda a, b: np.log(a) + b, "np.log(a) + b", r"\log a + b"),
        (lambda a, b: np.exp(a + b), "np.exp(a + b)", "e^{a + b}"),
        (lambda a, b: (a @ b).T, "(a @ b).T", r"(a\,b)^{\top}"),
        (lambda a, b: a.T @ b, "a.T @ b", r"a^{\top}\,b"),
        (lambda a, b: np.sum(a, 0) * b, "a.sum(axis=0) * b", r"\left(\sum_{i} a\right) \odot b"),
        (lambda a, b: np.sum(a * b, 1), "(a * b).sum(axis=1)", r"\sum_{j} a \odot b"),
        (lambda a, b: np.sum(a + b), "(a + b).sum()", r"\sum (a + b)"),
        (lambda a, b: (a > b) * a, "(a > b) * a", r"[a > b] \odot a"),
        (lambda a, b: np.sqrt(a + b), "np.sqrt(a + b)", r"\sqrt{a + b}"),
        (lambda a, b: a[0] + b, "a[0, :] + b", "a_{0, :} + b"),
        (lambda a, b: 2e-7 * a, "2e-07 * a", r"2 \cdot 10^{-7} \, a"),
        (lambda a, b: a * -0.5, "a * -0.5", r"a \, (-0.5)"),
    ],
)
def test_brackets_stand_where_they_have_to(f, numpy, tex):
    found = written(f, (3, 3), (3, 3))
    assert found == (numpy, tex)
    a, b = drawn((3, 3), (3, 3))
    np.testing.assert_allclose(eval(found[0], SCOPE, {"a": a, "b": b}), f(a, b))  # noqa: S307


# ------------------------------------------------------------------ many nodes, many uses


def test_an_explainer_writes_the_lines_of_gradient():
    graph = trace(lambda X, W, b: np.tanh(X @ W + b), Spec((5, 3)), Spec((3, 2)), Spec((2,)))
    names = ["X", "W", "b", "", "Z", "A"]
    explainer = Explainer(graph, names, [True] * 6)
    for index in range(5):
        assert explainer.gradient(index) == gradient(graph, index, names, [True] * 6)
    assert str(explainer.gradient(3, name="S")).startswith("dS = ")
    assert explainer.gradient(1) == gradient(graph, 1, names, [True] * 6)


def test_consumers_are_collected_once_for_all_lines(monkeypatch):
    """Else the lines of a graph would cost the square of its length."""
    counts = []
    monkeypatch.setattr(formula, "settled", lambda g, n: counts.append(1) or settled(g, n))
    graph = trace(lambda x: np.sin(np.sin(np.sin(x))), Spec((2,)))
    explainer = Explainer(graph, ["x", "a", "b", "c"], [True] * 4)
    for index in range(4):
        explainer.gradient(index)
    assert counts == [1]


def test_a_sum_over_very_many_uses_is_not_written_out():
    def loss(x):
        y = x
        for _ in range(1500):
            y = np.sin(y) * x
        return y

    graph = trace(loss, Spec((2,)))
    names = ["x", *[""] * (len(graph) - 1)]
    found = gradient(graph, 0, names, [True] * len(graph))
    assert found.numpy == "dx = ...  # a sum of 1501 terms, one for each use"
    assert r"\sum_{k=1}^{1501}" in found.latex
    assert forward(graph, len(graph) - 1, names).numpy.startswith(f"v{len(graph) - 1} = ")


def test_a_divisor_is_written_as_the_length_that_it_is():
    graph = trace(lambda X, W: np.mean((X @ W) ** 2), Spec((7, 3)), Spec((3, 1)))
    names = ["X", "W", "Z", *[""] * (len(graph) - 3)]
    active, lengths = [True] * len(graph), {7: Formula("len(X)", "m")}
    found = gradient(graph, 2, names, active, lengths=lengths)
    assert found.numpy == "dZ = 2 * Z / len(X)"
    assert found.latex.endswith(r"= \frac{2 \, Z}{m}")
    assert gradient(graph, 2, names, active).numpy == "dZ = 2 * Z / 7"


@pytest.mark.parametrize(
    "name", ["0.weight", "x²", "lambda", "a b", "½", "class.0", "é", "é-2", ""]
)
def test_every_name_is_a_variable_in_a_formula(name):
    assert variable(name).isidentifier()
    assert not keyword.iskeyword(variable(name))
