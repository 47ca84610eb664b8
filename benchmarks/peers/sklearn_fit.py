"""scikit-learn's ``MLPClassifier``: a step is a ``partial_fit``, an epoch a part of a ``fit``."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

NAME = "scikit-learn"

# The number of epochs is what is asked for here, so that it is reached is no news.
warnings.simplefilter("ignore", ConvergenceWarning)


def classifier(network, epochs=1):
    """Return a classifier that stops after so many epochs and not before."""
    return MLPClassifier(
        network.sizes[1:-1],
        activation=network.activation,
        alpha=0,
        batch_size=network.batch,
        # It is added before the moments are corrected: so it acts as 1e-8 does elsewhere.
        epsilon=1e-8 * 0.001**0.5,
        max_iter=epochs,
        tol=0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )


def adam_step(network):
    """Return one step on one batch."""
    if network.sizes[-1] == 2:
        raise NotImplementedError("two classes are one output there: another network")
    X, y = network.data()
    model = classifier(network)
    model.partial_fit(X, y, classes=np.arange(network.sizes[-1]))
    layers = zip(model.coefs_, model.intercepts_, network.parameters(), strict=True)
    for W, b, (first_W, first_b) in layers:
        W[:], b[:] = first_W, first_b
    del model._optimizer  # noqa: SLF001 - so that the optimiser starts anew, as everybody's

    def step():
        model.partial_fit(X, y)
        return model.loss_

    return step


def fit(network, X, y, epochs):
    """Return a training of so many epochs from the start."""
    return lambda: classifier(network, epochs).fit(X, y)
