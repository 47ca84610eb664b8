"""Which arguments hold the examples: one rule for statistics, for reasons and for routes."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, ops
from chainrule.errors import StructureError

N, D, H, C = 6, 5, 4, 3


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def arrays(rows=N, inputs=D, units=H, outputs=C):
    """Return the arguments of a network of two layers, by name."""
    return {
        "X": numbers(rows, inputs, seed=1),
        "W1": numbers(inputs, units, seed=2),
        "b1": numbers(units, seed=3),
        "W2": numbers(units, outputs, seed=4),
        "b2": numbers(outputs, seed=5),
        "y": np.arange(rows) % outputs,
        "t": numbers(rows, outputs, seed=6),
    }


def network(a):
    return np.tanh(a["X"] @ a["W1"] + a["b1"]) @ a["W2"] + a["b2"]


def opened(order, **lengths):
    """Open the loss of a network whose arguments come in some order."""
    given = {name: arrays(**lengths)[name] for name in order.split()}

    def loss(*values):
        a = dict(zip(given, values, strict=True))
        if "y" in a:
            return np.mean(ops.softmax_cross_entropy(network(a), a["y"]))
        return np.mean((network(a) - a["t"]) ** 2)

    return chainrule.open(loss, *given.values()), order.split()


ORDERS = [
    "W1 b1 W2 b2 X y",
    "X y W1 b1 W2 b2",
    "X W1 b1 W2 b2 y",
    "W1 b1 W2 b2 X t",
    "X t W1 b1 W2 b2",
    "X W1 b1 W2 b2 t",
]


def assert_found(found, order):
    """Hold batch, statistics and reasons to the same reading."""
    data = [k for k, name in enumerate(order) if name in "Xyt"]
    batch = found.examples
    assert (batch.size, batch.axis, sorted(batch.positions)) == (N, 0, data)
    assert len(found.per_example) == 4
    for name in found.per_example:
        np.testing.assert_allclose(
            found.per_example[name].mean(0), found.gradients[name], rtol=1e-9, atol=1e-13
        )


@pytest.mark.parametrize("order", ORDERS)
def test_parameters_may_come_first_last_or_between(order):
    assert_found(*opened(order))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", ["inputs", "units"])
def test_a_parameter_may_have_the_length_of_the_batch_by_chance(order, length):
    assert_found(*opened(order, **{length: N}))


def test_reasons_and_routes_ask_the_same_rule():
    given = arrays()
    given["X"][4, 1] = np.nan

    def loss(X, W1, b1, W2, b2, y):
        return np.mean(ops.softmax_cross_entropy(np.tanh(X @ W1 + b1) @ W2 + b2, y))

    names = ["X", "W1", "b1", "W2", "b2", "y"]
    found = chainrule.open(loss, *[given[name] for name in names])
    assert chainrule.why(found, "loss").example == 4
    given = arrays()
    found = chainrule.open(loss, *[given[name] for name in names])
    parts = [found.paths("loss", "W1[2, 1]", example=n).total for n in range(N)]
    assert len(parts) == N
    np.testing.assert_allclose(sum(parts), found.gradients["W1"][2, 1])
    np.testing.assert_allclose(parts, found.per_example["W1"][:, 2, 1] / N, rtol=1e-9, atol=1e-13)


def test_the_first_argument_alone_may_be_the_data():
    def size(X, w, b):
        return np.mean((X @ w + b) ** 2)

    found = chainrule.open(size, numbers(N, D), numbers(D), np.ones(1))
    assert found.examples.positions == (0,)
    assert sorted(found.per_example) == ["b", "w"]


def test_columns_are_seen_by_their_length():
    def loss(parameters, X, t):
        return np.mean((np.tanh(parameters["W"] @ X) - t) ** 2)

    found = chainrule.open(loss, {"W": numbers(C, D)}, numbers(D, N), numbers(C, N))
    assert (found.examples.axis, found.examples.size) == (-1, N)


def test_what_cannot_be_told_is_not_guessed():
    """Rows of the one array or columns of the other: with a product nothing tells which."""

    def product(A, B):
        return np.mean(np.tanh(A @ B))

    found = chainrule.open(product, numbers(C, D), numbers(D, N))
    with pytest.raises(StructureError, match="cannot be told") as caught:
        found.per_example.norms()
    assert "along(0, data=[1, 2])" in str(caught.value)
    with pytest.raises(StructureError, match="cannot be told"):
        found.paths("product", "A[0, 0]", example=0)
    assert chainrule.why(found, "A[0, 0]").example is None
    assert found.per_example.along(-1, data=[1]).norms().shape == (N,)
    assert found.per_example.along(0, data=[0]).norms().shape == (C,)


def test_buffers_are_no_parameters_in_statistics():
    """Of all parameters together, the running numbers of batch norm are none."""
    model = nn.Sequential(nn.Linear(D, H, seed=0), nn.BatchNorm1d(H), nn.Linear(H, C, seed=1))
    model(numbers(20, D, seed=7) * 3 + 1)
    model.eval()
    found = chainrule.open(
        model, numbers(N, D), loss=nn.CrossEntropyLoss(), target=np.arange(N) % C
    ).per_example
    assert sorted(found) == sorted(name for name, _ in model.named_parameters())
    each = [found.norms(name) for name, _ in model.named_parameters()]
    np.testing.assert_allclose(found.norms(), np.sqrt(np.sum(np.square(each), axis=0)))
    assert found["1.running_mean"].shape == (N, H)  # by its name it is there


def test_buffers_of_a_module_that_a_function_calls_are_none_either():
    model = nn.Sequential(nn.Linear(D, H, seed=0), nn.BatchNorm1d(H))
    model(numbers(20, D, seed=7))
    model.eval()

    def loss(X, y):
        return np.mean(ops.softmax_cross_entropy(model(X), y))

    found = chainrule.open(loss, numbers(N, D), np.arange(N) % H).per_example
    assert sorted(found) == sorted(f"model.{name}" for name, _ in model.named_parameters())


def test_one_product_and_its_target_can_be_read_twice():
    """Rows of X and T, or columns of W and T."""

    def loss(X, W, T):
        return np.mean((X @ W - T) ** 2)

    X, W, T = numbers(N, D), numbers(D, C), numbers(N, C)
    with pytest.raises(StructureError, match=r"0 and 2 along axis 0 \(6\)"):
        _ = chainrule.open(loss, X, W, T).examples
    by_custom = chainrule.open(lambda W, X, T: loss(X, W, T), W, X, T).examples
    assert (by_custom.positions, by_custom.axis) == ((1, 2), 0)


def test_a_batch_of_one():
    def loss(p, X, T):
        return np.mean((X @ p["W"] - T) ** 2)

    found = chainrule.open(loss, {"W": numbers(D, C)}, numbers(1, D), numbers(1, C))
    assert found.examples.size == 1
    np.testing.assert_array_equal(found.per_example["W"][0], found.gradients["W"])
