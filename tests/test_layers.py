"""Layers: what they compute beside plain formulas, their derivatives, and what they refuse."""

import numpy as np
import optree
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import AxisError, InputTypeError, LabelError, SettingError, ShapeError

RNG = np.random.default_rng(0)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def images(*shape):
    return np.random.default_rng(5).normal(size=shape)


LAYERS = {
    "linear": (lambda: nn.Linear(4, 3, seed=0), (5, 4)),
    "linear without bias": (lambda: nn.Linear(4, 3, bias=False, seed=0), (2, 5, 4)),
    "linear of one": (lambda: nn.Linear(4, 3, seed=0), (4,)),
    "batch norm": (lambda: nn.BatchNorm1d(4), (5, 4)),
    "batch norm along": (lambda: nn.BatchNorm1d(4), (2, 4, 3)),
    "batch norm, plain": (lambda: nn.BatchNorm1d(4, affine=False), (5, 4)),
    "layer norm": (lambda: nn.LayerNorm(4), (5, 4)),
    "layer norm of two axes": (lambda: nn.LayerNorm([3, 4]), (2, 3, 4)),
    "conv": (lambda: nn.Conv2d(4, 6, 3, stride=(2, 1), padding=1, seed=0), (2, 4, 6, 5)),
    "conv of groups": (lambda: nn.Conv2d(4, 6, (2, 3), dilation=2, groups=2, seed=0), (1, 4, 6, 6)),
    "conv same": (lambda: nn.Conv2d(1, 2, (4, 3), padding="same", seed=0), (1, 5, 5)),
    "max pool": (lambda: nn.MaxPool2d(3, 2, padding=1, dilation=2), (2, 2, 7, 7)),
    "average pool": (lambda: nn.AvgPool2d((2, 3)), (2, 2, 5, 6)),
    "average of what is there": (
        lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        (1, 5, 5),
    ),
    "flatten": (nn.Flatten, (2, 3, 4)),
    "residual": (lambda: nn.Residual(nn.Linear(4, 4, seed=0)), (5, 4)),
    "dense": (lambda: nn.MLP([4, 5, 3], "tanh", dropout=0.2, seed=0), (5, 4)),
    "softplus": (lambda: nn.Softplus(2.0), (5, 4)),
    "leaky relu": (lambda: nn.LeakyReLU(0.2), (5, 4)),
    "elu": (lambda: nn.ELU(0.5), (5, 4)),
    "softmax": (lambda: nn.Softmax(0), (5, 4)),
    "log softmax": (nn.LogSoftmax, (5, 4)),
    **{name: (make, (5, 4)) for name, make in nn.ACTIVATIONS.items()},
}


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_agree_with_differences_and_with_backward(name, mode):
    make, shape = LAYERS[name]
    module, x = make().train(mode), np.random.default_rng(3).normal(size=shape)
    own = {k: p.data for k, p in module.named_parameters()}

    def f(x, own):
        return nn.functional_call(module, own, x, key=np.array([7]))[0]

    cr.gradcheck(lambda x: np.sum(np.sin(f(x, own))), (x,))
    for k, p in own.items():
        cr.gradcheck(lambda p, k=k: np.sum(np.sin(f(x, {**own, k: p}))), (p,))
    if name != "dense":  # its dropout draws anew outside of a functional call
        y = module(x)
        g = np.cos(y)
        close(module.backward(g), cr.grad(lambda x: np.sum(np.sin(f(x, own))))(x))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_traced_on_shapes(name):
    make, shape = LAYERS[name]
    module, x = make().eval(), np.random.default_rng(3).normal(size=shape)
    graph = cr.trace(module, cr.Spec(shape))
    close(graph.evaluate(x)[0], module(x))
    module.train()
    own = module.state_dict()

    def step(own, x):
        y, buffers = nn.functional_call(module, own, x, key=np.array([7]))
        return y, buffers

    specs = {k: cr.Spec(p.shape, p.dtype) for k, p in own.items()}
    y, buffers = step(own, x)
    found = cr.trace(step, specs, cr.Spec(shape)).evaluate(*optree.tree_leaves(own), x)
    close(found[0], y)
    assert len(found) == 1 + len(buffers)


# ------------------------------------------------------------------ each beside its formula


def test_linear():
    layer, x = nn.Linear(3, 2, seed=0), RNG.normal(size=(4, 5, 3))
    close(layer(x), x @ layer.weight.T + layer.bias)
    assert layer.weight.shape == (2, 3)
    assert np.all(np.abs(layer.weight) <= 1 / np.sqrt(3))
    np.testing.assert_array_equal(nn.Linear(3, 2, seed=0).weight, layer.weight)
    assert nn.Linear(3, 2, dtype=np.float32).bias.dtype == np.float32
    np.testing.assert_array_equal(layer([[1, 2, 3]]), layer(np.array([[1.0, 2, 3]])))


def test_batch_norm_follows_the_batches():
    layer, x = nn.BatchNorm1d(3), RNG.normal(size=(6, 3))
    mean, variance = x.mean(axis=0), x.var(axis=0)
    close(layer(x), (x - mean) / np.sqrt(variance + 1e-5))
    close(layer.running_mean, 0.1 * mean)
    close(layer.running_var, 0.9 + 0.1 * x.var(axis=0, ddof=1))
    assert layer.num_batches_tracked == 1
    assert layer.num_batches_tracked.dtype == np.int64
    assert layer.num_batches_tracked.shape == ()
    running = layer.running_mean.copy(), layer.running_var.copy()
    close(layer.eval()(x[:1]), (x[:1] - running[0]) / np.sqrt(running[1] + 1e-5))
    np.testing.assert_array_equal(layer.running_mean, running[0])
    assert list(layer.state_dict()) == [
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
    ]  # fmt: skip


def test_batch_norm_averages_all_batches_without_momentum():
    layer, batches = nn.BatchNorm1d(2, momentum=None), RNG.normal(size=(4, 5, 2))
    for x in batches:
        layer(x)
    close(layer.running_mean, batches.mean(axis=(0, 1)))
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    assert not list(layer.buffers())
    assert layer.eval().mixes_examples
    close(layer(batches[0]).mean(axis=0), np.zeros(2))


def test_a_batch_of_one_has_no_variance():
    layer = nn.BatchNorm1d(2)
    with pytest.raises(ShapeError, match="more than one number for each feature"):
        layer(np.ones((1, 2)))
    assert layer.num_batches_tracked == 0
    with pytest.raises(ShapeError, match="more than one number"):
        layer(np.ones((0, 2)))
    layer(np.ones((1, 2, 2)))
    assert layer.eval()(np.ones((1, 2))).shape == (1, 2)


def test_layer_norm():
    layer, x = nn.LayerNorm((2, 3), bias=False), RNG.normal(size=(4, 2, 3))
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    close(layer(x), (x - mean) / np.sqrt(variance + 1e-5))
    assert layer.weight.shape == (2, 3)


def test_embedding_learns_rows():
    layer, indices = nn.Embedding(5, 2, padding_idx=-1, seed=0), np.array([[0, 4], [0, 2]])
    y = layer(indices)
    np.testing.assert_array_equal(y, layer.weight[indices])
    np.testing.assert_array_equal(layer.weight[4], np.zeros(2))
    assert layer.backward(np.ones(y.shape)) is None
    np.testing.assert_array_equal(layer.grad["weight"][:, 0], [2, 0, 1, 0, 0])
    chain = nn.Sequential(layer, nn.Flatten(), nn.Linear(4, 1, seed=0))
    chain(indices)
    assert chain.backward(np.ones((2, 1))) is None
    assert repr(layer) == "Embedding(5, 2, padding_idx=4)"


def test_the_learned_input_of_a_network():
    """Examples are known by their index alone, and their inputs are found by descent."""
    X = nn.Embedding(6, 2, seed=0)
    model = nn.Sequential(X, nn.Linear(2, 8, seed=1), nn.Tanh(), nn.Linear(8, 1, seed=2))
    loss, indices, y = nn.BCEWithLogitsLoss(), np.arange(6), np.array([[0], [1]] * 3)
    loss.previous_module = model
    start = X.weight.copy()
    for _ in range(200):
        loss(model(indices), y)
        loss.backward()
        X.weight = X.weight - 10 * X.grad["weight"]
    np.testing.assert_array_equal(model(indices) > 0, y == 1)
    assert np.all(X.weight != start)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_a_sum_over_the_kernel(groups):
    layer = nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(1, 0), groups=groups, seed=0)
    x = images(2, 4, 5, 7)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    expected = np.zeros((2, 6, 6, 3))
    for n, o, i, j in np.ndindex(expected.shape):
        first = (o // (6 // groups)) * (4 // groups)
        patch = padded[n, first : first + 4 // groups, i : i + 2, 2 * j : 2 * j + 3]
        expected[n, o, i, j] = np.sum(patch * layer.weight[o]) + layer.bias[o]
    close(layer(x), expected)
    close(layer(x[0]), expected[0])


def test_padding_by_name():
    x = images(1, 2, 5, 6)
    assert nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2))(x).shape == (1, 3, 5, 6)
    assert nn.Conv2d(2, 3, 3, padding="valid")(x).shape == (1, 3, 3, 4)
    for padding, stride in (("full", 1), ("same", 2)):
        with pytest.raises(SettingError, match="padding has to be"):
            nn.Conv2d(2, 3, 3, padding=padding, stride=stride)


def test_pools():
    x = images(2, 3, 4, 6)
    blocks = x.reshape(2, 3, 2, 2, 3, 2)
    close(nn.MaxPool2d(2)(x), blocks.max(axis=(3, 5)))
    close(nn.AvgPool2d(2)(x), blocks.mean(axis=(3, 5)))
    close(nn.AvgPool2d(2, divisor_override=1)(x), blocks.sum(axis=(3, 5)))
    ones = np.ones((1, 4, 4))
    close(nn.AvgPool2d(3, 2, padding=1)(ones)[0, 0], [4 / 9, 6 / 9])
    close(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)(ones), np.ones((1, 2, 2)))
    close(nn.MaxPool2d(3, 2, padding=1)(-ones), -np.ones((1, 2, 2)))


def test_equal_numbers_share_the_gradient_of_a_maximum():
    layer = nn.MaxPool2d(2)
    layer(np.zeros((1, 2, 2)))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1))), np.full((1, 2, 2), 0.25))


def test_dropout_keeps_the_mean_and_its_mask():
    layer = nn.Dropout(0.25)
    y = layer(np.ones(100_000))
    assert set(np.unique(y)) == {0, 4 / 3}
    assert abs(y.mean() - 1) < 0.01
    np.testing.assert_array_equal(layer.backward(np.ones(100_000)), y)
    assert np.any(layer(np.ones(100_000)) != y)
    np.testing.assert_array_equal(layer.eval()(y), y)
    a, b = nn.Dropout(0.5, seed=3), nn.Dropout(0.5, seed=3)
    np.testing.assert_array_equal(a(y), b(y))
    assert np.any(nn.Dropout(0.5)(y) != nn.Dropout(0.5)(y))
    np.testing.assert_array_equal(nn.Dropout(0.0)(y), y)


def test_flatten():
    x = np.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)
    with pytest.raises(ShapeError, match=r"Flatten\(1, -1\)"):
        nn.Flatten()(np.zeros(3))


def test_the_dense_network():
    model = nn.MLP([4, 8, 8, 3], "gelu", dropout=0.1, initialiser="he_normal", seed=0)
    kinds = [type(m).__name__ for m in model]
    assert kinds == ["Linear", "GELU", "Dropout", "Linear", "GELU", "Dropout", "Linear"]
    again = nn.MLP([4, 8, 8, 3], "gelu", dropout=0.1, initialiser="he_normal", seed=0)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    again.train()
    x = np.ones((5, 4))
    for _ in range(2):
        np.testing.assert_array_equal(model(x), again(x))
    assert len({m.seed for m in model if isinstance(m, nn.Dropout)}) == 2
    plain = nn.MLP([4, 8, 8, 3], "gelu", initialiser="he_normal", seed=0)
    np.testing.assert_array_equal(plain(x), model.eval()(x))


@pytest.mark.parametrize("sizes", [[6], [], 6, None])
def test_a_dense_network_has_an_input_and_an_output(sizes):
    with pytest.raises(SettingError, match="at least two"):
        nn.MLP(sizes)


# ------------------------------------------------------------------ initial weights


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("fan_in_uniform", 1 / 900),
        ("glorot_uniform", 2 / 500),
        ("glorot_normal", 2 / 500),
        ("he_uniform", 2 / 300),
        ("he_normal", 2 / 300),
        ("lecun_normal", 1 / 300),
        ("zeros", 0),
    ],
)
def test_initial_weights_have_the_variance_of_their_name(name, variance):
    weight = nn.Linear(300, 200, initialiser=name, seed=0).weight
    assert abs(weight.mean()) < 3 * np.sqrt(variance / weight.size) + 1e-300
    assert abs(weight.var() - variance) <= 0.02 * variance


@pytest.mark.parametrize(("outputs", "inputs"), [(4, 7), (7, 4), (5, 5)])
def test_orthogonal_weights(outputs, inputs):
    W = nn.Linear(inputs, outputs, initialiser="orthogonal", seed=0).weight
    product = W @ W.T if outputs <= inputs else W.T @ W
    close(product, np.eye(min(outputs, inputs)))


# ------------------------------------------------------------------ what they refuse


@pytest.mark.parametrize("n", [0, -1, 2.0, "2", None, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: nn.Linear(n, 2),
        lambda n: nn.Linear(2, n),
        nn.BatchNorm1d,
        nn.LayerNorm,
        lambda n: nn.LayerNorm((2, n)),
        lambda n: nn.Embedding(n, 2),
        lambda n: nn.Embedding(2, n),
        lambda n: nn.Conv2d(n, 2, 3),
        lambda n: nn.Conv2d(2, n, 3),
        lambda n: nn.Conv2d(2, 2, (3, n)),
        lambda n: nn.Conv2d(2, 2, 3, stride=(n, 1)),
        lambda n: nn.Conv2d(2, 2, 3, groups=n),
        lambda n: nn.MaxPool2d((n, 1)),
        lambda n: nn.MLP([2, n]),
    ],
)
def test_sizes_are_positive_integers(make, n):
    with pytest.raises(SettingError, match="positive integer"):
        make(n)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Dropout(1.0), "0 ≤ p < 1"),
        (lambda: nn.Dropout(-0.1), "0 ≤ p < 1"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups has to divide"),
        (lambda: nn.Conv2d(4, 6, 3, padding=-1), "integer of at least 0"),
        (lambda: nn.Conv2d(4, 6, (1, 2, 3)), "kernel_size"),
        (lambda: nn.MaxPool2d(2, padding=2), "at most half"),
        (lambda: nn.Embedding(4, 2, padding_idx=4), "one of the 4 rows"),
        (lambda: nn.BatchNorm1d(2, momentum=2), "between 0 and 1"),
        (lambda: nn.LayerNorm(2, eps=0.0), "eps has to be positive"),
        (lambda: nn.Softplus(0), "beta"),
        (lambda: nn.Linear(2, 2, initialiser="he_norml"), "no initialiser 'he_norml'"),
        (lambda: nn.MLP([2, 2, 2], "rleu"), "no activation 'rleu'"),
    ],
)
def test_settings_that_are_not_possible(make, says):
    with pytest.raises(SettingError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "says"),
    [
        (nn.Linear(4, 2), np.ones((5, 3)), r"last axis of 4, got float64\[5, 3\]"),
        (nn.Linear(4, 2), np.float64(1), "last axis of 4"),
        (nn.BatchNorm1d(4), np.ones((5, 3)), r"\(N, 4\)"),
        (nn.BatchNorm1d(4), np.ones(4), r"\(N, 4\)"),
        (nn.LayerNorm((2, 3)), np.ones((3, 2)), r"\[2, 3\] as the last axes"),
        (nn.LayerNorm((2, 3)), np.ones(3), r"\[2, 3\] as the last axes"),
        (nn.Conv2d(3, 2, 3), np.ones((5, 4, 8, 8)), r"\(N, 3, H, W\)"),
        (nn.Conv2d(3, 2, 3), np.ones((3, 2, 2)), "more than the padded image has"),
        (nn.MaxPool2d(2), np.ones((4, 4)), r"\(N, C, H, W\)"),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_inputs_that_do_not_fit(layer, x, says, traced):
    with pytest.raises(ShapeError, match=says):
        cr.grad(lambda x: np.sum(layer(x)))(x) if traced else layer(x)


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.ReLU(), nn.LayerNorm(2), nn.ELU()])
@pytest.mark.parametrize("x", [["a", "b"], [[1, 2], [3]], np.ones(2) * 1j, None])
def test_inputs_that_are_no_numbers(layer, x):
    with pytest.raises(InputTypeError, match="input of"):
        layer(x)


def test_indices_that_name_no_row():
    layer = nn.Embedding(4, 2)
    with pytest.raises(LabelError, match=r"from 0 to 3, got -1 in row 0, 1 and 4 in row 1, 0"):
        layer(np.array([[0, -1], [4, 3]]))
    with pytest.raises(LabelError, match=r"got -4 in row 0"):
        layer(np.array([-4, 0, 1]))
    with pytest.raises(InputTypeError, match="integers"):
        layer(np.array([0.0, 1.0]))
    with pytest.raises(AxisError):
        nn.Softmax(3)(np.ones((2, 2)))
