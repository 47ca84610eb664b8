"""What was repeated is summed: biases, and the axes of reductions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import close
from chainrule.inspect.diagnose.causes.activations import is_multiple
from chainrule.inspect.diagnose.guessing import Guess, guesses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.diagnose.sites import Site


@guesses("CD211", "bias gradient not summed", "edge", rank=4)
def not_summed(site: Site) -> Iterator[Guess]:
    """The gradient of what was added to every example is not summed over them.

    What it sees
        A gradient of the shape of the sum's result, or that of one example alone.

    Why it matters
        ``b -= lr * db`` then broadcasts, and b becomes a matrix; or all but one example are
        lost.

    Example
        ``db = dZ`` in place of ``dZ.sum(axis=0)``.

    What to do
        Sum over the axes along which it was repeated.
    """
    if not site.was_repeated:
        return
    g = np.broadcast_to(site.upstream * site.factor, site.node.shape)
    if site.is_argument:
        yield Guess(np.array(g), "all", "it has a row for each example")
        if site.account.batch:  # the sum and the 1/m went together
            array = g * site.account.batch
            yield Guess(array, "all of single examples", "it has a row for each example")
    shape = np.shape(site.number)
    for axis in range(g.ndim):
        for place in (0, -1):
            one = np.take(g, place, axis=axis)
            if one.size == site.number.size:
                yield Guess(
                    one.reshape(shape), f"{axis} {place}", "it is that of one example alone"
                )


@guesses("CD212", "bias gradient summed over the wrong axis", "edge", rank=4)
def wrong_axis(site: Site) -> Iterator[Guess]:
    """The gradient of what was added to every example is summed over the wrong axis.

    What it sees
        The sum over units where examples are meant, or over everything.

    Why it matters
        With as many examples as units no shape complains; a single number broadcasts.

    Example
        ``db = dZ.sum(axis=1)`` where rows are examples; ``db = np.sum(dZ)``.

    What to do
        Sum over the axis that counts examples: 0 for rows, 1 for columns.
    """
    if not site.was_repeated:
        return
    g = np.broadcast_to(site.upstream * site.factor, site.node.shape)
    shape = np.shape(site.number)
    axes = [*itertools.combinations(range(g.ndim), 1), tuple(range(g.ndim))]
    for chosen in axes:
        for keep in (False, True):
            for fold, key in ((np.sum, "sum"), (np.mean, "mean")):
                y = np.asarray(fold(g, axis=chosen, keepdims=keep))
                if y.size == site.number.size and is_multiple(y, site.true):
                    continue
                words = "over everything" if len(chosen) > 1 else f"over axis {chosen[0]}"
                if site.is_argument or y.shape == shape:
                    yield Guess(y, f"{chosen} {keep} {key}", f"it was summed {words}")
                if site.is_argument and y.ndim and y.size == site.number.size and y.shape != shape:
                    yield Guess(
                        y.reshape(shape), f"{chosen} {keep} {key} turned", f"it was summed {words}"
                    )
                if len(chosen) > 1:
                    yield Guess(
                        np.full(shape, y.ravel()[0]),
                        f"{chosen} {key} full",
                        f"it was summed {words}",
                    )


@guesses("CD231", "wrong axis in a reduction", "edge", "whole", rank=4)
def reduction(site: Site) -> Iterator[Guess]:
    """A mean or a sum in the backward pass of a normalisation goes over the wrong axis.

    What it sees
        The closed form of the gradient of a normalisation, with its means taken along another
        axis than the one that was normalised.

    Why it matters
        Layer norm subtracts means over units and batch norm over examples; the formulas look
        alike.

    Example
        ``dx = (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0)) / std`` behind a mean
        over axis 1.

    What to do
        Take the means of the backward pass along the axis of the forward pass.
    """
    if site.kind == "edge" and site.was_repeated:
        yield from _sums(site)
    elif site.kind == "edge":
        yield from _carried_on(site)
    if site.kind == "whole":
        for parts in _normalised(site):
            yield from _closed_forms(site, parts, other=True)


@guesses("CD238", "a route is left out", "whole", rank=4)
def normalisation_incomplete(site: Site) -> Iterator[Guess]:
    """One of the routes by which a value reaches the loss is left out.

    What it sees
        The gradient lacks what comes by way of one of the values computed from it: the mean
        or the variance of a normalisation, a shortcut, a second use.

    Why it matters
        The chain rule is a sum over all routes.

    Example
        ``dx = dxhat / std`` behind ``xhat = (x - x.mean()) / std``, where mean and std depend
        on x, too.

    What to do
        Add what comes from every place that reads the value.
    """
    for parts in _normalised(site):
        yield from _closed_forms(site, parts, other=False)
    consumers = site.account.consumers.get(site.value, [])
    if len(consumers) > 1:
        for consumer in consumers:
            part = site.account.contribution(consumer, site.value)
            words = f"what comes {_way(site, consumer, part)} is missing"
            yield Guess(site.true - part, f"without #{consumer}", words)
            if len(consumers) > 2:
                yield Guess(
                    part, f"only #{consumer}", f"all but {site.account.name(consumer)} is missing"
                )


def _way(site: Site, consumer: int, part: Any) -> str:
    """Return how a part of a gradient comes: from above, or through what reads the value."""
    for parameter, (entries, shape) in site.account.probe.above.items():
        above = site.account.probe.cotangent[entries].reshape(shape)
        if np.array_equal(above, part):
            return f"from above, {parameter},"
    return f"by way of {site.account.name(consumer)}"


def _sums(site: Site) -> Iterator[Guess]:
    """Yield the sums of what was repeated along other axes, put back into shape."""
    g = np.broadcast_to(site.upstream * site.factor, site.node.shape)
    shape = np.shape(site.number)
    for axis in range(g.ndim):
        y = np.sum(g, axis=axis, keepdims=True)
        if y.shape == shape or y.size == site.number.size:
            yield Guess(y.reshape(shape), f"{axis}", f"it was summed over axis {axis}")


def _carried_on(site: Site) -> Iterator[Guess]:
    """Yield what a reduction hands on, if what was repeated after it is summed the other way.

    Such a sum has another shape than what it is the gradient of, and broadcasting carries it on.
    """
    account, reduced = site.account, site.consumer
    if np.ndim(site.number) != 2 or np.ndim(account.numbers[reduced]) != 2 or site.acts_alone:
        return
    chain = [reduced]
    while True:
        consumers = account.consumers.get(chain[-1], [])
        larger = [c for c in consumers if account.graph.nodes[c].shape == np.shape(site.number)]
        for consumer in larger:
            edge = type(site)(account, "edge", chain[-1], consumer)
            if edge.was_repeated:
                yield from _turned(site, edge, chain)
        same = [c for c in consumers if c not in larger and len(account.graph.nodes[c].shape) == 2]
        if len(same) != 1:
            return
        chain.append(same[0])


def _turned(site: Site, edge: Site, chain: list[int]) -> Iterator[Guess]:
    """Yield what comes of one sum over the other axis, along a chain back to a reduction."""
    account = site.account
    full = np.broadcast_to(edge.upstream * edge.factor, edge.node.shape)
    share = np.ones(np.shape(site.number))
    for k in account.places(site.consumer, site.value):
        share = account.pulled(site.consumer, k, np.ones(account.graph.nodes[site.consumer].shape))
    for axis in range(2):
        g: Any = np.sum(full, axis=axis, keepdims=True) - 0.0
        right = np.sum(full, axis=1 - axis, keepdims=True)
        if g.shape == np.shape(edge.number):
            continue
        steps = [
            type(site)(account, "edge", made, value)
            for value, made in itertools.pairwise(reversed([*chain]))
        ]
        if not all(step.acts_alone for step in steps):
            continue
        for step in steps:
            g, right = g * step.factor, right * step.factor
        words = f"it was summed over axis {axis}"
        rest = np.asarray(site.true) - np.broadcast_to(right, share.shape) * share
        about = edge.value if len(chain) == 1 else chain[0]
        yield Guess(
            np.broadcast_to(g, share.shape) * share + rest, f"#{edge.consumer} {axis}", words, about
        )


def _normalised(site: Site) -> Iterator[tuple[int, int, Any, Any]]:
    """Yield results of normalising a value along one axis: node, axis, result and spread."""
    x, account = site.number, site.account
    if np.ndim(x) != 2:
        return
    for axis in range(2):
        centred = x - x.mean(axis=axis, keepdims=True)
        for index, node in enumerate(account.graph.nodes):
            if node.shape != np.shape(x) or index <= site.value or index not in account.adjoints:
                continue
            y = account.numbers[index]
            with np.errstate(all="ignore"):
                spread = np.sqrt(
                    np.sum(centred**2, axis=axis, keepdims=True)
                    / np.sum(np.square(y), axis=axis, keepdims=True)
                )
            if np.all(np.isfinite(spread)) and close(y * spread, centred) and not close(y, centred):
                yield index, axis, y, spread


def _closed_forms(site: Site, parts: tuple[int, int, Any, Any], *, other: bool) -> Iterator[Guess]:
    """Yield the closed form of a normalisation's gradient, with parts of it left out or turned."""
    index, axis, y, spread = parts
    g = site.account.gradient(index)
    if other:
        yield from _other_axis(site, parts, g)
        return
    mean = g.mean(axis=axis, keepdims=True)
    shared = y * (g * y).mean(axis=axis, keepdims=True)
    yield Guess(g / spread, f"#{index} bare", "mean and variance were taken for constants")
    yield Guess((g - mean) / spread, f"#{index} mean", "the variance was taken for a constant")
    yield Guess((g - shared) / spread, f"#{index} variance", "the mean was taken for a constant")


def _other_axis(site: Site, parts: tuple[int, int, Any, Any], g: Any) -> Iterator[Guess]:
    """Yield the closed form with means along the other axis, divided by either length."""
    index, axis, y, spread = parts
    other = 1 - axis
    right_mean = (g / spread).mean(axis=axis, keepdims=True)
    right_shared = y / spread * (g * y).mean(axis=axis, keepdims=True)
    centre, variance = _statistics(site, axis)
    for length in sorted({np.shape(g)[axis], np.shape(g)[other]}):
        mean = (g / spread).sum(axis=other, keepdims=True) / length
        shared = y / spread * (g * y).sum(axis=other, keepdims=True) / length
        by_hand = y / spread**2 * (g * y * spread).sum(axis=other, keepdims=True) / length
        words = "the mean was taken over the other axis"
        yield Guess(
            g / spread - mean - right_shared,
            f"#{index} mean {length == np.shape(g)[axis]}",
            words,
            centre,
        )
        inside = g.sum(axis=other, keepdims=True) / length / spread
        yield Guess(
            g / spread - inside - right_shared,
            f"#{index} inside {length == np.shape(g)[axis]}",
            words,
            centre,
        )
        for key, term in (("shared", shared), ("by hand", by_hand)):
            called = f"#{index} {key} {length == np.shape(g)[axis]}"
            words = "the sum for the variance goes over the other axis"
            yield Guess(g / spread - right_mean - term, called, words, variance)
            words = "both means go along the other axis"
            yield Guess(g / spread - mean - term, f"{called} both", words)
            yield Guess(g / spread - inside - term, f"{called} both inside", words)


def _statistics(site: Site, axis: int) -> tuple[int | None, int | None]:
    """Return the nodes that are the mean and the variance of a value."""
    account, x = site.account, site.number
    mean, variance = x.mean(axis=axis), x.var(axis=axis)
    found: list[int | None] = [None, None]
    for index, node in enumerate(account.graph.nodes):
        if node.op is None or int(np.prod(node.shape)) != mean.size or not account.is_named(index):
            continue
        number = np.ravel(account.numbers[index])
        for place, expected in enumerate((mean, variance)):
            if found[place] is None and close(number, np.ravel(expected)):
                found[place] = index
    return found[0], found[1]
