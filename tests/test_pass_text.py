"""What a pass says: tables, chains, explanations, in text, Markdown and LaTeX."""

from __future__ import annotations

import re

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import InputTypeError
from chainrule.inspect.printing import summary


def loss(W, b, X, y):
    scores = X @ W + b
    errors = scores - y
    return np.mean(errors**2)


def opened_loss():
    rng = np.random.default_rng(0)
    shapes = (3, 2), (2,), (5, 3), (5, 2)
    return chainrule.open(loss, *(rng.normal(size=shape) for shape in shapes))


def network():
    X = np.random.default_rng(0).normal(size=(2, 5))
    return chainrule.open(nn.DNN([2, 3, 1], seed=0), X, target=[0, 1, 1, 0, 1])


def test_a_pass_prints_as_a_table():
    opened = opened_loss()
    lines = str(opened).splitlines()
    assert lines[0] == f"loss = {opened.values['loss']:.4g}; not shown: 2 without a name"
    rows = {line.split()[0]: line for line in lines[3:]}
    assert list(rows) == ["W", "b", "X", "y", "scores", "errors", "loss"]
    assert f"{np.linalg.norm(opened.gradients['scores']):.4g}" in rows["scores"]
    line = loss.__code__.co_firstlineno + 1
    assert rows["scores"].endswith(f"test_pass_text.py:{line}")
    assert rows["W"].split()[1] == "3×2"
    assert "matmul_1" in opened.table(everything=True)
    assert max(map(len, lines)) <= 100
    assert repr(opened) == "<pass of loss: 9 values, 9 gradients>"


def test_the_table_has_no_lines_where_they_tell_nothing_apart():
    assert ".py:" not in str(network())


def test_long_names_and_files_fit_the_page():
    model = nn.Sequential(*[nn.Linear(3, 3, seed=k) for k in range(12)])

    class Deep(nn.Module):
        def __init__(self):
            self.a_rather_long_name_of_a_part = model

        def forward(self, x):
            h = self.a_rather_long_name_of_a_part(x)
            return np.sum(h * 1e-300)

    opened = chainrule.open(Deep(), np.ones((4, 3)) * 1e150)
    for text in (str(opened), str(opened.chain("%0")), str(opened.explain("%0"))):
        assert max(map(len, text.splitlines())) <= 100


def test_a_chain_has_a_formula_for_each_gradient_and_the_formulas_compute_it():
    opened = opened_loss()
    chain = opened.chain("W")
    assert [step.name for step in chain.steps] == ["loss", "errors", "scores", "W"]
    space = {"np": np, **{name: opened.values[name] for name in ("W", "b", "X", "y")}}
    space |= {name: opened.values[name] for name in ("scores", "errors")}
    for step in chain.steps:
        exec(step.formula.numpy, space)  # noqa: S102 - formulas that we wrote
        np.testing.assert_allclose(
            space[f"d{step.name}"], opened.gradients[step.name], rtol=1e-12, atol=1e-16
        )
    text = str(chain)
    assert text.startswith("∂loss/∂W, from the result down: loss = ")
    assert "\n  dW = X.T @ dscores\n" in text
    assert f"norm {np.linalg.norm(opened.gradients['W']):.4g}" in text


def test_the_formulas_of_a_network_compute_its_gradients():
    opened = network()
    chain = opened.chain("W1")
    space = {"np": np, "ops": chainrule.ops}
    space |= {name: opened.values[name] for name in ("A0", "W1", "Z1", "A1", "W2", "Z2", "A2")}
    space["Y"] = np.array([[0, 1, 1, 0, 1]])
    for step in chain.steps:
        exec(step.formula.numpy, space)  # noqa: S102 - formulas that we wrote
        np.testing.assert_allclose(
            space[f"d{step.name}"], opened.gradients[step.name], rtol=1e-12, atol=1e-16
        )


def test_an_explanation_names_rule_line_and_parts():
    opened = opened_loss()
    found = opened.explain("dW")
    assert found.rules == (("matmul", "product rule: times the other factor"),)
    assert found.line == "scores = X @ W + b"
    assert found.where.line == loss.__code__.co_firstlineno + 1
    assert found.needs.names == ("dscores", "X")
    assert found.computed is None
    assert found.norm == pytest.approx(np.linalg.norm(opened.gradients["W"]))
    assert str(opened.gradients.of("W")) == str(found)
    scores = opened.explain("scores")
    assert scores.op == "add"
    assert scores.computed.numpy == "scores = X @ W + b"
    assert scores.rules == (("subtract", "acts on each element alone, with slope 1"),)
    assert "computed  scores = X @ W + b" in str(scores)
    assert opened.explain("errors").rules[0][1] == "acts on each element alone: times its slope"


def test_a_value_used_twice_has_both_rules():
    def f(x):
        return np.sum(np.sin(x) + np.exp(x))

    found = chainrule.open(f, np.ones(2)).explain("x")
    assert {op for op, _ in found.rules} == {"sin", "exp"}


def test_markdown_and_latex():
    opened = opened_loss()
    chain = opened.chain("W")
    rows = chain.markdown().splitlines()
    assert rows[0].startswith("**∂loss/∂W**")
    assert all(row.count("|") == 5 for row in rows[2:])
    assert r"\frac{\partial \mathrm{loss}}{\partial W}" in chain.latex()
    assert chain.latex().count("&=") == 4
    assert chain._repr_latex_().startswith("$$\n\\begin{aligned}")
    assert chain._repr_markdown_() == chain.markdown()
    table = opened.markdown().splitlines()
    assert {row.count("|") for row in table[2:]} == {6}
    assert opened._repr_markdown_() == opened.markdown()
    found = opened.explain("W")
    assert found.latex() in found.markdown()
    assert found._repr_latex_() == f"$${found.latex()}$$"
    assert "* rule: matmul: product rule" in found._repr_markdown_()
    for text in (chain.latex(), found.latex()):
        assert text.count("{") == text.count("}")


def test_what_is_held_has_no_chain():
    with pytest.raises(InputTypeError, match="held"):
        network().chain("Y")
    with pytest.raises(InputTypeError, match="held"):
        network().explain("Y")


def test_a_chain_of_a_sum_of_outputs_starts_from_what_was_given():
    x = np.ones(3)
    opened = chainrule.open(lambda x: chainrule.name(x * x, "square"), x, output=np.ones(3))
    assert opened.head == "⟨g, square⟩"
    assert re.search(r"dx = .*dsquare", str(opened.chain("x")))


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.array([]), "empty"),
        (np.float32(0.5), "0.5"),
        (np.zeros(4), "all 0"),
        (np.array([1.0, np.nan]), "all 1, 1 not finite"),
        (np.array([np.inf, np.nan]), "none of 2 finite"),
        (np.array([-1.0, 1.0]), "0 ± 1, -1 … 1"),
        (np.array([True, False]), "0.5 ± 0.5, 0 … 1"),
        (np.array([3, 5]), "4 ± 1, 3 … 5"),
    ],
)
def test_arrays_in_a_few_words(x, text):
    assert summary(x) == text


def test_the_number_of_examples_is_said_where_something_is_divided_by_it():
    def loss(W, X, t):
        h = X @ W
        return np.mean((h - t) ** 2)

    opened = chainrule.open(loss, np.ones((3, 1)), np.ones((8, 3)), np.ones((8, 1)))
    explained = opened.explain("h")
    assert explained.formula.numpy == "dh = 2 * (h - t) / len(X)"
    assert explained.formula.latex.endswith("}{m}")
    names = {"h": opened.values["h"], "t": np.ones((8, 1)), "X": np.ones((8, 3))}
    exec(explained.formula.numpy, names)  # noqa: S102 - the formula is a program
    np.testing.assert_allclose(names["dh"], opened.gradients["h"])
    network = chainrule.open(nn.DNN([3, 4, 1], seed=0), np.ones((3, 8)), target=[0, 1] * 4)
    assert network.explain("Z2").formula.numpy.endswith("/ A0.shape[-1]")


def test_a_number_that_could_be_another_length_stays_a_number():
    def loss(W, X, t):
        h = X @ W
        return np.mean((h - t) ** 2)

    opened = chainrule.open(loss, np.ones((3, 1)), np.ones((3, 3)), np.ones((3, 1)))
    assert opened.explain("h").formula.numpy == "dh = 2 * (h - t) / 3"


def test_a_chain_of_very_many_values_costs_no_square():
    """Lines are worked out for what is shown, from one look at the graph."""

    def loss(x):
        y = x
        for _ in range(1500):
            h = np.sin(y)
            y = h * x
        return np.sum(y)

    opened = chainrule.open(loss, np.ones(2))
    text = str(opened.chain("x"))
    assert "a sum of 1501 terms" in text
    assert opened.explainer is opened.explainer
