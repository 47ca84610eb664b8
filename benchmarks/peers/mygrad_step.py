"""MyGrad: its layers and its loss, and Adam over a flat arena in NumPy."""

from __future__ import annotations

import mygrad
from mygrad.nnet.activations import relu
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.peers.flat_adam import FlatAdam

NAME = "MyGrad"

mygrad.turn_memory_guarding_off()  # as its documentation advises for speed


def adam_step(network):
    """Return one step on one batch."""
    X, y = network.data()
    adam = FlatAdam(network.parameters())
    function = {"relu": relu, "tanh": mygrad.tanh}[network.activation]

    def step():
        layers = [
            (mygrad.tensor(W, copy=False), mygrad.tensor(b, copy=False)) for W, b in adam.layers
        ]
        h = X
        for W, b in layers[:-1]:
            h = function(mygrad.matmul(h, W) + b)
        W, b = layers[-1]
        loss = softmax_crossentropy(mygrad.matmul(h, W) + b, y)
        loss.backward()
        for (dW, db), (W, b) in zip(adam.gradients, layers, strict=True):
            dW[:], db[:] = W.grad, b.grad
        adam.update()
        return loss.item()

    return step
