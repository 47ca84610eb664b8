"""Classes as targets, and outputs as classes.

Two classes have one output, the probability of the second; more have one each, of which the
probabilities sum to 1; labels that go together have one each, each for itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from chainrule.errors import LabelError, SettingError
from chainrule.interop.sklearn.tables import explained

__all__ = ["Coding", "coding_of", "weights_by_class"]


class Coding(NamedTuple):
    """How labels are coded.

    Attributes
    ----------
    kind
        "binary", "multiclass" or "multilabel".
    classes
        Sorted; of labels that go together their numbers.
    is_sparse
        Whether predictions of labels that go together are sparse, as those of fit were.
    """

    kind: str
    classes: Any
    is_sparse: bool = False

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def link(self) -> str:
        """What makes probabilities of outputs."""
        return "softmax" if self.kind == "multiclass" else "logistic"

    def encode(self, y: Any, dtype: Any) -> Any:
        """Return labels as what the loss compares outputs with.

        Raises
        ------
        LabelError
            If y has a class that was not there when the classes were learned, or another form.
        """
        if self.kind == "multilabel":
            dense = y.toarray() if sparse.issparse(y) else np.asarray(y)
            if dense.ndim != 2 or dense.shape[1] != len(self.classes):
                raise LabelError(
                    f"y needs a column for each of {len(self.classes)} labels, got "
                    f"{list(dense.shape)}.",
                    advice=_SAME_FORM,
                )
            return np.ascontiguousarray(dense, dtype)
        self.require(y)
        places = np.searchsorted(self.classes, y)
        return places[:, None].astype(dtype) if self.kind == "binary" else places.astype(np.int64)

    def names(self, classes: Any) -> bool:
        """Return whether these are all classes; of labels that go together 0 and 1 may be said."""
        given = np.unique(classes)
        if np.array_equal(given, self.classes):
            return True
        return self.kind == "multilabel" and np.array_equal(given, [0, 1])

    def require(self, y: Any) -> None:
        """Refuse what is not one known class for each example."""
        if np.ndim(y) != 1 or sparse.issparse(y):
            raise LabelError(
                f"y needs one class for each example, got an array of shape {list(np.shape(y))}.",
                advice=_SAME_FORM,
            )
        new = np.setdiff1d(y, self.classes)
        if len(new):
            row = int(np.flatnonzero(np.isin(y, new))[0])
            raise LabelError(
                f"`y` has classes not in `self.classes_`: {_listed(new)}, first in row {row}.",
                f"classes: {_listed(self.classes)}",
                advice="Pass one of the classes above; partial_fit is told all of them in its "
                "first call: partial_fit(X, y, classes=…).",
            )

    def decode(self, probabilities: Any) -> Any:
        """Return the labels of probabilities of shape (N, outputs)."""
        if self.kind == "multiclass":
            return self.classes[np.argmax(probabilities, axis=1)]
        if self.kind == "binary":
            return self.classes[(probabilities[:, 0] > 0.5).astype(np.int64)]
        labels = (probabilities > 0.5).astype(np.int64)
        return sparse.csr_matrix(labels) if self.is_sparse else labels


def coding_of(y: Any, classes: Any = None) -> Coding:
    """Return how labels are coded.

    Parameters
    ----------
    y
        Shape (N,), or (N, labels) of zeros and ones.
    classes
        All classes, if y need not have them all.

    Raises
    ------
    LabelError
        If there are fewer than two classes.
    """
    with explained():
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multilabel-indicator":
            return _coding_of_labels(y, classes)
        if kind == "multiclass-multioutput":
            raise LabelError(
                "Multioutput target data is not supported: y has several columns of classes.",
                advice="Fit a MultiOutputClassifier around it, or pass a column of zeros and ones "
                "for each label.",
            )
        if sparse.issparse(y):
            raise LabelError(
                "y is sparse, which only labels that go together may be.",
                advice="Pass y.toarray().ravel(), or a column of zeros and ones for each label.",
            )
        known = unique_labels(y) if classes is None else unique_labels(classes)
    if len(known) < 2:
        raise LabelError(
            f"y has one class, {_listed(known)}: a classifier needs at least two classes.",
            f"y: {len(y)} examples",
            advice="Look whether the rows were sorted by class before they were split, or weights "
            "left the others out; train_test_split(…, stratify=y) keeps all.",
        )
    return Coding("binary" if len(known) == 2 else "multiclass", known)


def _coding_of_labels(y: Any, classes: Any) -> Coding:
    """Return how labels that go together are coded, a column for each."""
    numbers = y.data if sparse.issparse(y) else y
    wrong = np.setdiff1d(numbers, [0, 1])
    if len(wrong):
        raise LabelError(
            f"y with a column for each label needs zeros and ones, got {_listed(wrong)}.",
            advice="y > 0 makes ones of what is positive; for several columns of classes fit a "
            "MultiOutputClassifier.",
        )
    coding = Coding("multilabel", np.arange(y.shape[1]), sparse.issparse(y))
    if not (classes is None or coding.names(classes)):
        raise LabelError(
            f"classes are {_listed(np.unique(classes))}, and y has {y.shape[1]} labels.",
            advice=f"Pass classes=np.arange({y.shape[1]}): the numbers of the columns.",
        )
    return coding


def weights_by_class(class_weight: Any, y: Any, coding: Coding, *, is_part: bool) -> Any:
    """Return how much each example counts, shape (N,), by the class that it has.

    Parameters
    ----------
    class_weight
        "balanced", or a dictionary from classes to numbers, in which those that are missing
        have 1; of labels that go together a list of dictionaries.
    y
        Labels.
    coding
        How they are coded.
    is_part
        Whether there are more labels than these, so that they cannot be counted.

    Raises
    ------
    LabelError
        If y has classes that are not known.
    SettingError
        If ``class_weight`` is something else.
    """
    if not (isinstance(class_weight, dict | list) or str(class_weight) == "balanced"):
        raise SettingError(
            f"class_weight needs to be 'balanced', a dictionary or None, got {class_weight!r}.",
            advice=_WEIGHTS,
        )
    if is_part and str(class_weight) == "balanced":
        raise SettingError(
            "class_weight='balanced' is counted over all examples, and partial_fit has a part.",
            advice="Count all of them with sklearn.utils.class_weight.compute_class_weight, and "
            "pass a dictionary.",
        )
    if coding.kind != "multilabel":
        coding.require(y)
    try:
        if coding.kind == "multilabel":
            found = compute_sample_weight(class_weight, y)
        else:
            each = compute_class_weight(class_weight, classes=coding.classes, y=y)
            found = each[np.searchsorted(coding.classes, y)]
    except ValueError as error:
        raise SettingError(f"class_weight does not fit y: {error}", advice=_WEIGHTS) from error
    if not (np.all(np.isfinite(found)) and np.all(found >= 0)):
        raise SettingError(
            f"class_weight needs finite numbers of at least 0, got {class_weight!r}.",
            advice=_WEIGHTS,
        )
    if not np.any(found):
        raise SettingError(
            f"class_weight leaves nothing to learn from: of the classes of these {len(found)} "
            f"examples each has weight 0 in {class_weight!r}.",
            advice="Pass examples of other classes too, or give one of these a weight above 0.",
        )
    return found


_SAME_FORM = "Pass y in the form that fit was given, or begin anew: clone(model).fit(X, y)."
_WEIGHTS = "{0: 1.0, 1: 5.0} counts the examples of class 1 five times."


def _listed(classes: Any) -> str:
    shown = ", ".join(repr(x.item() if hasattr(x, "item") else x) for x in classes[:10])
    return shown if len(classes) <= 10 else f"{shown}, …"
