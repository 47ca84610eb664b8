"""The structural lint: each rule finds what it is for, and nothing where all is well."""

from __future__ import annotations

import itertools

import numpy as np
import plan_zoo
import pytest
from sklearn.datasets import load_digits

from chainrule import nn, ops, train
from chainrule.cli import digits
from chainrule.errors import SettingError
from chainrule.inspect.finding import CAUSES
from chainrule.inspect.lint import lint

N, FEATURES, CLASSES = 64, 8, 4
CE, MSE, BCE = nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()
rng = np.random.default_rng(0)
X = rng.normal(size=(N, FEATURES))
y = rng.integers(0, CLASSES, N)
t = rng.normal(size=(N, 1))


def codes(*args, notes=False, **options):
    """Return the codes of what is found; of errors and warnings alone unless notes are wanted."""
    found = lint(*args, **options)
    return [f.code for f in found if notes or f.severity != "note"]


def one(*args, **options):
    """Return the only thing found."""
    (found,) = lint(*args, **options)
    return found


def mlp(*hidden, outputs=CLASSES, activation="relu", inputs=FEATURES, **options):
    return nn.MLP([inputs, *hidden, outputs], activation, seed=0, **options)


# ------------------------------------------------------------------ nothing is the matter


@pytest.mark.parametrize(
    "activation", ["relu", "tanh", "sigmoid", "gelu", "silu", "leaky_relu", "elu"]
)
@pytest.mark.parametrize("hidden", [(), (16,), (32, 32), (64, 64, 32)])
def test_usual_networks_are_fine(activation, hidden):
    for loss, target, outputs in ((CE, y, CLASSES), (MSE, t, 1), (BCE, (t > 0) * 1.0, 1)):
        model = mlp(*hidden, outputs=outputs, activation=activation)
        assert codes(model, X, loss=loss, target=target) == []


@pytest.mark.parametrize("initialiser", ["he_uniform", "he_normal", "glorot_uniform", "orthogonal"])
def test_usual_initialisers_are_fine(initialiser):
    for activation, seed in itertools.product(("relu", "tanh"), range(5)):
        model = nn.MLP([8, 32, 32, 32, 4], activation, initialiser=initialiser, seed=seed)
        assert codes(model, X, loss=CE, target=y) == []


def usual_models():
    images = rng.normal(size=(32, 1, 8, 8))
    labels = rng.integers(0, 10, 32)
    yield (
        "convolution",
        nn.Sequential(
            nn.Conv2d(1, 4, 3, seed=0),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 10, seed=0),
        ),
        images,
        labels,
    )
    yield (
        "batch norm",
        nn.Sequential(
            nn.Linear(8, 16, bias=False, seed=0),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 4, seed=1),
        ),
        X,
        y,
    )
    yield (
        "layer norm",
        nn.Sequential(
            nn.Linear(8, 16, seed=0), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 4, seed=1)
        ),
        X,
        y,
    )
    yield "dropout", mlp(32, 32, dropout=0.5), X, y
    yield (
        "residual",
        nn.Sequential(
            nn.Linear(8, 16, seed=0),
            nn.Residual(nn.Sequential(nn.Linear(16, 16, seed=1), nn.ReLU())),
            nn.Linear(16, 4, seed=2),
        ),
        X,
        y,
    )
    yield (
        "embedding",
        nn.Sequential(nn.Embedding(20, 6, seed=0), nn.Flatten(), nn.Linear(18, 4, seed=1)),
        rng.integers(0, 20, (N, 3)),
        y,
    )
    yield "normalised first", nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 4, seed=0)), 1000 * X, y
    yield "float32", mlp(16, 16, dtype=np.float32), X.astype(np.float32), y


@pytest.mark.parametrize(
    ("name", "model", "inputs", "labels"),
    list(usual_models()),
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_usual_models_are_fine(name, model, inputs, labels):
    assert codes(model, inputs, loss=CE, target=labels) == []


def test_a_network_whose_last_layer_starts_at_zero_is_fine():
    model = mlp(16)
    model[2].weight = np.zeros((CLASSES, 16))
    assert codes(model, X, loss=CE, target=y) == []


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_networks_that_have_learned_are_fine(activation):
    pixels, labels = load_digits(return_X_y=True)
    pixels, labels = pixels[:300] / 16, labels[:300]
    model = nn.MLP([64, 32, 32, 10], activation, seed=0)
    assert codes(model, pixels, loss=CE, target=labels) == []
    history = train.fit(model, pixels, labels, loss=CE, optimiser=train.Adam(5e-3), epochs=30)
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert codes(model, pixels, loss=CE, target=labels) == []


@pytest.mark.parametrize(
    ("hidden", "output", "layout"),
    list(
        itertools.product(
            ["sigmoid", "tanh", "relu"], ["sigmoid", "softmax", "linear"], ["rows", "columns"]
        )
    ),
)
def test_the_dense_network_is_fine(hidden, output, layout):
    outputs = 1 if output == "sigmoid" else 3
    network = nn.DNN([5, 8, 8, outputs], hidden, output, layout, seed=0)
    inputs = rng.normal(size=(5, 40) if layout == "columns" else (40, 5))
    if output == "linear":
        target = rng.normal(size=(outputs, 40) if layout == "columns" else (40, outputs))
    else:
        target = rng.integers(0, max(outputs, 2), 40)
    assert codes(network, inputs, target=target) == []


def moons(m):
    angle, label = rng.uniform(0, np.pi, m), rng.integers(0, 2, m)
    upper = np.stack([np.cos(angle), np.sin(angle)])
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    return np.where(label == 0, upper, lower), label


def test_the_networks_of_the_examples_are_fine_before_and_after():
    inputs, labels = moons(200)
    network = nn.DNN([2, 8, 8, 1], seed=0)
    assert codes(network, inputs, target=labels) == []
    network.fit(inputs, labels, learning_rate=3, epochs=300)
    assert codes(network, inputs, target=labels) == []
    rings = nn.DNN([2, 16, 2], hidden="tanh", output="softmax", seed=0)
    rings.fit(inputs, labels, learning_rate=0.5, epochs=300)
    assert codes(rings, inputs, target=labels) == []


def softmax_regression(p, X, y):
    scores = X @ p["W"] + p["b"]
    scores = scores - np.max(scores, axis=1, keepdims=True)
    likely = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    loss = -np.log(likely[np.arange(len(y)), y])
    return np.mean(loss) + 0.01 * np.sum(p["W"] * p["W"])


def attention(p, X):
    q, k, v = X @ p["Q"], X @ p["K"], X @ p["V"]
    shares = ops.softmax(q @ np.swapaxes(k, -1, -2) / np.sqrt(4))
    return np.mean(np.tanh(shares @ v) ** 2)


def pairwise(p, X):
    z = X @ p["W"]
    apart = z - z[:, 0]
    return np.mean(apart**2)


def test_functions_of_a_users_own_are_fine():
    p = {"W": rng.normal(size=(FEATURES, CLASSES)), "b": np.zeros(CLASSES)}
    assert codes(softmax_regression, p, X, y) == []
    heads = {name: rng.normal(size=(FEATURES, 4)) / 3 for name in "QKV"}
    assert codes(attention, heads, rng.normal(size=(10, 6, FEATURES))) == []
    assert codes(pairwise, {"W": rng.normal(size=(FEATURES, 1))}, X) == []


def test_nothing_of_the_model_changes():
    model = nn.Sequential(
        nn.Linear(8, 16, seed=0), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 4)
    )
    model[2].eval()
    before = model.state_dict()
    lint(model, X, loss=CE, target=y)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert [m.training for m in model.modules()] == [True, True, True, False, True]


# ------------------------------------------------------------------ losses


def test_softmax_before_a_loss_of_logits():
    model = nn.Sequential(nn.Linear(FEATURES, CLASSES, seed=0), nn.Softmax())
    found = one(model, X, loss=CE, target=y)
    assert found.code == "CD301"
    # the loss of a certain and right answer: -log(e / (e + C - 1))
    assert f"{-np.log(np.e / (np.e + CLASSES - 1)):.3f}" in found.evidence[1]


def test_softmax_twice_in_a_users_own_code_names_both_lines():
    def loss(p, X, y):
        z = X @ p["W"]
        e = np.exp(z - np.max(z, axis=1, keepdims=True))
        q = e / np.sum(e, axis=1, keepdims=True)
        return -np.mean(
            np.log(np.exp(q) / np.exp(q).sum(axis=1, keepdims=True))[np.arange(len(y)), y]
        )

    found = one(loss, {"W": rng.normal(size=(FEATURES, CLASSES))}, X, y)
    assert (found.code, found.tensor) == ("CD301", "q")
    assert found.where.startswith("test_lint.py:")


def test_softmax_with_the_negative_log_likelihood_is_as_it_should_be():
    model = nn.Sequential(nn.Linear(FEATURES, CLASSES, seed=0), nn.LogSoftmax())
    assert codes(model, X, loss=nn.NLLLoss(), target=y) == []


def test_sigmoid_before_a_loss_of_logits():
    model = nn.Sequential(nn.Linear(FEATURES, 1, seed=0), nn.Sigmoid())
    assert one(model, X, loss=BCE, target=(t > 0) * 1.0).code == "CD302"
    assert (
        one(model, X, loss=nn.BCEWithLogitsLoss(reduction="sum"), target=(t > 0) * 1.0).code
        == "CD302"
    )


def test_a_cross_entropy_of_ones_own_after_a_sigmoid_is_fine():
    def loss(p, target):
        return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))

    model = nn.Sequential(nn.Linear(FEATURES, 1, seed=0), nn.Sigmoid())
    assert codes(model, X, loss=loss, target=(t > 0) * 1.0) == []


def test_a_column_against_a_row():
    def squared(p, target):
        return np.mean((p - target) ** 2)

    model = mlp(16, outputs=1)
    found = one(model, X, loss=squared, target=t[:, 0])
    assert found.code == "CD303"
    assert f"[{N}, {N}]" in found.message
    assert codes(model, X, loss=squared, target=t) == []


# ------------------------------------------------------------------ inputs


def test_inputs_that_are_not_scaled_are_named_by_column():
    scales = np.array([1, 1, 1000, 1, 1, 1, 2000, 1.0])
    found = one(mlp(16, outputs=1), X * scales, loss=MSE, target=t)
    assert found.code == "CD304"
    assert "2 of 8 columns" in found.message
    assert [line.split(":")[0] for line in found.evidence] == ["column 6", "column 2"]
    assert codes(mlp(16, outputs=1), X * 10, loss=MSE, target=t) == []


def test_inputs_that_the_program_scales_itself_are_fine():
    def loss(p, X):
        Z = (X - np.mean(X, axis=0)) / np.std(X, axis=0)
        return np.mean(np.tanh(Z @ p["W"]) ** 2)

    p = {"W": rng.normal(size=(FEATURES, 3))}
    assert codes(loss, p, 1000 * X) == []
    assert "CD304" in codes(lambda p, X: np.mean((X @ p["W"]) ** 2), p, 1000 * X)


def test_constant_columns_are_a_note():
    constant = X.copy()
    constant[:, 3] = 0
    found = one(mlp(16), constant, loss=CE, target=y)
    assert (found.code, found.severity) == ("CD305", "note")
    assert found.message.endswith("examples: 3.")


# ------------------------------------------------------------------ weights and units


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_weights_that_start_at_zero_keep_units_equal(activation):
    model = mlp(32, activation=activation, initialiser="zeros")
    found = codes(model, X, loss=CE, target=y)
    assert "CD307" in found
    history = train.fit(model, X, y, loss=CE, epochs=5)
    assert len(history) == 5
    if activation == "tanh":  # biases differ, yet all weights of a unit stay with each other's
        assert "CD307" not in codes(mlp(32, activation=activation), X, loss=CE, target=y)


def test_equal_units_stay_equal():
    model = mlp(16, 16)
    for layer in (model[0], model[2], model[4]):
        layer.weight = np.full(layer.weight.shape, 0.1)
        layer.bias = np.zeros(layer.bias.shape)
    assert codes(model, np.abs(X), loss=CE, target=y).count("CD307") >= 1
    train.fit(model, np.abs(X), y, loss=CE, epochs=3, optimiser=train.SGD(0.1))
    assert np.ptp(model[0].weight, axis=0).max() < 1e-12


def test_deep_networks_whose_scores_shrink():
    found = codes(mlp(*[32] * 12), X, loss=CE, target=y)
    assert "CD306" in found
    assert codes(mlp(*[32] * 12, initialiser="he_uniform"), X, loss=CE, target=y) == []
    assert "CD306" in codes(mlp(*[32] * 6, activation="sigmoid"), X, loss=CE, target=y)
    assert (
        codes(
            mlp(*[32] * 12, activation="tanh", initialiser="glorot_uniform"), X, loss=CE, target=y
        )
        == []
    )


def test_weights_of_variance_nine_make_scores_and_gradients_grow():
    model = mlp(32, 32, 32, 32)
    for parameter in model.parameters():
        parameter.data[...] = 3 * np.random.default_rng(1).normal(size=parameter.shape)
    assert {"CD306", "CD311"} <= set(codes(model, X, loss=CE, target=y))


def test_gradients_that_vanish_are_listed_by_layer():
    found = [
        f
        for f in lint(mlp(*[16] * 8, activation="sigmoid"), X, loss=CE, target=y)
        if f.code == "CD310"
    ]
    assert len(found) == 1
    assert len(found[0].evidence[0].split(",")) == 9


def test_dead_units():
    model = mlp(32)
    model[0].bias = np.full(32, -20.0)
    found = one(model, X, loss=CE, target=y)
    assert found.code == "CD308"
    assert "32 of 32 units of the layer of 0.weight" in found.message
    model[0].bias = np.where(np.arange(32) < 8, -20.0, 0.0)
    assert codes(model, X, loss=CE, target=y) == []


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_saturated_units(activation):
    model = mlp(32, activation=activation)
    found = codes(model, 20 * X, loss=CE, target=y)
    assert ("CD309" in found) == (activation == "tanh")
    model[0].weight = 3 * model[0].weight
    assert "CD309" in codes(model, 20 * X, loss=CE, target=y)


def test_saturated_units_in_a_users_own_code():
    def loss(p, X):
        h = 1 / (1 + np.exp(-(X @ p["W1"])))
        return np.mean((h @ p["W2"]) ** 2)

    p = {"W1": rng.normal(size=(FEATURES, 16)), "W2": rng.normal(size=(16, 1))}
    assert codes(loss, p, X) == []
    found = one(loss, {**p, "W1": 30 * p["W1"]}, X)
    assert (found.code, found.tensor) == ("CD309", "h")


# ------------------------------------------------------------------ gradients


class Cut(nn.Module):
    def __init__(self, cut):
        self.first, self.second = nn.Linear(FEATURES, 16, seed=0), nn.Linear(16, CLASSES, seed=1)
        self.unused = nn.Linear(3, 3, seed=0)
        self.cut = cut

    def forward(self, x):
        h = self.cut(np.tanh(self.first(x)))
        return self.second(h)


@pytest.mark.parametrize(
    ("cut", "word"),
    [
        (ops.stop_gradient, "stop_gradient"),
        (np.round, "rint"),
        (lambda h: (h > 0) * 1.0, "greater"),
        (np.sign, "sign"),
    ],
)
def test_a_layer_without_a_gradient_and_where_its_way_was_cut(cut, word):
    found = {f.tensor: f for f in lint(Cut(cut), X, loss=CE, target=y)}
    assert set(found) == {
        f"{part}.{name}" for part in ("first", "unused") for name in ("weight", "bias")
    }
    assert {f.code for f in found.values()} == {"CD312"}
    assert f" {word}: " in found["first.weight"].message
    assert found["first.weight"].where.startswith("test_lint.py:")
    assert "reads unused.weight" in found["unused.weight"].message


def test_a_layer_with_a_gradient_by_another_way_is_fine():
    class Both(Cut):
        def forward(self, x):
            h = np.tanh(self.first(x))
            return self.second(h + ops.stop_gradient(np.round(h) - h)) + 0 * np.sum(
                self.unused(np.ones(3))
            )

    assert codes(Both(None), X, loss=CE, target=y) == []


def test_a_bias_before_batch_norm_is_a_note():
    model = nn.Sequential(
        nn.Linear(8, 16, seed=0), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4, seed=1)
    )
    found = one(model, X, loss=CE, target=y)
    assert (found.code, found.tensor, found.severity) == ("CD315", "0.bias", "note")


# ------------------------------------------------------------------ targets


def test_relu_at_the_end_of_a_regression():
    model = nn.Sequential(nn.Linear(8, 1, seed=0), nn.ReLU())
    found = one(model, X, loss=MSE, target=t)
    assert found.code == "CD313"
    assert f"{int(np.sum(t < 0))} of {N} targets" in found.message
    assert codes(model, X, loss=MSE, target=np.abs(t)) == []


def test_tanh_and_sigmoid_reach_no_further_than_one():
    tanh = nn.Sequential(nn.Linear(8, 1, seed=0), nn.Tanh())
    assert codes(tanh, X, loss=MSE, target=np.clip(t, -1, 1)) == []
    assert codes(tanh, X, loss=MSE, target=2 * t) == ["CD313"]
    sigmoid = nn.Sequential(nn.Linear(8, 1, seed=0), nn.Sigmoid())
    assert codes(sigmoid, X, loss=MSE, target=np.clip(t, -1, 0)) == ["CD313"]


def test_relu_before_the_softmax():
    model = nn.Sequential(
        nn.Linear(8, 16, seed=0), nn.ReLU(), nn.Linear(16, CLASSES, seed=1), nn.ReLU()
    )
    assert one(model, X, loss=CE, target=y).code == "CD314"


@pytest.mark.parametrize("labels", [y + 1, y - 1, np.where(np.arange(N) == 7, CLASSES, y)])
def test_labels_outside_of_the_outputs(labels):
    found = one(mlp(16), X, loss=CE, target=labels)
    assert (found.code, found.severity) == ("CD316", "error")

    def own(logits, target):
        return -np.mean(
            ops.log_softmax(logits)[np.arange(len(target)), np.clip(target, -1, CLASSES - 1)]
        )

    assert one(mlp(16), X, loss=own, target=labels).code == "CD316"


def test_labels_that_are_ignored_are_fine():
    assert codes(mlp(16), X, loss=CE, target=np.where(y == 0, -100, y)) == []


def test_targets_of_another_scale():
    found = one(mlp(16, outputs=1), X, loss=MSE, target=1e4 * t)
    assert found.code == "CD317"
    assert f"{np.sqrt(np.mean((1e4 * t) ** 2)):.3g}" in found.message
    assert codes(mlp(16, outputs=1), X, loss=MSE, target=10 * t) == []


# ------------------------------------------------------------------ all rules


@pytest.mark.parametrize("code", [c for c in CAUSES if c.startswith("CD3")])
def test_each_rule_says_what_it_sees_why_and_what_to_do(code):
    doc = CAUSES[code].doc
    assert "It sees" in doc, code
    assert "It matters" in doc, code
    assert "For example" in doc, code


def test_a_finding_prints_as_a_linter_does():
    model = nn.Sequential(nn.Linear(FEATURES, CLASSES, seed=0), nn.Softmax())
    text = str(one(model, X, loss=CE, target=y))
    assert text.startswith("CD301 softmax before a loss of logits: module 1. ")
    assert "()" not in text


def test_without_a_loss_what_needs_none_is_found():
    assert codes(mlp(16), 1000 * X) == ["CD304"]
    assert codes(mlp(16), X) == []


def spiral_loss(W1, b1, W2, b2, X, y):
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    scores = np.exp(y2 - np.max(y2, axis=1, keepdims=True))
    probs = scores / np.sum(scores, axis=1, keepdims=True)
    return np.sum(-np.log(probs[range(len(X)), y])) / len(X)


def test_the_functions_of_the_examples_and_of_the_demo_are_fine():
    network = nn.DNN([2, 64, 3], hidden="relu", output="softmax", layout="rows", seed=0)
    angle = rng.uniform(0, 6, 60)
    inputs = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    assert codes(spiral_loss, *network.parameters.values(), inputs, rng.integers(0, 3, 60)) == []
    demo = digits.load()
    parameters = digits.initial_parameters(np.random.default_rng(0))
    assert codes(digits.loss, parameters, demo.X[:200], demo.y[:200]) == []


def test_the_networks_of_the_plans_are_fine():
    columns = rng.normal(size=(32, 64))
    assert (
        codes(plan_zoo._network(64, 64, 32, 10), columns, loss=CE, target=np.arange(32) % 10) == []
    )

    def regression(p, X, Y):
        return plan_zoo.regression(p["W"], p["b"], X, Y)

    p = {"W": rng.normal(size=(20, 5)), "b": np.zeros(5)}
    assert codes(regression, p, rng.normal(size=(100, 20)), np.eye(5)[np.arange(100) % 5]) == []
    weights = {name: rng.normal(size=w.shape) / 3 for name, w in plan_zoo._weights().items()}
    assert codes(plan_zoo._small, weights, rng.normal(size=(16, 6))) == []


def test_a_result_that_is_no_number_is_explained_and_nothing_else_is_said():
    broken = X.copy()
    broken[7, 2] = np.nan
    found = one(mlp(16), broken, loss=CE, target=y)
    assert (found.code, found.tensor) == ("CD501", "input[7, 2]")


def test_a_weight_that_is_read_as_a_plain_array_is_not_read():
    class Copied(nn.Module):
        def __init__(self):
            self.first, self.second = (
                nn.Linear(FEATURES, 16, seed=0),
                nn.Linear(16, CLASSES, seed=1),
            )

        def forward(self, x):
            weight = np.array(self.first.get_parameter("weight").data)
            return self.second(np.tanh(x @ weight.T + self.first.bias))

    found = one(Copied(), X, loss=CE, target=y)
    assert (found.code, found.tensor) == ("CD312", "first.weight")


class Affine(nn.Module):
    def __init__(self, inputs, outputs):
        self.W = nn.Parameter(np.random.default_rng(0).normal(size=(outputs, inputs)) / 4)

    def forward(self, x):
        return x @ self.W.T

    def backward(self, g):
        (x,) = self.last_input
        self.grad["W"] = g.T @ x
        return self.propagate_gradient(g @ self.W)


class InPlace(Affine):
    def forward(self, x):
        y = np.zeros((len(x), len(self.W)))
        y[:] = np.asarray(x) @ np.asarray(self.W).T
        return y


def test_modules_with_a_backward_of_their_own_are_looked_into():
    model = nn.Sequential(Affine(FEATURES, 16), nn.Tanh(), Affine(16, CLASSES))
    assert codes(model, X, loss=CE, target=y) == []
    assert set(codes(model, 1000 * X, loss=CE, target=y)) == {"CD304", "CD309"}
    assert all(module.writes_backward for module in (model[0], model[2]))
    assert "writes_backward" not in model[0].__dict__


def test_a_forward_that_cannot_be_traced_is_one_node():
    model = nn.Sequential(InPlace(FEATURES, 16), nn.Tanh(), nn.Linear(16, CLASSES, seed=0))
    assert codes(model, X, loss=CE, target=y) == []


# ------------------------------------------------------------------ no false alarms, short lines


def test_a_sigmoid_of_large_scores_is_taken_once():
    inputs = np.random.default_rng(0).normal(size=(4, 6))
    inputs[1] *= 1e3
    for seed in range(8):
        network = nn.DNN([4, 5, 1], seed=seed)
        for target in (np.ones((1, 6)), np.zeros((1, 6))):
            assert "CD302" not in codes(network, inputs, target=target)


def test_a_sigmoid_of_a_sigmoid_in_a_users_own_code():
    def loss(p, X, t):
        q = ops.sigmoid(X @ p["W"])
        r = 1 / (1 + np.exp(-q))
        return np.mean(-(t * np.log(r) + (1 - t) * np.log(1 - r)))

    p = {"W": np.random.default_rng(3).normal(size=(FEATURES, 1))}
    found = one(loss, p, X, (t > 0) * 1.0)
    assert (found.code, found.tensor) == ("CD302", "q")


def test_lines_stay_short_in_deep_networks():
    model = nn.Sequential(
        *[part for k in range(100) for part in (nn.Linear(4, 4, seed=k), nn.Tanh())]
    )
    found = lint(model, X[:, :4], loss=MSE, target=rng.normal(size=(N, 4)) / 9)
    assert {"CD306", "CD310"} <= {f.code for f in found}
    for finding in found:
        assert max(map(len, str(finding).splitlines())) < 200
        if finding.code in {"CD306", "CD310"}:
            assert " more" in finding.evidence[0]


def test_inputs_in_columns_are_scaled_by_row():
    inputs = np.random.default_rng(0).normal(size=(4, 40))
    inputs[1] = 1000 + 100 * inputs[1]
    network = nn.DNN([4, 5, 1], seed=0)
    (found,) = [f for f in lint(network, inputs, target=np.arange(40) % 2) if f.code == "CD304"]
    assert found.message == "1 of 4 rows are larger than 30."
    assert found.evidence[0].startswith("row 1: mean 1")
    scaling = found.advice.split(": ")[1].split(", with")[0]
    scaled = eval(scaling, {"X": inputs})  # noqa: S307 - the advice has to run
    assert np.allclose(scaled.mean(axis=1), 0)
    assert np.allclose(scaled.std(axis=1), 1)
    assert "CD304" not in codes(network, scaled, target=np.arange(40) % 2)
    rows = one(mlp(16), 100 * X, loss=CE, target=y)
    assert "X.mean(0)" in rows.advice


def test_labels_outside_are_told_in_words():
    few = one(mlp(16), X, loss=CE, target=np.where(np.arange(N) == 7, CLASSES, y))
    assert few.message == f"1 label lies outside of 0 … {CLASSES - 1}: the first is 4, in row 7."


def test_a_loss_and_a_target_come_together():
    with pytest.raises(SettingError, match="no target"):
        lint(mlp(16), X, loss=CE)
    with pytest.raises(SettingError, match="no loss"):
        lint(mlp(16), X, target=y)
    assert codes(mlp(16), X, loss=lambda output: np.mean(output**2)) == []
    assert codes(mlp(16), X, loss=np.mean) == []
