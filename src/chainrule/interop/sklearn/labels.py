"""Classes as targets, and outputs as classes.

Two classes have one output, the probability of the second; more have one each, of which the
probabilities sum to 1; labels that go together have one each, each for itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from chainrule.errors import LabelError
from chainrule.interop.sklearn.tables import explained

__all__ = ["Coding", "coding_of"]


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
            If y has a class that was not there when the classes were learned.
        """
        if self.kind == "multilabel":
            dense = y.toarray() if sparse.issparse(y) else np.asarray(y)
            if dense.ndim != 2 or dense.shape[1] != len(self.classes):
                raise LabelError(
                    f"y needs a column for each of {len(self.classes)} labels, got "
                    f"{list(dense.shape)}."
                )
            return np.ascontiguousarray(dense, dtype)
        self.require(y)
        places = np.searchsorted(self.classes, y)
        return places[:, None].astype(dtype) if self.kind == "binary" else places.astype(np.int64)

    def require(self, y: Any) -> None:
        """Refuse classes that are not known."""
        new = np.setdiff1d(y, self.classes)
        if len(new):
            row = int(np.flatnonzero(np.isin(y, new))[0])
            raise LabelError(
                f"`y` has classes not in `self.classes_`: {_listed(new)}, first in row {row}.",
                f"classes: {_listed(self.classes)}",
                advice="Name all classes in the first call: partial_fit(X, y, classes=…).",
            )

    def decode(self, probabilities: Any) -> Any:
        """Return the labels of probabilities of shape (N, outputs)."""
        if self.kind == "multiclass":
            return self.classes[np.argmax(probabilities, axis=1)]
        if self.kind == "binary":
            return self.classes[(probabilities[:, 0] > 0.5).astype(np.int64)]
        labels = (probabilities > 0.5).astype(np.int64)
        return sparse.csr_matrix(labels) if self.is_sparse else labels

    def codes(self, target: Any) -> Any:
        """Return the class number of each target, which `encode` made."""
        return target[:, 0].astype(np.int64) if self.kind == "binary" else target


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
            return Coding("multilabel", np.arange(y.shape[1]), sparse.issparse(y))
        if kind == "multiclass-multioutput":
            raise LabelError(
                "Multioutput target data is not supported: y has several columns of classes.",
                advice="Fit a MultiOutputClassifier around it, or pass a column of zeros and ones "
                "for each label.",
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


def _listed(classes: Any) -> str:
    shown = ", ".join(repr(x.item() if hasattr(x, "item") else x) for x in classes[:10])
    return shown if len(classes) <= 10 else f"{shown}, …"
