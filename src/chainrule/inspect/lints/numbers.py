"""Inputs as they meet the first weights: their scale, and columns that say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.lints.subject import Layer, Subject

__all__ = ["NUMBER_RULES"]

_LARGE = 30.0
"""The largest root mean square of a column. The curvature of a loss along a weight grows with the
square of its input, and gradient descent is stable up to 2 over the curvature (LeCun, Bottou, Orr
and Müller, *Efficient BackProp*, 1998, sections 4.3 and 5): at 30 it has to be 900 times slower
than for inputs near 1. Grey levels of 0 … 16 stay below, bytes of 0 … 255 do not."""


def _features(subject: Subject) -> Iterator[tuple[Layer, Any]]:
    """Iterate over what the first weights multiply, as (examples, columns)."""
    seen = set()
    for layer in subject.layers:
        if layer.features in seen or subject.from_parameters[layer.features]:
            continue
        seen.add(layer.features)
        x = subject.number(layer.features)
        axis = subject.scene.axis_of_examples(layer.features)
        if x.ndim == 2 and axis is not None:
            yield layer, np.moveaxis(x, axis, 0)


@cause("CD304", "inputs that are not scaled", "warning")
def unscaled(subject: Subject) -> Iterator[Finding]:
    """Columns of the inputs that are far larger than 1 where they meet the first weights.

    It sees columns whose root mean square is above 30 in the operand of the first product with
    weights, after whatever the network does to its inputs before.

    It matters because the first scores are as large: sigmoids and tanh saturate, and the one
    learning rate has to suit the largest column.

    For example years (2000 ± 10), prices, or pixels of 0 … 255.

    Scale by column, with the numbers of the training set: ``(X - X.mean(0)) / X.std(0)``; by row,
    with ``axis=1, keepdims=True``, where examples are columns. Or put a `chainrule.nn.BatchNorm1d`
    first.
    """
    for layer, x in _features(subject):
        sizes = np.sqrt(np.mean(np.square(x), axis=0))
        large = np.flatnonzero(sizes > _LARGE)
        if not large.size:
            continue
        word = _feature(subject, layer)
        order = large[np.argsort(-sizes[large])]
        listed = tuple(
            f"{word} {j}: mean {x[:, j].mean():.4g}, standard deviation {x[:, j].std():.4g}"
            for j in order[:4]
        )
        more = (f"and {len(order) - 4} more",) if len(order) > 4 else ()
        yield Finding.of(
            "CD304",
            tensor=subject.name(layer.features),
            where=subject.line(layer.product),
            message=f"{len(large)} of {x.shape[1]} {word}s are larger than {_LARGE:.0f}.",
            evidence=(*listed, *more),
            advice=_scaling(subject.scene.axis_of_examples(layer.features)),
        )
        return


def _feature(subject: Subject, layer: Layer) -> str:
    """Return what one feature is: a column, or a row where examples are columns."""
    return "row" if subject.scene.axis_of_examples(layer.features) else "column"


def _scaling(axis: int | None) -> str:
    along = "1, keepdims=True" if axis else "0"
    word = "row" if axis else "column"
    return (
        f"Scale by {word}: (X - X.mean({along})) / X.std({along}), with numbers of the training "
        "set."
    )


@cause("CD305", "constant columns", "note")
def constant_columns(subject: Subject) -> Iterator[Finding]:
    """Columns of the inputs that are the same in every example.

    It sees columns without any spread among at least 10 examples where they meet the first
    weights.

    It matters little: the weights of a column of zeros get no gradient, and any other constant
    acts as a second bias. Divided by its standard deviation, which is 0, such a column is NaN.

    For example pixels at the border of every image.

    Leave the columns out, if they stay constant over the whole training set.
    """
    for layer, x in _features(subject):
        if len(x) < 10:
            continue
        constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
        if constant.size:
            listed = ", ".join(map(str, constant[:8])) + (", …" if len(constant) > 8 else "")
            yield Finding.of(
                "CD305",
                tensor=subject.name(layer.features),
                where=subject.line(layer.product),
                message=f"{len(constant)} of {x.shape[1]} {_feature(subject, layer)}s are the same "
                f"in all {len(x)} examples: {listed}.",
            )
            return


NUMBER_RULES = (unscaled, constant_columns)
