"""HIPS autograd: the same lines in its NumPy, and Adam over a flat arena in NumPy."""

from __future__ import annotations

import autograd.numpy as np
from autograd import grad, jacobian, value_and_grad

from benchmarks.peers.flat_adam import FlatAdam

NAME = "HIPS autograd"


def outputs(parameters, X, activation):
    """Return the outputs of the last layer."""
    for W, b in parameters[:-1]:
        Z = np.dot(X, W) + b
        X = np.tanh(Z) if activation == "tanh" else np.maximum(0, Z)
    W, b = parameters[-1]
    return np.dot(X, W) + b


def mean_loss(parameters, X, y, activation):
    """Return the mean cross-entropy."""
    Z = outputs(parameters, X, activation)
    Z = Z - np.max(Z, axis=1, keepdims=True)
    logs = Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))
    return -np.mean(logs[np.arange(len(y)), y])


def adam_step(network):
    """Return one step on one batch."""
    X, y = network.data()
    adam = FlatAdam(network.parameters())
    gradient = value_and_grad(lambda p: mean_loss(p, X, y, network.activation))

    def step():
        value, found = gradient(adam.layers)
        for (dW, db), (W, b) in zip(adam.gradients, found, strict=True):
            dW[:], db[:] = W, b
        adam.update()
        return value

    return step


def derivatives(network):
    """Return functions for the gradient, a Hessian-vector product and a Jacobian."""
    X, y = network.data()
    p = network.parameters()
    d = network.directions()
    gradient = grad(lambda p: mean_loss(p, X, y, network.activation))

    def along(p):
        pairs = zip(gradient(p), d, strict=True)
        return sum(np.sum(G * D) for layer in pairs for G, D in zip(*layer, strict=True))

    product = grad(along)
    x = X[:1]
    jacobians = [
        [jacobian(lambda part, i=i, j=j: outputs(changed(p, i, j, part), x, network.activation)[0])
         for j in range(2)]
        for i in range(len(p))
    ]  # fmt: skip

    def all_jacobians():
        return [
            [one(part) for one, part in zip(ones, layer, strict=True)]
            for ones, layer in zip(jacobians, p, strict=True)
        ]

    return {
        "gradient": lambda: gradient(p),
        "hvp": lambda: product(p),
        "jacobian": all_jacobians,
    }


def changed(parameters, i, j, part):
    """Return the parameters with one of them exchanged."""
    layer = tuple(part if j == k else old for k, old in enumerate(parameters[i]))
    return [*parameters[:i], layer, *parameters[i + 1 :]]
