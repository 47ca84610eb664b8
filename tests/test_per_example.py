"""Gradients of single examples, against a loop that differentiates the loss of one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_examples import (
    DENSE,
    LABELS,
    PROGRAMS,
    SEQUENCES,
    WORDS,
    C,
    D,
    H,
    N,
    X,
    decayed,
    dense,
    normalising,
    numbers,
    one_at_a_time,
    one_hot_words,
    parameters,
    regression,
)

import chainrule
from chainrule import nn, ops
from chainrule.errors import MixedExamplesError, StructureError, UnknownNameError


def assert_follows(found, expected):
    """Hold the gradients of single examples, and all that follows from them, to expected ones."""
    assert set(found) == set(expected)
    rows = {name: g.reshape(len(g), -1) for name, g in expected.items()}
    for name, g in expected.items():
        np.testing.assert_allclose(found[name], g, rtol=1e-9, atol=1e-12, err_msg=name)
        assert_statistics(found, name, rows[name], g.shape[1:])
    assert_statistics(found, None, np.concatenate([*rows.values()], axis=1))


def assert_statistics(found, name, g, shape=None):
    m = len(g)
    trace = g.var(axis=0, ddof=1).sum()
    signal = (g.mean(axis=0) ** 2).sum() - trace / m
    close = {"rtol": 1e-8, "atol": 1e-10}
    np.testing.assert_allclose(found.norms(name), np.linalg.norm(g, axis=1), **close)
    np.testing.assert_allclose(found.dots(name), g @ g.T, **close)
    np.testing.assert_allclose(found.variance(name), trace, **close)
    if abs(signal) > 1e-6:
        scale = trace / signal if signal > 0 else np.inf
        np.testing.assert_allclose(found.noise_scale(name), scale, rtol=1e-6)
    if shape is not None:
        deviation = g.std(axis=0, ddof=1)
        steady = deviation > 1e-5
        ratio = np.reshape(found.signal_to_noise(name), -1)[steady]
        np.testing.assert_allclose(
            ratio, np.abs(g.mean(axis=0)[steady]) / deviation[steady], rtol=1e-4, atol=1e-9
        )
        assert found.signal_to_noise(name).shape == shape


def assert_right(f, p, *data, axis=0):
    """Compare a pass with the loop, and the mean with the batch's gradient."""
    opened = chainrule.open(f, p, *data)
    assert_follows(opened.per_example, one_at_a_time(f, p, *data, axis=axis))
    for name in p:
        np.testing.assert_allclose(
            opened.per_example[name].mean(0), opened.gradients[name], rtol=1e-9, atol=1e-13
        )
    assert opened.per_example.count == data[-1].shape[axis]


@pytest.mark.parametrize(("f", "p", "data"), PROGRAMS, ids=lambda x: getattr(x, "__name__", None))
def test_each_gradient_is_that_of_the_example_alone(f, p, data):
    assert_right(f, p, data, LABELS)


def test_constants_that_hold_something_for_each_example():
    """One-hot rows, made of words with NumPy, meet parameters before anything of the data does."""
    assert_right(one_hot_words, parameters(E=(8, H), W=(H, C)), WORDS, LABELS)


def test_regression_with_a_vector_and_a_number_of_parameters():
    p = {"w": numbers(D), "c": np.float64(0.3)}
    assert_right(regression, p, X, numbers(N, seed=4))


@pytest.mark.parametrize("patches", [1, 20], ids=["by rows", "formed"])
def test_long_and_short_sequences_go_both_ways(patches):
    """⟨X Xᵀ, G Gᵀ⟩ is cheaper for few rows, the formed gradient for many."""
    s = numbers(N, patches, D, seed=5)
    p = parameters(W=(D, C))

    def f(p, s, y):
        return np.mean(ops.softmax_cross_entropy(np.mean(np.tanh(s @ p["W"]), axis=1), y))

    assert_right(f, p, s, LABELS)


# ------------------------------------------------------------------ where the examples lie


def columns(p, x, y):
    """The cached network of two layers: examples are columns."""
    a = ops.sigmoid(p["W1"] @ x + p["B1"])
    out = ops.sigmoid(p["W2"] @ a + p["B2"])
    return -np.sum(y * np.log(out) + (1 - y) * np.log(1 - out)) / x.shape[1]


def test_examples_may_be_columns():
    p = parameters(W1=(H, D), B1=(H, 1), W2=(1, H), B2=(1, 1))
    y = (numbers(1, N, seed=6) > 0).astype(float)
    assert_right(columns, p, X.T.copy(), y, axis=1)


def test_examples_may_move_to_another_axis_and_back():
    p = parameters(W=(3, 4), V=(4, C))

    def f(p, s, y):
        h = np.tanh(np.swapaxes(s, 0, 1) @ p["W"])  # (t, n, d)
        h = np.reshape(h, (-1, 4)) @ p["V"]  # steps and examples along one axis
        h = np.reshape(h, (s.shape[1], -1, C))
        return np.mean(ops.softmax_cross_entropy(np.sum(h, axis=0), y))

    assert_right(f, p, SEQUENCES, LABELS)


def compared_columns(p, x, t):
    return np.mean((np.tanh(p["W"] @ x) - t) ** 2)


def test_columns_are_found_where_rows_meet():
    p = parameters(W=(D, D))
    x, t = X.T.copy(), numbers(D, N, seed=7)
    found = chainrule.open(compared_columns, p, x, t).per_example
    assert_follows(found, one_at_a_time(compared_columns, p, x, t, axis=1))


def test_the_program_tells_columns_from_rows_where_no_length_does():
    p = parameters(W=(D, D))
    x, t = numbers(D, D, seed=1), numbers(D, D, seed=7)
    found = chainrule.open(compared_columns, p, x, t).per_example
    assert_follows(found, one_at_a_time(compared_columns, p, x, t, axis=1))
    with pytest.raises(MixedExamplesError, match="along the first axis"):
        found.along(0).norms()


def test_which_arguments_hold_examples_can_be_said():
    p = parameters(W1=(D, C), b1=C)

    def f(p, x, y, of_classes):
        losses = ops.softmax_cross_entropy((x @ p["W1"] + p["b1"]) * of_classes, y)
        return np.mean(losses)

    of_classes = np.array([1.0, 2.0, 0.5])
    opened = chainrule.open(f, p, X, LABELS, of_classes)
    expected = one_at_a_time(lambda p, x, y: f(p, x, y, of_classes), p, X, LABELS)
    for found in (opened.per_example, opened.per_example.along(0, data=[1, 2])):
        assert set(found) == {"W1", "b1", "of_classes"}
        for name, g in expected.items():
            np.testing.assert_allclose(found[name], g, atol=1e-14)
    with pytest.raises(StructureError, match="no argument among 2, 3"):
        opened.per_example.along(0, data=[2, 3]).norms()


def test_numbers_after_the_data_are_settings_and_no_parameters():
    def f(p, x, y, decay):
        return decayed(p, x, y) + decay * np.sum(p["W2"] ** 2)

    found = chainrule.open(f, DENSE, X, LABELS, 0.2).per_example
    assert sorted(found) == sorted(DENSE)
    g = one_at_a_time(lambda p, x, y: f(p, x, y, 0.2), DENSE, X, LABELS)
    rows = np.concatenate([x.reshape(N, -1) for x in g.values()], axis=1)
    np.testing.assert_allclose(found.norms(), np.linalg.norm(rows, axis=1))
    np.testing.assert_allclose(found["decay"], np.full(N, np.sum(DENSE["W2"] ** 2)))


def test_a_function_without_data_is_refused():
    opened = chainrule.open(lambda p: np.sum(p["w"] ** 2), {"w": np.ones(3)})
    with pytest.raises(StructureError, match="no argument holds examples"):
        opened.per_example.norms()


def test_one_example_has_the_gradient_of_the_batch():
    opened = chainrule.open(dense, DENSE, X[:1], LABELS[:1])
    for name in DENSE:
        np.testing.assert_array_equal(opened.per_example[name][0], opened.gradients[name])
    assert np.isnan(opened.per_example.variance())
    assert np.isnan(opened.per_example.noise_scale())
    np.testing.assert_allclose(
        opened.per_example.norms("W1"), [np.linalg.norm(opened.gradients["W1"])]
    )


# ------------------------------------------------------------------ losses


def test_of_a_sum_each_is_m_times_its_own():
    p = parameters(W=(D, C))

    def total(p, x, y):
        return np.sum(ops.softmax_cross_entropy(x @ p["W"], y))

    opened = chainrule.open(total, p, X, LABELS)
    np.testing.assert_allclose(
        opened.per_example["W"], N * one_at_a_time(total, p, X, LABELS)["W"], rtol=1e-12
    )
    np.testing.assert_allclose(
        opened.per_example["W"].mean(0), opened.gradients["W"], rtol=1e-10, atol=1e-13
    )


def test_weights_of_examples_are_in_their_gradients():
    p = parameters(W=(D, C))
    w = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0])

    def weighted(p, x, y, w):
        return np.sum(w * ops.softmax_cross_entropy(x @ p["W"], y)) / np.sum(w)

    def alone(p, x, y):
        return np.mean(ops.softmax_cross_entropy(x @ p["W"], y))

    expected = one_at_a_time(alone, p, X, LABELS)["W"] * (w * N / w.sum())[:, None, None]
    for weights in (w, w.tolist()):
        found = chainrule.open(weighted, p, X, LABELS, np.asarray(weights)).per_example
        np.testing.assert_allclose(found["W"], expected, atol=1e-13)
        np.testing.assert_allclose(
            found.norms("W"), np.linalg.norm(expected.reshape(N, -1), axis=1)
        )


def test_losses_of_examples_with_a_gradient_each():
    p = parameters(W=(D, C))
    g = numbers(N, seed=8)

    def losses(p, x, y):
        return ops.softmax_cross_entropy(x @ p["W"], y)

    opened = chainrule.open(losses, p, X, LABELS, output=g)
    alone = one_at_a_time(lambda p, x, y: np.sum(losses(p, x, y)), p, X, LABELS)["W"]
    np.testing.assert_allclose(opened.per_example["W"], N * g[:, None, None] * alone, atol=1e-13)


# ------------------------------------------------------------------ modules


class Images(nn.Module):
    """Two convolutions, one of them in groups, pooling, a dense layer."""

    def __init__(self):
        self.first = nn.Conv2d(2, 4, 3, padding=1, seed=0)
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Conv2d(4, 4, 2, groups=2, seed=1)
        self.last = nn.Linear(16, C, seed=2)

    def forward(self, x):
        h = np.tanh(self.second(self.pool(np.maximum(0, self.first(x)))))
        return self.last(np.reshape(h, (h.shape[0], -1)))


def assert_module_right(model, loss, x, y):
    found = chainrule.open(model, x, loss=loss, target=y).per_example
    alone = [
        chainrule.open(model, x[i : i + 1], loss=loss, target=y[i : i + 1]) for i in range(len(x))
    ]
    names = [name for name, _ in model.named_parameters()]
    assert set(names) <= set(found)
    expected = {name: np.stack([one.gradients[name] for one in alone]) for name in found}
    assert_follows(found, expected)


def test_convolutions():
    assert_module_right(Images(), nn.CrossEntropyLoss(), numbers(N, 2, 6, 6), LABELS)


def test_embedding_and_layer_norm():
    model = nn.Sequential(nn.Embedding(8, H, seed=0), nn.LayerNorm(H), nn.Linear(H, C, seed=1))

    class Mean(nn.Module):
        def __init__(self):
            self.words = model

        def forward(self, words):
            return np.mean(self.words(words), axis=1)

    assert_module_right(Mean(), nn.CrossEntropyLoss(label_smoothing=0.1), WORDS, LABELS)


def test_batch_norm_and_dropout_in_evaluation():
    model = normalising()
    model(numbers(20, D, seed=9) * 3 + 1)  # moves the running numbers
    model.eval()
    assert_module_right(model, nn.CrossEntropyLoss(), X, LABELS)
    assert_module_right(model, nn.MSELoss(), X, numbers(N, C))


@pytest.mark.parametrize("layout", ["columns", "rows"])
def test_the_dense_network_of_the_texts(layout):
    network = nn.DNN([D, H, C], hidden="tanh", output="softmax", layout=layout, seed=0)
    x = X.T.copy() if layout == "columns" else X
    found = chainrule.open(network, x, target=LABELS).per_example
    assert sorted(found) == ["B1", "B2", "W1", "W2"]

    def one(i):
        own = x[:, i : i + 1] if layout == "columns" else x[i : i + 1]
        return chainrule.open(network, own, target=LABELS[i : i + 1]).gradients

    alone = [one(i) for i in range(N)]
    assert_follows(found, {name: np.stack([g[name] for g in alone]) for name in found})


# ------------------------------------------------------------------ numbers on paper


def test_noise_scale_on_paper():
    """Gradients 1, 2, 3, 6: mean 3, variance 14/3, |G|² = 9 - 7/6, so that B = 28/47."""

    def loss(p, x):
        return np.mean(p["w"] * x)

    found = chainrule.open(loss, {"w": np.float64(5.0)}, np.array([1.0, 2.0, 3.0, 6.0])).per_example
    np.testing.assert_allclose(found["w"], [1, 2, 3, 6])
    np.testing.assert_allclose(found.variance(), 14 / 3)
    np.testing.assert_allclose(found.noise_scale(), 28 / 47)
    np.testing.assert_allclose(found.signal_to_noise("w"), 3 / np.sqrt(14 / 3))
    np.testing.assert_allclose(found.dots("w"), np.outer([1, 2, 3, 6], [1, 2, 3, 6]))


def test_noise_without_a_signal_is_infinite_and_no_noise_is_none():
    def loss(p, x):
        return np.mean(p["w"] * x)

    noise = chainrule.open(loss, {"w": np.float64(1.0)}, np.array([1.0, -1.0])).per_example
    assert noise.noise_scale() == np.inf
    assert noise.signal_to_noise("w") == 0
    same = chainrule.open(loss, {"w": np.float64(1.0)}, np.array([2.0, 2.0])).per_example
    assert same.noise_scale() == 0
    assert same.signal_to_noise("w") == np.inf


def test_single_precision_stays_and_agrees():
    p = {name: x.astype(np.float32) for name, x in DENSE.items()}
    found = chainrule.open(dense, p, X.astype(np.float32), LABELS).per_example
    expected = one_at_a_time(dense, DENSE, X, LABELS)
    for name, g in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], g, rtol=2e-4, atol=2e-5)


def test_an_unknown_name_is_told_what_there_is():
    found = chainrule.open(dense, DENSE, X, LABELS).per_example
    with pytest.raises(UnknownNameError, match="no parameter is called 'W9'"):
        found["W9"]
    with pytest.raises(UnknownNameError):
        found.norms("W9")
    assert "W9" not in found
    assert len(found) == len(DENSE)


# ------------------------------------------------------------------ any small network

_STEPS = {
    "dense": lambda p, h, k: h @ p[f"W{k}"] + p[f"b{k}"],
    "tied": lambda p, h, k: np.tanh(h @ p["W0"]) @ p["W0"].T,
    "scaled": lambda p, h, k: h * p[f"b{k}"],
    "tanh": lambda p, h, k: np.tanh(h),
    "softmax": lambda p, h, k: ops.softmax(h),
    "norm": lambda p, h, k: ops.layer_norm(h, p[f"b{k}"]),
    "residual": lambda p, h, k: h + np.sin(h @ p[f"W{k}"]),
    "flip": lambda p, h, k: np.flip(h, axis=1) * p[f"b{k}"],
    "split": lambda p, h, k: np.concatenate([h[:, 1:] @ p[f"W{k}"][1:], h[:, :1]], axis=1)[:, 1:],
    "columns": lambda p, h, k: (p[f"W{k}"] @ h.T + p[f"b{k}"][:, None]).T,
    "product": lambda p, h, k: np.sum((h @ p[f"W{k}"]) * h, axis=1, keepdims=True) * h,
}


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.sampled_from(sorted(_STEPS)), min_size=1, max_size=5),
    sizes=st.tuples(st.integers(2, 6), st.integers(2, 5)),
    seed=st.integers(0, 99),
)
def test_any_small_network(steps, sizes, seed):
    n, d = sizes
    shapes = {f"W{k}": (d, d) for k in range(len(steps))} | {f"b{k}": d for k in range(len(steps))}
    p = parameters(seed, **shapes)
    x, t = numbers(n, d, seed=seed + 1), numbers(n, d, seed=seed + 2)

    def loss(p, x, t):
        h = x
        for k, step in enumerate(steps):
            h = _STEPS[step](p, h, k)
        return np.mean((h - t) ** 2)

    found = chainrule.open(loss, p, x, t).per_example
    for name, g in one_at_a_time(loss, p, x, t).items():
        np.testing.assert_allclose(found[name], g, rtol=1e-8, atol=1e-9)
        rows = g.reshape(n, -1)
        np.testing.assert_allclose(
            found.norms(name), np.linalg.norm(rows, axis=1), rtol=1e-7, atol=1e-8
        )
        np.testing.assert_allclose(found.dots(name), rows @ rows.T, rtol=1e-7, atol=1e-8)
