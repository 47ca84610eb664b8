"""`check` as its users meet it: code as people write it, and what it is told about it."""

import math

import numpy as np
import pytest

from chainrule.inspect.checking import check
from chainrule.inspect.finding import CAUSES, Finding

SHAPES = {"X": "n d", "W1": "d h", "b1": "h", "W2": "h c", "b2": "c", "y": "n"}


def forward(W1, b1, W2, b2, X, y):
    N = X.shape[0]
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    exp_scores = np.exp(y2)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[range(N), y])) / N
    return loss, (X, y, W2, y1, h1, probs)


def backward(cache):
    X, y, W2, y1, h1, probs = cache
    N = X.shape[0]
    dy2 = probs
    dy2[range(N), y] -= 1
    dy2 /= N
    dW2 = h1.T.dot(dy2)
    db2 = np.sum(dy2, axis=0)
    dh1 = dy2.dot(W2.T)
    dy1 = dh1 * (y1 >= 0)
    return {"W1": X.T.dot(dy1), "b1": np.sum(dy1, axis=0), "W2": dW2, "b2": db2}


def inputs(n=6, d=4, h=5, c=3):
    rng = np.random.default_rng(0)
    W1, W2 = rng.normal(size=(d, h)), rng.normal(size=(h, c))
    return W1, np.zeros(h), W2, np.zeros(c), rng.normal(size=(n, d)), rng.integers(0, c, n)


def errors(found):
    return [f for f in found if f.severity != "note"]


def test_the_matrix_calculus_as_it_is_written_is_right_with_two_notes():
    found = check((forward, backward), inputs(), shapes=SHAPES)
    assert not errors(found)
    assert {f.code for f in found} == {"CD114", "CD234"}  # it overwrites probs; y1 >= 0


def test_a_finding_names_tensor_line_evidence_and_the_right_line():
    def wrong(cache):
        found = backward(cache)
        found["b1"] = found["b1"] / len(cache[0])
        return found

    (found,) = errors(check((forward, wrong), inputs(), shapes=SHAPES))
    assert (found.code, found.tensor) == ("CD213", "b1")
    assert "test_check.py" in found.where
    assert found.fix.numpy == "db1 = dy1.sum(axis=0)"
    assert r"\partial" in found.fix.latex
    assert any("off by" in line for line in found.evidence)
    assert {other.split()[0] for other in found.also} >= {"CD204", "CD223"}
    assert "db1 = dy1.sum(axis=0)" in str(found)


def test_what_follows_from_a_mistake_is_not_blamed():
    def wrong(cache):
        X, y, W2, y1, h1, probs = cache
        N = X.shape[0]
        dy2 = probs.copy()
        dy2[range(N), y] -= 1
        dW2 = h1.T.dot(dy2)
        dy1 = dy2.dot(W2.T) * (y1 > 0)
        return {"W1": X.T @ dy1, "b1": dy1.sum(0), "W2": dW2, "b2": dy2.sum(0)}

    (found,) = errors(check((forward, wrong), inputs(), shapes=SHAPES))
    assert (found.code, found.tensor) == ("CD222", "y2")
    assert "W1" in found.message


def test_two_mistakes_are_two_findings_in_the_order_of_the_backward_pass():
    def wrong(cache):
        found = backward(cache)
        return {**found, "W1": -found["W1"], "b2": found["b2"] * 0}

    first, second = errors(check((forward, wrong), inputs(), shapes=SHAPES))
    assert (first.code, first.tensor) == ("CD239", "b2")
    assert (second.code, second.tensor) == ("CD201", "W1")


def test_a_square_matrix_hides_no_transpose():
    def wrong(cache):
        X, y, W2, y1, h1, probs = cache
        dy2 = probs.copy()
        dy2[range(len(X)), y] -= 1
        dy2 /= len(X)
        dy1 = (dy2 @ W2) * (y1 > 0)
        return {"W1": X.T @ dy1, "b1": dy1.sum(0), "W2": h1.T @ dy2, "b2": dy2.sum(0)}

    for shapes in (None, SHAPES):
        found = errors(check((forward, wrong), inputs(h=3, c=3), shapes=shapes))
        assert [(f.code, f.tensor) for f in found] == [("CD207", "h1")]
        assert found[0].fix.numpy == "dh1 = dy2 @ W2.T"


def test_sizes_that_are_equal_leave_a_factor_open_until_shapes_are_said():
    def wrong(cache):
        found = backward(cache)
        return {**found, "W2": found["W2"] / 4}

    given = inputs(n=4, d=4, h=5, c=3)
    (found,) = errors(check((forward, wrong), given))
    assert found.tensor == "W2"
    assert found.code == "CD204"

    def by_classes(cache):
        found = backward(cache)
        return {**found, "W2": found["W2"] / found["b2"].size}

    (found,) = errors(check((forward, by_classes), inputs(n=3, c=3)))
    assert "shapes" in found.ambiguous
    (found,) = errors(check((forward, by_classes), inputs(n=3, c=3), shapes=SHAPES))
    assert (found.code, found.ambiguous) == ("CD205", "")


# ------------------------------------------------------------------------- by differences alone


def looped(w, v):
    total = 0.0
    for a, b in zip(w.ravel().tolist(), v.ravel().tolist(), strict=True):
        total += math.erf(a) * b * b
    return total, (w, v)


def right(cache):
    w, v = cache
    erf = np.array([math.erf(a) for a in w.ravel().tolist()]).reshape(w.shape)
    return 2 / math.sqrt(math.pi) * np.exp(-(w**2)) * v**2, 2 * erf * v


def opaque(w, v):
    return float(looped(w, v)[0]), (w, v)


RNG = np.random.default_rng(3)
PAIR = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))


@pytest.mark.parametrize(
    ("change", "code", "tensor"),
    [
        (lambda dw, dv: (dw, dv), None, None),
        (lambda dw, dv: (-dw, dv), "CD201", "w"),
        (lambda dw, dv: (dw, 2 * dv), "CD202", "v"),
        (lambda dw, dv: (dw.T, dv), "CD207", "w"),
        (lambda dw, dv: (dv, dw), "CD241", "v"),
        (lambda dw, dv: (dw, 0 * dv), "CD239", "v"),
        (lambda dw, dv: (-dw, -dv), "CD201", "the output"),
    ],
)
def test_a_forward_pass_that_cannot_be_traced_is_checked_by_differences(change, code, tensor):
    def wrong(cache):
        return change(*right(cache))

    found = errors(check((opaque, wrong), PAIR))
    if code is None:
        assert not found
    else:
        assert (found[0].code, found[0].tensor) == (code, tensor)


# ------------------------------------------------------------------------- closures


def test_a_closure_over_one_flat_vector():
    X, t = np.random.default_rng(1).normal(size=(7, 3)), np.random.default_rng(2).normal(size=7)

    def loss(theta):
        w, b = theta[:3], theta[3]
        r = X @ w + b - t
        gradient = np.zeros_like(theta)
        gradient[:3] = 2 * X.T @ r / len(t)
        gradient[3] = 2 * r.sum() / len(t)
        return np.mean(r**2), gradient

    assert not errors(check(loss, np.arange(4.0)))

    def halved(theta):
        value, gradient = loss(theta)
        return value, gradient / 2

    (found,) = errors(check(halved, np.arange(4.0)))
    assert found.code == "CD202"


# ------------------------------------------------------------------------- how it is said


def test_a_finding_prints_as_a_linter_does():
    found = Finding.of("CD201", tensor="W1", where="model.py:31", message="The ratio is -1.")
    assert str(found) == "model.py:31: CD201 wrong sign: W1. The ratio is -1."
    assert found.severity == CAUSES["CD201"].severity == "error"


def test_asking_twice_gives_the_same_findings():
    def wrong(cache):
        found = backward(cache)
        return {**found, "W1": found["W1"] * 3}

    first, second = (check((forward, wrong), inputs(), seed=5) for _ in range(2))
    assert [str(f) for f in first] == [str(f) for f in second]


# ------------------------------------------------------------------------- layers


def test_a_layer_of_the_cached_network_may_take_the_mean_itself():
    def linear(A, W, b):
        return W @ A + b, (A, W)

    def linear_backward(dZ, cache):
        A, W = cache
        m = A.shape[1]
        return W.T @ dZ, dZ @ A.T / m, dZ.sum(axis=1, keepdims=True) / m

    rng = np.random.default_rng(0)
    given = rng.normal(size=(4, 7)), rng.normal(size=(3, 4)), rng.normal(size=(3, 1))
    found = check((linear, linear_backward), given)
    assert [f.code for f in found] == ["CD247"]
    assert found[0].severity == "note"


def test_a_square_is_no_penalty():
    def forward(x):
        return x * x, x

    for backward, code in ((lambda g, x: g * x, "CD202"), (lambda g, x: g * 2 * x, None)):
        found = errors(check((forward, backward), np.arange(1.0, 7.0)))
        assert [f.code for f in found] == ([code] if code else [])
