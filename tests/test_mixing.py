"""Where examples meet there are no gradients of single ones, and the line and reason are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_examples import (
    DENSE,
    LABELS,
    C,
    D,
    N,
    X,
    dense,
    normalising,
    numbers,
    one_at_a_time,
    parameters,
)

import chainrule
from chainrule import nn, ops
from chainrule.errors import MixedExamplesError


@pytest.mark.parametrize(
    ("f", "op", "reason"),
    [
        (lambda z: ops.softmax(z, axis=0) ** 2, "softmax", "it takes all examples together"),
        (lambda z: z @ z.T, "matmul", "multiplies each example with each other"),
        (lambda z: np.sort(z, axis=0)[:2], "gather", "picks examples by their places"),
        (lambda z: z[np.array([1, 0, 2, 3, 4, 5])] * z, "gather", "by their places"),
        (lambda z: z[:3], "slice", "cuts or divides"),
        (lambda z: z[0], "slice", "takes one part"),
        (lambda z: z[::-1] * z, "slice", "reverses the order"),
        (lambda z: np.roll(z, 1, axis=0) * z, "slice", "takes one part"),
        (lambda z: np.max(z, axis=0), "max", "it takes all examples together"),
        (lambda z: z[:, 0] - z[:, :1], "subtract", "all pairs meet"),
        (lambda z: (z - np.mean(z, axis=0)) ** 2, "subtract", "meets a sum over all"),
        (lambda z: np.sqrt(np.mean(z**2)), "sqrt", "not linear in a sum"),
        (lambda z: np.mean(z) * np.mean(z**2), "multiply", "not linear in a sum"),
        (lambda z: np.cumsum(z, axis=0) ** 2, "cumsum", "nothing says"),
        (lambda z: np.concatenate([z, z]) ** 2, "join", "along the axis of the examples"),
        (lambda z: np.reshape(z, (2, 3, -1)), "reshape", "cuts or divides"),
        (lambda z: np.linalg.inv(z.T @ z + np.eye(C)), "inv", "not linear in a sum"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_where_examples_meet_the_line_and_the_reason_are_named(f, op, reason):
    def loss(p, x, y):
        z = x @ p["W"] * (1 + 0 * y[:, None])
        return np.mean(f(z))

    opened = chainrule.open(loss, parameters(W=(D, C)), X, LABELS)
    with pytest.raises(MixedExamplesError, match=reason) as caught:
        opened.per_example["W"]
    assert op in caught.value.what
    assert "test_mixing.py" in caught.value.where


def test_data_that_meets_data_is_refused_too():
    def loss(p, x):
        return np.mean((x @ x.T) * p["w"])

    with pytest.raises(MixedExamplesError, match="multiplies each example with each other"):
        chainrule.open(loss, {"w": np.ones(1)}, X).per_example.norms()


def test_targets_that_broadcast_against_all_outputs_are_refused():
    """(n, 1) less (n,) is (n, n): each output meets the target of each example."""
    t = numbers(N, seed=4)
    opened = chainrule.open(
        nn.Linear(D, 1, seed=0), X, loss=lambda z, t: np.mean((z - t) ** 2), target=t
    )
    with pytest.raises(MixedExamplesError, match="all pairs meet"):
        opened.per_example.norms()


def test_a_parameter_with_an_entry_for_each_example_is_refused():
    def loss(p, x, y):
        return np.mean(ops.softmax_cross_entropy(x @ p["W"] + p["own"], y))

    p = parameters(W=(D, C), own=(N, 1))
    with pytest.raises(MixedExamplesError, match="a parameter has an entry for each example"):
        chainrule.open(loss, p, X, LABELS).per_example.norms()


def test_a_result_without_examples_is_refused():
    def loss(p, x, y):
        dense(p, x, y)
        return np.sum(p["W1"] ** 2)

    with pytest.raises(MixedExamplesError, match="not computed from any"):
        chainrule.open(loss, DENSE, X, LABELS).per_example.norms()


def test_what_is_computed_and_not_needed_may_mix():
    def loss(p, x, y):
        np.mean(x @ p["W1"], axis=0)
        return dense(p, x, y)

    found = chainrule.open(loss, DENSE, X, LABELS).per_example
    for name, g in one_at_a_time(loss, DENSE, X, LABELS).items():
        np.testing.assert_allclose(found[name], g, atol=1e-12)


@pytest.mark.parametrize(
    "model", [normalising(), nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, C))]
)
def test_batch_norm_while_training_is_refused(model):
    opened = chainrule.open(model, X, loss=nn.CrossEntropyLoss(), target=LABELS)
    assert opened.gradients["0.weight"].size
    with pytest.raises(MixedExamplesError, match="each example meets a sum over all") as caught:
        opened.per_example.norms()
    assert "subtract" in caught.value.what
    assert caught.value.where.startswith("test_mixing.py:")
    assert f"examples: {N}, along the first axis" in str(caught.value)


_MEETING = {
    "columns' softmax": lambda p, h: ops.softmax(h, axis=0),
    "rows' products": lambda p, h: h @ h.T,
    "columns' products": lambda p, h: h @ (h.T @ h),
    "from the mean": lambda p, h: h - np.mean(h, axis=0),
    "against a row": lambda p, h: h - np.max(h, axis=1),
    "upside down": lambda p, h: np.flip(h, axis=0),
    "moved down": lambda p, h: np.roll(h, 1, axis=0),
    "down the rows": lambda p, h: np.cumsum(h, axis=0),
    "sorted": lambda p, h: np.sort(h, axis=0),
    "pairs": lambda p, h: np.sum(h[:, None, :] * h[None, :, :], axis=1),
    "transposed": lambda p, h: h.T,
    "mixed by weights": lambda p, h: p["W"] @ h,
    "own place": lambda p, h: h[np.arange(h.shape[0]), 0][:, None] * h,
    "repeated": lambda p, h: np.reshape(np.repeat(h, 2, axis=0), (h.shape[0], -1))[:, ::2],
    "within": lambda p, h: np.sum(h[:, :, None] * h[:, None, :], axis=1),
    "weights": lambda p, h: np.tanh(h @ p["W"]),
}


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.sampled_from(sorted(_MEETING)), min_size=1, max_size=4),
    n=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_what_is_not_refused_is_right(steps, n, seed):
    """As many features as examples, so that no shape tells one axis from the other."""
    p = parameters(seed, W=(n, n))
    x, t = numbers(n, n, seed=seed + 1), numbers(n, 1, seed=seed + 2)

    def loss(p, x, t):
        h = np.tanh(x @ p["W"])
        for step in steps:
            h = _MEETING[step](p, h)
        return np.mean((h - t) ** 2)

    found = chainrule.open(loss, p, x, t).per_example
    try:
        norms = found.norms()
    except MixedExamplesError:
        return
    g = one_at_a_time(loss, p, x, t)["W"]
    np.testing.assert_allclose(found["W"], g, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(norms, np.linalg.norm(g.reshape(n, -1), axis=1), atol=1e-8)
