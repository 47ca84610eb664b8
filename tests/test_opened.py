"""The open pass: values and gradients by name, against the networks that compute them by hand."""

from __future__ import annotations

import builtins
import copy
import gc
import weakref

import numpy as np
import pytest

import chainrule
from chainrule import nn, ops
from chainrule.errors import (
    AxisError,
    ChainruleError,
    InputTypeError,
    NotScalarError,
    SettingError,
    StructureError,
    UnknownNameError,
)

SIZES = [3, 5, 4, 2]
COUNT = 7


def batch(seed=0):
    """Return X (examples by features) and labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(COUNT, SIZES[0])), rng.integers(0, 2, COUNT)


def same(a, b):
    """Return whether two passes agree bit by bit."""
    return list(a.values) == list(b.values) and all(
        np.array_equal(x[name], y[name], equal_nan=True)
        for x, y in ((a.values, b.values), (a.gradients, b.gradients))
        for name in x
    )


# ------------------------------------------------------------------ the cached network


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize(
    ("hidden", "output", "last"),
    [("sigmoid", "sigmoid", 1), ("tanh", "softmax", 2), ("relu", "linear", 2)],
)
def test_the_cache_and_the_gradients_by_hand_are_those_of_the_pass(layout, hidden, output, last):
    network = nn.DNN([*SIZES[:-1], last], hidden=hidden, output=output, layout=layout, seed=1)
    X, Y = batch()
    X = X.T if layout == "columns" else X
    if output == "linear":
        Y = np.random.default_rng(2).normal(size=(2, COUNT) if layout == "columns" else (COUNT, 2))
    out, cache = network.forward(X, Y)
    by_hand = network.compute_gradients(out, cache, inputs=True)
    opened = chainrule.open(network, X, target=Y)
    for name, x in cache.items():
        np.testing.assert_array_equal(opened.values[name], x)
    for name, g in by_hand.items():
        is_per_example = layout == "columns" and name[0] in "ZA"
        expected = g / COUNT if is_per_example else g
        np.testing.assert_allclose(opened.gradients[name], expected, rtol=1e-12, atol=1e-16)
        np.testing.assert_array_equal(opened.gradients[f"d{name}"], opened.gradients[name])
    assert opened.values["loss"] == network.loss(out, Y, cache)


def test_the_loss_of_a_network_goes_over_its_output_where_that_is_said():
    network = nn.DNN([3, 4, 1], seed=0)
    X, Y = batch()
    opened = chainrule.open(network, X.T, Y)
    assert not np.any(opened.gradients["A2"])  # the loss is computed from Z2, which cannot overflow
    by_output = chainrule.open(network, X.T, target=Y, loss=network.loss)
    A2 = opened.values["A2"]
    expected = (A2 - Y) / (A2 * (1 - A2)) / COUNT
    np.testing.assert_allclose(by_output.gradients["A2"], expected, rtol=1e-12)
    np.testing.assert_allclose(
        by_output.gradients["W1"], opened.gradients["W1"], rtol=1e-10, atol=1e-16
    )
    local = by_output.local["A2", "Z2"]
    np.testing.assert_allclose(local.pull(expected), opened.gradients["Z2"], rtol=1e-10)


def test_what_the_gradients_of_the_cached_network_are_made_of():
    X, Y = batch()
    opened = chainrule.open(nn.DNN([3, 3, 3, 1], seed=0), X.T, target=Y)
    made = {name: set(opened.needs(name).names) for name in ("Z3", "W3", "B3", "A2", "Z2", "W2")}
    assert made == {
        "Z3": {"A3", "Y"},
        "W3": {"dZ3", "A2"},
        "B3": {"dZ3"},
        "A2": {"dZ3", "W3"},
        "Z2": {"dA2", "A2"},
        "W2": {"dZ2", "A1"},
    }
    assert str(opened.needs("dW2")) == "dW2 (3, 3) is made of dZ2 (3, 7) and A1 (3, 7)"
    assert [need.is_gradient for need in opened.needs("W2")] == [True, False]
    assert str(opened.needs("loss")).endswith("nothing: it starts the walk")


# ------------------------------------------------------------------ the matrix calculus


def program(X, W1, b1, W2, b2, y):
    N = len(X)
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    scores = y2
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct_logprobs = -np.log(probs[range(N), y])
    loss = np.sum(correct_logprobs) / N
    return loss  # noqa: RET504 - as its author writes it


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=(5, 2)), rng.normal(size=2)


def test_a_forward_pass_in_numpy_has_its_authors_names():
    X, y = batch()
    W1, b1, W2, b2 = weights()
    opened = chainrule.open(program, X, W1, b1, W2, b2, y)
    h1 = np.maximum(0, X @ W1 + b1)
    p = np.exp(h1 @ W2 + b2)
    p /= p.sum(axis=1, keepdims=True)
    dy2 = (p - np.eye(2)[y]) / COUNT
    dh1 = dy2 @ W2.T
    dy1 = dh1 * (h1 > 0)
    expected = {
        "y2": dy2,
        "W2": h1.T @ dy2,
        "b2": dy2.sum(axis=0),
        "h1": dh1,
        "y1": dy1,
        "W1": X.T @ dy1,
        "b1": dy1.sum(axis=0),
        "X": dy1 @ W1.T,
    }
    for name, g in expected.items():
        np.testing.assert_allclose(opened.gradients[name], g, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(opened.values["h1"], h1)
    np.testing.assert_allclose(opened.values["probs"], p, rtol=1e-14)
    np.testing.assert_array_equal(opened.gradients["scores"], opened.gradients["y2"])
    assert opened.needs("W2").names == ("dy2", "h1")
    assert opened.needs("probs").names == ("dcorrect_logprobs", "gather_1", "y")
    order = list(opened.gradients)
    assert order.index("y2") < order.index("h1") < order.index("y1") < order.index("W1")
    order = list(opened.values)
    assert order.index("W1") < order.index("y1") < order.index("h1") < order.index("loss")


# ------------------------------------------------------------------ asking


def test_asking_twice_and_opening_twice_give_the_same_bits():
    X, y = batch()
    a, b = (chainrule.open(program, X, *weights(), y) for _ in range(2))
    assert same(a, b)
    for name in a.gradients:
        np.testing.assert_array_equal(a.gradients[name], a.gradients[name])


def test_what_is_returned_is_the_askers_own():
    W, k = np.eye(3), np.array([0, 2])
    opened = chainrule.open(lambda W, k: np.sum(W * W), W, k)
    W[:], k[:] = 7, 7
    opened.values["k"][:] = 8
    np.testing.assert_array_equal(opened.values["k"], [0, 2])
    opened.values["W"][:] = 8
    opened.gradients["W"][:] = 9
    np.testing.assert_array_equal(opened.values["W"], np.eye(3))
    np.testing.assert_array_equal(opened.gradients["W"], 2 * np.eye(3))


def test_mappings_are_mappings():
    X, y = batch()
    opened = chainrule.open(program, X, *weights(), y)
    assert "W1" in opened.values
    assert "dW1" in opened.gradients
    assert "W1[2, 4]" in opened.gradients
    assert "W3" not in opened.values
    assert 3 not in opened.values
    assert opened.values.get("W3") is None
    assert len(opened.values) == len(list(opened.values))
    assert set(opened.gradients) <= set(opened.values)
    assert opened.gradients["W1[2, -1]"] == opened.gradients["W1"][2, -1]
    assert opened.values["loss"] == opened.values["program"] == program(X, *weights(), y)
    np.testing.assert_array_equal(opened.values["y"], y)
    assert repr(opened.values).startswith("<values X, W1")
    assert repr(opened.gradients).startswith("<gradients of loss by loss, ")


@pytest.mark.parametrize(
    ("error", "name", "words"),
    [
        (UnknownNameError, "W3", "Did you mean W2 or W1"),
        (UnknownNameError, "correct_logprob", "Did you mean correct_logprobs"),
        (UnknownNameError, "%99", "nothing in this pass"),
        (UnknownNameError, 3, "nothing in this pass"),
        (InputTypeError, "y", "not of floating-point type"),
        (AxisError, "W1[9, 9]", "no entry"),
    ],
)
def test_a_wrong_name_is_told_what_there_is(error, name, words):
    X, y = batch()
    opened = chainrule.open(program, X, *weights(), y)
    with pytest.raises(error, match=words):
        opened.gradients[name]


def test_a_constant_has_a_value_and_no_gradient():
    scale = np.array([1.0, 2.0, 3.0])
    opened = chainrule.open(lambda x: np.sum(x * scale), np.ones(3))
    np.testing.assert_array_equal(opened.values["scale"], scale)
    with pytest.raises(InputTypeError, match="depends on no argument"):
        opened.gradients["scale"]
    assert opened.needs("x").names == ("scale",)


def test_an_argument_that_nothing_uses_has_gradient_0():
    opened = chainrule.open(lambda x, unused: np.sum(x), np.ones(3), np.ones((2, 2)))
    np.testing.assert_array_equal(opened.gradients["unused"], np.zeros((2, 2)))


# ------------------------------------------------------------------ outputs


def test_an_entry_of_the_result_is_differentiated():
    x = np.random.default_rng(0).normal(size=(2, 3))
    opened = chainrule.open(np.sin, x, output=(1, -1))
    expected = np.zeros((2, 3))
    expected[1, 2] = np.cos(x[1, 2])
    np.testing.assert_array_equal(opened.gradients["%0"], expected)
    assert opened.head == "sin[1, 2]"
    assert chainrule.open(lambda x: x[0], x, output=2).head == "f[2]"


def test_a_container_is_entered_by_its_keys():
    def both(x):
        return {"scores": x * 2, "loss": np.sum(x)}, [np.sum(x * x)]

    x = np.ones((2, 3))
    assert chainrule.open(both, x, output=(0, "scores", 1, 2)).gradients["x"].sum() == 2
    assert chainrule.open(both, x, output=(0, "loss")).gradients["x"].sum() == 6
    assert chainrule.open(both, x, output=(1, 0)).gradients["x"].sum() == 12
    assert "scores" in chainrule.open(both, x, output=(1, 0)).values


def test_a_cotangent_is_pulled_back():
    x = np.random.default_rng(0).normal(size=(2, 3))
    g = np.random.default_rng(1).normal(size=(2, 3))
    opened = chainrule.open(np.sin, x, output=g)
    np.testing.assert_allclose(opened.gradients["%0"], g * np.cos(x), rtol=1e-15)
    two = chainrule.open(lambda x: (np.sin(x), [x[0]]), x, output=(g, [g[1]]))
    expected = g * np.cos(x)
    expected[0] += g[1]
    np.testing.assert_allclose(two.gradients["x"], expected, rtol=1e-15)
    with pytest.raises(NotScalarError, match="is a sum"):
        opened.paths("sin", "%0[0, 0]")


@pytest.mark.parametrize(
    ("error", "f", "output", "words"),
    [
        (NotScalarError, lambda x: x, None, r"output=\(0, 0\)"),
        (NotScalarError, lambda x: {"a": x}, None, "output='a'"),
        (NotScalarError, lambda x: (x, x), None, "output=0"),
        (NotScalarError, lambda x: (x, x), 1, r"output=\(0, 0\)"),
        (NotScalarError, lambda x: 2.0, None, "depends on none"),
        (NotScalarError, lambda x: np.ones(2), 1, "depends on none"),
        (AxisError, lambda x: x, 1, "names no entry"),
        (AxisError, lambda x: x, (2, 0), "outside"),
        (StructureError, lambda x: {"a": x}, "b", "no 'b'"),
        (StructureError, lambda x: x, "b", "no 'b'"),
        (StructureError, lambda x: x, np.ones(3), "its shape"),
        (StructureError, lambda x: (x, x), np.ones((2, 3)), "for each array"),
    ],
)
def test_what_is_not_one_number_says_what_to_say(error, f, output, words):
    with pytest.raises(error, match=words):
        chainrule.open(f, np.ones((2, 3)), output=output)


@pytest.mark.parametrize(
    ("error", "args", "options"),
    [
        (InputTypeError, (np.ones(3),), {}),
        (SettingError, (nn.Linear(3, 1), np.ones((2, 3))), {"target": np.ones((2, 1))}),
        (InputTypeError, (nn.Linear(3, 1), np.ones((2, 3))), {"loss": "mse"}),
        (InputTypeError, (nn.DNN([3, 1]), np.ones((3, 2)), [0, 1], 3), {}),
        (ChainruleError, (nn.DNN([3, 1]), np.ones((4, 2))), {"target": [0, 1]}),
    ],
)
def test_what_cannot_be_opened_is_said(error, args, options):
    with pytest.raises(error):
        chainrule.open(*args, **options)


def test_a_star_import_hides_no_builtin():
    found = {}
    exec("from chainrule import *", found)  # noqa: S102 - what a user writes in a notebook
    assert "vjp" in found
    assert not set(dir(builtins)) & (found.keys() - {"__builtins__"})
    assert callable(chainrule.open)
    assert callable(chainrule.compile)


# ------------------------------------------------------------------ modules


def test_a_chain_has_its_backward_passes_gradients_under_its_paths():
    X, y = batch()
    model = nn.MLP(SIZES, activation="tanh", seed=0)
    loss = nn.CrossEntropyLoss()
    loss.previous_module = model
    opened = chainrule.open(model, X, loss=nn.CrossEntropyLoss(), target=y)
    value = loss(model(X), y)
    at_input = loss.backward()
    assert opened.values["loss"] == value
    for name, g in model.gradients().items():
        np.testing.assert_allclose(opened.gradients[name], g, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(opened.gradients["input"], at_input, rtol=1e-12)
    hidden = np.tanh(X @ model.state_dict()["0.weight"].T + model.state_dict()["0.bias"])
    np.testing.assert_allclose(opened.values["1"], hidden, rtol=1e-14)
    assert opened.values["output"].shape == opened.values["4"].shape == (COUNT, 2)
    np.testing.assert_array_equal(opened.values["target"], y)
    with pytest.raises(InputTypeError, match="held"):
        opened.gradients["target"]


class Branches(nn.Module):
    """Shares a layer, keeps layers in a dictionary and a list, and calls a function."""

    def __init__(self):
        self.shared = nn.Linear(3, 3, seed=0)
        self.heads = {"left": nn.Linear(3, 2, seed=1), "right": nn.Linear(3, 2, seed=2)}
        self.layers = [nn.Linear(3, 3, seed=3), nn.Tanh()]
        self.scale = nn.Parameter(np.full(2, 0.5))

    def forward(self, x):
        h = self.shared(np.tanh(self.shared(x)))
        for layer in self.layers:
            h = layer(h)
        both = self.heads["left"](h) * squashed(self.heads["right"](h))
        self.last = both * self.scale
        return self.last


def squashed(x):
    e = np.exp(-x)
    return 1 / (1 + e)


def test_modules_are_found_by_their_paths_and_shared_ones_by_a_number():
    X, _ = batch()
    model = Branches()
    opened = chainrule.open(model, X, output=(0, 1))
    state = model.state_dict()
    first = X @ state["shared.weight"].T + state["shared.bias"]
    second = np.tanh(first) @ state["shared.weight"].T + state["shared.bias"]
    np.testing.assert_allclose(opened.values["shared"], first, rtol=1e-13)
    np.testing.assert_allclose(opened.values["shared_2"], second, rtol=1e-13)
    for name in ("heads.left", "heads.right", "layers.0", "layers.1", "both", "last", "e"):
        assert name in opened.values
    right = opened.values["heads.right"]
    np.testing.assert_allclose(opened.values["e"], np.exp(-right), rtol=1e-15)

    def by_parameters(parameters):
        return nn.functional_call(model, parameters, X)[0][0, 1]

    for name, g in chainrule.grad(by_parameters)(state).items():
        np.testing.assert_allclose(opened.gradients[name], g, rtol=1e-12, atol=1e-16)


def test_random_layers_draw_alike_and_nothing_of_the_model_changes():
    X, y = batch()
    model = nn.Sequential(
        nn.Linear(3, 8, seed=0), nn.BatchNorm1d(8), nn.Dropout(0.5, seed=3), nn.Linear(8, 2, seed=1)
    )
    before, draws = copy.deepcopy(model.state_dict()), model[2].draws
    a, b = (chainrule.open(model, X, loss=nn.CrossEntropyLoss(), target=y) for _ in range(2))
    assert same(a, b)
    assert model[2].draws == draws
    assert np.any(a.values["2"] == 0)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    assert a.values["1.running_mean"].shape == (8,)
    assert a.values["1.num_batches_tracked"] == 0
    assert not any(p.grad is not None for p in model.parameters())


def test_dropout_in_a_function_is_frozen_too():
    layer = nn.Dropout(0.5, seed=0)
    a, b = (chainrule.open(lambda x: np.sum(layer(x)), np.ones((4, 5))) for _ in range(2))
    assert same(a, b)
    assert layer.draws == 0


def test_a_backward_pass_of_the_users_is_the_one_that_is_used():
    class Doubled(nn.Module):
        def forward(self, x):
            return x * 1.0

        def backward(self, g):
            return 2 * g

    X, _ = batch()
    opened = chainrule.open(nn.Sequential(Doubled(), nn.Tanh()), X, output=(0, 0))
    assert opened.gradients["input"][0, 0] == 2 * opened.gradients["0"][0, 0]


def test_whole_numbers_stay_whole():
    model = nn.Sequential(nn.Embedding(5, 3, seed=0), nn.Flatten(), nn.Linear(6, 2, seed=1))
    indices, y = np.array([[0, 1], [1, 4], [2, 2]]), np.array([0, 1, 1])
    opened = chainrule.open(model, indices, loss=nn.CrossEntropyLoss(), target=y)
    assert opened.values["indices" if "indices" in opened.values else "input"].dtype.kind == "i"
    assert not np.any(opened.gradients["0.weight"][3])
    assert np.any(opened.gradients["0.weight"][4])


def test_the_dtype_of_a_model_is_that_of_its_pass():
    X, y = batch()
    model = nn.MLP(SIZES, seed=0, dtype=np.float32)
    opened = chainrule.open(model, X.astype(np.float32), loss=nn.CrossEntropyLoss(), target=y)
    kinds = {opened.values[name].dtype for name in opened.gradients}
    assert kinds == {opened.gradients[name].dtype for name in opened.gradients} == {np.dtype("f4")}


def test_a_loss_is_applied_to_what_a_function_returns():
    X, y = batch()
    W = np.random.default_rng(3).normal(size=(3, 2))
    opened = chainrule.open(lambda W, X: X @ W, W, X, loss=nn.CrossEntropyLoss(), target=y)
    p = ops.softmax(X @ W, axis=1)
    np.testing.assert_allclose(
        opened.gradients["output"], (p - np.eye(2)[y]) / COUNT, rtol=1e-12, atol=1e-16
    )
    squares = chainrule.open(lambda W, X: X @ W, W, X, loss=lambda scores: np.sum(scores**2))
    np.testing.assert_allclose(squares.gradients["W"], 2 * X.T @ (X @ W), rtol=1e-12)


def test_modules_that_a_function_calls_are_differentiated_by():
    X, y = batch()
    encoder, head = nn.Linear(3, 4, seed=0), nn.Sequential(nn.Tanh(), nn.Linear(4, 2, seed=1))
    criterion = nn.CrossEntropyLoss()

    def encoded(X):
        return encoder(X)

    def f(X, y):
        scores = head(encoded(X))
        return criterion(scores, y)

    opened = chainrule.open(f, X, y)
    model = nn.Sequential(encoder, *head)
    expected = chainrule.open(model, X, loss=criterion, target=y)
    for ours, theirs in {"encoder.weight": "0.weight", "head.1.bias": "2.bias"}.items():
        np.testing.assert_array_equal(opened.gradients[ours], expected.gradients[theirs])
    for name in ("encoder", "head.0", "head", "scores", "criterion"):
        assert name in opened.values
    assert opened.needs("head.1.weight").names == ("dhead.1", "head.0")
    assert opened.per_example["encoder.weight"].shape == (COUNT, 4, 3)


def test_a_method_of_a_module_is_a_function_of_its_parameters():
    class Scorer(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.array([1.0, 2.0, 3.0]))

        def penalty(self, x):
            return np.sum((x * self.weight) ** 2)

    scorer = Scorer()
    opened = chainrule.open(scorer.penalty, np.ones(3))
    np.testing.assert_array_equal(opened.gradients["weight"], [2, 4, 6])


# ------------------------------------------------------------------ programs of all kinds


def test_writes_to_arrays_are_followed():
    def forward(X, W):
        H = X @ W
        H[H < 0] = 0
        H += 1
        return np.sum(H**2)

    X, W = (
        np.random.default_rng(0).normal(size=(4, 3)),
        np.random.default_rng(1).normal(size=(3, 2)),
    )
    opened = chainrule.open(forward, X, W)
    Z = X @ W
    g = 2 * (np.maximum(Z, 0) + 1) * (Z > 0)
    np.testing.assert_allclose(opened.gradients["W"], X.T @ g, rtol=1e-13)


def test_containers_of_arguments_and_results_give_names():
    parameters = {"W": np.eye(3), "deep": {"b": np.zeros(3)}, "pair": (np.ones(3), np.ones(3))}

    def f(parameters, x):
        scale, shift = parameters["pair"]
        cache = {}
        for k in range(2):
            x = np.tanh(x @ parameters["W"] + parameters["deep"]["b"])
            cache[f"H{k}"] = x
        return np.sum(cache["H1"] * scale + shift)

    opened = chainrule.open(f, parameters, np.ones((2, 3)))
    assert {"W", "b", "scale", "shift", "H0", "H1", "f"} <= set(opened.values)
    for other in ("parameters['W']", "parameters['deep']['b']", "parameters['pair'][0]"):
        assert other in opened.values
    np.testing.assert_array_equal(opened.gradients["shift"], [2, 2, 2])
    np.testing.assert_array_equal(opened.gradients["scale"], opened.values["H1"].sum(axis=0))


def test_a_pass_that_is_let_go_is_freed_at_once():
    gc.collect()
    gc.disable()
    try:
        opened = chainrule.open(program, *batch()[:1], *weights(), batch()[1])
        str(opened), opened.gradients["W1"], opened.chain("W1")
        alive = weakref.ref(opened)
        del opened
        assert alive() is None
    finally:
        gc.enable()


def test_the_pass_is_differentiated_at_other_values():
    X, y = batch()
    opened = chainrule.open(program, X, *weights(), y)
    other = opened.differentiate("y2[3, 1]")
    assert other.head == "y2[3, 1]"
    _, _, W2, _ = weights()
    expected = np.zeros((COUNT, 5))
    expected[3] = W2[:, 1]
    np.testing.assert_array_equal(other.gradients["h1"], expected)
    np.testing.assert_array_equal(other.values["h1"], opened.values["h1"])
    with pytest.raises(NotScalarError, match="Name an entry of it"):
        opened.differentiate("y2")
