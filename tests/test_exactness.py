"""The promises of exactness, over several networks: to the bit, or to rounding.

What is promised of runs (repeated, resumed, interrupted, weighted) is in `test_fit`; here is what
is promised of one gradient.
"""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import Spec, grad, nn, ops, trace, value_and_grad, vmap
from chainrule.execute import Prepared, Program
from chainrule.transform import simplify

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 6))
LABELS = RNG.integers(0, 3, 24)


def dense(activation):
    return lambda: nn.MLP([6, 12, 9, 3], activation=activation, seed=0)


def normalised():
    return nn.Sequential(
        nn.Linear(6, 8, seed=1), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3, seed=2)
    )


def shortcut():
    inside = nn.Sequential(nn.Linear(6, 6, seed=1), nn.Softplus())
    return nn.Sequential(nn.Residual(inside), nn.Linear(6, 3, seed=2))


def twice():
    shared = nn.Linear(6, 6, seed=1)
    return nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(6, 3, seed=2))


NETWORKS = {
    "relu": dense("relu"),
    "tanh": dense("tanh"),
    "silu": dense("silu"),
    "layer norm": normalised,
    "shortcut": shortcut,
    "a layer twice": twice,
}
every_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def parameters_of(model):
    return {name: p.data for name, p in model.named_parameters()}


def objective(model):
    def loss(parameters, x, labels):
        output, _ = nn.functional_call(model, parameters, x)
        return np.mean(ops.softmax_cross_entropy(output, labels))

    return loss


def close(a, b, tolerance=1e-12):
    """Require max |a - b| ≤ tolerance · max |b|, entry by entry of a dictionary."""
    for name in b:
        assert a[name].shape == b[name].shape
        assert np.abs(a[name] - b[name]).max() <= tolerance * np.abs(b[name]).max(), name


@every_network
def test_walking_evaluating_and_running_give_the_same(build):
    model = build()
    parameters = parameters_of(model)
    both = value_and_grad(objective(model))
    value, walked = both(parameters, X, LABELS)
    specs = {name: Spec(p.shape) for name, p in parameters.items()}
    graph = trace(both, specs, Spec(X.shape), Spec(LABELS.shape, LABELS.dtype))
    arrays = [parameters[name] for name in sorted(parameters)]
    for run in (graph.evaluate, Program(graph), simplify(graph).evaluate, Program(simplify(graph))):
        first, *gradients = run(*arrays, X, LABELS)
        assert abs(first - value) <= 1e-12 * abs(value)
        close(dict(zip(sorted(parameters), gradients, strict=True)), walked)
    prepared = Prepared(both)
    for _ in range(2):
        close(prepared(parameters, X, LABELS)[1], walked)


@every_network
def test_the_chain_and_the_engine_give_the_same(build):
    model = build()
    logits = model(X)
    g = (ops.softmax(logits) - ops.one_hot(LABELS, 3)) / len(X)
    at_input = model.backward(g)
    first = {name: p.tobytes() for name, p in model.gradients().items()}
    by_engine, at_x = grad(objective(model), (0, 1))(parameters_of(model), X, LABELS)
    close(model.gradients(), by_engine)
    close({"x": at_input}, {"x": at_x})
    assert model.backward(g).tobytes() == at_input.tobytes()
    assert {name: p.tobytes() for name, p in model.gradients().items()} == first


@every_network
def test_the_mean_of_per_example_gradients_is_that_of_the_batch(build):
    model = build()

    def one(parameters, x, label):
        output, _ = nn.functional_call(model, parameters, x[None])
        return ops.softmax_cross_entropy(output, label[None])[0]

    each = vmap(grad(one), (None, 0, 0))(parameters_of(model), X, LABELS)
    whole = grad(objective(model))(parameters_of(model), X, LABELS)
    close({name: g.mean(0) for name, g in each.items()}, whole)


@every_network
def test_a_weight_of_two_is_the_row_twice(build):
    model = build()

    def weighted(parameters, x, labels, weights):
        output, _ = nn.functional_call(model, parameters, x)
        return np.average(ops.softmax_cross_entropy(output, labels), weights=weights)

    weights = np.ones(len(X))
    ones = grad(weighted)(parameters_of(model), X, LABELS, weights)
    close(ones, grad(objective(model))(parameters_of(model), X, LABELS))
    weights[5] = 2
    rows = np.append(np.arange(len(X)), 5)
    twice = grad(objective(model))(parameters_of(model), X[rows], LABELS[rows])
    close(grad(weighted)(parameters_of(model), X, LABELS, weights), twice)


def by_hand(parameters, x, labels):
    """The gradient of a relu network as NumPy says it, without the engine."""
    W1, b1, W2, b2, W3, b3 = (parameters[f"{k}.{n}"] for k in (0, 2, 4) for n in ("weight", "bias"))
    z1 = x @ W1.T + b1
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W2.T + b2
    h2 = np.maximum(z2, 0)
    scores = h2 @ W3.T + b3
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(x)), labels] -= 1
    d3 = p / x.dtype.type(len(x))
    d2 = d3 @ W3 * (z2 > 0)
    d1 = d2 @ W2 * (z1 > 0)
    named = {"4": (d3, h2), "2": (d2, h1), "0": (d1, x)}
    return {f"{k}.weight": d.T @ h for k, (d, h) in named.items()} | {
        f"{k}.bias": d.sum(0) for k, (d, _) in named.items()
    }


def test_float32_is_about_as_exact_as_numpy_is():
    model = dense("relu")()
    exact = by_hand(parameters_of(model), X, LABELS)
    close(grad(objective(model))(parameters_of(model), X, LABELS), exact)
    single = {name: p.astype(np.float32) for name, p in parameters_of(model).items()}
    x = X.astype(np.float32)
    ours = grad(objective(model.astype(np.float32)))(single, x, LABELS)
    theirs = by_hand(single, x, LABELS)
    for name, g in exact.items():
        assert ours[name].dtype == np.float32
        error = np.abs(ours[name] - g).max()
        assert (
            error <= 4 * np.abs(theirs[name] - g).max() + np.finfo(np.float32).eps * np.abs(g).max()
        )
