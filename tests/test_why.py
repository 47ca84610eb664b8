"""Why a number is zero, not finite, huge or tiny: the node, the line and the example, each time."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, ops
from chainrule.errors import AxisError, InputTypeError, SettingError, UnknownNameError
from chainrule.inspect.finding import CAUSES
from chainrule.inspect.why import why

N, FEATURES, UNITS = 7, 3, 2
BAD = 4


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(FEATURES, UNITS)), rng.normal(size=(N, FEATURES))


def marked(function):
    """Return the line of a function that the comment ``here`` stands on, as a reason says it."""
    lines, first = inspect.getsourcelines(function)
    (line,) = [first + k for k, text in enumerate(lines) if text.rstrip().endswith("# here")]
    return f"test_why.py:{line}"


# ---------------------------------------------------------------- ten sources and more


def overflow_in_exp(W, X):
    z = X @ W
    e = np.exp(z)  # here
    p = e / np.sum(e, axis=1, keepdims=True)
    return -np.mean(np.log(p[:, 0]))


def log_of_zero(W, X):
    p = np.abs(X @ W)
    likely = np.log(p)  # here
    return -np.mean(likely)


def zero_over_zero(W, X):
    h = X @ W
    size = np.sum(np.abs(X), axis=1, keepdims=True)
    q = h / size  # here
    return np.mean(q)


def infinity_less_infinity(W, X):
    z = X @ W
    masked = z + np.where(X[:, :1] > 50, -np.inf, 0.0)
    shifted = masked - np.max(masked, axis=1, keepdims=True)  # here
    return np.mean(np.exp(shifted))


def difference_of_overflows(W, X):
    a = np.exp(X @ W)  # here
    d = a - 2 * a
    return np.mean(d)


def root_of_a_negative(W, X):
    v = np.mean(X, axis=1) * W[0, 0]
    s = np.sqrt(v)  # here
    return np.mean(s)


def bad_row(W, X):
    h = X @ W  # here
    return np.mean(np.tanh(h))


def power_of_a_negative(W, X):
    z = X[:, 0] * np.abs(W[0, 0])
    c = z**1.5  # here
    return np.mean(c)


def tiny_divisor(W, X):
    q = W[0, 0] / X[:, 0]  # here
    return np.mean(q)


def double_where(W, X):
    z = X @ np.abs(W)
    safe = np.where(z > 0, np.log(z), 0)  # here
    return np.mean(safe)


def norm_at_zero(W, X):
    d = X @ W
    n = np.sqrt(np.sum(d * d, axis=1))  # here
    return np.mean(n)


def beyond_one(W, X):
    z = X[:, 0] * np.abs(W[0, 0]) / np.abs(W[0, 0])
    a = np.arcsin(z)  # here
    return np.mean(a)


def with_row(row):
    W, X = data()
    X = np.abs(X) / (1 + np.max(np.abs(X)))
    X[BAD] = row
    return W, X


SOURCES = [
    (overflow_in_exp, with_row(np.full(FEATURES, 3000.0) * np.sign(data()[0][:, 1])), "CD503"),
    (log_of_zero, with_row(0.0), "CD505"),
    (zero_over_zero, with_row(0.0), "CD507"),
    (infinity_less_infinity, with_row(99.0), "CD507"),
    (difference_of_overflows, with_row(5000 * np.sign(data()[0][:, 0])), "CD503"),
    (root_of_a_negative, with_row(-np.sign(data()[0][0, 0])), None),
    (bad_row, with_row([0.1, np.nan, 0.2]), "CD501"),
    (power_of_a_negative, with_row(-0.5), "CD506"),
    (tiny_divisor, with_row(3e-310), "CD504"),
    (double_where, with_row(0.0), "CD508"),
    (norm_at_zero, with_row(0.0), "CD509"),
    (beyond_one, with_row(1.5), "CD506"),
]


@pytest.mark.parametrize(
    ("function", "args", "code"), SOURCES, ids=lambda x: getattr(x, "__name__", "")
)
def test_the_gradient_leads_to_node_line_and_example(function, args, code):
    if code is None:  # the root of all other rows has to be of positive numbers
        W, X = args
        args, code = (np.abs(W), np.abs(X) * [[-1 if k == BAD else 1] for k in range(N)]), "CD506"
    opened = cr.open(function, *args)
    assert not np.all(np.isfinite(opened.gradients["W"]))
    reason = why(opened, "W")
    assert (reason.code, reason.where, reason.example) == (code, marked(function), BAD)
    assert reason.entry[0] == BAD
    assert reason.about.startswith("gradient of W[")


@pytest.mark.parametrize(
    ("function", "args", "code"),
    [case for case in SOURCES if case[2] not in {"CD508", "CD509", None}],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_the_loss_leads_to_node_line_and_example(function, args, code):
    opened = cr.open(function, *args)
    assert not np.isfinite(opened.values["loss"])
    reason = why(opened, "loss")
    assert (reason.code, reason.where, reason.example) == (code, marked(function), BAD)
    assert reason.about.startswith("value of ")


def test_a_masked_branch_has_a_finite_loss():
    function, args, _ = SOURCES[9]
    reason = why(cr.open(function, *args), "W")
    assert np.isfinite(cr.open(function, *args).values["loss"])
    assert "0 · ∞" in reason.message
    assert "np.where(mask, x, 1)" in reason.advice


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(bad):
    W, X = data()
    W[1, 0] = bad
    reason = why(cr.open(bad_row, W, X), "loss")
    if np.isnan(bad):
        assert (reason.code, reason.tensor, reason.where) == ("CD502", "W[1, 0]", marked(bad_row))
    else:  # tanh makes 1 of it
        assert reason.code == "CD500"


def test_a_weight_that_diverged_is_named_and_where_it_overflowed():
    W, X = data()
    W[2, 1] = 1e200

    def loss(W, X):
        h = X @ W
        squared = h**2  # here
        return np.mean(squared)

    reason = why(cr.open(loss, W, X), "loss")
    assert (reason.code, reason.tensor) == ("CD502", "W[2, 1]")
    assert marked(loss) in reason.message
    assert reason.example is not None


def test_a_target_that_is_no_number():
    _, X = data()
    y = np.zeros((N, 1))
    y[BAD] = np.nan
    model = nn.Linear(FEATURES, 1, seed=0)
    opened = cr.open(model, X, loss=nn.MSELoss(), target=y)
    reason = why(opened, "weight")
    assert (reason.code, reason.tensor, reason.example) == ("CD501", f"target[{BAD}, 0]", BAD)
    assert why(opened, "loss").code == "CD501"


def test_one_of_many_bad_entries_is_found_and_they_are_counted():
    W, X = data()
    X[BAD] = np.nan
    reason = why(cr.open(bad_row, W, X), "loss")
    assert reason.example == BAD
    assert f"one of {FEATURES} such entries" in reason.message


def test_columns_hold_examples_along_the_last_axis():
    network = nn.DNN([2, 3, 1], seed=0)
    X = np.ones((2, 5))
    X[1, 3] = np.nan
    reason = why(cr.open(network, X, target=[0, 1, 0, 1, 1]), "W1")
    assert (reason.code, reason.example) == ("CD501", 3)


def test_float32_overflows_earlier():
    W, X = data()
    reason = why(cr.open(overflow_in_exp, W.astype(np.float32), 100 * X.astype(np.float32)), "loss")
    assert reason.code == "CD503"
    assert "float32" in reason.message


def test_a_value_of_the_middle_can_be_asked_about():
    function, args, _ = SOURCES[0]
    opened = cr.open(function, *args)
    reason = why(opened, f"value e[{BAD}, 1]")
    assert (reason.code, reason.entry) == ("CD503", (BAD, 1))
    assert why(opened, "value z").code == "CD514"
    assert why(opened, "z", of="value").code == "CD514"


# ---------------------------------------------------------------- zeros


def test_a_unit_that_is_off_for_all_examples():
    W, X = data()

    def loss(W, X):
        z = X @ W - 100
        A = np.maximum(z, 0)  # here
        return np.mean(A)

    reason = why(cr.open(loss, W, X), "W[1, 0]")
    assert (reason.code, reason.where, reason.example) == ("CD525", marked(loss), None)
    assert f"all {N} examples" in reason.message
    z = X @ W[:, 0] - 100
    assert f"{z.min():.4g}" in reason.message
    assert "every route to the loss is cut there" in reason.evidence


def test_a_unit_that_is_off_for_some_and_ignored_for_others_names_both():
    W, X = data()
    W, X = np.abs(W), np.abs(X)
    X[:4] *= -1
    keep = np.array([1.0, 1, 1, 1, 0, 0, 0])

    def loss(W, X):
        A = np.maximum(X @ W, 0)
        return np.mean(A * keep[:, None])

    reason = why(cr.open(loss, W, X), "W[0, 0]")
    assert reason.code == "CD525"
    assert "4 of 7 examples (0, 1, 2, 3)" in reason.message
    assert any("CD524" in line for line in reason.evidence)


def saturating(W, X):
    A = np.tanh(X @ W + 400)  # here
    return np.mean(A)


def clipping(W, X):
    p = np.clip(X @ W, 10, 11)  # here
    return np.mean(p)


def rounding(W, X):
    h = np.round(X @ W)  # here
    return np.mean(h) + W[0, 0]


def stopped(W, X):
    h = ops.stop_gradient(X @ W)  # here
    return np.mean(h) + W[0, 0]


def unread(W, X):
    return np.mean(X @ W[:, :1])  # here


def masked(W, X):
    z = X @ W
    h = np.where(X[:, :1] < 99, X[:, :1], z)  # here
    return np.mean(h)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (saturating, "CD527"),
        (clipping, "CD526"),
        (rounding, "CD522"),
        (stopped, "CD522"),
        (unread, "CD521"),
        (masked, "CD523"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_gradient_of_zero_leads_to_where_it_is_cut(function, code):
    opened = cr.open(function, *data())
    assert opened.gradients["W[2, 1]"] == 0
    reason = why(opened, "W[2, 1]")
    assert (reason.code, reason.where) == (code, marked(function))


def test_inputs_of_zero_give_weights_no_gradient():
    W, X = data()
    X[:, 1] = 0

    def loss(W, X):
        return np.mean((X @ W) ** 2)  # here

    reason = why(cr.open(loss, W, X), "W[1, 0]")
    assert (reason.code, reason.where) == ("CD524", marked(loss))
    assert "entries of X" in reason.message


def test_a_squared_error_at_its_minimum_is_flat():
    X = np.ones((4, 2))

    def loss(w, X):
        r = X @ w - 3
        return np.mean(r**2)  # here

    reason = why(cr.open(loss, np.array([1.0, 2.0]), X), "w[0]")
    assert (reason.code, reason.where) == ("CD528", marked(loss))


def test_all_but_the_largest_are_not_chosen():
    def loss(x):
        return np.max(x)  # here

    reason = why(cr.open(loss, np.array([1.0, 5.0, 2.0])), "x[0]")
    assert (reason.code, reason.where) == ("CD529", marked(loss))


def test_contributions_that_cancel_are_no_cut():
    def loss(b, X):
        z = X + b
        return np.sum(z - z)

    reason = why(cr.open(loss, np.array([1.0, 2.0]), np.ones((3, 2))), "b")
    assert reason.code == "CD530"


@pytest.mark.parametrize(
    ("ask", "code"), [("A[0, 0]", "CD532"), ("e[0, 0]", "CD533"), ("s[0]", "CD531"), ("c", "CD534")]
)
def test_a_value_of_zero(ask, code):
    W, X = data()
    X[0] = 0

    def loss(W, X):
        z = X @ W
        A = np.maximum(z - 50, 0)
        e = np.exp(z - 1000)
        s = X[:, 0] * W[0, 0]
        c = np.sum(W) - np.sum(W)
        return np.mean(A) + np.mean(e) + np.mean(s) + c

    reason = why(cr.open(loss, W, X), f"value {ask}")
    assert reason.code == code
    assert reason.number == 0


# ---------------------------------------------------------------- huge and tiny


def test_layers_that_multiply_explode_and_the_steps_are_listed():
    rng = np.random.default_rng(0)
    P = {f"W{k}": 4 * rng.normal(size=(8, 8)) for k in range(1, 7)}

    def loss(P, X):
        h = X
        for k in range(1, 7):
            h = h @ P[f"W{k}"]
        return np.mean(h)

    reason = why(cr.open(loss, P, np.ones((5, 8))), "W1")
    assert reason.code == "CD511"
    # by hand: W6ᵀ … W2ᵀ stretch by about their norms
    assert all(re.match(r"× [\d.]+ at matmul", line) for line in reason.evidence)
    assert abs(reason.number) > 1e3


def test_sigmoids_in_a_row_vanish():
    rng = np.random.default_rng(0)
    P = {f"W{k}": 0.5 * rng.normal(size=(4, 4)) for k in range(1, 12)}

    def loss(P, X):
        h = X
        for k in range(1, 12):
            h = ops.sigmoid(h @ P[f"W{k}"])  # here
        return np.mean(h)

    reason = why(cr.open(loss, P, rng.normal(size=(5, 4))), "W1[0, 0]")
    assert (reason.code, reason.where) == ("CD512", marked(loss))
    assert 0 < abs(reason.number) < 1e-6


def test_a_nearly_saturated_function_is_named_with_its_slopes():
    W, X = data()

    def loss(W, X):
        A = np.tanh(X @ W + 15)  # here
        return np.mean(A)

    opened = cr.open(loss, W, X)
    reason = why(opened, "W")
    assert (reason.code, reason.where) == ("CD513", marked(loss))
    largest = np.max(1 - np.tanh(X @ W + 15) ** 2)
    assert f"{largest:.2g}" in reason.message


def test_a_usual_number_is_said_to_be_one():
    def loss(W, X):
        return np.mean((X @ W) ** 2)

    assert why(cr.open(loss, *data()), "W").code == "CD500"
    assert why(cr.open(loss, *data()), "loss").code == "CD500"


# ---------------------------------------------------------------- modules, text, bad input


def test_a_module_has_its_parameters_by_path():
    _, X = data()
    model = nn.MLP([FEATURES, 4, 2], seed=0)
    model[0].bias = np.full(4, -50.0)
    opened = cr.open(model, X, loss=nn.CrossEntropyLoss(), target=np.zeros(N, int))
    reason = why(opened, "0.weight")
    assert reason.code == "CD525"
    assert f"all {N} examples" in reason.message


def test_it_prints_in_a_few_lines():
    function, args, _ = SOURCES[0]
    text = str(why(cr.open(function, *args), "W[0, 1]"))
    assert text.startswith("gradient of W[0, 1] is nan:\ntest_why.py:")
    assert f"example: {BAD}" in text
    assert "exp(" in text
    assert len(text.splitlines()) <= 6


def test_names_and_entries_are_checked():
    opened = cr.open(bad_row, *data())
    with pytest.raises(UnknownNameError):
        why(opened, "V[0, 0]")
    with pytest.raises(AxisError):
        why(opened, "W[9, 9]")
    with pytest.raises(InputTypeError):
        why(bad_row, "W")
    assert why(opened, "dW[0, 0]").about == "gradient of W[0, 0]"


def test_asking_twice_gives_the_same_answer():
    function, args, _ = SOURCES[3]
    opened = cr.open(function, *args)
    assert str(why(opened, "W")) == str(why(opened, "W"))


@pytest.mark.parametrize("code", [c for c in CAUSES if c.startswith("CD5")])
def test_each_cause_has_a_page_that_says_what_why_and_what_to_do(code):
    doc = CAUSES[code].doc
    assert len(doc.strip().split("\n\n")) >= 2, code


def test_what_a_batch_does_not_hold_gets_no_gradient():
    model = nn.Sequential(nn.Embedding(10, 3, seed=0), nn.Flatten(), nn.Linear(6, 2, seed=1))
    words = np.array([[0, 1], [2, 3], [4, 5]])
    opened = cr.open(model, words, loss=nn.CrossEntropyLoss(), target=np.array([0, 1, 0]))
    assert why(opened, "0.weight[9, 0]").code == "CD521"
    assert why(opened, "0.weight[4, 0]").code == "CD500"


def test_through_a_convolution():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, seed=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10)
    )
    images = np.random.default_rng(0).normal(size=(8, 1, 8, 8))
    images[5, 0, 3, 4] = np.inf
    opened = cr.open(model, images, loss=nn.CrossEntropyLoss(), target=np.arange(8))
    for asked in ("0.weight", "loss"):
        reason = why(opened, asked)
        assert (reason.code, reason.tensor, reason.example) == ("CD501", "input[5, 0, 3, 4]", 5)
    model[0].bias = np.full(4, -90.0)
    images[5, 0, 3, 4] = 0
    opened = cr.open(model, images, loss=nn.CrossEntropyLoss(), target=np.arange(8))
    assert why(opened, "0.weight[0, 0, 0, 0]").code == "CD525"


class Affine(nn.Module):
    def __init__(self):
        self.W = nn.Parameter(np.random.default_rng(0).normal(size=(4, FEATURES)))

    def forward(self, x):
        return x @ self.W.T

    def backward(self, g):
        (x,) = self.last_input
        self.grad["W"] = g.T @ x
        return self.propagate_gradient(g @ self.W)


def test_through_a_backward_pass_of_the_users():
    _, X = data()
    X[BAD, 1] = np.nan
    model = nn.Sequential(Affine(), nn.Tanh())
    opened = cr.open(model, X, loss=nn.MSELoss(), target=np.zeros((N, 4)))
    reason = why(opened, "0.W[0, 0]")
    assert (reason.code, reason.tensor, reason.example) == ("CD501", f"input[{BAD}, 1]", BAD)


def test_the_zero_at_a_pole_is_explained_too():
    def loss(x):
        e = np.exp(x)
        return np.log(np.sum(e))

    reason = why(cr.open(loss, np.full(4, -1000.0)), "loss")
    assert reason.code == "CD505"
    assert any("underflow" in line and "exp" in line for line in reason.evidence)


def test_an_infinity_that_a_quotient_hides_is_the_cause():
    W, X = data()
    X[BAD] = 4000 * np.sign(W[:, 0])
    reason = why(cr.open(overflow_in_exp, W, X), "loss")
    assert (reason.code, reason.where, reason.example) == ("CD503", marked(overflow_in_exp), BAD)


def product(x):
    return np.prod(x)


@pytest.mark.parametrize(
    ("loss", "ask"),
    [
        (product, "loss"),
        (lambda x: np.cumprod(x)[-1], "loss"),
        (product, "gradient x[0]"),
    ],
)
def test_a_long_product_underflows(loss, ask):
    assert why(cr.open(loss, np.full(400, 1e-3)), ask).code == "CD533"


def test_a_variance_that_rounding_made_negative():
    def spread(x):
        v = np.mean(x * x, 0) - np.mean(x, 0) ** 2
        return np.sum(np.sqrt(v))  # here

    reason = why(cr.open(spread, np.full((3, 2), 0.1)), "loss")
    assert (reason.code, reason.where) == ("CD506", marked(spread))


# ---------------------------------------------------------------- what is told apart


def f32(*arrays):
    return [x.astype(np.float32) for x in arrays]


@pytest.mark.parametrize(
    "loss",
    [
        lambda W, X: np.sum((X @ W) * np.float32(1e20)),
        lambda W, X: np.sum((X @ W) ** 2),
    ],
)
def test_finite_slopes_whose_product_overflows_are_no_slope_without_bound(loss):
    W, X = data()
    W, X = f32(W, 1e25 * X)
    opened = cr.open(loss, W, X)
    assert np.isinf(opened.gradients["W[0, 0]"])
    reason = why(opened, "W[0, 0]")
    assert (reason.code, reason.example) == ("CD510", None)
    assert "float32" in reason.message
    assert "sqrt" not in reason.advice


@pytest.mark.parametrize(
    ("loss", "args", "advice"),
    [
        (lambda x: np.sum(np.sqrt(x)), [np.zeros(2)], "np.sqrt(s + 1e-12)"),
        (lambda x: np.sum(np.arccos(x)), [np.ones(2)], "np.clip"),
        (lambda x, y: np.sum(np.arctan2(x, y)), [np.zeros(2), np.zeros(2)], "np.where"),
    ],
    ids=["root", "arccos", "arctan2"],
)
def test_the_advice_at_a_slope_without_bound_fits_the_function(loss, args, advice):
    reason = why(cr.open(loss, *args), "x")
    assert reason.code == "CD509"
    assert advice in reason.advice


def test_a_sigmoid_of_ones_own_that_overflows_is_no_mask():
    W, X = data()

    def loss(W, X):
        z = X @ W
        e = np.exp(-z)  # here
        a = 1 / (1 + e)
        return np.mean((a - 1) ** 2)

    opened = cr.open(loss, W, 1e4 * X)
    assert np.isfinite(opened.values["loss"])
    reason = why(opened, "W")
    assert (reason.code, reason.where) == ("CD503", marked(loss))


def test_an_overflow_that_a_mask_takes_out_is_the_masks():
    def loss(x):
        return np.sum(np.where(x < 700, np.exp(x), 0))

    reason = why(cr.open(loss, np.array([1.0, 800])), "x")
    assert reason.code == "CD508"
    assert "masked" not in reason.message


@pytest.mark.parametrize(
    ("dtype", "small"), [(np.float32, 1e-25), (np.float64, 1e-200)], ids=["float32", "float64"]
)
def test_a_gradient_too_small_for_its_type_does_not_cancel(dtype, small):
    W, X = (x.astype(dtype) for x in data())
    small = dtype(small)

    def loss(W, X):
        h = np.tanh(X @ W)
        scaled = h * small  # here
        return np.sum(scaled * small)

    reason = why(cr.open(loss, W, X), "W")
    assert (reason.code, reason.where) == ("CD533", marked(loss))
    assert np.dtype(dtype).name in reason.message


def test_contributions_are_counted():
    reason = why(cr.open(lambda a: np.sum(a - a), np.ones(3)), "a")
    assert reason.code == "CD530"
    assert reason.message.startswith("2 contributions to a ")


@pytest.mark.parametrize(
    ("bounds", "held"),
    [
        ((50, 60), "at 50:"),
        ((-1e-9, 1e-9), "at -1e-09 and 1e-09:"),
        ((-1e-3, 1e-3), "at -0.001 and 0.001:"),
        ((None, -50), "at -50:"),
        ((100, None), "at 100:"),
    ],
)
def test_a_clip_is_one_wherever_its_bounds_are(bounds, held):
    def loss(W, X):
        return np.sum(np.clip(X @ W, *bounds))

    reason = why(cr.open(loss, *data()), "W")
    assert reason.code == "CD526"
    assert held in reason.message


def test_a_maximum_with_a_number_holds_and_with_an_array_chooses():
    W, X = data()
    reason = why(cr.open(lambda W, X: np.sum(np.maximum(X @ W, 100)), W, X), "W")
    assert reason.code == "CD526"
    assert "at 100:" in reason.message
    opened = cr.open(lambda a, b: np.sum(np.maximum(a, b)), np.array([1.0, 2]), np.array([3.0, 4]))
    assert why(opened, "a").code == "CD529"


def test_the_corner_of_an_absolute_value_is_no_unit():
    assert why(cr.open(lambda x: np.sum(np.abs(x)), np.zeros(2)), "x").code == "CD528"


@pytest.mark.parametrize("kind", [bool, int, float])
def test_a_mask_that_multiplies_is_a_factor_of_any_type(kind):
    mask = np.zeros((N, 1), kind)

    def loss(W, X):
        return np.sum((X @ W) * mask)

    reason = why(cr.open(loss, *data()), "W")
    assert reason.code == "CD524"
    assert "entries of mask" in reason.message


def test_a_mask_without_a_name_is_a_constant():
    opened = cr.open(lambda W, X: np.sum((X @ W) * (X[:, :1] > 100)), *data())
    reason = why(opened, "W")
    assert reason.code == "CD524"
    assert "entries of a constant, which are False" in reason.message
    reason = why(opened, "f", of="value")
    assert (reason.code, "constant there that is 0" in reason.message) == ("CD531", True)


def test_counts_of_whole_numbers_take_part():
    none = np.zeros(2, int)
    opened = cr.open(lambda x, n: np.sum(x * n) / np.sum(n), np.ones(2), none)
    reason = why(opened, "f")
    assert reason.code == "CD507"
    assert any("n[0] came in as 0" in line for line in reason.evidence)
    assert why(cr.open(lambda x, n: np.sum(x / n), np.ones(2), none), "f").code == "CD505"


@pytest.mark.parametrize(
    ("cut", "word"),
    [(ops.stop_gradient, "stop_gradient"), (np.round, "rint"), (np.sign, "sign")],
)
def test_an_op_without_a_derivative_on_the_way_is_named(cut, word):
    def loss(W, X):
        z = X @ W
        h = cut(z)  # here
        return np.sum(h * X[:, :1])

    opened = cr.open(loss, *data())
    for asked in ("W", "z[0, 0]"):
        reason = why(opened, asked)
        assert (reason.code, reason.where, reason.name) == ("CD522", marked(loss), "z")
        assert reason.message.startswith(word)
        assert opened.names.labels[reason.node] == "z"


def test_an_op_without_a_derivative_before_a_write_is_named():
    def loss(W, X):
        out = np.zeros((N, UNITS))
        out[:] = np.round(X @ W)  # here
        return np.sum(out) + np.sum(X)

    reason = why(cr.open(loss, *data()), "W")
    assert (reason.code, reason.where) == ("CD522", marked(loss))


def test_an_order_is_no_cut_where_the_entry_is_not_taken():
    reason = why(cr.open(lambda x: np.sort(x)[0], np.array([3.0, 1, 2])), "x[0]")
    assert reason.code == "CD521"


def test_a_perfect_cross_entropy_took_no_other_branch():
    def loss(Z, y):
        return nn.CrossEntropyLoss()(Z, y)

    opened = cr.open(loss, np.array([[1e3, 0, 0]]), np.array([0]))
    reason = why(opened, "Z[0, 0]")
    assert reason.code == "CD527"
    assert "branch" not in str(reason)
    assert why(opened, "Z[0, 1]").code == "CD533"  # exp(-1000)


@pytest.mark.parametrize(
    ("function", "x", "code", "said"),
    [
        (np.linalg.norm, 0.0, "CD531", "x[0] came in as 0."),
        (np.std, 1.0, "CD534", "The terms of subtract cancel there."),
        (lambda x: np.where(x > 5, x, 0.0)[0], 1.0, "CD532", "where made it 0, at x[0] = 1."),
    ],
    ids=["norm", "std", "where"],
)
def test_a_constant_of_numpys_own_is_no_cause(function, x, code, said):
    opened = cr.open(function, np.full(3, x))
    reason = why(opened, opened.head, of="value")
    assert (reason.code, reason.message) == (code, said)


def test_what_is_asked_is_checked():
    opened = cr.open(lambda x: np.sum(x * x), np.ones((2, 2)))
    with pytest.raises(InputTypeError, match="as text, got 3"):
        why(opened, 3)
    with pytest.raises(SettingError, match="nix"):
        why(opened, "x", of="nix")


def test_of_nothing_nothing_can_be_asked_and_it_is_no_choice():
    opened = cr.open(lambda W, X: np.sum(X @ W), np.ones((3, 1)), np.ones((0, 3)))
    with pytest.raises(AxisError, match="no entries"):
        why(opened, "X")
    reason = why(opened, "W")
    assert reason.code == "CD521"
    assert "has no entries: its shape is [0, 1]" in reason.message
