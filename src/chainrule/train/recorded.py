"""A step of training, recorded as a program that changes what is learned where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.execute import Repeated
from chainrule.graph import Spec, trace
from chainrule.train.data import Batch
from chainrule.train.step import check_of
from chainrule.transform import simplify

if TYPE_CHECKING:
    from chainrule.train.flat import Flat
    from chainrule.train.step import Recipe

__all__ = ["recorded"]

_FOUND = 5
"""Outputs before what is learned: loss, norm, share, check, and NaN where nothing counts."""


def recorded(
    recipe: Recipe,
    flat: Flat,
    data: Batch,
    size: int | None,
    threads: int | None,
    recordings: dict[Any, Repeated] | None = None,
) -> Repeated:
    """Return the program of a step.

    Its inputs are the flat arrays of what is learned, which it writes to; for each run a key of
    random numbers and a learning rate; the leaves of the data; and the places of the examples in
    it, for each run so many. Its outputs are, for each run, the loss, the norm of its gradient,
    the share of the batch, a number that is finite where what is learned is, and one that is NaN
    where nothing in the batch counts.

    Parameters
    ----------
    recipe
        How to go a step.
    flat
        How what is learned lies.
    data
        Examples.
    size
        How many examples a step takes from them. If none is said, it takes all that it is given,
        which are other arrays in each run, and no places.
    threads
        How many threads share a step; as many as the work is worth, if it is not said.
    recordings
        Programs of steps by the shapes of what they are given, of trainings that differ in
        numbers alone. One that is there is not recorded again, and one that is not is put there.

    Raises
    ------
    TraceError
        If a step cannot be recorded, because it branches on numbers.
    """
    tree: Any = tuple(data)
    leaves, form = optree.tree_flatten(tree)
    count = len(flat.specs)

    def step(*values: Any) -> list[Any]:
        flats, (key, lr, *given) = values[:count], values[count:]
        batch = Batch(*optree.tree_unflatten(form, given[: len(leaves)]))
        if size is not None:
            batch = batch.at(given[-1])
        learned = flat.seen(flats)
        share: Any = recipe.share(batch)
        value, gradient, buffers = recipe.gradient(learned, key, batch)
        norm, new, changed = flat.updated(flats, gradient, buffers, lr)
        share = np.astype(share, np.float64) if hasattr(share, "dtype") else np.float64(share)
        counts = np.where(np.equal(share, 0), np.nan, 0.0)
        return [value, norm, share, check_of(new), counts, *changed]

    arrays = [np.asarray(x) for x in leaves]
    specs = [*flat.specs, Spec((2,), np.int64), Spec(()), *[Spec(x.shape, x.dtype) for x in arrays]]
    advancing = [count, count + 1]
    if size is not None:
        advancing.append(len(specs))
        specs.append(Spec((size,), np.int64))
    known = {} if recordings is None else recordings
    key = (size, threads, form, *specs)
    if key in known:
        return known[key].again()
    known[key] = made = Repeated(
        simplify(trace(step, *specs)),
        donated={_FOUND + k: k for k in range(count)},
        guards=(0, 1, 2, 4),  # the share too: it has to be there when a step is not kept
        watched=(3,),
        advancing=advancing,
        threads=threads,
    )
    return made if recordings is None else made.again()
