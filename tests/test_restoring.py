"""Opening a program leaves the user's objects as they were."""

from collections import deque

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.graph import Value
from chainrule.inspect.restoring import restoring

KEPT = {"numbers": [1.0]}
LAST = None


class Linear:
    """A layer as it is written by hand: it keeps what its backward pass needs."""

    def __init__(self):
        self.W = np.random.default_rng(0).normal(size=(2, 3))
        self.calls = 0

    def forward(self, x):
        self.last_input = x
        self.calls += 1
        return x @ self.W.T

    def backward(self, g):
        self.dW = g.T @ self.last_input
        return g @ self.W


class Slotted:
    """An object without a dictionary of attributes."""

    __slots__ = ("empty", "x")

    def __init__(self):
        self.x = 1.0

    def keep(self, x):
        self.x = self.empty = x
        return np.sum(x * x)


def test_a_hand_written_layer_can_go_backward_after_it_was_opened():
    net, X = Linear(), np.ones((5, 3))
    net.forward(X)
    before = dict(vars(net))
    chainrule.open(lambda X: np.sum(net.forward(2 * X)), X)
    assert vars(net).keys() == before.keys()
    assert all(vars(net)[name] is before[name] for name in before)
    np.testing.assert_array_equal(net.backward(np.ones((5, 2))), np.ones((5, 2)) @ net.W)


def test_a_method_is_opened_and_its_object_stays():
    net = Linear()
    with pytest.raises(ValueError, match="matmul"):
        chainrule.open(net.forward, np.ones((5, 2)))
    assert "last_input" not in vars(net)
    chainrule.open(net.forward, np.ones((5, 3)), output=(0, 0))
    assert "last_input" not in vars(net)
    assert net.calls == 0


def test_objects_inside_others_lists_and_slots_are_put_back():
    class Network:
        def __init__(self):
            self.parts, self.cache, self.queue = [Slotted()], {"h": 1}, deque([1], maxlen=2)

        def __call__(self, x):
            self.cache["h"] = self.cache["x"] = x
            self.parts.append(x)
            self.queue.append(x)
            return self.parts[0].keep(x)

    network = Network()
    chainrule.open(lambda x, network: network(x), np.ones(2), network)
    chainrule.open(network, np.ones(2))
    assert network.cache == {"h": 1}
    assert network.queue == deque([1])
    assert len(network.parts) == 1
    assert network.parts[0].x == 1.0
    assert not hasattr(network.parts[0], "empty")


def test_a_module_of_the_users_is_put_back():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 1, seed=0)

        def forward(self, x):
            self.hidden = self.linear(x)
            return np.sum(self.hidden)

    model = Model()
    chainrule.open(model, np.ones((3, 2)))
    assert not hasattr(model, "hidden")


def keeping(x):
    """Keep a value in variables of the module."""
    global LAST  # noqa: PLW0603 - what programs do
    LAST = KEPT["x"] = x
    return np.sum(x)


def test_variables_that_would_hold_a_value_are_put_back():
    seen = []
    last = None

    def f(x):
        nonlocal last
        last = x
        seen.append((0, x))
        return keeping(x)

    chainrule.open(f, np.ones(2))
    assert seen == []
    assert last is None
    assert LAST is None
    assert KEPT == {"numbers": [1.0]}


def test_a_list_of_plain_numbers_around_a_function_is_the_programs():
    calls = []

    def f(x):
        calls.append(len(calls))
        return np.sum(x)

    chainrule.open(f, np.ones(2))
    assert calls == [0]


def test_what_was_left_is_put_back_after_an_error_too():
    net = Linear()

    def fails(x):
        net.forward(x)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        chainrule.open(fails, np.ones((2, 3)))
    assert "last_input" not in vars(net)


def test_objects_that_hold_each_other_are_each_put_back():
    a, b = Linear(), Linear()
    a.other, b.other = b, a
    chainrule.open(lambda x: np.sum(a.forward(x) + a.other.forward(x)), np.ones((2, 3)))
    assert not any(type(x) is Value for x in (*vars(a).values(), *vars(b).values()))


def test_long_lists_are_not_looked_into():
    rows = list(range(100_000))
    assert restoring(lambda: len(rows), [rows])() == 100_000
