"""Gradients by hand, layer by layer, against the engine; two layouts against each other."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import chainrule as cr
from chainrule import ops
from chainrule.errors import (
    DivergenceError,
    InputTypeError,
    LabelError,
    SettingError,
    ShapeError,
    StructureError,
)
from chainrule.nn import DNN

HIDDEN = {"sigmoid": ops.sigmoid, "tanh": np.tanh, "relu": ops.relu}
SIZES = ([4, 3], [4, 5, 3], [4, 5, 6, 3], [4, 5, 6, 5, 3], [4, 5, 6, 5, 4, 3])
EXAMPLES = 7

each_layout = pytest.mark.parametrize("layout", ["columns", "rows"])
each_hidden = pytest.mark.parametrize("hidden", HIDDEN)
each_output = pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear"])
each_depth = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"depth{len(sizes) - 1}")


def laid(network, array):
    """An array (examples, units) in the layout of a network."""
    return array.T if network.layout == "columns" else array


def batch(network, rng, examples=EXAMPLES):
    """X and Y of the shapes that a network takes. One example is 0, where relu has its kink."""
    X = rng.normal(size=(examples, network.sizes[0]))
    X[2] = 0
    classes = network.sizes[-1]
    if network.output == "linear":
        return laid(network, X), laid(network, rng.normal(size=(examples, classes)))
    if network.output == "softmax":
        return laid(network, X), rng.integers(0, classes, size=examples)
    return laid(network, X), laid(network, rng.integers(0, 2, size=(examples, classes)))


def rest(network, layer):
    """The network from A of a layer on, as a network of its own."""
    part = DNN(network.sizes[layer:], network.hidden, network.output, network.layout)
    for i, letter in itertools.product(range(1, part.depth + 1), "WB"):
        part.parameters[f"{letter}{i}"] = network.parameters[f"{letter}{i + layer}"]
    return part


def by_engine(network, X, Y):
    """The derivatives of the mean loss by everything, Z and A included."""
    out, cache = network.forward(X, Y)
    depth = network.depth
    found = cr.grad(network.mean_loss)(network.parameters, X, Y)
    found |= {
        f"Z{depth}": cr.grad(lambda Z: network.loss(out, Y, cache | {f"Z{depth}": Z}))(
            cache[f"Z{depth}"]
        )
    }
    for layer in range(depth):
        part = rest(network, layer)

        def from_A(A, part=part):
            return part.mean_loss(part.parameters, A, Y)

        found[f"A{layer}"] = cr.grad(from_A)(cache[f"A{layer}"])
        if layer:
            sigma = HIDDEN[network.hidden]
            found[f"Z{layer}"] = cr.grad(lambda Z, f=from_A, s=sigma: f(s(Z)))(cache[f"Z{layer}"])
    return found


@pytest.fixture
def rng():
    return np.random.default_rng(5)


class TestGradients:
    @each_layout
    @each_hidden
    @each_output
    @each_depth
    def test_equal_the_engines(self, layout, hidden, output, sizes, rng):
        """W and B are true derivatives; Z and A too in rows, and m times them in columns."""
        network = DNN(sizes, hidden, output, layout, seed=3)
        X, Y = batch(network, rng)
        found = network.compute_gradients(*network.forward(X), Y, inputs=True)
        expected = by_engine(network, X, Y)
        assert found.keys() == expected.keys()
        for name, gradient in found.items():
            scale = EXAMPLES if layout == "columns" and name[0] in "ZA" else 1
            error = np.max(np.abs(gradient - scale * expected[name]))
            assert error <= 1e-12 * np.max(np.abs(expected[name])), name

    @each_hidden
    @each_output
    @each_depth
    def test_rows_equal_columns(self, hidden, output, sizes, rng):
        columns, rows = (
            DNN(sizes, hidden, output, layout, seed=3) for layout in ("columns", "rows")
        )
        X, Y = batch(columns, rng)
        Y_rows = Y if output == "softmax" else Y.T
        (out, cache), (out_rows, cache_rows) = columns.forward(X, Y), rows.forward(X.T, Y_rows)
        same = {"rtol": 1e-12, "atol": 1e-15}
        assert_allclose(out_rows.T, out, **same)
        assert_allclose(rows.loss(out_rows, Y_rows), columns.loss(out, Y), **same)
        found = rows.gradients(out_rows, cache_rows)
        for name, gradient in columns.gradients(out, cache).items():
            scale = EXAMPLES if name[0] in "ZA" else 1
            turned = found[name][:, None] if name[0] == "B" else found[name].T
            assert_allclose(scale * turned, gradient, err_msg=name, **same)

    @each_layout
    def test_by_finite_differences(self, layout, rng):
        network = DNN([3, 4, 2], "tanh", "softmax", layout, seed=1)
        X, Y = batch(network, rng)
        cr.gradcheck(
            lambda parameters, X: network.mean_loss(parameters, X, Y), (network.parameters, X)
        )

    @each_layout
    def test_traced_on_shapes(self, layout, rng):
        """One graph of loss and gradients, which holds for any labels."""
        network = DNN([3, 4, 2], "relu", "softmax", layout, seed=0)
        X, labels = batch(network, rng)
        names = list(network.parameters)

        def gradient(*arrays):
            parameters = dict(zip(names, arrays, strict=False))
            return cr.grad(network.mean_loss)(parameters, *arrays[len(names) :])

        arrays = [*network.parameters.values(), X, labels]
        graph = cr.trace(gradient, *[cr.Spec(x.shape, x.dtype) for x in arrays])
        expected = network.gradients(*network.forward(X, 1 - labels))
        found = graph.evaluate(*arrays[:-1], 1 - labels)
        for name, result in zip(sorted(names), found, strict=True):
            assert_allclose(result, expected[name], rtol=1e-12, atol=1e-15)

    def test_keys_and_order(self):
        network = DNN([2, 3, 3, 1], seed=0)
        out, cache = network.forward(np.ones((2, 4)), [0, 1, 1, 0])
        assert list(cache) == ["A0", *(f"{x}{i}" for i in (1, 2, 3) for x in "WBZA"), "Y"]
        wanted = ["Z3", "W3", "B3", "A2", "Z2", "W2", "B2", "A1", "Z1", "W1", "B1"]
        assert list(network.compute_gradients(out, cache)) == wanted
        assert list(network.gradients(out, cache, inputs=True)) == [*wanted, "A0"]
        for name, gradient in network.gradients(out, cache, inputs=True).items():
            assert gradient.shape == cache[name].shape

    def test_the_cached_networks_example(self):
        """One neuron and two examples, by hand: dZ = A - Y, dW = dZ Xᵀ / 2."""
        network = DNN([1, 1])
        network.parameters["W1"][:] = 0
        gradients = network.gradients(*network.forward([[2.0, 4.0]], [1, 0]))
        assert_array_equal(gradients["Z1"], [[-0.5, 0.5]])
        assert_array_equal(gradients["W1"], [[0.5]])
        assert_array_equal(gradients["B1"], [[0.0]])

    def test_the_slope_of_relu_at_0_is_0(self):
        network = DNN([1, 1, 1], "relu", "linear", "rows")
        out, cache = network.forward([[0.0]])
        assert network.gradients(out, cache, [[1.0]])["Z1"] == 0

    def test_calls_leave_each_other_alone(self, rng):
        """Two backward passes give the same bits, also after a step."""
        network = DNN([3, 4, 2], "relu", "softmax", seed=0)
        X, Y = batch(network, rng)
        out, cache = network.forward(X, Y)
        first = network.gradients(out, cache)
        network.step(first, 0.5)
        for name, again in network.gradients(out, cache).items():
            assert_array_equal(again, first[name])

    @each_layout
    @each_hidden
    @each_output
    def test_float32_stays(self, layout, hidden, output, rng):
        network = DNN([3, 4, 2], hidden, output, layout, seed=0, dtype=np.float32)
        X, Y = batch(network, rng)
        out, cache = network.forward(X, Y)
        gradients = network.gradients(out, cache, inputs=True)
        network.step(gradients, 0.1)
        arrays = [out, *gradients.values(), *network.parameters.values(), network.loss(out, Y)]
        assert {x.dtype for x in arrays} == {np.dtype(np.float32)}
        network.fit(X, Y, learning_rate=0.1, epochs=2)
        assert {x.dtype for x in network.parameters.values()} == {np.dtype(np.float32)}


class TestTargets:
    def gradients(self, network, X, Y):
        return network.gradients(*network.forward(X, Y))

    def assert_all_equal(self, network, X, forms):
        first, *others = (self.gradients(network, X, Y) for Y in forms)
        for found in others:
            for name, gradient in first.items():
                assert_array_equal(found[name], gradient)

    @each_layout
    def test_forms_of_classes(self, layout, rng):
        network = DNN([2, 3], output="softmax", layout=layout, seed=0)
        X = laid(network, rng.normal(size=(4, 2)))
        labels = np.array([0, 2, 1, 2])
        one_hot = laid(network, np.eye(3)[labels])
        along = laid(network, labels[:, None])
        forms = [labels, list(labels), labels.astype(float), along, one_hot, one_hot.astype(int)]
        self.assert_all_equal(network, X, forms)

    @each_layout
    def test_forms_of_two_classes(self, layout, rng):
        network = DNN([2, 1], layout=layout, seed=0)
        X = laid(network, rng.normal(size=(4, 2)))
        labels = np.array([0, 1, 1, 0])
        along = laid(network, labels[:, None])
        forms = [labels, labels == 1, labels.astype(float), along, along.astype(float)]
        self.assert_all_equal(network, X, forms)

    def test_probabilities(self, rng):
        network = DNN([2, 3], output="softmax", layout="rows", seed=0)
        X, Y = rng.normal(size=(4, 2)), ops.softmax(rng.normal(size=(4, 3)))
        expected = cr.grad(network.mean_loss)(network.parameters, X, Y)
        assert_allclose(self.gradients(network, X, Y)["W1"], expected["W1"], rtol=1e-12)

    def test_the_given_ones_count_before_those_kept(self):
        network = DNN([1, 1], seed=0)
        out, cache = network.forward([[1.0, 2.0]], [0, 0])
        assert_array_equal(cache["Y"], [0, 0])
        assert_array_equal(network.gradients(out, cache, [1, 1])["Z1"], out - 1)


class TestLoss:
    """Squared error is the mean over all elements; cross-entropies are means over examples."""

    def test_values(self):
        X = np.zeros((1, 2))
        two = np.log(2)
        assert_allclose(DNN([1, 1]).mean_loss(DNN([1, 1]).parameters, X, [0, 1]), two)
        assert_allclose(DNN([1, 3]).mean_loss(DNN([1, 3]).parameters, X, np.ones((3, 2))), 3 * two)
        softmax, linear = DNN([1, 4], output="softmax"), DNN([1, 2], output="linear")
        assert_allclose(softmax.mean_loss(softmax.parameters, X, [0, 3]), 2 * two)
        assert linear.mean_loss(linear.parameters, X, [[1.0, 2.0], [3.0, 4.0]]) == 30 / 4

    @each_layout
    @each_output
    def test_from_the_output_as_from_the_cache(self, layout, output, rng):
        network = DNN([3, 4, 2], "tanh", output, layout, seed=0)
        X, Y = batch(network, rng)
        out, cache = network.forward(X, Y)
        assert_allclose(network.loss(out, Y), network.loss(out, cache=cache), rtol=1e-13)
        gradient = cr.grad(network.loss)(out, Y)
        slope = cr.vjp(network._output.activation, cache["Z2"])[1](gradient)[0]
        scale = EXAMPLES if layout == "columns" else 1
        assert_allclose(scale * slope, network.gradients(out, cache)["Z2"], rtol=1e-11, atol=1e-15)

    @pytest.mark.parametrize("output", ["sigmoid", "softmax"])
    def test_large_scores(self, output):
        """Where exponentials overflow and probabilities round to 0 and 1."""
        network = DNN([1, 2], output=output)
        network.parameters["W1"][:] = [[1e4], [-1e4]]
        Y = np.array([[0.0], [1.0]])
        out, cache = network.forward([[1.0]], Y)
        assert_array_equal(out, [[1.0], [0.0]])
        assert network.loss(out, Y, cache) == 2e4
        assert network.loss(out, Y) == np.inf
        assert network.loss(out, 1 - Y) == 0
        assert_array_equal(network.gradients(out, cache)["Z1"], [[1.0], [-1.0]])


class TestTraining:
    def test_a_step_by_hand(self):
        network = DNN([2, 2], output="linear", seed=0)
        before = {name: p.copy() for name, p in network.parameters.items()}
        gradients = network.gradients(*network.forward(np.ones((2, 3)), np.ones((2, 3))))
        network.step(gradients, 0.25)
        for name, p in network.parameters.items():
            assert_array_equal(p, before[name] - 0.25 * gradients[name])

    def test_fit_is_its_steps(self, rng):
        fitted, stepped = (DNN([3, 4, 2], "relu", "softmax", seed=0) for _ in range(2))
        X, Y = batch(fitted, rng)
        losses = fitted.fit(X, Y, learning_rate=0.3, epochs=5)
        for loss in losses:
            out, cache = stepped.forward(X, Y)
            assert stepped.loss(out, Y, cache) == loss
            stepped.step(stepped.gradients(out, cache), 0.3)
        for name, p in fitted.parameters.items():
            assert_array_equal(p, stepped.parameters[name])
        assert losses.shape == (5,)
        assert losses[-1] < losses[0]

    @pytest.mark.parametrize(
        ("output", "Y", "expected"),
        [
            ("sigmoid", [[0, 1, 1, 0], [1, 1, 0, 0]], [[0, 1, 1, 0], [1, 1, 0, 0]]),
            ("softmax", [1, 0, 0, 1], [1, 0, 0, 1]),
            ("linear", [[0.0, 1, 1, 0], [2, 2, 3, 3]], [[0.0, 1, 1, 0], [2, 2, 3, 3]]),
        ],
    )
    def test_predict(self, output, Y, expected):
        network = DNN([2, 8, 2], "tanh", output, seed=1)
        X = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
        network.fit(X, Y, learning_rate=0.3, epochs=3000)
        assert_allclose(network.predict(X), expected, atol=1e-3)

    def test_seeds(self):
        first, again, other = (DNN([2, 3, 1], seed=seed).parameters["W1"] for seed in (1, 1, 2))
        assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        assert_array_equal(DNN([2, 3, 1], layout="rows", seed=1).parameters["W1"], first.T)

    @pytest.mark.parametrize(
        ("hidden", "bound"),
        [("sigmoid", 4 * np.sqrt(6 / 300)), ("tanh", np.sqrt(6 / 300)), ("relu", np.sqrt(6 / 100))],
    )
    def test_initial_weights(self, hidden, bound):
        parameters = DNN([100, 200, 50], hidden, seed=0).parameters
        assert_allclose(np.max(np.abs(parameters["W1"])), bound, rtol=1e-3)
        assert_allclose(np.max(np.abs(parameters["W2"])), np.sqrt(6 / 250), rtol=1e-3)
        assert not parameters["B1"].any()

    def test_divergence_keeps_the_last_finite_parameters(self, rng):
        network = DNN([2, 4, 1], "relu", "linear", seed=0)
        X, Y = rng.normal(size=(2, 6)), rng.normal(size=(1, 6))
        with pytest.raises(DivergenceError, match="not finite after") as caught:
            network.fit(X, Y, learning_rate=1e6, epochs=100)
        assert "learning_rate=100000" in str(caught.value)
        assert np.isfinite(network.loss(network.forward(X)[0], Y))

    @each_layout
    def test_the_example_that_is_not_finite(self, layout):
        network = DNN([2, 1], layout=layout, seed=0)
        X = laid(network, np.array([[0.0, 1.0], [1.0, 1.0], [np.nan, 0.0]]))
        with pytest.raises(DivergenceError) as caught:
            network.fit(X, [0, 1, 1], learning_rate=1, epochs=1)
        assert f"first example: {layout[:-1]} 2" in str(caught.value)
        assert "A0 (X)" in str(caught.value)

    def test_a_target_that_is_missing(self):
        with pytest.raises(DivergenceError, match="after 0 steps") as caught:
            DNN([1, 1], output="linear").fit([[1, 2]], [[1, np.nan]], learning_rate=1, epochs=1)
        assert "first not finite: Y" in str(caught.value)
        assert "column 1" in str(caught.value)

    def test_an_input_that_is_learned(self, rng):
        """As embeddings are: the gradient of A0 takes the loss down."""
        network = DNN([3, 4, 1], seed=0)
        X, Y = rng.normal(size=(3, 5)), [0, 1, 1, 0, 1]
        out, cache = network.forward(X, Y)
        moved = X - network.gradients(out, cache, inputs=True)["A0"]
        assert network.loss(network.forward(moved)[0], Y) < network.loss(out, Y)


class TestBadInput:
    @pytest.mark.parametrize("sizes", [[2, 0, 1], [2, -3, 1], [2, 2.0], [2, True], [2, "3"]])
    def test_sizes(self, sizes):
        with pytest.raises(SettingError, match=r"sizes\[1\] needs to be a positive integer"):
            DNN(sizes)

    @pytest.mark.parametrize("sizes", [[], [3], 3, None])
    def test_too_few_sizes(self, sizes):
        with pytest.raises(SettingError, match="at least two"):
            DNN(sizes)

    @pytest.mark.parametrize(
        ("settings", "near"),
        [
            ({"hidden": "sigmod"}, "sigmoid"),
            ({"hidden": "ReLU"}, "relu"),
            ({"hidden": np.tanh}, "tanh"),
            ({"output": "soft_max"}, "softmax"),
            ({"layout": "column"}, "columns"),
        ],
    )
    def test_names(self, settings, near):
        with pytest.raises(SettingError, match="needs to be one of") as caught:
            DNN([2, 3, 2], **settings)
        assert f"Did you mean '{near}'?" in str(caught.value)

    def test_softmax_of_one(self):
        with pytest.raises(SettingError, match="at least 2"):
            DNN([2, 1], output="softmax")

    @pytest.mark.parametrize("dtype", [int, "float16", "nonsense"])
    def test_dtype(self, dtype):
        with pytest.raises(SettingError, match="float64 or float32"):
            DNN([2, 1], dtype=dtype)

    @each_layout
    def test_labels_outside(self, layout):
        network = DNN([2, 3], output="softmax", layout=layout)
        X = laid(network, np.ones((5, 2)))
        with pytest.raises(LabelError) as caught:
            network.forward(X, [0, 3, 1, -1, 2])
        word = layout[:-1]
        assert f"from 0 to 2, got 3 in {word} 1 and -1 in {word} 3." in str(caught.value)
        with pytest.raises(LabelError, match="pass Y - 1") as caught:
            network.forward(X, [1, 2, 3, 3, 1])
        with pytest.raises(LabelError, match=r"got 0.5 in \w+ 0 and nan in \w+ 1"):
            network.forward(X, [0.5, np.nan, 1, 1, 1])
        with pytest.raises(LabelError, match=r"9 in \w+ 3 and 1 more"):
            network.forward(X, [9] * 5)

    def test_labels_of_two_classes(self):
        with pytest.raises(LabelError, match=r"from 0 to 1, got -1 in column 0"):
            DNN([1, 1]).forward([[1.0, 2.0]], [-1, 1])
        with pytest.raises(LabelError, match=r"between 0 and 1, .* not in column 1"):
            DNN([1, 1]).forward([[1.0, 2.0]], [[0.5, 2.0]])

    def test_targets_that_are_no_distribution(self):
        network = DNN([1, 2], output="softmax")
        with pytest.raises(LabelError, match=r"sum to 1 .* 2.0 in column 1"):
            network.forward([[1.0, 2.0]], [[1.0, 1.0], [0.0, 1.0]])

    @each_layout
    def test_one_dimension_against_two(self, layout):
        """(n,) against (n, 1): never broadcast to (n, n)."""
        network = DNN([2, 1], output="linear", layout=layout)
        X = laid(network, np.ones((5, 2)))
        with pytest.raises(ShapeError) as caught:
            network.forward(X, np.ones(5))
        said = str(caught.value)
        assert "got [5]" in said
        assert str(list(laid(network, np.ones((5, 1))).shape)) in said
        assert ("Y[None]" if layout == "columns" else "Y[:, None]") in said
        with pytest.raises(ShapeError, match=r"transposed|Y\.T"):
            network.forward(X, laid(network, np.ones((5, 1))).T)

    def test_labels_in_the_other_layout(self):
        with pytest.raises(ShapeError) as caught:
            DNN([2, 3], output="softmax").forward(np.ones((2, 4)), [[0], [1], [2], [0]])
        assert "needs labels [4] or targets [3, 4], got [4, 1]" in str(caught.value)
        assert "Y.T" in str(caught.value)

    def test_labels_for_several_sigmoids(self):
        with pytest.raises(ShapeError) as caught:
            DNN([2, 3]).forward(np.ones((2, 4)), [0, 1, 2, 0])
        assert "softmax" in str(caught.value)

    @each_layout
    def test_features(self, layout):
        network = DNN([2, 1], layout=layout)
        with pytest.raises(ShapeError) as caught:
            network.forward(laid(network, np.ones((5, 3))))
        assert str(list(laid(network, np.ones((5, 3))).shape)) in str(caught.value)
        with pytest.raises(ShapeError) as caught:
            network.forward(laid(network, np.ones((5, 2))).T)
        assert "X.T" in str(caught.value)
        with pytest.raises(ShapeError) as caught:
            network.forward([1.0, 2.0])
        assert ("X[:, None]" if layout == "columns" else "X[None]") in str(caught.value)
        with pytest.raises(ShapeError, match="at least one example"):
            network.forward(laid(network, np.ones((0, 2))))
        with pytest.raises(ShapeError) as caught:
            DNN([1, 1], layout=layout).forward([1.0, 2.0, 3.0])
        assert ("X[None]" if layout == "columns" else "X[:, None]") in str(caught.value)

    @pytest.mark.parametrize(
        "X", [[["a"], ["b"]], [[1j], [2j]], [[1.0], [1.0, 2.0]], [[None], [1]]]
    )
    def test_what_is_no_array_of_numbers(self, X):
        with pytest.raises(InputTypeError, match="X needs"):
            DNN([2, 1]).forward(X)

    def test_no_targets(self):
        network = DNN([1, 1])
        out, cache = network.forward([[1.0]])
        for call in (lambda: network.gradients(out, cache), lambda: network.loss(out)):
            with pytest.raises(LabelError, match="neither in the call nor in the cache"):
                call()

    def test_gradients_that_are_missing_or_misshapen(self):
        network = DNN([1, 2, 1], seed=0)
        gradients = network.gradients(*network.forward([[1.0]], [1]))
        before = dict(network.parameters)
        with pytest.raises(StructureError, match="W1, B2 are missing"):
            network.step({n: g for n, g in gradients.items() if n not in {"W1", "B2"}}, 0.1)
        with pytest.raises(ShapeError, match=r"gradient of B2 needs the shape \[1, 1\], got \[1\]"):
            network.step(gradients | {"B2": np.ones(1)}, 0.1)
        assert all(network.parameters[name] is p for name, p in before.items())

    def test_a_cache_of_another_network(self):
        network = DNN([1, 1])
        _out, cache = DNN([1, 2, 1]).forward([[1.0]], [1])
        with pytest.raises(StructureError, match="W2, Z2, A2"):
            DNN([1, 2, 1]).gradients(*network.forward([[1.0]], [1]))
        with pytest.raises(ShapeError, match="out needs"):
            DNN([1, 2, 1]).gradients(np.ones((1, 2)), cache)
        with pytest.raises(ShapeError, match="out needs"):
            network.loss(np.ones(2), [1, 1])

    def test_a_parameter_of_another_shape(self):
        network = DNN([1, 2, 1])
        network.parameters["B1"] = np.zeros(2)
        with pytest.raises(ShapeError, match=r"B1 .* needs the shape \[2, 1\], got \[2\]"):
            network.forward([[1.0]])

    @pytest.mark.parametrize("rate", [0, -0.1, np.inf, np.nan, 1j, "0.1", None, True])
    def test_learning_rate(self, rate):
        with pytest.raises(SettingError, match="learning_rate needs to be a positive number"):
            DNN([1, 1]).fit([[1.0]], [1], learning_rate=rate, epochs=1)

    @pytest.mark.parametrize("epochs", [0, -1, 1.0, True])
    def test_epochs(self, epochs):
        with pytest.raises(SettingError, match="epochs needs to be a positive integer"):
            DNN([1, 1]).fit([[1.0]], [1], learning_rate=1, epochs=epochs)


def test_it_reads_as_it_was_written():
    written = "DNN([2, 3, 1], hidden='tanh', output='sigmoid', layout='rows')"
    assert repr(DNN([2, 3, 1], "tanh", layout="rows")) == written
