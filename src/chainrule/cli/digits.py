"""A first network on real data, as a reader would write it in plain NumPy.

Nothing in `logits` and `loss` is ours but the loss of a row: the functions run on arrays, and
the same lines are differentiated, traced and opened.
"""

from __future__ import annotations

import importlib
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule import ops
from chainrule.errors import MissingExtraError
from chainrule.execute import compile  # noqa: A004 - the field's own word
from chainrule.train import Adam
from chainrule.transform import value_and_grad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Parameters = dict[str, Array]

__all__ = ["Digits", "Epoch", "initial_parameters", "load", "logits", "loss", "training"]

SIZES = (64, 64, 32, 10)
"""Pixels, two hidden layers, classes."""

TRAINING_IMAGES = 1437
BATCH = 32
LEARNING_RATE = 0.002


class Digits(NamedTuple):
    """Images as rows of 64 grey values from 0 to 1, and what they show."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array


class Epoch(NamedTuple):
    """How the training stands after one pass over the images."""

    number: int
    loss: float
    accuracy: float
    parameters: Parameters


def load() -> Digits:
    """Return the digits that come with scikit-learn, always split in the same way.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise MissingExtraError(
            "the digits come with scikit-learn, which is not installed.",
            advice='pip install "chainrule[sklearn]"',
        ) from error
    X, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order] / 16, y[order]
    n = TRAINING_IMAGES
    return Digits(X[:n], y[:n], X[n:], y[n:])


def initial_parameters(rng: np.random.Generator) -> Parameters:
    """Return weights and biases, uniform within ±1/√fan_in, in float64."""
    parameters = {}
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(SIZES), start=1):
        bound = 1 / np.sqrt(inputs)
        parameters[f"W{layer}"] = rng.uniform(-bound, bound, (inputs, outputs))
        parameters[f"b{layer}"] = rng.uniform(-bound, bound, outputs)
    return parameters


def logits(parameters: Parameters, X: Any) -> Any:
    """Return the scores of the ten classes for each row of X."""
    W1, W2, W3, b1, b2, b3 = (parameters[name] for name in sorted(parameters))
    z1 = X.dot(W1) + b1
    h1 = np.maximum(0, z1)
    z2 = h1.dot(W2) + b2
    h2 = np.maximum(0, z2)
    z3 = h2.dot(W3) + b3
    return z3  # noqa: RET504 - the formula by its name


def loss(parameters: Parameters, X: Any, y: Any) -> Any:
    """Return the mean cross-entropy of the scores."""
    losses = ops.softmax_cross_entropy(logits(parameters, X), y)
    return np.mean(losses)


def training(
    parameters: Parameters, data: Digits, epochs: int, rng: np.random.Generator
) -> Iterator[Epoch]:
    """Train with Adam, and say after each epoch how it stands.

    A step (forward, backward, Adam) is one compiled function: it is recorded once for each length
    of a batch, and then runs as machine code.
    """
    optimiser = Adam(LEARNING_RATE)
    memory = optimiser.init(parameters)

    @compile
    def step(parameters: Parameters, memory: Any, X: Any, y: Any) -> Any:
        value, gradient = value_and_grad(loss)(parameters, X, y)
        return value, *optimiser.update(parameters, gradient, memory)

    for epoch in range(1, epochs + 1):
        total = 0.0
        order = rng.permutation(len(data.y))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            value, parameters, memory = step(parameters, memory, data.X[chosen], data.y[chosen])
            total += float(value) * len(chosen)
        right = np.argmax(logits(parameters, data.X), axis=1) == data.y
        yield Epoch(epoch, total / len(order), float(np.mean(right)), parameters)
