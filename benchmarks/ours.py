"""Every use of chainrule in these benchmarks: one place to keep in step with it."""

from __future__ import annotations

import numpy as np

import chainrule
from benchmarks.harness import Contestant
from benchmarks.peers import reason
from benchmarks.threads import threads
from chainrule import nn, ops, train
from chainrule.inspect.example_norms import example_norms as norms_of_examples

__all__ = [
    "NAME",
    "adam_step",
    "contestant",
    "derivatives",
    "epoch",
    "example_norms",
    "fit",
    "gradients",
    "open_norms",
    "open_pass",
    "predict_row",
]

NAME = "chainrule"


def contestant(prepare, check=lambda _: None, finish=lambda run: (run, 1)):
    """Return ours, and why not if there is none.

    Parameters
    ----------
    prepare
        Returns what is then checked and finished.
    check
        Raises where it computes something else than it should.
    finish
        Makes ``(run, units)`` of it.
    """
    try:
        prepared = prepare()
        check(prepared)
    except Exception as error:  # noqa: BLE001 - the peers are timed all the same
        return None, {NAME: reason(error)}
    run, units = finish(prepared)
    return Contestant(NAME, run, units), {}


def model_of(network):
    """Return the network with its first parameters."""
    function = {"relu": nn.ReLU, "tanh": nn.Tanh}[network.activation]
    layers = []
    for W, b in network.parameters():
        layer = nn.Linear(*W.shape, dtype=np.float32)
        layer.weight, layer.bias = nn.Parameter(W.T.copy()), nn.Parameter(b)
        layers += [layer, function()]
    return nn.Sequential(*layers[:-1])


def trainer_of(network):
    """Return a trainer at its first step."""
    return train.Trainer(
        model_of(network),
        loss=nn.CrossEntropyLoss(),
        optimiser=train.Adam(),
        threads=threads(),
    )


def open_pass(network, dtype):
    """Return a function that opens the network on its batch."""
    X, y = network.data()
    X, model, loss = X.astype(dtype), model_of(network).astype(dtype), nn.CrossEntropyLoss()
    return lambda: chainrule.open(model, X, loss=loss, target=y)


def adam_step(network):
    """Return one step on one batch."""
    trainer = trainer_of(network)
    X, y = network.data()
    return lambda: trainer.step(X, y)


def epoch(network, X, y):
    """Return an epoch in a given order."""
    trainer = trainer_of(network)
    return lambda order: trainer.epoch(X, y, network.batch, order)


def fit(network, X, y, epochs):
    """Return a training of so many epochs from the start."""
    return lambda: train.fit(
        model_of(network),
        X,
        y,
        loss=nn.CrossEntropyLoss(),
        optimiser=train.Adam(),
        epochs=epochs,
        batch_size=network.batch,
        threads=threads(),
    )


def predict_row(network):
    """Return a function from one row to the outputs."""
    return chainrule.compile(model_of(network).eval())


def derivatives(network):
    """Return functions for the gradient, a Hessian-vector product and a Jacobian."""
    X, y = network.data()
    p, d = network.parameters(), network.directions()
    rows, x = np.arange(len(y)), X[0]

    def outputs(p, h):
        for W, b in p[:-1]:
            h = np.tanh(h @ W + b)
        W, b = p[-1]
        return h @ W + b

    def loss(p, X, y):
        Z = outputs(p, X)
        Z = Z - np.max(Z, axis=1, keepdims=True)
        logs = Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))
        return -np.mean(logs[rows, y])

    compiled = chainrule.compile
    gradient = compiled(chainrule.grad(loss), threads=threads())
    product = compiled(
        lambda p, d, X, y: chainrule.hvp(lambda p: loss(p, X, y), (p,), (d,))[0],
        threads=threads(),
    )
    jacobian = compiled(chainrule.jacobian(outputs), threads=threads())
    return {
        "gradient": lambda: gradient(p, X, y),
        "hvp": lambda: product(p, d, X, y),
        "jacobian": lambda: jacobian(p, x),
    }


def loss_of(network):
    """Return the mean loss as a function of layers, inputs and labels, written in NumPy."""
    function = {"relu": lambda z: np.maximum(0, z), "tanh": np.tanh}[network.activation]

    def loss(p, X, y):
        for W, b in p[:-1]:
            X = function(X @ W + b)
        W, b = p[-1]
        return np.mean(ops.softmax_cross_entropy(X @ W + b, y))

    return loss


def gradients(network):
    """Return functions for the gradient by all parameters, walked and compiled."""
    X, y = network.data()
    p, walked = network.parameters(), chainrule.grad(loss_of(network))
    compiled = chainrule.compile(walked, threads=threads())
    return lambda: walked(p, X, y), lambda: compiled(p, X, y)


def example_norms(network):
    """Return a function that finds the norm of each example's gradient, by machine code."""
    X, y = network.data()
    p, norms = network.parameters(), norms_of_examples(loss_of(network), threads=threads())
    return lambda: norms(p, X, y)


def open_norms(network):
    """Return a function that opens a pass, and finds the norms from what it keeps."""
    X, y = network.data()
    p, loss = network.parameters(), loss_of(network)
    return lambda: chainrule.open(loss, p, X, y).per_example.norms()  # noqa: PLW0108 - a new pass
