"""A training on all examples at once, by L-BFGS."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import DivergenceError
from chainrule.interop.sklearn.course import diverged
from chainrule.interop.sklearn.network import weights_in
from chainrule.interop.sklearn.objectives import objective_of
from chainrule.interop.sklearn.telling import telling_of
from chainrule.interop.sklearn.warned import warn
from chainrule.nn import functional_call
from chainrule.train import minimise

if TYPE_CHECKING:
    from chainrule.interop.sklearn.examples import Examples
    from chainrule.interop.sklearn.network import Network

__all__ = ["minimise_all"]


def minimise_all(estimator: Any, network: Network, examples: Examples, labels: Any) -> None:
    """Minimise the loss of all examples, and note on the estimator how it went.

    It runs in double precision, whatever the type of the weights is.

    Parameters
    ----------
    estimator
        With its parameters as attributes.
    network
        With the weights to begin with.
    examples
        All of them.
    labels
        Their targets as the user gave them, for callbacks.
    """
    objective = objective_of(estimator.loss, estimator.out_activation_)
    examples = examples.dense()
    dtype = examples.X.dtype
    X, y, weights = (_double(x) for x in examples[:3])
    alpha = np.float64(estimator.alpha)

    def loss(parameters: Any, alpha: Any, X: Any, y: Any, weights: Any) -> Any:
        output, _ = functional_call(network, {**parameters, "alpha": alpha}, X)
        return objective(output, y, **({} if weights is None else {"weights": weights}))

    start = {name: _double(p.data) for name, p in network.named_parameters()}
    telling = telling_of(estimator, "iteration", examples.X, labels, examples.weights)
    steps = itertools.count(1)

    def after_step(parameters: Any) -> bool:
        step = next(steps)
        if estimator.verbose:
            print(f"Iteration {step}")  # noqa: T201 - verbose=True asks for it
        telling.begin()  # SciPy says of a step that it is over, and not that one begins
        return telling.end(lambda: weights_in(parameters))

    try:
        found, minimum = minimise(
            loss,
            start,
            alpha,
            X,
            y,
            weights,
            max_iter=estimator.max_iter,
            max_fun=estimator.max_fun,
            gtol=estimator.tol,
            compiled=True,
            threads=estimator.threads,
            after_step=after_step,
        )
    except DivergenceError as error:
        raise diverged("by lbfgs", error) from error
    estimator.n_iter_ = min(minimum.steps, estimator.max_iter)
    estimator.loss_ = minimum.value
    estimator.loss_curve_.extend(minimum.values.tolist())
    estimator.best_loss_ = minimum.value
    if not minimum.converged:
        warn(
            f"lbfgs failed to converge after {minimum.steps} iteration(s): {minimum.message}\n"
            "Increase the number of iterations (max_iter) to improve the convergence, or scale "
            "the data.",
            ConvergenceWarning,
        )
    for name, arrays in weights_in(found).items():
        setattr(estimator, name, [x.astype(dtype, copy=False) for x in arrays])
    telling.close()


def _double(x: Any) -> Any:
    return x if x is None or x.dtype.kind != "f" else np.asarray(x, np.float64)
