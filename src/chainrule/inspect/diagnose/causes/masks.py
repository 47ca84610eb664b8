"""Masks and bounds: dropout, clipping, and entries that are 0 where they should not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import close
from chainrule.inspect.diagnose.guessing import FACTORS, Guess, also, guesses

_SHARE = 0.1
"""Of the entries that have to be right and not 0, for a mask to be a likely cause."""

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.diagnose.sites import Site


@guesses("CD233", "dropout mask missing or not scaled", "edge", rank=4)
def not_masked(site: Site) -> Iterator[Guess]:
    """The mask of the forward pass is missing in the backward pass, or lacks its scale.

    What it sees
        The gradient goes through units that were dropped; or it is kept and dropped as it
        should be, without the 1/keep that the forward pass multiplied by.

    Why it matters
        What was dropped had no part in the loss, so it has no gradient.

    Example
        ``dA1 = dZ2 @ W2.T`` behind ``A1 = np.tanh(Z1) * mask / keep``.

    What to do
        Multiply by the same mask and the same scale: ``dA1 *= mask / keep``.
    """
    mask = mask_of(site)
    if mask is None:
        return
    g = np.broadcast_to(site.upstream, site.node.shape)
    yield Guess(np.array(g), "missing", "the mask is not there")
    scale = float(np.max(np.abs(mask)))
    yield Guess(g * (mask != 0), "unscaled", "the scale of the mask is not there")
    yield Guess(g * mask * scale, "twice", "the scale of the mask is there twice")
    if scale > 0:
        yield Guess(
            g * mask * (1 - 1 / scale), "drop", "the scale is the share of what was dropped"
        )
        yield Guess(g * (mask == 0) * scale, "reverse", "the mask is reversed")


@guesses("CD232", "dropout mask not reused", "edge", rank=4)
def not_reused(site: Site) -> Iterator[Guess]:
    """The backward pass draws a mask of its own.

    What it sees
        Gradients are kept and dropped by another mask than the one of the forward pass.

    Why it matters
        Units are blamed for what others did.

    Example
        ``dA1 *= (rng.random(A1.shape) < keep) / keep`` in the backward pass.

    What to do
        Keep the mask of the forward pass in the cache, and multiply by it.
    """
    mask = mask_of(site)
    if mask is None:
        return
    g = np.broadcast_to(site.upstream, site.node.shape)
    scale = float(np.max(np.abs(mask)))
    for seen in site.account.probe.observed:
        array = np.asarray(seen.array)
        if array.shape != mask.shape or array.dtype.kind not in "fiub":
            continue
        levels = np.unique(array)
        if len(levels) == 2 and levels[0] == 0 and not np.array_equal(array != 0, mask != 0):
            drawn = (array != 0) * scale
            yield Guess(g * drawn, f"observed {seen.name}", f"{seen.name} is another mask")
    for array in visible(site, np.shape(g)):
        with np.errstate(all="ignore"):
            kept = np.isclose(array, g * scale, rtol=1e-6, atol=site.account.floor)
        drawn = kept & (g != 0)
        if np.all(kept | (array == 0)) and np.any(drawn) and np.any(drawn != (mask * g != 0)):
            yield Guess(np.where(kept, g * scale, 0.0), "seen", "another mask was drawn")
            break
    before = site.account.probe.before
    if before is not None:
        for index in site.others:
            old = before.numbers[index] if index < len(before.numbers) else None
            if old is not None and np.shape(old) == mask.shape and not np.array_equal(old, mask):
                yield Guess(g * old, "before", "the mask is that of the batch before")


@guesses("CD229", "clipped or masked", "whole", rank=8)
def clipped(site: Site) -> Iterator[Guess]:
    """Entries of a gradient are cut to a bound, or set to 0, where they should not be.

    What it sees
        The gradient is right where it is small, and one number wherever it would be larger;
        or right in some entries and 0 in the others.

    Why it matters
        A bound in the backward pass is no derivative of the loss: it belongs to the optimiser,
        where it can be seen.

    Example
        ``dW1 = np.clip(dW1, -1, 1)`` inside of the backward pass.

    What to do
        Return the gradient, and clip it where the step is taken.
    """
    true, told = np.asarray(site.true), set[str]()
    for array in visible(site):
        for guess in _cuts(true, array, site.account.floor):
            if guess.key not in told:
                told.add(guess.key)
                yield guess


def _cuts(true: Any, array: Any, floor: float) -> Iterator[Guess]:
    """Yield what was done to a gradient, if an array is the cut one."""
    high, low = float(np.max(array)), float(np.min(array))
    bound = max(abs(high), abs(low))
    if close(array, true, floor) or not bound:
        return
    if close(np.clip(true, -bound, bound), array, floor):
        yield Guess(array, "clip", f"it was cut to ±{bound:.4g}")
    elif close(np.clip(true, low, high), array, floor):
        yield Guess(array, "range", f"it was cut to {low:.4g} … {high:.4g}")
    kept = np.isclose(array, true, rtol=1e-6, atol=floor)
    if np.all(array[~kept] == 0) and np.mean(kept & (true != 0)) >= _SHARE:
        words = f"{int(np.sum(~kept))} of {array.size} entries were set to 0"
        yield Guess(array, "mask", words)


@also(FACTORS, "CD229", "whole", "edge", "region")
def scaled_to_length(site: Site, number: str) -> bool:
    """Return whether a gradient was scaled to the same length on every probe."""
    del site
    return number == "norm"


def visible(site: Site, shape: tuple[int, ...] | None = None) -> Iterator[Any]:
    """Yield the arrays that the backward pass may have had for the gradient of a value."""
    account = site.account
    shape = np.shape(site.true) if shape is None else shape
    arrays = [np.asarray(c.array) for c in account.claims.values() if c.node == site.value]
    arrays += [np.asarray(seen.array) for seen in account.probe.observed]
    m = account.batch or 1
    for array in arrays:
        if array.shape == shape and array.dtype.kind == "f" and array.size > 1:
            yield array
            if m > 1:  # gradients of single examples, where the 1/m comes in later
                yield array / m


def mask_of(site: Site) -> Any:
    """Return the mask that the consumer multiplies by: two numbers, one of them 0."""
    if not site.acts_alone or site.was_repeated or len(site.others) != 1:
        return None
    mask = np.asarray(site.factor)
    levels = np.unique(mask)
    is_mask = len(levels) == 2 and levels[0] == 0 and levels[1] > 0
    given = np.asarray(site.account.numbers[site.others[0]])
    return mask if is_mask and given.shape == mask.shape else None
