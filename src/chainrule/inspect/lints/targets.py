"""Targets that the outputs cannot reach: labels without a unit, numbers out of range or scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.lints.reach import reach
from chainrule.inspect.sizes import rms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.lints.subject import Subject

__all__ = ["TARGET_RULES", "far_from", "labels_outside"]

_FAR = 30.0
"""How many times larger than the outputs targets may be. An optimiser that moves each weight by
at most its learning rate (Adam: Kingma and Ba, 2015, section 2.1) at 1e-3 changes an output of a
hundred units by some 0.1 a step, so that 30 takes hundreds of steps; and the first gradients of a
squared error are 30 times those that defaults are made for."""


@cause("CD316", "labels outside of the outputs", "error")
def labels_outside(output: Any, target: Any) -> Iterator[Finding]:
    """Labels that no output stands for.

    It sees whole-number targets, one for each row of an output (N, C), that are not 0 … C - 1.

    It matters because a loss of one's own may take them without a word: ``p[np.arange(n), y]``
    counts -1 from the end.

    For example labels 1 … 10 for ten outputs.

    Number the classes from 0: ``np.unique(y, return_inverse=True)[1]``. The label -100 stands for
    an example to ignore.
    """
    output, target = np.asarray(output), np.asarray(target)
    if output.ndim != 2 or target.ndim != 1 or target.dtype.kind not in "iu":
        return
    if len(output) != len(target) or output.shape[1] < 2:
        return
    wrong = ((target < 0) & (target != -100)) | (target >= output.shape[1])
    if not wrong.any():
        return
    first = int(np.argmax(wrong))
    from_one = target.min() == 1 and target.max() == output.shape[1]
    yield Finding.of(
        "CD316",
        tensor="target",
        message=f"{_labels(int(np.sum(wrong)))} outside of 0 … {output.shape[1] - 1}: the first is "
        f"{target[first]}, in row {first}.",
        advice="These count from 1: pass target - 1."
        if from_one
        else "Number the classes from 0: np.unique(y, return_inverse=True)[1].",
    )


def _labels(count: int) -> str:
    return "1 label lies" if count == 1 else f"{count} labels lie"


@cause("CD313", "targets out of reach", "warning")
def out_of_reach(subject: Subject) -> Iterator[Finding]:
    """Targets beyond what the last function of the network can give.

    It sees a prediction that is computed by a function of one array, entry by entry, and targets
    below its least or above its largest value. The range is found by trying the function out.

    It matters because no weights reach such targets. A ReLU at the end is worse: where the target
    is negative, the unit is pushed below 0, and from there it gets no gradient.

    For example ``Sequential(…, ReLU())`` for targets with mean 0, or tanh for targets of 0 … 255.

    Let the last layer be linear, or scale the targets into the range.
    """
    if subject.prediction is None or subject.target is None:
        return
    index, target = subject.prediction, np.asarray(subject.target)
    if target.dtype.kind != "f" or not target.size or not subject.is_activation(index):
        return
    if target.shape != subject.scene.nodes[index].shape:
        return
    low, high = reach(subject.scene.nodes[index])
    slack = 1e-6 * max(1.0, float(np.max(np.abs(target))))
    count = int(np.sum((target < low - slack) | (target > high + slack)))
    if count:
        op = subject.scene.nodes[index].op
        yield Finding.of(
            "CD313",
            tensor=subject.name(index),
            where=subject.line(index),
            message=f"{op.name if op else ''} gives numbers from {low:.4g} to {high:.4g}, and "
            f"{count} of {target.size} targets lie outside: from {target.min():.4g} to "
            f"{target.max():.4g}.",
            advice="Let the last layer be linear, or scale the targets.",
        )


@cause("CD317", "targets far from the outputs", "warning")
def far_targets(subject: Subject) -> Iterator[Finding]:
    """Targets of another order of magnitude than the outputs.

    It sees targets of the outputs' shape whose root mean square is more than 30 times that of the
    outputs, and more than 30.

    It matters because an untrained network gives numbers near 1. It first has to grow by that
    factor, with gradients of a squared error that are as many times too large.

    For example house prices in dollars.

    Train on ``(y - y.mean()) / y.std()``, and turn predictions back.
    """
    if subject.prediction is not None and subject.target is not None:
        output = subject.number(subject.prediction)
        yield from far_from(output, subject.target, subject.name(subject.prediction))


def far_from(output: Any, target: Any, name: str = "") -> Iterator[Finding]:
    """Yield that targets are of another order of magnitude than outputs, if they are."""
    output, target = np.asarray(output), np.asarray(target)
    if target.dtype.kind != "f" or target.shape != output.shape:
        return
    wanted, given = rms(target), rms(output)
    if wanted > _FAR * max(given, 1.0):
        yield Finding.of(
            "CD317",
            tensor=name,
            message=f"Targets are about {wanted:.3g} (root mean square), outputs about "
            f"{given:.3g}.",
            advice="Train on (y - y.mean()) / y.std(), and turn predictions back.",
        )


@cause("CD314", "rectified logits", "warning")
def rectified_logits(subject: Subject) -> Iterator[Finding]:
    """A ReLU between the last layer and the softmax.

    It sees logits (what the loss turns into softmax less target, found by its gradient) that come
    from a function with a flat side at 0, as ReLU has.

    It matters because scores below 0 carry what a network knows against a class. They are cut, and
    the units that gave them get no gradient.

    For example a loop that puts an activation after every layer, also the last.

    Let the last layer be linear.
    """
    index = subject.prediction
    if index is None or not subject.has_loss or not subject.is_activation(index):
        return
    node = subject.scene.nodes[index]
    if node.op is None or node.op.kink is None or reach(node)[0] != 0:
        return
    g = subject.gradient(index)
    if g.ndim != 2 or g.shape[1] < 2 or subject.target is None:
        return
    rows = np.sum(g, axis=1)  # softmax less target sums to 0
    if np.all(np.abs(rows) <= 1e-6 * np.sum(np.abs(g), axis=1)) and np.any(g != 0):
        off = float(np.mean(subject.number(index) <= 0))
        yield Finding.of(
            "CD314",
            tensor=subject.name(index),
            where=subject.line(index),
            message=f"The logits come from {node.op.name}: {off:.0%} of them are cut to 0.",
            advice="Let the last layer be linear.",
        )


TARGET_RULES = (out_of_reach, far_targets, rectified_logits)
