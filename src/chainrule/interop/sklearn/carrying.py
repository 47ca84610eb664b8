"""Fitted estimators from scikit-learn's classes and to them, with all that both know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import neural_network
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import ExportError, InputTypeError
from chainrule.interop.sklearn.labels import Coding
from chainrule.interop.sklearn.settings import layers_of

if TYPE_CHECKING:
    from chainrule.interop.sklearn.base import MultilayerPerceptron

__all__ = ["adopted", "handed_over"]

_ACTIVATIONS = {"identity", "logistic", "sigmoid", "tanh", "relu"}
_LOSSES = {"log_loss", "squared_error", "poisson"}
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
            advice="Export the network to ONNX instead: chainrule.interop.to_onnx.",
        )
    if estimator.loss not in _LOSSES:
        raise ExportError(
            f"scikit-learn has no loss {estimator.loss!r}.",
            advice="Set model.loss to one that it has before; predictions do not depend on it.",
        )
    kind = getattr(neural_network, type(estimator).__name__)
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
        shown = np.eye(estimator.n_outputs_, dtype=int) if many else estimator.classes_
        found._label_binarizer = LabelBinarizer().fit(shown)  # noqa: SLF001 - all it keeps of them
    return found


def adopted(kind: type[Any], fitted: Any) -> Any:
    """Return an estimator with the weights of scikit-learn's fitted one.

    Raises
    ------
    InputTypeError
        If it is none of scikit-learn's of the same name.
    """
    theirs = getattr(neural_network, kind.__name__)
    if not isinstance(fitted, theirs):
        raise InputTypeError(
            f"{kind.__name__}.from_sklearn needs scikit-learn's {kind.__name__}, got "
            f"{type(fitted).__name__}.",
            advice="Pass the estimator itself: pipeline[-1] of a Pipeline.",
        )
    check_is_fitted(fitted)
    found = kind(**fitted.get_params())
    found.n_features_in_ = fitted.n_features_in_
    found._clear()  # noqa: SLF001 - of the same package
    _copy(fitted, found)
    if hasattr(fitted, "classes_"):
        kinds = {"softmax": "multiclass", "logistic": "binary"}
        link = kinds[fitted.out_activation_]
        many = fitted._label_binarizer.y_type_.startswith("multilabel")  # noqa: SLF001
        found._coding = Coding("multilabel" if many else link, fitted.classes_)  # noqa: SLF001
    return found


def _copy(source: Any, target: Any) -> None:
    """Copy the weights, and what was noted while they were learned."""
    for name in _LISTS:
        setattr(target, name, [np.array(x) for x in getattr(source, name)])
    for name in _NOTES:
        if hasattr(source, name):
            x = getattr(source, name)
            setattr(target, name, list(x) if isinstance(x, list) else x)
