"""An estimator of scikit-learn and its data, as something to check."""

from __future__ import annotations

import copy
import inspect
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor

from chainrule.errors import InputTypeError, StructureError
from chainrule.graph import Where, describe
from chainrule.inspect.targets.pairs import Pair, slots_of
from chainrule.interop.audit.network import Network, Problem
from chainrule.interop.foreign import Foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["estimator_target", "problem_of", "source_line", "target_of"]


def estimator_target(estimator: Any, inputs: Sequence[Any]) -> Foreign:
    """Return an estimator and its data in the form that is run.

    Parameters
    ----------
    estimator
        A ``MLPClassifier`` or ``MLPRegressor`` of scikit-learn. If it is not fitted, a copy is,
        for one iteration, to have weights and to know the classes.
    inputs
        X, y, and the weights of the examples if there are any.

    Raises
    ------
    InputTypeError
        If it is another estimator.
    """
    if not isinstance(estimator, MLPClassifier | MLPRegressor):
        raise InputTypeError(
            f"of scikit-learn, check knows MLPClassifier and MLPRegressor, got "
            f"{describe(estimator)}.",
            advice="The estimators of chainrule derive their gradient from forward; there is no "
            "backward pass of anybody's to check.",
        )
    if not 2 <= len(inputs) <= 3:
        raise StructureError(
            f"an estimator is checked on (X, y) or (X, y, sample_weight), got {len(inputs)} inputs."
        )
    X = np.asarray(inputs[0], float)
    network = _fitted(estimator, X, inputs[1])
    y = _targets(network, inputs[1])
    weights = [np.asarray(w, float) for w in inputs[2:] if w is not None]
    arrays = [X, y, *weights]
    for W, b in zip(network.coefs_, network.intercepts_, strict=True):
        arrays += [np.array(W, float), np.array(b, float)]
    problem = problem_of(network, weighted=bool(weights))
    return target_of(problem, arrays, type(estimator).__name__)


def target_of(problem: Problem, arrays: Sequence[Any], title: str) -> Foreign:
    """Return a problem and its arrays in the form that is run."""
    network = Network(problem)
    layers = (len(arrays) - network.data) // 2
    outputs = arrays[1].shape[1]
    names = network.names(layers)
    made = Pair(
        "pair", title, slots_of(arrays, names), [],
        run_forward=network.forward, run_backward=network.backward, arguments=tuple(arrays),
        names=tuple(names), taken=len(arrays),
    )  # fmt: skip
    shapes = network.shapes(layers, "k" if outputs > 1 else 1)
    return Foreign(made, shapes, source_line(problem), tuple(arrays))


def problem_of(network: Any, *, weighted: bool) -> Problem:
    """Return what a fitted estimator minimises."""
    return Problem(
        kind="classifier" if isinstance(network, MLPClassifier) else "regressor",
        activation=network.activation,
        output=network.out_activation_,
        loss=network.loss,
        alpha=network.alpha,
        solver=network.solver,
        weighted=weighted,
    )


def source_line(problem: Problem) -> str:
    """Return the line of scikit-learn's text where the gradient is computed."""
    method = "_loss_grad_lbfgs" if problem.solver == "lbfgs" else "_backprop"
    function = inspect.unwrap(getattr(MLPRegressor, method))
    return str(Where(Path(function.__code__.co_filename).name, function.__code__.co_firstlineno))


def _fitted(estimator: Any, X: Any, y: Any) -> Any:
    if hasattr(estimator, "coefs_"):
        return copy.deepcopy(estimator)
    network = clone(estimator).set_params(max_iter=1, early_stopping=False, warm_start=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged after one iteration
        return network.fit(X, y)


def _targets(network: Any, y: Any) -> Any:
    """Return targets as columns of numbers, as the estimator sees them."""
    if isinstance(network, MLPClassifier):
        y = network._label_binarizer.transform(y)  # noqa: SLF001 - as its fit does
    y = np.asarray(y, float)
    return y.reshape(len(y), -1)
