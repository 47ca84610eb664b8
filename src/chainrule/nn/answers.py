"""One batch: examples, and what the network should have answered in the shape of its output.

Examples lie along one axis, features or units along the other. One-dimensional targets are
labels, one for each example; two-dimensional ones have the shape of the output, entry for entry.
Nothing is broadcast: what is neither is an error that shows both shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import LabelError, ShapeError
from chainrule.graph import Value, describe
from chainrule.nn.given import numbers
from chainrule.nn.labels import listed, placed, require_below

__all__ = ["EXAMPLE", "Answer", "examples"]

EXAMPLE = ("column", "row")
"""What an example is, by the axis that the features lie along."""

SUM_TOLERANCE = 1e-5
"""How far from 1 the rounding of a thousand float32 probabilities may leave their sum."""


def examples(X: Any, features: int, axis: int) -> Any:
    """Return examples as an array, if they have the features that are asked for.

    Raises
    ------
    ShapeError
        With both shapes; also if there is no example.
    """
    X = numbers(X, "X")
    word = EXAMPLE[axis]
    if X.ndim == 2 and X.shape[axis] == features:
        if X.shape[1 - axis] == 0:
            raise ShapeError("X needs at least one example.", f"X: {describe(X)}")
        return X
    advice = ""
    as_column, as_row = "X[:, None]", "X[None]"
    if X.ndim == 2 and X.shape[1 - axis] == features:
        other = f"{EXAMPLE[1 - axis]}s"
        advice = f"It fits transposed: pass X.T, or make the network with layout={other!r}."
    elif X.ndim == 1 and X.size == features:
        advice = f"For one example, pass {(as_column, as_row)[axis]}."
    elif X.ndim == 1 and features == 1:
        advice = f"For {X.size} examples, pass {(as_row, as_column)[axis]}."
    raise ShapeError(
        f"X needs the shape {(f'[{features}, m]', f'[N, {features}]')[axis]}, {features} "
        f"feature{'s' * (features > 1)} of each {word}; got {list(X.shape)}.",
        f"X: {describe(X)}",
        advice=advice,
    )


class Answer(NamedTuple):
    """The form that targets have to take: that of the output of one network on one batch.

    Attributes
    ----------
    output
        ``"sigmoid"``, ``"softmax"`` or ``"linear"``.
    units, examples
        How many there are of each.
    axis
        Which axis of the output the units lie along: 0 if examples are columns, 1 if rows.
    dtype
        Of the network.
    """

    output: str
    units: int
    examples: int
    axis: int
    dtype: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output."""
        return self._laid(self.units)

    def of(self, Y: Any) -> Any:
        """Return targets in the shape of the output, where labels become 0 and 1.

        Raises
        ------
        LabelError
            If a label names no class, or a target of a probability is none.
        ShapeError
            If Y fits neither as labels nor as targets.
        """
        Y = numbers(Y, "Y")
        if self._are_labels(Y):
            Y = Y.reshape(-1)
            require_below(Y, max(self.units, 2), "labels", self._word, given="Y")
            Y = Y.reshape(self._laid(1))
            if self.output == "softmax":
                classes = np.expand_dims(np.arange(self.units), 1 - self.axis)
                Y = classes == Y
        elif Y.shape != self.shape:
            raise self._misfit(Y)
        elif self.output != "linear":
            self._require_probabilities(Y)
        return Y if Y.dtype == self.dtype else Y.astype(self.dtype)

    @property
    def _word(self) -> str:
        return EXAMPLE[self.axis]

    def _laid(self, units: int) -> tuple[int, ...]:
        return (units, self.examples) if self.axis == 0 else (self.examples, units)

    def _are_labels(self, Y: Any) -> bool:
        if self.output == "softmax":
            return Y.shape in {(self.examples,), self._laid(1)}
        return self.output == "sigmoid" and self.units == 1 and Y.shape == (self.examples,)

    def _require_probabilities(self, Y: Any) -> None:
        if isinstance(Y, Value):
            return
        apart = ~np.all((Y >= 0) & (Y <= 1), axis=self.axis)
        if np.any(apart):
            raise LabelError(
                f"targets of a {self.output} output need to lie between 0 and 1, which they do "
                f"not in {self._numbered(apart)}.",
                f"Y: {describe(Y)}",
                advice="Numbers outside are for output='linear'.",
            )
        sums = np.sum(Y, axis=self.axis)
        apart = np.abs(sums - 1) > SUM_TOLERANCE
        if self.output == "softmax" and np.any(apart):
            raise LabelError(
                "targets of a softmax output need to sum to 1 for each example, got "
                f"{placed(sums, apart, self._word)}.",
                f"Y: {describe(Y)}",
                advice="Pass class labels or one-hot targets; for classes that do not exclude "
                "each other, output='sigmoid'.",
            )

    def _numbered(self, apart: Any) -> str:
        """Return ``columns 2 and 5``."""
        places = [str(k) for k in np.flatnonzero(apart)]
        return f"{self._word}{'s' * (len(places) > 1)} {listed(places)}"

    def _misfit(self, Y: Any) -> ShapeError:
        wanted = [f"targets {list(self.shape)}"]
        if self.output == "softmax" or (self.output == "sigmoid" and self.units == 1):
            wanted.insert(0, f"labels [{self.examples}]")
        advice = ""
        if Y.shape == (self.examples,):
            advice = "Nothing is broadcast: pass " + ("Y[None]" if self.axis == 0 else "Y[:, None]")
            advice += " if there is one target for each example." if self.units == 1 else "."
            if self.units > 1:
                advice = "One label for each example is for output='softmax'."
        elif Y.shape in {self.shape[::-1], self._laid(1)[::-1]}:
            advice = f"It fits transposed: pass Y.T. Here examples are {self._word}s."
        return ShapeError(
            f"Y does not fit the output: for {self.examples} examples it needs "
            f"{' or '.join(wanted)}, got {list(Y.shape)}.",
            f"Y: {describe(Y)}",
            f"output: {np.dtype(self.dtype)}{list(self.shape)}",
            advice=advice,
        )
