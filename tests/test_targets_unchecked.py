"""What a check of somebody's code must not do: pass what it did not compare, or leave traces."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.inspect.finding import CAUSES
from chainrule.inspect.targets import probes_of
from chainrule.inspect.targets.judging import agrees_with_walk

rng = np.random.default_rng(0)
X, W = rng.normal(size=(5, 3)), rng.normal(size=(3, 2))


def is_right(target, inputs, **options):
    """Return whether gradients were compared and all are right, without an error or a warning."""
    probes, findings = probes_of(target, inputs, **options)
    assert probes
    assert all(f.severity == "note" for f in findings), findings
    assert all(probe.claims for probe in probes)
    return all(map(agrees_with_walk, probes))


def only(target, inputs, **options):
    _, (finding,) = probes_of(target, inputs, **options)
    assert finding.cause == CAUSES[finding.code].name
    return finding


# ------------------------------------------------------------------ settings that forward writes to


class Settings:
    """Settings with attributes."""


@pytest.mark.parametrize("factor", [2.0, -17.0])
@pytest.mark.parametrize("kind", ["dictionary", "nested", "object"])
def test_settings_that_forward_writes_to_are_the_users_and_hide_no_mistake(factor, kind):
    if kind == "object":
        settings = Settings()
        held = vars(settings)
    else:
        held = {"mode": "train"}
        settings = held if kind == "dictionary" else [held]

    def forward(x, w, settings):
        z = x @ w
        own = settings[0] if isinstance(settings, list) else settings
        own = own if isinstance(own, dict) else vars(own)
        own["running"] = 0.9 * own.get("running", 0.0) + 0.1 * z.mean(axis=0)
        return np.sum(z**2), (x, z)

    def backward(cache):
        x, z = cache
        return {"w": factor * x.T @ z}

    assert is_right((forward, backward), (X, W, settings)) == (factor == 2.0)
    assert held == ({} if kind == "object" else {"mode": "train"})


def test_a_generator_among_the_arguments_stays_where_it_was():
    def forward(x, draws):
        mask = draws.random(x.shape) > 0.3
        return x * mask, mask

    own = np.random.default_rng(1)
    before = own.bit_generator.state
    assert is_right((forward, lambda dout, cache: dout * cache), (X, own))
    assert own.bit_generator.state == before


@pytest.mark.parametrize("last", range(12))
def test_no_probe_is_never_no_finding(last):
    class Tired:
        runs = 0

    def forward(x):
        Tired.runs += 1
        if Tired.runs > last:
            raise RuntimeError("no more")
        return x * 2, None

    probes, findings = probes_of((forward, lambda dout, cache: 3 * dout), (X,))
    assert [f.severity for f in findings] == ["error"] * (not probes)
    assert all("no more" in f.message for f in findings)
    assert findings or last > 5


def test_gradients_of_nothing_that_is_known_are_an_error():
    finding = [
        f
        for f in probes_of(
            (lambda x: (x * 2, x), lambda dout, cache: {"quite_another": dout}), (X,)
        )[1]
        if f.severity == "error"
    ]
    assert [f.code for f in finding] == ["CD133"]


# ------------------------------------------------------------------ which array has the gradient


@pytest.mark.parametrize("names", ["x t", "y_true y_pred", "target output"])
def test_labels_in_the_shape_of_the_scores_are_not_what_has_the_gradient(names):
    first, second = names.split()
    is_swapped = first != "x"
    scope = {"np": np}
    p, t = (second, first) if is_swapped else (first, second)
    exec(f"def forward({first}, {second}): return np.mean(({p} - {t})**2), ({p}, {t})", scope)  # noqa: S102
    T = np.eye(3)[rng.integers(0, 3, 5)]

    def backward(cache):
        p, t = cache
        return 2 * (p - t) / p.size

    inputs = (T, X) if is_swapped else (X, T)
    probes, _ = probes_of((scope["forward"], backward), inputs)
    assert list(probes[0].claims) == [p]
    assert all(map(agrees_with_walk, probes))


# ------------------------------------------------------------------ what forward returns


def test_gradients_before_the_cost_are_taken_for_what_they_are():
    def propagate(w, x, y):
        a = 1 / (1 + np.exp(-(x @ w)))
        cost = -np.mean(y * np.log(a) + (1 - y) * np.log(1 - a))
        return {"dw": x.T @ (a - y) / len(y)}, cost

    assert is_right(propagate, (np.ones(3), X, np.array([1, 0, 1, 1, 0])))
    assert is_right(propagate, (np.ones(3), X, np.array([[1, 0, 1, 1, 0]])[0] * 1.0))


@pytest.mark.parametrize(
    ("result", "said"), [(None, "nothing"), ({"a": X}, "dict"), ("text", "str")]
)
def test_what_forward_returns_in_place_of_an_output_is_said(result, said):
    finding = only((lambda x: result, lambda dout: dout), (X,))
    assert finding.code == "CD134"
    assert f"returns {'nothing' if result is None else ''}" in finding.message
    assert said in finding.message


class Dense:
    """A layer that leaves its output and its gradients on itself."""

    def __init__(self):
        self.weights, self.biases = np.array(W), np.zeros((1, 2))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights) + self.biases

    def backward(self, dvalues):
        self.dweights = np.dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        self.dinputs = np.dot(dvalues, self.weights.T)


def test_an_output_that_is_left_on_the_object_is_taken():
    class Wrong(Dense):
        def backward(self, dvalues):
            super().backward(dvalues)
            self.dinputs = -self.dinputs

    assert is_right(Dense(), (X,))
    assert not is_right(Wrong(), (X,))


# ------------------------------------------------------------------ objects


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_dropout_with_a_generator_of_its_own_draws_alike(make):
    class Dropout:
        def __init__(self):
            self.draws = make(0)

        def forward(self, x):
            self.mask = self.draws.uniform(size=x.shape) > 0.3
            return x * self.mask

        def backward(self, dout):
            return dout * self.mask

    assert is_right(Dropout(), (X,))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("keyed", [True, False])
def test_gradients_in_a_list_or_a_dictionary_belong_to_the_parameters_in_the_same_place(
    sign, keyed
):
    keys = ("W", "b") if keyed else (0, 1)

    class Layer:
        def __init__(self):
            self.params, self.grads = self.all(W, np.zeros(2)), self.all(0 * W, np.zeros(2))

        @staticmethod
        def all(*arrays):
            arrays = [np.array(x) for x in arrays]
            return dict(zip(keys, arrays, strict=True)) if keyed else arrays

        def forward(self, x):
            self.x = x
            return x @ self.params[keys[0]] + self.params[keys[1]]

        def backward(self, dout):
            self.grads[keys[0]][...] = sign * self.x.T @ dout
            self.grads[keys[1]][...] = dout.sum(axis=0)
            return dout @ self.params[keys[0]].T

    assert is_right(Layer(), (X,)) == (sign == 1)
    assert len(probes_of(Layer(), (X,))[0][0].claims) == 3


def test_an_object_none_of_whose_parameters_is_compared_is_a_warning():
    class Layer:
        def __init__(self):
            self.W = np.array(W)

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dout):
            self.first = -self.x.T @ dout
            return dout @ self.W.T

    finding = only(Layer(), (X,))
    assert (finding.code, finding.severity, finding.tensor) == ("CD136", "warning", "W")


def test_a_gradient_from_above_that_is_written_to_is_a_note_if_the_gradients_are_right():
    class ReLU:
        def __init__(self, sign):
            self.sign = sign

        def forward(self, x):
            self.mask = x <= 0
            return np.where(self.mask, 0, x)

        def backward(self, dout):
            dout[self.mask] = 0
            return self.sign * dout

    for sign, severity in ((1, "note"), (-1, "warning")):
        found = {f.code: f.severity for f in probes_of(ReLU(sign), (X,))[1]}
        assert found["CD112"] == severity
        assert "error" not in found.values()


# ------------------------------------------------------------------ what is handed over


def test_a_parameter_of_backward_that_nothing_is_known_for_is_not_the_users_error():
    class Layer(Dense):
        def forward(self, inputs):
            super().forward(inputs)
            return self.output

        def backward(self, dvalues, learning_rate):
            super().backward(dvalues * learning_rate)

    finding = only(Layer(), (X,))
    assert (finding.code, finding.severity) == ("CD135", "warning")
    assert "for learning_rate" in finding.message


def test_a_list_of_numbers_is_an_array():
    def loss(w):
        return np.sum(np.asarray(w) ** 2), 2 * np.asarray(w)

    assert is_right(loss, ([1.0, 2.0, 3.0],))
    assert not is_right(lambda w: (loss(w)[0], loss(w)[1] / 2), ([1.0, 2.0, 3.0],))


@pytest.mark.parametrize("columns", [2, 3])
def test_right_gradients_in_another_order_are_one_finding(columns):
    def forward(X, W, b):
        return X @ W + b, (X, W)

    def backward(dout, cache):
        X, W = cache
        return X.T @ dout, dout.sum(axis=0), dout @ W.T

    inputs = (X[:3], rng.normal(size=(3, columns)), np.zeros(columns))
    probes, findings = probes_of((forward, backward), inputs)
    assert [(f.code, f.severity) for f in findings] == [("CD137", "error")]
    assert "in the order W, b, X; forward takes X, W, b" in findings[0].message
    assert all(map(agrees_with_walk, probes))

    def wrong(dout, cache):
        dW, db, dX = backward(dout, cache)
        return dW, db / 3, dX

    assert "CD137" not in [f.code for f in probes_of((forward, wrong), inputs)[1]]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_network_that_lists_the_parameters_of_its_layers_has_each_once(sign):
    class Product:
        def __init__(self):
            self.params, self.grads = [np.array(W)], [np.zeros_like(W)]

        def forward(self, x):
            self.x = x
            return x @ self.params[0]

        def backward(self, dout):
            self.grads[0][...] = sign * self.x.T @ dout
            return dout @ self.params[0].T

    class Network:
        def __init__(self):
            self.layers = [Product()]
            self.params, self.grads = [*self.layers[0].params], [*self.layers[0].grads]

        def forward(self, x):
            return self.layers[0].forward(x)

        def backward(self, dout):
            return self.layers[0].backward(dout)

    assert is_right(Network(), (X,)) == (sign == 1)
    assert len(probes_of(Network(), (X,))[0][0].claims) == 2


# ------------------------------------------------------------------ gradients of what is around


@pytest.mark.parametrize("kind", ["closure", "pair"])
def test_gradients_of_global_arrays_are_said_to_be_that(kind):
    w, b = rng.normal(size=(3, 2)), rng.normal(size=2)

    def loss(x):
        z = x @ w + b
        return np.sum(z**2), (x, 2 * z)

    def backward(cache):
        x, dz = cache
        return x.T @ dz, dz.sum(axis=0)

    def both(x):
        value, cache = loss(x)
        return value, *backward(cache)

    finding = only(both if kind == "closure" else (loss, backward), (X,))
    assert (finding.code, finding.severity) == ("CD119", "warning")
    assert finding.message.startswith("2 gradients are returned for arguments with 1 array, and")
    assert finding.advice.endswith("after the others: b, w.")


def test_gradients_without_a_loss_are_said_to_lack_it():
    weights, biases = [rng.normal(size=(2, 3)), rng.normal(size=(1, 2))], [np.zeros(2), np.zeros(1)]

    def backprop(x, y):
        hidden = np.tanh(weights[0] @ x + biases[0])
        delta = weights[1] @ hidden + biases[1] - y
        before = (weights[1].T @ delta) * (1 - hidden**2)
        return [before, delta], [np.outer(before, x), np.outer(delta, hidden)]

    finding = only(backprop, (X[0], np.ones(1)))
    assert finding.code == "CD129"
    assert "returns a tuple of a list of float64[2]" in finding.message
