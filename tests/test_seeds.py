"""Four texts describe backpropagation from four sides; one engine has to agree with each.

The module chain, the cached network, the matrix calculus and the reverse mode: each test writes
that text's forward pass and its formulas in plain NumPy, and compares ``grad`` with the formulas.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import chainrule as cr
from chainrule import ops

same = {"rtol": 1e-12, "atol": 1e-14}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def logistic(x):
    """Sigmoid in plain NumPy, as a reader writes it."""
    return 1 / (1 + np.exp(-x))


class TestModuleChain:
    """Rows of x Wᵀ + b with W (out, in), a pointwise σ, and a second layer.

    Each module's backward takes the gradient at its output and hands the gradient at its input to
    the module before.
    """

    # σ as written with NumPy or as an op, and σ' in terms of σ's input.
    activations = (
        (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        (ops.sigmoid, lambda x: logistic(x) * (1 - logistic(x))),
        (ops.relu, lambda x: (x > 0).astype(float)),
    )

    @pytest.fixture(params=activations, ids=["tanh", "sigmoid", "relu"])
    def chain(self, request, rng):
        """Modules in order, their inputs in order, and the text's gradient at each input."""
        sigma, slope = request.param
        n, d0, d1, d2 = 4, 3, 5, 2
        w1, b1 = rng.normal(size=(d1, d0)), rng.normal(size=d1)
        w2, b2 = rng.normal(size=(d2, d1)), rng.normal(size=d2)
        x0, target = rng.normal(size=(n, d0)), rng.normal(size=(n, d2))

        modules = [
            lambda x: x @ w1.T + b1,
            sigma,
            lambda x: x @ w2.T + b2,
            lambda y: np.mean((y - target) ** 2),
        ]
        x1 = x0 @ w1.T + b1
        a1 = sigma(x1)
        x2 = a1 @ w2.T + b2
        gradient_x2 = 2 * (x2 - target) / target.size
        gradient_a1 = gradient_x2 @ w2
        gradient_x1 = gradient_a1 * slope(x1)
        gradient_x0 = gradient_x1 @ w1
        return modules, [x0, x1, a1, x2], [gradient_x0, gradient_x1, gradient_a1, gradient_x2]

    @pytest.mark.parametrize("layer", range(4))
    def test_gradient_at_each_modules_input(self, chain, layer):
        modules, inputs, expected = chain

        def rest(x):
            for module in modules[layer:]:
                x = module(x)
            return x

        assert_allclose(cr.grad(rest)(inputs[layer]), expected[layer], **same)

    def test_modules_hand_the_gradient_back(self, chain):
        modules, (x, *_), expected = chain
        pulls = []
        for module in modules:
            x, pull = cr.vjp(module, x)
            pulls.append(pull)
        gradient = np.ones_like(x)
        for pull, expectation in zip(reversed(pulls), reversed(expected), strict=True):
            (gradient,) = pull(gradient)
            assert_allclose(gradient, expectation, **same)

    def test_local_gradient_of_an_affine_module(self, rng):
        """One example: ∇fᵢ is Wᵢ itself, of shape (dᵢ, dᵢ₋₁)."""
        w, b, x = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
        assert_allclose(cr.jacobian(lambda x: x @ w.T + b)(x), w, **same)

    @pytest.mark.parametrize(("sigma", "slope"), activations, ids=["tanh", "sigmoid", "relu"])
    def test_local_gradient_of_a_pointwise_module(self, rng, sigma, slope):
        """∇σ is diagonal, so its product with the incoming gradient is elementwise."""
        x = rng.normal(size=5)
        assert_allclose(cr.jacobian(sigma)(x), np.diag(slope(x)), **same)


class TestCachedNetwork:
    """Columns are examples; the forward pass fills a cache Z1 A1 … and the formulas read it.

    The text's Z and A gradients are per example and its W and B gradients are averages over the m
    columns. The true derivative of the mean loss carries the 1/m everywhere.
    """

    @pytest.fixture(
        params=[(2, 3, 3, 1), (4, 5, 1), (3, 4, 5, 4, 1), (2, 3, 3, 4)],
        ids=lambda sizes: "-".join(map(str, sizes)),
    )
    def network(self, request, rng):
        """Number of layers, parameters, and targets (one-hot columns for several classes)."""
        sizes, m = request.param, 6
        layers = len(sizes) - 1
        params = {"A0": rng.normal(size=(sizes[0], m))}
        for layer in range(1, layers + 1):
            params[f"W{layer}"] = rng.normal(size=(sizes[layer], sizes[layer - 1]))
            params[f"B{layer}"] = rng.normal(size=(sizes[layer], 1))
        several = sizes[-1] > 1
        labels = rng.integers(0, max(2, sizes[-1]), size=m)
        return (
            layers,
            params,
            np.eye(sizes[-1])[:, labels] if several else labels[None].astype(float),
        )

    def output(self, z):
        if z.shape[0] == 1:
            return logistic(z)
        exponentials = np.exp(z)
        return exponentials / np.sum(exponentials, axis=0, keepdims=True)

    def forward(self, layers, params, start=0, given=None):
        """The cache from A0 on, or from a given Z of layer ``start`` on."""
        cache = dict(params)
        for layer in range(max(start, 1), layers + 1):
            if layer == start:
                z = given
            else:
                z = params[f"W{layer}"] @ cache[f"A{layer - 1}"] + params[f"B{layer}"]
            cache[f"Z{layer}"] = z
            cache[f"A{layer}"] = self.output(z) if layer == layers else logistic(z)
        return cache

    def mean_loss(self, a, y):
        m = y.shape[1]
        if y.shape[0] == 1:
            return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a)) / m
        return -np.sum(y * np.log(a)) / m

    def formulas(self, layers, cache, y):
        """The text's gradients, keyed as its dictionary is."""
        m = y.shape[1]
        grads = {f"Z{layers}": cache[f"A{layers}"] - y}
        for layer in range(layers, 0, -1):
            dz, before = grads[f"Z{layer}"], cache[f"A{layer - 1}"]
            grads[f"W{layer}"] = dz @ before.T / m
            grads[f"B{layer}"] = np.sum(dz, axis=1, keepdims=True) / m
            grads[f"A{layer - 1}"] = cache[f"W{layer}"].T @ dz
            if layer > 1:
                grads[f"Z{layer - 1}"] = grads[f"A{layer - 1}"] * before * (1 - before)
        return grads

    def test_parameters_and_input(self, network):
        """A dictionary of parameters in, a dictionary of gradients out; A0 is the learned input."""
        layers, params, y = network
        expected = self.formulas(layers, self.forward(layers, params), y)

        def loss(params):
            return self.mean_loss(self.forward(layers, params)[f"A{layers}"], y)

        gradients = cr.grad(loss)(params)
        assert gradients.keys() == params.keys()
        for name in params:
            true = expected[name] / (y.shape[1] if name == "A0" else 1)
            assert_allclose(gradients[name], true, err_msg=name, **same)

    def test_pre_activations_per_example(self, network):
        layers, params, y = network
        cache = self.forward(layers, params)
        expected = self.formulas(layers, cache, y)
        for layer in range(1, layers + 1):

            def loss(z, layer=layer):
                return self.mean_loss(self.forward(layers, params, layer, z)[f"A{layers}"], y)

            gradient = cr.grad(loss)(cache[f"Z{layer}"])
            assert_allclose(gradient * y.shape[1], expected[f"Z{layer}"], **same)


class TestMatrixCalculus:
    """Rows are examples; the reader's own NumPy forward pass, letter for letter in that style."""

    N, D, H, C = 6, 5, 7, 3

    @pytest.fixture
    def arrays(self, rng):
        """W1 b1 W2 b2 X y. One example is all zeros and b1 is 0, so that y1 holds exact zeros."""
        n, d, h, c = self.N, self.D, self.H, self.C
        inputs = rng.normal(size=(n, d))
        inputs[2] = 0
        w1, w2 = rng.normal(size=(d, h)), rng.normal(size=(h, c))
        return w1, np.zeros(h), w2, rng.normal(size=c), inputs, rng.integers(0, c, size=n)

    def loss(self, W1, b1, W2, b2, X, y):
        N = X.shape[0]
        y1 = X.dot(W1) + b1
        h1 = np.maximum(0, y1)
        y2 = h1.dot(W2) + b2
        exp_scores = np.exp(y2)
        probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        correct_logprobs = -np.log(probs[range(N), y])
        return np.sum(correct_logprobs) / N

    def closed_forms(self, W1, b1, W2, b2, X, y):
        """Gradients by hand; the slope of max(0, ·) at 0 is 0."""
        N = X.shape[0]
        y1 = X.dot(W1) + b1
        h1 = np.maximum(0, y1)
        exp_scores = np.exp(h1.dot(W2) + b2)
        dy2 = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        dy2[range(N), y] -= 1
        dy2 /= N
        dy1 = dy2.dot(W2.T) * (y1 > 0)
        return X.T.dot(dy1), dy1.sum(axis=0), h1.T.dot(dy2), dy2.sum(axis=0), dy1.dot(W1.T)

    def test_forward_pass_unchanged(self, arrays):
        value, gradients = cr.value_and_grad(self.loss, argnums=(0, 1, 2, 3, 4))(*arrays)
        assert_allclose(value, self.loss(*arrays), rtol=1e-15)
        for gradient, expected in zip(gradients, self.closed_forms(*arrays), strict=True):
            assert_allclose(gradient, expected, **same)

    @pytest.mark.parametrize("argnum", range(5), ids=["W1", "b1", "W2", "b2", "X"])
    def test_one_argument_at_a_time(self, arrays, argnum):
        gradient = cr.grad(self.loss, argnums=argnum)(*arrays)
        assert_allclose(gradient, self.closed_forms(*arrays)[argnum], **same)

    def test_softmax_row(self, rng):
        """∂Lᵢ/∂f is p − 1[yᵢ] for one row of scores."""
        scores = rng.normal(size=4)
        probs = np.exp(scores) / np.sum(np.exp(scores))
        gradient = cr.grad(lambda f: -np.log(np.exp(f[1]) / np.sum(np.exp(f))))(scores)
        assert_allclose(gradient, probs - np.eye(4)[1], **same)

    def test_the_bias_gradient_is_a_square_identity_per_row(self, arrays):
        _, _, W2, b2, _, _ = arrays
        row = np.ones(self.H)
        assert_allclose(cr.jacobian(lambda b: row @ W2 + b)(b2), np.eye(self.C), rtol=0)

    def test_the_rectifiers_jacobian_is_diagonal(self):
        x = np.array([-1.0, 0.0, 2.0])
        assert_allclose(
            cr.jacobian(lambda x: np.maximum(0, x))(x), np.diag([0.0, 0.0, 1.0]), rtol=0
        )


class TestReverseMode:
    """No closed form for the whole: store each layer's local partials, and expand the chain rule.

    With a = W h and W (out, in), the layer Jacobian ∂h′ⱼ/∂hᵢ is σ'(aⱼ) Wⱼᵢ.
    """

    @pytest.fixture
    def weights(self, rng):
        sizes = (3, 4, 5, 2)
        return [rng.normal(size=shape) for shape in zip(sizes[1:], sizes, strict=False)]

    @pytest.fixture
    def values(self, weights, rng):
        """h⁰, h¹, … of one example."""
        values = [rng.normal(size=3)]
        for w in weights:
            values.append(self.layer(w, values[-1]))
        return values

    def layer(self, w, h):
        return np.tanh(w @ h)

    def network(self, weights, h):
        for w in weights:
            h = self.layer(w, h)
        return h

    def local(self, w, h):
        """σ'(aⱼ) Wⱼᵢ in plain NumPy."""
        return (1 - np.tanh(w @ h) ** 2)[:, None] * w

    def test_layer_jacobian(self, weights, values):
        for w, h in zip(weights, values, strict=False):
            assert_allclose(cr.jacobian(self.layer, argnums=1)(w, h), self.local(w, h), **same)

    def test_chain_of_stored_jacobians_reaches_the_inputs(self, weights, values):
        stored = [
            cr.jacobian(self.layer, argnums=1)(w, h)
            for w, h in zip(weights, values[:-1], strict=True)
        ]
        chain = np.eye(2)
        for local in reversed(stored):
            chain = chain @ local
        for i in range(2):
            gradient = cr.grad(lambda h, i=i: self.network(weights, h)[i])(values[0])
            assert_allclose(gradient, chain[i], **same)

    def test_chain_of_stored_jacobians_reaches_the_parameters(self, weights, values):
        """From ∂f/∂h′ on: ∂f/∂Wⱼᵢ is ∂f/∂h′ⱼ σ'(aⱼ) hᵢ."""
        for i in range(2):
            gradients = cr.grad(lambda weights, i=i: self.network(weights, values[0])[i])(weights)
            at_output = np.eye(2)[i]
            for w, h, gradient in zip(weights[::-1], values[-2::-1], gradients[::-1], strict=True):
                slope = 1 - np.tanh(w @ h) ** 2
                assert_allclose(gradient, np.outer(at_output * slope, h), **same)
                at_output = at_output @ self.local(w, h)

    def test_a_weight_moves_its_own_node_only(self, weights, values):
        """∂h′ⱼ/∂Wₖᵢ is σ'(aⱼ) hᵢ where j = k, and every other term of the sum is 0."""
        w, h = weights[-1], values[-2]
        slope = 1 - np.tanh(w @ h) ** 2
        expected = np.einsum("j,jk,i->jki", slope, np.eye(2), h)
        assert_allclose(cr.jacobian(self.layer)(w, h), expected, **same)
