"""Gradients by layer: those that vanish or explode on the way, and parameters that get none."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.lints.listing import course
from chainrule.inspect.reasons.cuts import flat_cuts
from chainrule.inspect.sizes import rms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.lints.subject import Subject

__all__ = ["GRADIENT_RULES"]

_VANISHED, _EXPLODED = 1e-4, 1e3
"""The ratio of the gradient at the scores of the first layer to that of the last. In networks of 1
to 12 hidden layers that trained well on the digits it was 6e-3 to 0.8 before and 0.05 to 10 after;
those below 1e-4 ended, after 30 epochs of Adam at 3e-3, at a loss of 1 to 2.3. Before a batch norm
it is divided by the spread of the scores: 230 was the most in 400 random networks."""


@cause("CD312", "parameter without a gradient", "warning")
def without_gradient(subject: Subject) -> Iterator[Finding]:
    """A parameter that gets no gradient, and where its way to the loss was cut.

    It sees a parameter that no route with a derivative leads from to the loss: nothing reads it, or
    all that is computed from it goes through an op without a derivative (``stop_gradient``,
    rounding, a comparison, argmax).

    It matters because such a parameter is never trained, and nothing says so.

    For example a layer that ``forward`` forgets; or a quantity that was rounded for printing and
    then used.

    Follow the line that is named. A parameter that is meant to stay as it is can be a `Buffer`.
    """
    for index, name in subject.scene.parameters.items():
        if subject.scene.nodes[index].dtype.kind != "f":
            continue
        if index in subject.scene.adjoints:
            continue
        cuts = flat_cuts(subject.scene, index)
        if not subject.scene.consumers.get(index):
            message = f"Nothing that the program computes reads {name}."
            where = ""
        elif cuts:
            op = subject.scene.nodes[cuts[0]].op
            reason = getattr(op.derivative, "reason", "it has no derivative") if op else ""
            message = f"All that is made of {name} ends at {op.name if op else ''}: {reason}."
            where = subject.line(cuts[0])
        else:
            message = f"What is computed from {name} does not reach the result."
            where = subject.line(subject.scene.consumers[index][0][0])
        yield Finding.of("CD312", tensor=name, where=where, message=message)


def _sizes(subject: Subject) -> list[float]:
    """Return the root mean square of the gradient at the scores of each layer."""
    return [rms(subject.gradient(layer.scores)) for layer in subject.layers]


@cause("CD310", "vanishing gradients", "warning")
def vanishing(subject: Subject) -> Iterator[Finding]:
    """Gradients that get smaller from layer to layer on their way to the first.

    It sees that the gradient at the scores of the first layer is less than 1e-4 of that at the
    last. Networks below that ended at a loss of 1 to 2.3 on the digits, after 30 epochs of Adam.

    It matters because the first layers then stay as they were drawn, whatever the learning rate
    is: it has to suit the last ones.

    For example eight layers with sigmoid, whose slope is at most ¼.

    Use ReLU or tanh with weights drawn for them, `chainrule.nn.Residual`, or a normalisation.
    """
    yield from _by_layer(subject, "CD310", lambda ratio: 0 < ratio < _VANISHED, "shrinks")


@cause("CD311", "exploding gradients", "warning")
def exploding(subject: Subject) -> Iterator[Finding]:
    """Gradients that get larger from layer to layer on their way to the first.

    It sees that the gradient at the scores of the first layer is more than 1000 times that at the
    last. In trained networks of up to 12 layers it is at most 10 times, in 400 random ones with and
    without normalisation at most 230.

    It matters because a step that suits the last layers throws the first ones out.

    For example weights drawn with ``rng.normal``, whose variance is 1, in layers of 100 units.

    Draw weights by fan-in, clip the gradient (``clip_norm=1.0``), or normalise between layers.
    """
    yield from _by_layer(subject, "CD311", lambda ratio: ratio > _EXPLODED, "grows")


def _by_layer(subject: Subject, code: str, is_bad: Any, verb: str) -> Iterator[Finding]:
    sizes = _sizes(subject)
    if len(sizes) < 3 or not sizes[-1] or not np.all(np.isfinite(sizes)):
        return
    ratio = sizes[0] / sizes[-1]
    if not is_bad(ratio):
        return
    steps = [a / b if b else np.inf for a, b in itertools.pairwise(sizes)]
    worst = int(np.argmin(steps) if verb == "shrinks" else np.argmax(steps))
    layer = subject.layers[worst]
    yield Finding.of(
        code,
        tensor=subject.name(subject.layers[0].weight),
        where=subject.line(layer.product),
        message=f"The gradient {verb} by {ratio:.2g} from the last layer to the first, most at "
        f"{subject.name(layer.weight)} (× {steps[worst]:.2g}).",
        evidence=("from first to last: " + course(sizes, worst, ", "),),
        advice="Draw weights for the activation, or normalise between layers.",
    )


@cause("CD315", "bias without effect", "note")
def idle_bias(subject: Subject) -> Iterator[Finding]:
    """A bias that the loss does not change with, as one before batch norm.

    It sees a parameter with one axis whose contributions to the gradient cancel to less than 1e-9
    of their size, while they are not zero.

    It matters little: batch norm subtracts the mean, and with it the bias, and has one of its own.
    It is memory and time for nothing.

    For example ``Sequential(Linear(64, 32), BatchNorm1d(32), ReLU())``.

    Write ``Linear(64, 32, bias=False)``.
    """
    for index, name in subject.scene.parameters.items():
        shape = subject.scene.nodes[index].shape
        readers = subject.scene.consumers.get(index, [])
        if len(shape) != 1 or len(readers) != 1 or index not in subject.scene.adjoints:
            continue
        reader, k = readers[0]
        g = np.abs(subject.gradient(reader))
        terms = np.sum(g) if subject.scene.pull(reader, k, g).shape == shape else 0.0
        eps = np.finfo(subject.scene.nodes[index].dtype).eps
        rest = np.sum(np.abs(subject.gradient(index)))
        if terms > 0 and rest < max(1e-9, 64 * eps) * terms:
            yield Finding.of(
                "CD315",
                tensor=name,
                where=subject.line(reader),
                message=f"The loss does not change with {name}: what follows takes it out again.",
                advice="Leave it out: bias=False.",
            )


GRADIENT_RULES = (without_gradient, vanishing, exploding, idle_bias)
