"""What a training makes small: the loss of each example by name, their mean, and the penalty.

Losses are functions of (output, target), where the output is what the last layer computes, before
probabilities or exponentials are made of it. The mean over a batch is divided by the sum of the
examples' weights, and so is the penalty, as in scikit-learn.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.errors import OutputError, SettingError
from chainrule.interop.sklearn.settings import takes
from chainrule.nn import CrossEntropyLoss, NLLLoss

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CLASSIFYING", "REGRESSING", "CustomObjective", "Objective", "objective_of"]


def _softmax_log_loss(output: Any, target: Any) -> Any:
    return ops.softmax_cross_entropy(output, target)


def _logistic_log_loss(output: Any, target: Any) -> Any:
    return np.sum(ops.binary_cross_entropy(output, target), axis=1)


def _squared_error(output: Any, target: Any) -> Any:
    error = output - target
    return 0.5 * np.mean(error * error, axis=1)


def _absolute_error(output: Any, target: Any) -> Any:
    return np.mean(np.abs(output - target), axis=1)


def _huber(output: Any, target: Any) -> Any:
    """Half the square of errors up to 1, and beyond the tangent to it (Huber, 1964)."""
    distance = np.abs(output - target)
    return np.mean(np.where(distance <= 1, 0.5 * distance * distance, distance - 0.5), axis=1)


def _log_cosh(output: Any, target: Any) -> Any:
    """Return log cosh of the error, as |e| + log(1 + e^(-2|e|)) - log 2: it does not overflow."""
    distance = np.abs(output - target)
    return np.mean(distance + ops.softplus(-2 * distance) - float(np.log(2.0)), axis=1)


def _poisson(output: Any, target: Any) -> Any:
    """Half the deviance of counts from a Poisson distribution with the mean e^output."""
    positive = np.where(target > 0, target, 1)
    entropy = np.where(target > 0, target * np.log(positive), 0)
    return np.sum(np.exp(output) - target * output + entropy - target, axis=1)


CLASSIFYING: dict[str, dict[str, Callable[..., Any]]] = {
    "log_loss": {"softmax": _softmax_log_loss, "logistic": _logistic_log_loss},
}
"""Losses on classes, by their name and by what makes probabilities of the output."""

REGRESSING: dict[str, Callable[..., Any]] = {
    "squared_error": _squared_error,
    "absolute_error": _absolute_error,
    "huber": _huber,
    "log_cosh": _log_cosh,
    "poisson": _poisson,
}
"""Losses on numbers, by name."""


class Objective:
    """The mean loss of a batch and its share of the penalty.

    Parameters
    ----------
    losses
        A function of (output, target) that returns the loss of each example.
    """

    def __init__(self, losses: Callable[..., Any]) -> None:
        self._losses = losses

    def __call__(self, output: Any, target: Any, weights: Any = None) -> Any:
        """Return one number for a batch.

        Parameters
        ----------
        output
            Of a `Network`: an array, or in training a pair of it and the penalty.
        target
            What it should have been.
        weights
            Shape (N,), all above 0.
        """
        output, penalty = output if isinstance(output, tuple) else (output, 0.0)
        losses = self._losses(output, target)
        if weights is None:
            return np.mean(losses) + penalty / losses.shape[0]
        total = np.sum(weights)
        return (np.sum(weights * losses) + penalty) / total


class CustomObjective:
    """A loss of the user's, which is a mean already, and the share of the penalty.

    Parameters
    ----------
    loss
        ``loss(output, target)`` returns one number; with weights,
        ``loss(output, target, weights=…)``.
    """

    def __init__(self, loss: Callable[..., Any]) -> None:
        self._loss = loss
        self.reduction = getattr(loss, "reduction", "mean")
        if hasattr(loss, "share"):  # what its mean is divided by
            self.share = loss.share

    def __call__(self, output: Any, target: Any, weights: Any = None) -> Any:
        """Return one number for a batch; see `Objective`."""
        output, penalty = output if isinstance(output, tuple) else (output, 0.0)
        if weights is None:
            return self._value(output, target) + penalty / output.shape[0]
        if not takes(self._loss, "weights"):
            raise SettingError(
                "examples have weights, by sample_weight or class_weight, and the loss takes none.",
                advice="Write it as loss(output, target, weights=None): with weights it returns "
                "the sum of weights times losses, divided by the sum of the weights.",
            )
        return self._value(output, target, weights=weights) + penalty / np.sum(weights)

    def _value(self, output: Any, target: Any, **given: Any) -> Any:
        value = self._loss(output, target, **given)
        if not (isinstance(value, Real) or hasattr(value, "shape")):
            raise OutputError(
                f"the loss needs to return one number, got {type(value).__name__}.",
                advice="End it with a return of np.mean(…).",
            )
        return value


def objective_of(loss: Any, link: str) -> Any:
    """Return the objective of a loss's name, or of a function of the user's.

    Parameters
    ----------
    loss
        A name of `CLASSIFYING` or `REGRESSING`, or a function.
    link
        What makes predictions of the output; a name of `LINKS`.

    Raises
    ------
    SettingError
        If the loss would compare classes where there are none: it would be 0 whatever is learned.
    """
    if not isinstance(loss, str):
        _require_classes(loss, link)
        return CustomObjective(loss)
    return Objective(CLASSIFYING[loss][link] if loss in CLASSIFYING else REGRESSING[loss])


def _require_classes(loss: Any, link: str) -> None:
    """Refuse losses of `chainrule.nn` that mean something else by outputs and targets."""
    if isinstance(loss, NLLLoss):
        raise SettingError(
            "nn.NLLLoss takes logarithms of probabilities, and a loss gets scores here.",
            advice="Take nn.CrossEntropyLoss(), which makes the one of the other.",
        )
    if isinstance(loss, CrossEntropyLoss) and link != "softmax":
        raise SettingError(
            "nn.CrossEntropyLoss chooses between three classes or more, and here each output "
            "stands by itself.",
            advice="Of two classes, and of labels that go together, take nn.BCEWithLogitsLoss()."
            if link == "logistic"
            else "Take a loss on numbers, such as nn.MSELoss().",
        )
