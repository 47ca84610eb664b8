"""Units that do not do their part: dead, saturated, all the same; and weights that make them so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.lints.listing import course
from chainrule.ops import sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.lints.subject import Layer, Subject

__all__ = ["UNIT_RULES"]

_FEWEST = 8
"""Examples from which a unit that is off for all of them says something: at random one in 2⁸ is."""

# The thresholds are from networks of 1 to 12 hidden layers of 32 units with relu, tanh and sigmoid
# and three initialisers, on the digits (10 classes) and on normal numbers in 8 columns (4 classes),
# before and after 30 epochs of Adam at 3e-3.
_DEAD = 0.75
"""The share of dead units in a layer from which it is said: at most 0.66 before and 0.48 after."""

_SATURATED = 0.75
"""The share of saturated entries in a layer from which it is said: at most 0.08 and 0.41."""

_SHRUNK = 3e-3
"""How small the spread of the scores among examples may become, from the first layer to the last
hidden one. Below it the loss on the digits was 0.25 to 2.3 after 30 epochs; above it with relu and
tanh 0.001 to 0.18."""

_GROWN = 100.0
"""How large the spread of the scores may be beside that of the inputs: at most 1.7 and 44."""


def _hidden(subject: Subject) -> Iterator[tuple[Layer, int]]:
    """Iterate over layers and their activations that other layers read."""
    features = set().union(*[subject.ancestors(layer.features) for layer in subject.layers], set())
    for layer in subject.layers:
        for index in layer.activations:
            if index in features:
                yield layer, index


def _called(subject: Subject, layer: Layer) -> str:
    return f"the layer of {subject.name(layer.weight)}"


@cause("CD307", "units that are all the same", "warning")
def symmetric(subject: Subject) -> Iterator[Finding]:
    """Units of a layer with equal weights and equal gradients: they stay equal for ever.

    It sees a weight of a layer whose units all have the same numbers and the same gradients.

    It matters because equal units with equal gradients take equal steps: a layer of a hundred has
    the power of one.

    For example weights that start at zero, in more than the last layer.

    Draw weights at random (``initialiser="he_uniform"``); biases may start at zero.
    """
    for layer in subject.layers:
        w, g = subject.number(layer.weight), subject.gradient(layer.weight)
        if w.ndim != 2 or layer is subject.layers[-1] or w.size < 2:
            continue
        units = _units_axis(subject, layer)
        w, g = np.moveaxis(w, units, 0), np.moveaxis(g, units, 0)
        if len(w) > 1 and np.ptp(w, axis=0).max() == 0 and _equal(g):
            yield Finding.of(
                "CD307",
                tensor=subject.name(layer.weight),
                where=subject.line(layer.product),
                message=f"All {len(w)} units of {subject.name(layer.weight)} have the same weights "
                "and the same gradient.",
                evidence=(f"each starts at {w[0].ravel()[:3]}",) if w.any() else ("all are 0",),
                advice="Draw the weights at random, as the initialisers of chainrule.nn do.",
            )


def _equal(g: Any) -> bool:
    return bool(np.ptp(g, axis=0).max() <= 1e-12 * (np.max(np.abs(g)) or 1.0))


def _units_axis(subject: Subject, layer: Layer) -> int:
    """Return the axis of a weight that counts units: the length that its scores have."""
    axis = subject.scene.axis_of_examples(layer.product)
    shape = subject.scene.nodes[layer.product].shape
    count = shape[-1] if axis != len(shape) - 1 else shape[0]
    width = subject.scene.nodes[layer.weight].shape
    if width[0] == width[1]:  # square: features and units are told apart by the transpose
        return 0 if axis == len(shape) - 1 or _is_transposed(subject, layer) else 1
    return 0 if width[0] == count else 1


def _is_transposed(subject: Subject, layer: Layer) -> bool:
    return layer.weight not in subject.scene.nodes[layer.product].inputs


@cause("CD308", "dead units", "warning")
def dead(subject: Subject) -> Iterator[Finding]:
    """Hidden units that are off for every example.

    It sees an activation with a flat side whose slope is 0 in all of at least 8 examples, for at
    least 75 % of the units of a layer. Of networks that were drawn with the usual initialisers and
    trained, no layer had more than 66 %: those of a deep network with shrinking scores.

    It matters because a unit that is off everywhere gets no gradient and does not come back, unless
    the layers before it change.

    For example ReLU after one step with too large a learning rate, or biases of -10.

    Use a smaller learning rate, inputs with mean 0, ``he_uniform`` weights, or LeakyReLU.
    """
    seen = []
    for layer, index in _hidden(subject):
        op = subject.scene.nodes[index].op
        if op is None or op.kink is None or (subject.scene.examples or 0) < _FEWEST:
            continue
        is_off = np.all(subject.by_unit(layer.scores, subject.slopes(index)) == 0, axis=0)
        if np.mean(is_off) >= _DEAD:
            seen.append((layer, index, is_off))
    if not seen:
        return
    layer, index, is_off = seen[0]
    more = [
        f"and {int(np.sum(off))} of {len(off)} of {_called(subject, other)}"
        for other, _, off in seen[1:]
    ]
    yield Finding.of(
        "CD308",
        tensor=subject.name(index),
        where=subject.line(index),
        message=f"{int(np.sum(is_off))} of {len(is_off)} units of {_called(subject, layer)} are "
        f"off for all {subject.scene.examples} examples.",
        evidence=tuple(more),
        advice="A smaller learning rate, inputs with mean 0, he_uniform weights, or LeakyReLU.",
    )


@cause("CD309", "saturated units", "warning")
def saturated(subject: Subject) -> Iterator[Finding]:
    """Hidden units with sigmoid or tanh so far out that their slope is nearly zero.

    It sees an array that is the sigmoid or tanh of the scores of a layer (compared as numbers) with
    slopes below 2 % of the largest one, for at least 75 % of its entries. That is |z| > 2.6 for
    tanh and > 5.3 for sigmoid; of a normal distribution of width 3, tanh saturates in 38 %.

    It matters because the gradient is multiplied by these slopes on its way back.

    For example inputs in the hundreds, or weights drawn with variance 1 in a wide layer.

    Scale the inputs, draw weights by ``glorot_uniform``, or normalise before the activation.
    """
    features = set().union(*[subject.ancestors(layer.features) for layer in subject.layers], set())
    for layer in subject.layers:
        z = subject.number(layer.scores)
        for name, y, top in (("sigmoid", np.asarray(sigmoid(z)), 0.25), ("tanh", np.tanh(z), 1.0)):
            index = _computed(subject, layer, y)
            if index is None or index not in features:
                continue
            slopes = y * (1 - y) if name == "sigmoid" else 1 - y * y
            flat = float(np.mean(slopes < 0.02 * top))
            if flat >= _SATURATED:
                yield Finding.of(
                    "CD309",
                    tensor=subject.name(index),
                    where=subject.line(index),
                    message=f"{flat:.0%} of the {name} of {_called(subject, layer)} are saturated: "
                    f"their scores have a root mean square of {np.sqrt(np.mean(z * z)):.3g}.",
                    advice="Scale the inputs, draw smaller weights, or normalise before it.",
                )


def _computed(subject: Subject, layer: Layer, y: Any) -> int | None:
    """Return the node after a layer that holds these numbers."""
    for index in range(layer.scores + 1, len(subject.scene.nodes)):
        x = subject.number(index)
        if x.shape == y.shape and np.allclose(x, y, rtol=1e-5, atol=0):
            return index
    return None


@cause("CD306", "weights that do not keep the signal", "warning")
def signal(subject: Subject) -> Iterator[Finding]:
    """Layers whose scores differ less and less, or more and more, from example to example.

    It sees that the spread of the scores among examples falls below 3e-3 of that in the first
    layer, or rises above 100 times that of the inputs. Networks on the digits whose spread fell
    below that had a loss of 0.25 to 2.3 after 30 epochs of Adam, others with relu and tanh one of
    0.001 to 0.18; trained ones had a spread of at most 44 times that of their inputs.

    It matters because at the end of a network that shrinks it all examples look alike, and only
    the biases learn; one that grows it saturates or overflows. He, Zhang, Ren and Sun (2015) draw
    weights of variance 2/fan_in before ReLU, Glorot and Bengio (2010) 2/(fan_in + fan_out) before
    tanh, so that it stays.

    For example twelve layers with ReLU and ``fan_in_uniform`` (variance 1/(3 fan_in)): each leaves
    √(1/6) of the spread. Or weights drawn with ``rng.normal``, whose variance is 1.

    Choose the initialiser for the activation: ``he_uniform`` for ReLU, ``glorot_uniform`` for
    tanh; or normalise between layers.
    """
    hidden = subject.layers[:-1]
    if not hidden:
        return
    spreads = [_spread(subject, layer.scores) for layer in hidden]
    given = _spread(subject, hidden[0].features)
    if not spreads[0] or not given or not np.all(np.isfinite(spreads)):
        return
    for place, (layer, spread) in enumerate(zip(hidden, spreads, strict=True)):
        grows = spread > _GROWN * given
        if not grows and spread >= _SHRUNK * spreads[0]:
            continue
        before = f"{given:.2g} in the inputs" if grows else f"{spreads[0]:.2g} in the first layer"
        yield Finding.of(
            "CD306",
            tensor=subject.name(layer.weight),
            where=subject.line(layer.product),
            message=f"The spread of the scores among examples {'grows' if grows else 'shrinks'} "
            f"from {before} to {spread:.2g} in {_called(subject, layer)}.",
            evidence=("layer by layer: " + course(spreads, place, " → "),),
            advice="Draw weights for the activation (he_uniform for ReLU, glorot_uniform for "
            "tanh), or normalise between layers.",
        )
        return


def _spread(subject: Subject, index: int) -> float:
    """Return the standard deviation among examples, over all units."""
    x = subject.examples_by(index, subject.number(index))
    return float(np.sqrt(np.mean(np.var(x, axis=0))))


UNIT_RULES = (symmetric, signal, dead, saturated)
