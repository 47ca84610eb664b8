"""NumPy by hand, as fast as it goes: every result into memory that is there already.

Tried and slower or no faster: biases folded into the products as a row of the weights, ``where=``
or a boolean product for ReLU's gradient.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers.flat_adam import FlatAdam

NAME = "NumPy by hand"


class Step:
    """One training step for a batch of a certain size."""

    def __init__(self, adam, sizes, batch):
        self.adam = adam
        self.layers, self.gradients = adam.layers, adam.gradients
        self.A = [np.empty((batch, n), np.float32) for n in sizes[:-1]]
        self.D = [np.empty((batch, n), np.float32) for n in sizes[1:]]
        self.bits = [np.empty((batch, n), np.int32) for n in sizes[:-1]]
        self.ones = np.ones(batch, np.float32)
        self.row = np.empty((batch, 1), np.float32)
        self.offsets = np.arange(batch) * sizes[-1]
        self.chosen = np.empty(batch, np.intp)
        self.picked = np.empty(batch, np.float32)
        self.scale = np.float32(1 / batch)

    def forward(self):
        """Return the outputs of the last layer; ReLU lies between layers."""
        zero = np.float32(0)
        for i, (W, b) in enumerate(self.layers[:-1]):
            h = self.A[i + 1]
            np.matmul(self.A[i], W, h)
            np.add(h, b, h)
            np.maximum(h, zero, out=h)
        W, b = self.layers[-1]
        Z = np.matmul(self.A[-1], W, self.D[-1])
        return np.add(Z, b, Z)

    def loss(self, y):
        """Return the mean cross-entropy, and leave its gradient where the outputs were."""
        Z, row, flat = self.D[-1], self.row, self.D[-1].reshape(-1)
        np.add(self.offsets, y, self.chosen)
        np.maximum.reduce(Z, axis=1, keepdims=True, out=row)
        np.subtract(Z, row, Z)
        flat.take(self.chosen, out=self.picked, mode="clip")
        np.exp(Z, Z)
        np.add.reduce(Z, axis=1, keepdims=True, out=row)
        np.divide(Z, row, Z)
        flat[self.chosen] -= np.float32(1)
        np.multiply(Z, self.scale, Z)
        np.log(row, row)
        return (np.add.reduce(row, axis=None) - np.add.reduce(self.picked)) * self.scale

    def backward(self):
        """Leave the gradients in the arena."""
        for i in range(len(self.layers) - 1, -1, -1):
            dW, db = self.gradients[i]
            np.matmul(self.A[i].T, self.D[i], dW)
            np.matmul(self.ones, self.D[i], db)
            if i:
                D, bits = self.D[i - 1].view(np.int32), self.bits[i]
                np.matmul(self.D[i], self.layers[i][0].T, self.D[i - 1])
                # All ones where the activation is positive, all zeros where it is 0.
                np.negative(self.A[i].view(np.int32), bits)
                np.right_shift(bits, 31, bits)
                np.bitwise_and(D, bits, D)

    def __call__(self, y):
        """Train on the inputs in ``A[0]``; return the loss."""
        self.forward()
        loss = self.loss(y)
        self.backward()
        self.adam.update()
        return loss


def adam_step(network):
    """Return one step on one batch."""
    X, y = network.data()
    step = Step(FlatAdam(network.parameters()), network.sizes, network.batch)
    step.A[0][:] = X
    return lambda: step(y)


def epoch(network, X, y):
    """Return an epoch in a given order, the batches gathered by index."""
    adam = FlatAdam(network.parameters())
    full = Step(adam, network.sizes, network.batch)
    whole, rest = divmod(len(X), network.batch)
    last = Step(adam, network.sizes, rest) if rest else None
    labels = np.empty(network.batch, y.dtype)

    def run(order):
        total, start = 0.0, 0
        for _ in range(whole):
            part = order[start : start + network.batch]
            full.A[0][:] = X[part]
            y.take(part, out=labels, mode="clip")
            total += float(full(labels))
            start += network.batch
        total *= network.batch
        if last:
            part = order[start:]
            last.A[0][:] = X[part]
            total += rest * float(last(y[part]))
        return total / len(X)

    return run


def predict_row(network):
    """Return a function from one row to the outputs."""
    step = Step(FlatAdam(network.parameters()), network.sizes, 1)

    def predict(x):
        step.A[0][:] = x
        return step.forward()

    return predict
