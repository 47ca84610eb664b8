"""Fitted estimators from scikit-learn's classes and to them, with all that both know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn import neural_network
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import ExportError, InputTypeError, LabelError
from chainrule.interop.sklearn.labels import Coding
from chainrule.interop.sklearn.settings import layers_of

if TYPE_CHECKING:
    from chainrule.interop.sklearn.base import MultilayerPerceptron

__all__ = ["adopted", "handed_over"]

_ACTIVATIONS = {"identity", "logistic", "sigmoid", "tanh", "relu"}
_LOSSES = {"log_loss", "squared_error", "poisson"}
_NAMES = {"MLPClassifier", "MLPRegressor"}
_LISTS = ("coefs_", "intercepts_")
_NOTES = (
    "classes_",
    "n_features_in_",
    "feature_names_in_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "n_iter_",
    "t_",
    "_no_improvement_count",
)


def handed_over(estimator: MultilayerPerceptron) -> Any:
    """Return scikit-learn's estimator with the weights of a fitted one.

    Raises
    ------
    ExportError
        If scikit-learn has no words for an activation or the loss.
    """
    check_is_fitted(estimator)
    layers = layers_of(estimator)
    used = {*layers.activations}
    if len(used) > 1 or not all(isinstance(a, str) and a in _ACTIVATIONS for a in used):
        raise ExportError(
            f"scikit-learn has one activation for all hidden layers, of {sorted(_ACTIVATIONS)}.",
            f"activation: {layers.activations}",
            advice="Keep the estimator itself: pickle, joblib and skops store it.",
        )
    if estimator.loss not in _LOSSES:
        raise ExportError(
            f"scikit-learn has no loss {estimator.loss!r}.",
            advice="Set model.loss to one that it has before; predictions do not depend on it.",
        )
    kind = _theirs(type(estimator))
    parameters = {
        name: x for name, x in estimator.get_params().items() if name in kind().get_params()
    }
    name = next(iter(used), "relu")
    parameters["activation"] = "logistic" if name == "sigmoid" else name
    if parameters["solver"] not in {"adam", "sgd", "lbfgs"}:
        parameters["solver"] = "adam"  # the nearest: it has an own rate for each weight
    found = kind(**parameters)
    _copy(estimator, found)
    if hasattr(estimator, "classes_"):
        many = estimator._coding.kind == "multilabel"  # noqa: SLF001 - of the same package
        shown: Any = np.eye(estimator.n_outputs_, dtype=int) if many else estimator.classes_
        if estimator._coding.is_sparse:  # noqa: SLF001 - of the same package
            shown = sparse.csr_array(shown)
        found._label_binarizer = LabelBinarizer().fit(shown)  # noqa: SLF001 - all it keeps of them
    return found


def adopted(kind: type[Any], fitted: Any) -> Any:
    """Return an estimator with the weights of scikit-learn's fitted one.

    Raises
    ------
    InputTypeError
        If it is none of scikit-learn's of the same name.
    LabelError
        If it has one class, of which it says two columns of probabilities.
    """
    theirs = _theirs(kind)
    if not isinstance(fitted, theirs):
        raise InputTypeError(
            f"{kind.__name__}.from_sklearn needs scikit-learn's {theirs.__name__}, got "
            f"{type(fitted).__name__}.",
            advice="Pass the estimator itself: pipeline[-1] of a Pipeline.",
        )
    check_is_fitted(fitted)
    if len(getattr(fitted, "classes_", [0, 1])) < 2:
        raise LabelError(
            f"the estimator has one class, {fitted.classes_.tolist()[0]!r}: a classifier needs at "
            "least two classes.",
            advice="Fit it on examples of all classes; one that always says the same is "
            "sklearn.dummy.DummyClassifier.",
        )
    found = kind(**fitted.get_params())
    found.n_features_in_ = fitted.n_features_in_
    found._clear()  # noqa: SLF001 - of the same package
    _copy(fitted, found)
    if hasattr(fitted, "classes_"):
        found._coding = _coding_in(fitted)  # noqa: SLF001 - of the same package
        found.classes_ = found._coding.classes  # noqa: SLF001
    return found


def _theirs(kind: type[Any]) -> type[Any]:
    """Return scikit-learn's class of the same name as one of ours, or as that it is made from."""
    names = (base.__name__ for base in kind.__mro__)
    found: type[Any] = getattr(neural_network, next(n for n in names if n in _NAMES))
    return found


def _coding_in(fitted: Any) -> Coding:
    """Return how scikit-learn's fitted classifier codes its classes."""
    binarizer = fitted._label_binarizer  # noqa: SLF001 - where it keeps that
    if binarizer.y_type_.startswith("multilabel"):
        return Coding("multilabel", np.arange(fitted.n_outputs_), binarizer.sparse_input_)
    kind = "multiclass" if fitted.out_activation_ == "softmax" else "binary"
    return Coding(kind, fitted.classes_)


def _copy(source: Any, target: Any) -> None:
    """Copy the weights, and what was noted while they were learned."""
    for name in _LISTS:
        setattr(target, name, [np.array(x) for x in getattr(source, name)])
    for name in _NOTES:
        if hasattr(source, name):
            x = getattr(source, name)
            setattr(target, name, list(x) if isinstance(x, list) else x)
