"""How good weights are on examples kept aside: a score, and the loss."""

from __future__ import annotations

import copy
import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import check_scoring, r2_score

from chainrule.errors import SettingError
from chainrule.interop.sklearn.network import LINKS, outputs
from chainrule.interop.sklearn.settings import takes

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.interop.sklearn.examples import Examples

__all__ = ["Judge", "accuracy", "r_squared"]


def accuracy(predicted: Any, target: Any, weights: Any) -> float:
    """Return which part of the examples has all its labels right.

    Parameters
    ----------
    predicted
        Probabilities, shape (N, outputs).
    target
        Class numbers (N,) beside several outputs, else zeros and ones (N, outputs).
    weights
        Shape (N,), or None.
    """
    if target.ndim == 1:
        right = np.argmax(predicted, axis=1) == target
    else:
        right = np.all((predicted > 0.5) == (target > 0.5), axis=1)
    return float(np.average(right, weights=weights))


def r_squared(predicted: Any, target: Any, weights: Any) -> float:
    """Return how much of the targets' variance is predicted, the mean over outputs."""
    return float(r2_score(target, predicted, sample_weight=weights))


class Judge:
    """What judges weights on examples kept aside.

    Parameters
    ----------
    estimator
        Whose predictions are judged.
    examples
        Kept aside, as the loss takes them.
    labels
        Their targets, as the user gave them.
    activations
        Functions of the hidden layers.
    objective
        The loss.
    score
        Of (predictions, targets, weights), where the user names no other.
    """

    def __init__(
        self,
        estimator: Any,
        examples: Examples,
        labels: Any,
        activations: Any,
        objective: Callable[..., Any],
        score: Callable[..., float],
    ) -> None:
        self._examples, self._labels = examples, labels
        self._activations, self._objective, self._score = activations, objective, score
        self._link = LINKS[estimator.out_activation_]
        self._scoring = estimator.scoring
        self._copy = copy.copy(estimator)
        self._copy.__dict__.pop("feature_names_in_", None)  # these are arrays by now
        if self._scoring not in {None, "loss"}:
            self._scorer = check_scoring(self._copy, self._scoring)
            # Scorers of scikit-learn's take any argument, and their metrics may not.
            metric = getattr(self._scorer, "_score_func", self._scorer)
            self._weighs = takes(metric, "sample_weight")

    def __call__(self, parameters: dict[str, Any]) -> tuple[float, float]:
        """Return the score and the loss of weights, by the names of the network's parameters."""
        count = len(parameters) // 2
        coefs = [parameters[f"weight{k}"].T for k in range(count)]
        intercepts = [parameters[f"bias{k}"] for k in range(count)]
        X, y, weights, _ = self._examples
        with np.errstate(all="ignore"):
            output = outputs(coefs, intercepts, self._activations, X)
            given = {} if weights is None else {"weights": weights}
            loss = float(self._objective(output, y, **given))
            if self._scoring == "loss":
                return -loss, loss
            if self._scoring is None:
                predicted = self._link(output)
                if not np.all(np.isfinite(predicted)):
                    return math.nan, loss
                return self._score(predicted, y, weights), loss
        self._copy.coefs_, self._copy.intercepts_ = coefs, intercepts
        return self._scored(X, weights), loss

    def _scored(self, X: Any, weights: Any) -> float:
        """Return the score by the user's scoring, weighted where it knows of weights."""
        given = {"sample_weight": weights} if self._weighs and weights is not None else {}
        try:
            score = self._scorer(self._copy, X, self._labels, **given)
        except ValueError as error:
            if not isinstance(self._scoring, str):
                raise
            raise SettingError(
                f"scoring={self._scoring!r} cannot judge these targets: {error}",
                advice="Choose a metric of their kind, such as 'balanced_accuracy' of classes, "
                "'roc_auc_ovr' of three or more, 'r2' of numbers.",
            ) from error
        if not isinstance(score, Real):
            raise SettingError(
                f"scoring needs to return one number, got {score!r}.",
                advice="It is called as scoring(model, X, y), and larger is better.",
            )
        return float(score)
