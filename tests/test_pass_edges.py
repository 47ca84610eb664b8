"""What a pass says of bad numbers, of masked arrays, of names, and of what is not there."""

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import (
    ConversionError,
    InputTypeError,
    NotScalarError,
    SettingError,
)

RNG = np.random.default_rng(0)
X, W, B = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 3)), np.zeros(3)
Y = np.array([0, 1, 2, 0, 1, 2])

# ---------------------------------------------------------------- arrays with rules of their own


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ma.masked_less(np.array([1.0, -2.0, 3.0]), 0), "masked"),
        (np.ma.masked_less(np.array([1, -2, 3]), 0), "masked"),
        (np.ones((1, 2)).view(np.matrix), "np.matrix"),
    ],
)
def test_arrays_with_rules_of_their_own_are_refused(x, words):
    with pytest.raises(InputTypeError, match=words):
        chainrule.open(lambda x: np.sum(x * x), x)
    with pytest.raises(InputTypeError, match=f"p.*'x'.*{words}"):
        chainrule.open(lambda p: np.sum(p["x"] * p["x"]), {"x": x})
    with pytest.raises(InputTypeError, match=words):
        chainrule.open(nn.DNN([3, 1], seed=0), x)


def test_an_array_filled_in_a_loop_is_an_error_with_a_way_out():
    def f(x):
        out = np.zeros(3)
        for i in range(3):
            out[i] = x[i] ** 2
        return np.sum(out)

    def instead(x):
        out = x * 0
        for i in range(3):
            out[i] = x[i] ** 2
        return np.sum(out)

    with pytest.raises(ConversionError, match="lose its derivative") as found:
        chainrule.open(f, np.ones(3))
    assert "out = x * 0" in str(found.value)
    assert "np.stack" in str(found.value)
    np.testing.assert_array_equal(
        chainrule.open(instead, np.arange(3.0)).gradients["x"], 2 * np.arange(3.0)
    )


# ---------------------------------------------------------------- bad numbers


def softmax_by_hand(W, b, X, y):
    Z = X @ W * 1000 + b
    P = np.exp(Z) / np.sum(np.exp(Z), axis=1, keepdims=True)
    return -np.mean(np.log(P[np.arange(6), y]))


def squared(W, b, X, y):
    return np.sum(((X @ W + b) * 1e160) ** 2) + 0 * np.sum(y)


def huge(W, b, X, y):
    return np.sum((X @ W + b) * 1e200)


def with_entry(x):
    found = X.copy()
    found[2, 1] = x
    return found


QUESTIONS = {
    "text": str,
    "markdown": lambda p: p.markdown(),
    "chain": lambda p: str(p.chain("W")),
    "explain": lambda p: str(p.explain("W")),
    "paths": lambda p: str(p.paths(p.head, "W")),
    "routes": lambda p: str(p.paths(p.head, "W[0, 0]")),
    "routes of an example": lambda p: str(p.paths(p.head, "W[0, 0]", example=2)),
    "norms": lambda p: p.per_example.norms(),
    "gradients": lambda p: p.per_example["W"],
    "dots": lambda p: p.per_example.dots(),
    "variance": lambda p: p.per_example.variance("W"),
    "signal to noise": lambda p: p.per_example.signal_to_noise("W"),
    "noise scale": lambda p: p.per_example.noise_scale(),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("f", "data"),
    [
        (softmax_by_hand, X),
        (squared, X),
        (huge, X),
        (huge, with_entry(np.nan)),
        (huge, with_entry(np.inf)),
    ],
)
def test_bad_numbers_are_told_without_a_warning(f, data, question):
    QUESTIONS[question](chainrule.open(f, W, B, data, Y))  # a warning is an error here


def test_huge_gradients_have_their_norm_and_statistics():
    def plain(W, b, X, y):
        return np.sum(X @ W + b)

    found, expected = (chainrule.open(f, W, B, X, Y) for f in (huge, plain))
    assert "inf" not in str(found)
    assert found.explain("W").norm == pytest.approx(1e200 * expected.explain("W").norm, rel=1e-14)
    ours, theirs = found.per_example, expected.per_example
    np.testing.assert_allclose(ours["W"] / 1e200, theirs["W"], rtol=1e-13)
    np.testing.assert_allclose(ours.norms() / 1e200, theirs.norms(), rtol=1e-13)
    np.testing.assert_allclose(ours.noise_scale(), theirs.noise_scale(), rtol=1e-10)
    np.testing.assert_allclose(ours.signal_to_noise("W"), theirs.signal_to_noise("W"), rtol=1e-10)


@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_norms_of_narrow_types_neither_overflow_nor_vanish(factor):
    def f(W, X):
        return np.sum(np.tanh(X @ W)) * np.float32(factor)

    narrow, wide = (W.astype("f4"), X.astype("f4")), (W, X)
    found, expected = (chainrule.open(f, *args).per_example for args in (narrow, wide))
    np.testing.assert_allclose(found.norms(), expected.norms(), rtol=1e-5)


def test_routes_with_a_nan_have_no_rest():
    opened = chainrule.open(huge, W, B, with_entry(np.nan), Y)
    found = opened.paths("huge", "W")
    assert len(found.terms) == 1
    assert not np.any(found.rest)
    assert "all other routes" not in str(found)


# ---------------------------------------------------------------- routes


def test_routes_that_are_too_many_or_zero_are_told_as_that():
    def diamond(x):
        for _ in range(40):
            x = x * 0.5 + x * 0.5
        return np.sum(x)

    many = chainrule.open(diamond, np.ones(2))
    for by in ("x", "x[0]"):
        found = many.paths("diamond", by)
        assert not found.is_all
        assert "more routes than can be followed; none is written out" in str(found)
    off = chainrule.open(lambda W: np.sum(np.maximum(W - 100, 0)), np.ones(2))
    assert "every route from W[0] to f has a factor of 0" in str(off.paths("f", "W[0]"))


def test_routes_with_long_names_fit_a_page():
    def f(params, X):
        hidden_representation = np.tanh(X @ params["encoder_layer_weight_matrix"])
        intermediate_name = np.tanh(hidden_representation @ params["decoder_layer_weight_matrix"])
        return np.mean(np.square(np.exp(intermediate_name)))

    params = {
        "encoder_layer_weight_matrix": RNG.normal(size=(4, 5)),
        "decoder_layer_weight_matrix": RNG.normal(size=(5, 3)),
    }
    text = str(chainrule.open(f, params, X).paths("f", "encoder_layer_weight_matrix[1, 2]"))
    assert max(map(len, text.splitlines())) <= 100
    assert "encoder_l…[1, 2]" in text


# ---------------------------------------------------------------- formulas and what they read


def test_the_start_and_what_is_not_read_have_formulas_of_their_own():
    network = chainrule.open(nn.DNN([4, 5, 1], seed=0), X.T, target=np.ones((1, 6)))
    assert network.explain("A2").formula.numpy == "dA2 = 0  # loss does not depend on A2"
    assert "loss does not depend on A2" in str(network.needs("A2"))
    entry = chainrule.open(np.tanh, np.ones((2, 3)), output=(1, 2))
    text = entry.explain("tanh").formula.numpy
    space = {"np": np}
    exec(text, space)  # noqa: S102 - what it says
    np.testing.assert_array_equal(space["dtanh"], entry.gradients["tanh"])
    given = chainrule.open(np.tanh, np.ones(3), output=np.arange(3.0))
    assert given.explain("tanh").formula.numpy == "dtanh = g  # as it was given"


def test_the_scores_of_a_softmax_have_the_gradient_that_everybody_knows():
    network = nn.DNN([4, 5, 3], seed=0, output="softmax", layout="rows")
    opened = chainrule.open(network, X, target=Y)
    assert opened.explain("Z2").formula.numpy == "dZ2 = (A2 - Y) / len(A0)"
    assert set(opened.needs("Z2").names) == {"A2", "Y"}
    np.testing.assert_allclose(
        opened.gradients["Z2"], (opened.values["A2"] - np.eye(3)[Y]) / 6, atol=1e-16
    )


def test_needs_are_what_the_formula_reads():
    def loss(W, x):
        Z = W @ x
        A = 1 / (1 + np.exp(-Z))
        return np.sum(A**2)

    opened = chainrule.open(loss, W, X[:3].T[:3])
    found = opened.explain("Z")
    assert found.formula.numpy == "dZ = dA * A * (1 - A)"
    assert set(found.needs.names) == {"dA", "A"}
    assert found.rules[0][0] == "negative, exp, add and divide"


def test_names_in_formulas_lead_to_their_values():
    def f(x):
        for k in range(3):
            x = np.tanh(x) @ np.cos(np.arange(9.0).reshape(3, 3) + k)
        return np.sum(x * np.linspace(0, 1, 3))

    opened = chainrule.open(f, np.ones((2, 3)))
    for name in opened.values:
        for need in opened.needs(name):
            assert opened.index(need.name) in range(len(opened.graph.nodes))
    text = opened.chain("x").steps[-1].formula.numpy
    assert "constant_" in text
    np.testing.assert_array_equal(
        opened.values["constant_1"], opened.graph.constants[opened.index("constant_1")]
    )


def test_a_module_at_two_paths_has_both():
    linear = nn.Linear(3, 3, seed=0)
    model = nn.Sequential(linear, nn.Tanh(), linear)
    opened = chainrule.open(model, X[:, :3], loss=nn.MSELoss(), target=np.zeros((6, 3)))
    assert opened.index("2.weight") == opened.index("0.weight")
    assert opened.index("2.bias") == opened.index("0.bias")
    hidden = np.tanh(opened.values["0"])
    np.testing.assert_allclose(
        opened.values["2"], hidden @ linear.weight.T + linear.bias, rtol=1e-14
    )
    found = opened.needs("0.weight")
    assert set(found.names) == {"dlayer2", "dlayer0", "layer1", "input"}
    assert opened.index("layer1") == opened.index("1")
    assert opened.index("dlayer0_weight") == opened.index("0.weight")
    assert [name for name in opened.values if name.startswith("target")] == ["target"]
    assert len(opened.paths("loss", "0.weight").terms) == 2


# ---------------------------------------------------------------- names around the function


class Net:
    """A model in plain NumPy."""

    def __init__(self):
        self.W, self.V = W.copy(), RNG.normal(size=(2, 3))

    def loss(self, x):
        return np.sum(np.tanh(x @ self.W) @ self.V.T)


def test_attributes_are_named_and_their_gradient_is_refused_with_what_to_do():
    net = Net()
    opened = chainrule.open(net.loss, X)
    np.testing.assert_array_equal(opened.values["W"], net.W)
    np.testing.assert_array_equal(opened.values["self.W"], net.W)
    np.testing.assert_array_equal(opened.values["V.T"], net.V.T)
    with pytest.raises(InputTypeError, match="W has no gradient") as found:
        opened.gradients["W"]
    assert "open(lambda W, x: …, self.W, x)" in str(found.value)


def test_a_variable_around_the_function_has_no_gradient_and_the_error_says_what_to_do():
    around = RNG.normal(size=(4, 3))
    opened = chainrule.open(lambda x: np.sum(np.tanh(x @ around)), X)
    with pytest.raises(InputTypeError, match="around has no gradient") as found:
        opened.gradients["around"]
    assert "open(lambda around, x: …, around, x)" in str(found.value)


# ---------------------------------------------------------------- text, and questions gone wrong


def test_what_is_shown_in_a_session_is_text():
    opened = chainrule.open(lambda W, X: np.sum((X @ W) ** 2), W, X)
    for found in (
        opened.explain("W"),
        opened.chain("W"),
        opened.paths("f", "W"),
        opened.paths("f", "W[0, 0]"),
        chainrule.why(opened, "W[0, 0]"),
    ):
        assert repr(found) == str(found)
    assert repr(opened.per_example) == "<gradients of 6 examples by W>"


@pytest.mark.parametrize(
    ("f", "x", "advice"),
    [
        (lambda x: None, np.ones(3), "end it with return"),
        (lambda x: np.sum(np.round(x)), np.ones(3), "Rounding"),
        (lambda x: np.sum(chainrule.stop_gradient(x)), np.ones(3), "stop_gradient"),
        (lambda x: 3.0, np.ones(3), "plain number"),
        (lambda x: np.sum(np.abs(x)), np.array([1 + 2j]), "imaginary"),
        (lambda x: x**2, 2, "2.0 for 2"),
        (lambda x: {"loss": x[0] ** 2, "size": 3.0}["size"], np.ones(3), "plain number"),
    ],
)
def test_a_result_without_a_derivative_has_the_advice_that_fits(f, x, advice):
    with pytest.raises(NotScalarError, match="depends on none of the arguments") as found:
        chainrule.open(f, x)
    assert advice in found.value.advice


def test_entries_and_arguments_that_are_not_there():
    def loss(W, X, y):
        return np.mean((X @ W - y) ** 2)

    opened = chainrule.open(loss, np.ones(4), X, np.ones(6))
    assert "X[9, 9]" not in opened.values
    assert "X[5, 3]" in opened.values
    with pytest.raises(SettingError, match="3 arguments"):
        opened.per_example.along(0, data=[9])
    with pytest.raises(SettingError, match="axis 7"):
        opened.per_example.along(7)
