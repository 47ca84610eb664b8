"""Numbers that others have printed, reproduced to every digit they gave.

Each test names its source; the function is written as that source writes it.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import chainrule as cr
from chainrule import ops


def printed(value: float, decimals: int) -> float:
    """A number as it would be printed with so many decimals."""
    return round(float(value), decimals)


def test_micrograd_expression():
    """The worked expression of micrograd's README.

    Andrej Karpathy, "micrograd", https://github.com/karpathy/micrograd, section "Example usage".
    """

    def expression(a, b):
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + ops.relu(b + a)
        d += 3 * d + ops.relu(b - a)
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        return g

    value, (da, db) = cr.value_and_grad(expression, argnums=(0, 1))(-4.0, 2.0)
    assert printed(value, 4) == 24.7041
    assert printed(da, 4) == 138.8338
    assert printed(db, 4) == 645.5773


def survey_example(x1, x2):
    """The running example ln x1 + x1 x2 - sin x2 of the survey cited below."""
    return np.log(x1) + x1 * x2 - np.sin(x2)


class TestSurveyExample:
    """The example evaluated at (2, 5) in two modes by a survey.

    A. G. Baydin, B. A. Pearlmutter, A. A. Radul and J. M. Siskind, "Automatic differentiation in
    machine learning: a survey", Journal of Machine Learning Research 18 (153), 2018; Table 2
    (forward mode) and Table 3 (reverse mode).
    """

    def test_reverse_mode(self):
        value, (dx1, dx2) = cr.value_and_grad(survey_example, argnums=(0, 1))(2.0, 5.0)
        assert printed(value, 3) == 11.652
        assert printed(dx1, 3) == 5.5
        assert printed(dx2, 3) == 1.716

    @pytest.mark.parametrize(("tangents", "slope"), [((1.0, 0.0), 5.5), ((0.0, 1.0), 1.716)])
    def test_forward_mode(self, tangents, slope):
        value, dy = cr.jvp(survey_example, (2.0, 5.0), tangents)
        assert printed(value, 3) == 11.652
        assert printed(dy, 3) == slope


class TestStepByStepExample:
    """Two inputs, two hidden and two output neurons, one step of gradient descent.

    Matt Mazur, "A Step by Step Backpropagation Example", 2015,
    https://mattmazur.com/2015/03/17/a-step-by-step-backpropagation-example/. Weights are (out, in),
    both neurons of a layer share one bias, and the biases are not updated. The article works with
    rounded intermediate numbers, which moves its last figure to 0.291027924; in double precision
    the same step ends at 0.29102777369359933.
    """

    inputs = np.array([0.05, 0.10])
    targets = np.array([0.01, 0.99])
    w1 = np.array([[0.15, 0.20], [0.25, 0.30]])
    w2 = np.array([[0.40, 0.45], [0.50, 0.55]])

    def error(self, w1, w2):
        hidden = 1 / (1 + np.exp(-(w1 @ self.inputs + 0.35)))
        output = 1 / (1 + np.exp(-(w2 @ hidden + 0.60)))
        return np.sum((self.targets - output) ** 2 / 2)

    def test_error_and_gradients(self):
        value, (dw1, dw2) = cr.value_and_grad(self.error, argnums=(0, 1))(self.w1, self.w2)
        assert printed(value, 9) == 0.298371109
        assert printed(dw2[0, 0], 9) == 0.082167041
        assert printed(dw1[0, 0], 9) == 0.000438568

    def test_error_after_one_step(self):
        dw1, dw2 = cr.grad(self.error, argnums=(0, 1))(self.w1, self.w2)
        after = self.error(self.w1 - 0.5 * dw1, self.w2 - 0.5 * dw2)
        assert_allclose(after, 0.29102777369359933, rtol=1e-15)


class TestTwoLayerNetwork:
    """The toy network of a course's first assignment.

    Stanford CS231n, "Convolutional Neural Networks for Visual Recognition", assignment 1, notebook
    ``two_layer_net.ipynb``: scores and a loss of 1.30378789133 with regulariser 0.05, in the
    convention of its later years (strength times the sum of squared weights, without a half).
    """

    labels = np.array([0, 1, 2, 2, 1])

    @pytest.fixture
    def network(self):
        """Parameters and inputs from the notebook's two seeds."""
        weights = np.random.RandomState(0)
        w1, w2 = 1e-1 * weights.randn(4, 10), 1e-1 * weights.randn(10, 3)
        inputs = 10 * np.random.RandomState(1).randn(5, 4)
        return w1, np.zeros(10), w2, np.zeros(3), inputs

    def scores(self, w1, b1, w2, b2, inputs):
        return np.maximum(0, inputs.dot(w1) + b1).dot(w2) + b2

    def loss(self, w1, b1, w2, b2, inputs):
        exp_scores = np.exp(self.scores(w1, b1, w2, b2, inputs))
        probabilities = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        data_loss = -np.sum(np.log(probabilities[range(5), self.labels])) / 5
        return data_loss + 0.05 * (np.sum(w1 * w1) + np.sum(w2 * w2))

    def test_loss(self, network):
        value, _ = cr.value_and_grad(self.loss, argnums=(0, 1, 2, 3))(*network)
        assert printed(value, 11) == 1.30378789133

    def test_scores(self, network):
        scores, _ = cr.vjp(self.scores, *network)
        expected = [
            [-0.81233741, -1.27654624, -0.70335995],
            [-0.17129677, -1.18803311, -0.47310444],
            [-0.51590475, -1.01354314, -0.8504215],
            [-0.15419291, -0.48629638, -0.52901952],
            [-0.00618733, -0.12435261, -0.15226949],
        ]
        assert_allclose(scores, expected, rtol=0, atol=5e-9)

    @pytest.mark.parametrize("argnum", range(4), ids=["w1", "b1", "w2", "b2"])
    def test_gradient_passes_the_notebooks_own_check(self, network, argnum):
        """The notebook asks for a relative error below 1e-8 against central differences."""
        gradient = cr.grad(self.loss, argnums=argnum)(*network)
        numeric = np.empty_like(gradient)
        for index in np.ndindex(gradient.shape):
            above, below = [a.copy() for a in network], [a.copy() for a in network]
            above[argnum][index] += 1e-5
            below[argnum][index] -= 1e-5
            numeric[index] = (self.loss(*above) - self.loss(*below)) / 2e-5
        error = np.abs(gradient - numeric) / np.maximum(1e-8, np.abs(gradient) + np.abs(numeric))
        assert error.max() < 1e-8
