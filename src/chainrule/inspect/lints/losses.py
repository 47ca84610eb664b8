"""Losses that get what they do not take: probabilities for logits, shapes that broadcast."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import Finding, cause
from chainrule.ops import Partials, sigmoid, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.inspect.lints.subject import Subject

__all__ = ["LOSS_RULES"]

_CLOSE = 1e-6
"""How near numbers have to be to be the same function's: float32 keeps 6e-8 of a number near 1,
and a softmax sums some tens of them."""


def _close(a: Any, b: Any) -> bool:
    if a.shape != b.shape or not a.size:
        return False
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(a - b) <= _CLOSE * (1 + np.abs(b))))


def _probability_axis(x: Any) -> Any:
    """Return the axis along which an array holds probabilities that are not all alike."""
    if x.ndim < 2 or not np.all((x > 0) & (x < 1)):
        return None
    for axis in (x.ndim - 1, *range(x.ndim - 1)):
        if x.shape[axis] > 1 and _close(np.sum(x, axis=axis), np.ones_like(np.sum(x, axis=axis))):
            return axis
    return None


@cause("CD301", "softmax before a loss of logits", "warning")
def softmax_twice(subject: Subject) -> Iterator[Finding]:
    """A softmax whose result goes through another softmax, that of the loss.

    It sees an array of probabilities (positive, summing to 1 along an axis) of which the program
    computes the softmax, its logarithm, or the cross-entropy at a class. The arrays are compared
    as numbers, so it is seen in a user's own NumPy code as well as in modules.

    It matters because the loss then cannot fall below log(1 + (C - 1)/e): the softmax of a
    certain answer (1, 0, …, 0) is far from certain. The gradient is small, and training slow.

    For example ``Sequential(Linear(64, 10), Softmax())`` with ``CrossEntropyLoss``, which takes
    logits.

    Leave the softmax out while training, and apply it to what is predicted afterwards.
    """
    for index, x in _computed(subject):
        axis = _probability_axis(x)
        if axis is None:
            continue
        again = np.asarray(softmax(x, axis=axis))
        later = _first_after(subject, index, partial(_is_of, again, axis))
        if later is None:
            continue
        row = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])[0]
        least = np.log1p((len(row) - 1) / np.e)
        yield Finding.of(
            "CD301",
            tensor=subject.name(index),
            where=subject.line(index),
            message=f"{subject.name(index)} holds probabilities, and {subject.at(later)} takes the "
            "softmax of them.",
            evidence=(
                f"a row of it: {np.array2string(row[:8], precision=3)}",
                f"with {len(row)} classes the loss cannot fall below {least:.3f}",
            ),
            advice="Give the loss the logits: leave the softmax out while training.",
        )
        return


def _computed(subject: Subject) -> Iterator[tuple[int, Any]]:
    """Iterate over what is computed from parameters and examples."""
    for index, node in enumerate(subject.scene.nodes):
        if node.op is not None and subject.from_parameters[index] and subject.from_data[index]:
            yield index, subject.number(index)


def _first_after(subject: Subject, index: int, holds: Callable[[Any], bool]) -> int | None:
    """Return the first node after one whose numbers are of a kind."""
    for later in range(index + 1, len(subject.scene.nodes)):
        if subject.scene.nodes[later].op is not None and holds(subject.number(later)):
            return later
    return None


def _is_of(probable: Any, axis: int, y: Any) -> bool:
    """Return whether an array is a softmax, its logarithm, or the losses that are made of it."""
    if y.shape == probable.shape:
        return _close(y, probable) or _close(y, np.log(probable))
    rows = np.moveaxis(probable, axis, -1)
    if y.shape != rows.shape[:-1] or y.size < 2:
        return False
    with np.errstate(all="ignore"):
        apart = np.min(np.abs(-y[..., None] - np.log(rows)), axis=-1)
    return bool(np.all(apart <= _CLOSE * (1 + np.abs(y))))


@cause("CD302", "sigmoid before a loss of logits", "warning")
def sigmoid_twice(subject: Subject) -> Iterator[Finding]:
    """A sigmoid whose result goes through another one, that of the loss.

    It sees an array that is the sigmoid of one before it, and from which the program computes
    log(1 + e^x) - t x for targets t of 0 and 1, which is the logarithm of a sigmoid but for its
    sign. The arrays are compared as numbers, and all of the entries have to agree.

    It matters because the second sigmoid maps 0 … 1 to 0.5 … 0.73: no answer is ever certain, and
    the loss of a "no" cannot fall below log 2.

    For example a network that ends in ``Sigmoid()``, with ``BCEWithLogitsLoss``.

    Leave the sigmoid out while training, and apply it to what is predicted afterwards.
    """
    for index, p in _computed(subject):
        if not p.size or not np.all((p >= 0) & (p <= 1)) or not _is_sigmoid(subject, index):
            continue
        later = _first_after(subject, index, partial(_is_loss_of_logits, p))
        if later is None:
            continue
        yield Finding.of(
            "CD302",
            tensor=subject.name(index),
            where=subject.line(index),
            message=f"{subject.name(index)} is a sigmoid, and {subject.at(later)} takes the "
            "sigmoid of it again.",
            evidence=("the loss of an answer 0 cannot fall below log 2 = 0.693",),
            advice="Give the loss the logits: leave the sigmoid out while training.",
        )
        return


def _is_sigmoid(subject: Subject, index: int) -> bool:
    """Return whether an array is the sigmoid of one that it is computed from."""
    node = subject.scene.nodes[index]
    p = subject.number(index)
    near = [i for i in subject.ancestors(index) if subject.scene.nodes[i].shape == node.shape]
    return any(i != index and _close(np.asarray(sigmoid(subject.number(i))), p) for i in near)


def _is_loss_of_logits(x: Any, y: Any) -> bool:
    """Return whether y, but for its sign, is log(1 + e^x) - t x with each t 0 or 1."""
    if y.shape != x.shape or not np.all(np.isfinite(y)) or x.size < 2 or not np.any(x > 1e-3):
        return False
    smooth, y = np.log1p(np.exp(x)), np.abs(y)
    apart = np.minimum(np.abs(y - smooth), np.abs(y - (smooth - x)))
    return bool(np.all(apart <= _CLOSE * (1 + smooth)))


@cause("CD303", "(n, 1) against (n,)", "warning")
def column_against_row(subject: Subject) -> Iterator[Finding]:
    """An array of shape (n, 1) beside one of shape (n,), which broadcast to (n, n).

    It sees an elementwise op of two arrays of these shapes where n is the number of examples, one
    is computed from parameters and the other is not: outputs and targets.

    It matters because every output is compared with every target. The loss is a number, its
    gradient pulls all outputs to the mean of the targets, and nothing looks wrong.

    For example ``np.mean((model(X) - y) ** 2)`` with one output unit and y of shape (n,). The
    losses of `chainrule.nn` refuse it.

    Write ``y[:, None]``, or ``model(X)[:, 0]``.
    """
    n = subject.scene.examples
    if n is None or n < 2:
        return
    for index, node in enumerate(subject.scene.nodes):
        if node.op is None or not isinstance(node.op.derivative, Partials) or node.shape != (n, n):
            continue
        if len(node.inputs) != 2:
            continue
        shapes = {subject.scene.nodes[i].shape: i for i in node.inputs}
        column, row = shapes.get((n, 1)), shapes.get((n,))
        if column is None or row is None:
            continue
        if subject.from_parameters[column] != subject.from_parameters[row]:
            yield Finding.of(
                "CD303",
                tensor=subject.name(index),
                where=subject.line(index),
                message=f"{node.op.name} of {subject.name(column)} {[n, 1]} and "
                f"{subject.name(row)} {[n]} is {[n, n]}: each output beside each target.",
                advice="Give both the same shape: y[:, None], or output[:, 0].",
            )
            return


LOSS_RULES = (softmax_twice, sigmoid_twice, column_against_row)
