"""A backward pass, written down: a program that computes its gradients, and reads well."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import SCOPE, drawn, of_ops, require_balanced, run
from test_random_programs import program

from chainrule import Spec, grad, ops, trace
from chainrule.explain import derivation, forward
from chainrule.transform import pull_back


def softmax_loss(X, W1, b1, W2, b2, labels):
    N = X.shape[0]
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    exp_scores = np.exp(y2)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct_logprobs = -np.log(probs[range(N), labels])
    return np.sum(correct_logprobs) / N


SOFTMAX = """
dloss = 1
dcorrect_logprobs = np.full((5,), 1 / 5)
dprobs = (labels[:, None] == np.arange(3)) * (-dcorrect_logprobs / probs[np.arange(5), labels])[:, None]
dexp_scores = (dprobs - (dprobs * probs).sum(axis=1, keepdims=True)) / exp_scores.sum(axis=1, keepdims=True)
dy2 = dexp_scores * exp_scores
dW2 = h1.T @ dy2
db2 = dy2.sum(axis=0)
dh1 = dy2 @ W2.T
dy1 = (h1 > 0) * dh1
dW1 = X.T @ dy1
db1 = dy1.sum(axis=0)
"""  # noqa: E501 - a line of the derivation is a line


def sigmoid_loss(W1, B1, W2, B2, X, Y):
    m = X.shape[1]
    A1 = 1 / (1 + np.exp(-(W1 @ X + B1)))
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + B2)))
    return -np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)) / m


SIGMOID = """
dloss = 1
dA2 = ((1 - Y) / (1 - A2) - Y / A2) / 5
dZ2 = dA2 * A2 * (1 - A2)
dW2 = dZ2 @ A1.T
dB2 = dZ2.sum(axis=1, keepdims=True)
dA1 = W2.T @ dZ2
dZ1 = dA1 * A1 * (1 - A1)
dW1 = dZ1 @ X.T
dB1 = dZ1.sum(axis=1, keepdims=True)
"""


def softmax_program():
    arrays = drawn((5, 4), (4, 6), (6,), (6, 3), (3,))
    labels = np.array([0, 2, 1, 1, 0])  # in the closure: in the graph they are a constant

    def loss(X, W1, b1, W2, b2):
        return softmax_loss(X, W1, b1, W2, b2, labels)

    graph = trace(loss, *arrays)
    called = zip(
        ["add", "relu", "add", "exp", "divide", "negative"],
        ["y1", "h1", "y2", "exp_scores", "probs", "correct_logprobs"],
        strict=True,
    )
    names = of_ops(graph, *called)
    indices = next(i for i, x in graph.constants.items() if np.array_equal(x, labels))
    names[indices] = "labels"
    return graph, names, arrays, [1, 2, 3, 4], loss


def sigmoid_program():
    arrays = drawn((4, 3), (4, 1), (1, 4), (1, 1), (3, 5), (1, 5))
    graph = trace(sigmoid_loss, *arrays)
    called = [("add", "Z1"), ("divide", "A1"), ("add", "Z2"), ("divide", "A2")]
    return graph, of_ops(graph, *called), arrays, [0, 1, 2, 3], sigmoid_loss


@pytest.mark.parametrize(
    ("made", "expected"), [(softmax_program, SOFTMAX), (sigmoid_program, SIGMOID)]
)
def test_the_backward_pass_of_a_network_is_what_a_person_writes(made, expected):
    graph, names, arrays, wrt, loss = made()
    active = graph.dependents(graph.inputs)
    found = derivation(graph, graph.outputs[0], names, active, wrt)
    code = [line.partition("  #")[0].rstrip() for line in str(found).splitlines()]
    assert code == expected.strip().splitlines()
    assert [step.shape for step in found.steps[-2:]] == [np.shape(arrays[i]) for i in wrt[:2]]
    numbers = dict(zip(names, evaluated(graph, arrays), strict=True))
    known = {**SCOPE, **numbers}
    exec(str(found), known)  # noqa: S102 - the derivation is a program
    for place, expected_gradient in zip(wrt, grad(loss, tuple(wrt))(*arrays), strict=True):
        np.testing.assert_allclose(known[f"d{names[place]}"], expected_gradient, rtol=1e-12)


def evaluated(graph, arrays):
    """Return the number of each node, also of a graph that holds for these arrays alone."""
    graph.specialised = False
    return graph.walk(*arrays)


def test_a_derivation_has_three_forms():
    graph, names, _, wrt, _ = sigmoid_program()
    found = derivation(graph, graph.outputs[0], names, [True] * len(graph), wrt, of="C")
    text, markdown, aligned = str(found), found.markdown, found.latex
    assert "dW2 = dZ2 @ A1.T                         # 1 × 4" in text.splitlines()
    assert len(text.splitlines()) == len(markdown.splitlines()) == len(found.steps) == 9
    line = (
        r"4. $\frac{\partial C}{\partial W_{2}} = \frac{\partial C}{\partial Z_{2}}\,A_{1}^{\top}$"
    )
    assert f"{line} with shape 1 × 4" in markdown.splitlines()
    assert aligned.splitlines()[0] == r"\begin{align*}"
    assert (
        r"&= \frac{\partial C}{\partial Z_{2}}\,A_{1}^{\top} && \in \mathbb{R}^{1 \times 4} \\"
        in (aligned)
    )
    require_balanced(aligned)


def recurrent(x, a, b):
    h = c = np.zeros(3)
    for t in range(3):
        z = x[t] @ a + h @ b
        keep, new, out = ops.sigmoid(z[:3]), np.tanh(z[3:6]), ops.sigmoid(z[6:])
        c = keep * c + (1 - keep) * new
        h = out * np.tanh(c)
    return np.sum(h**2)


def classified(x, a, b):
    return np.mean(ops.softmax_cross_entropy(ops.gelu(x @ a) @ b, np.array([0, 2, 1, 1])))


NETWORKS = {
    "recurrent": (recurrent, [(3, 4), (4, 9), (3, 9)]),
    "classified": (classified, [(4, 3), (3, 5), (5, 3)]),
    "attention": (
        lambda x, a, b: np.mean((ops.softmax((x @ a) @ (x @ b).T / 2) @ x) ** 2),
        [(4, 3), (3, 3), (3, 3)],
    ),
    "norms": (
        lambda x, a, b: np.sum(np.tanh(ops.layer_norm(x, a, b))) + 0.01 * np.linalg.norm(a),
        [(4, 3), (3,), (3,)],
    ),
    "images": (
        lambda x, a, b: np.sum(np.maximum(0, a @ ops.unfold(x, 2) - 1) ** 2) + np.sum(b),
        [(1, 2, 4, 4), (3, 8), (1,)],
    ),
}


@pytest.mark.parametrize("kept", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("f", "shapes"), NETWORKS.values(), ids=NETWORKS)
def test_the_derivation_of_a_network_computes_its_gradients(f, shapes, kept):
    arrays, rng = drawn(*shapes), np.random.default_rng(2)
    graph = trace(f, *arrays)
    numbers = evaluated(graph, arrays)
    names = [
        f"n{i}" if node.op is None or i == graph.outputs[0] or rng.random() < kept else ""
        for i, node in enumerate(graph.nodes)
    ]
    known = {**SCOPE, **{f"v{i}": x for i, x in enumerate(numbers)}}
    known.update({name: x for name, x in zip(names, numbers, strict=True) if name})
    active = graph.dependents(graph.inputs)
    found = derivation(graph, graph.outputs[0], names, active)
    exec(str(found), known)  # noqa: S102 - the derivation is a program
    for place, expected in enumerate(grad(f, (0, 1, 2))(*arrays)):
        np.testing.assert_allclose(known[f"dn{place}"], expected, rtol=1e-10, atol=1e-12)
    for step in found.steps:
        require_balanced(step.formula.latex)


@pytest.mark.parametrize("seed", range(40))
def test_the_derivation_of_a_random_program_computes_its_gradients(seed):
    rng = np.random.default_rng(seed)
    shapes = [(2, 3), (3,), (4, 1), (2, 1, 3)]
    arrays = [rng.uniform(0.3, 1.2, shapes[rng.integers(4)]) for _ in range(2)]
    graph = trace(program(seed), *arrays)
    (output,) = graph.outputs
    numbers = evaluated(graph, arrays)
    kept = {*graph.inputs, output}
    names = [
        f"v{i}" if (i in kept or rng.random() < 0.5) and i not in graph.constants else ""
        for i in range(len(graph))
    ]
    active = [
        depends and (node.op is None or node.op.differentiable)
        for depends, node in zip(graph.dependents(graph.inputs), graph.nodes, strict=True)
    ]
    found = derivation(graph, output, names, active)
    adjoints = pull_back(graph, numbers, active, {output: np.float64(1)})
    known = {**SCOPE, **{f"c{i}": x for i, x in graph.constants.items()}}
    known.update({name: x for name, x in zip(names, numbers, strict=True) if name})
    exec(str(found), known)  # noqa: S102 - the derivation is a program
    assert {step.index for step in found.steps} >= set(graph.inputs) & adjoints.keys()
    for step in found.steps:
        np.testing.assert_allclose(
            known[f"d{step.name}"], adjoints[step.index], rtol=1e-10, atol=1e-10
        )
        require_balanced(step.formula.latex)


def test_a_long_chain_without_names_is_cut_into_readable_formulas():
    def f(x):
        for _ in range(300):
            x = np.sin(x) * 1.01
        return np.sum(x)

    graph = trace(f, Spec((3,)))
    (output,) = graph.outputs
    names = ["x", *[""] * (output - 1), "loss"]
    found = derivation(graph, output, names, [True] * len(graph))
    assert 10 < len(found.steps) < 80
    assert max(map(len, str(found).splitlines())) < 2000
    x = np.array([0.3, -0.5, 1.2])
    numbers = {f"v{i}": number for i, number in enumerate(graph.walk(x))}
    known = {**SCOPE, **numbers, "x": x}
    exec(str(found), known)  # noqa: S102 - the derivation is a program
    np.testing.assert_allclose(known["dx"], grad(f)(x), rtol=1e-10)
    line = forward(graph, output - 1, names).numpy
    assert len(line) < 400
    np.testing.assert_allclose(run(line, known), numbers[f"v{output - 1}"], rtol=1e-12)
