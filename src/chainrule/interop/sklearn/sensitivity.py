"""How predictions, and losses, change with the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from chainrule.interop.sklearn.network import LINKS, outputs
from chainrule.interop.sklearn.settings import layers_of
from chainrule.transform import vjp, vmap

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.interop.sklearn.base import MultilayerPerceptron

__all__ = ["gradients_of_losses", "gradients_of_outputs"]


def gradients_of_outputs(estimator: MultilayerPerceptron, X: Any, link: str) -> Any:
    """Return how each output changes with the inputs.

    Parameters
    ----------
    estimator
        Fitted.
    X
        Shape (N, features).
    link
        What is applied to the last layer: the link of its predictions, or "identity".

    Returns
    -------
    array
        Shape (N, outputs, features).
    """
    y, pull = vjp(_computing(estimator, link), _dense(X))
    found = []
    for k in range(y.shape[1]):
        g = np.zeros(y.shape, y.dtype)
        g[:, k] = 1
        found.append(pull(g)[0])
    return np.stack(found, axis=1)


def gradients_of_losses(
    estimator: MultilayerPerceptron, objective: Callable[..., Any], X: Any, y: Any
) -> Any:
    """Return how the loss of each example, by itself, changes with its inputs.

    Parameters
    ----------
    estimator
        Fitted.
    objective
        The loss of (outputs, targets).
    X, y
        Shape (N, features), and targets as the loss takes them.
    """
    compute = _computing(estimator, "identity")

    def of_each(X: Any) -> Any:
        # A batch of one: a loss of the user's may be a sum, or weigh classes against each other.
        return vmap(lambda x, target: objective(compute(x[None]), target[None]))(X, y)

    losses, pull = vjp(of_each, _dense(X))
    return pull(np.ones_like(losses))[0]


def _computing(estimator: Any, link: str) -> Callable[[Any], Any]:
    """Return the network as a function of its inputs."""
    functions = layers_of(estimator).functions
    coefs, intercepts = estimator.coefs_, estimator.intercepts_
    return lambda x: LINKS[link](outputs(coefs, intercepts, functions, x))


def _dense(X: Any) -> Any:
    return X.toarray() if sparse.issparse(X) else X
