"""The forward pass of a target, traced: its graph, and what its names stood for.

Code that writes in place is followed. If the code of a backward pass in the same function cannot
be, the loss is found among what was recorded before.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.graph import Value
from chainrule.inspect.noticing import Noticed, Rank
from chainrule.inspect.targets.stage import copied
from chainrule.inspect.targets.watching import Named
from chainrule.inspect.walking import walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.inspect.targets.stage import Stage
    from chainrule.inspect.walking import Walk

__all__ = ["Traced", "agrees", "traced"]


@dataclass(frozen=True)
class Traced:
    """A forward pass that was traced.

    Attributes
    ----------
    walk
        With what is differentiated as its one output.
    nodes
        For each slot its node, if it has one.
    names
        What the names of variables, and the keys of the cache, stood for.
    """

    walk: Walk
    nodes: list[int | None]
    names: dict[str, list[int]]

    @property
    def output(self) -> int | None:
        """The node that is differentiated; None where it depends on nothing."""
        (y,) = self.walk.outputs
        return y.index if type(y) is Value and y.active else None

    def leading(self) -> set[int]:
        """Return the nodes that the output is made of."""
        nodes, found = self.walk.graph.nodes, set()
        waiting = [] if self.output is None else [self.output]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += nodes[index].inputs
        return found


def agrees(walked: Walk, loss: Any) -> bool:
    """Return whether a trace computed what the function does."""
    (y,) = walked.results()
    return np.shape(y) == np.shape(loss) and bool(
        np.allclose(y, loss, rtol=1e-9, atol=1e-12, equal_nan=True)
    )


def traced(stage: Stage, values: Sequence[Any]) -> Traced | None:
    """Trace forward, or return None if that cannot be done."""
    target = stage.target
    every = target.differentiable
    arrays = [k for k in every if np.ndim(values[k])]
    whole = [k for k, x in enumerate(values) if isinstance(x, np.ndarray) and x.dtype.kind in "iu"]
    for places, constants in ((every, []), (arrays, []), (arrays, whole)):
        found = _traced(stage, values, places, constants)
        if found is not None:
            return found
    return None


def _traced(
    stage: Stage, values: Sequence[Any], places: Sequence[int], constants: Sequence[int]
) -> Traced | None:
    """Trace with the values at some places followed, and with others as constants of the trace."""
    target = stage.target
    named = Named()
    keys: dict[str, int] = {}

    def run(*xs: Any) -> Any:
        inside = copied(values)
        for k, x in zip(places, xs, strict=True):
            inside[k] = x
        for k in constants:
            inside[k] = xs[0].tracer.constant(values[k])
        if xs:
            stage.follow(xs[0].tracer)
        try:
            with named:
                ran = target.forward(inside)
            y = target.loss(ran.output, ran)
        except Exception:
            if not target.watches_forward or not xs:
                raise
            return _recorded(xs[0].tracer, _plain_loss(stage, values))
        keys.update(_keys(ran.rest))
        return y

    names = [target.slots[k].name for k in places]
    try:
        with stage.set(), np.errstate(all="ignore"):
            walked = walk(
                run, [values[k] for k in places], keep_flat=True, in_place=True, names=names
            )
    except Exception as error:  # noqa: BLE001 - code may refuse a traced value in any way
        stage.refusal = error.__context__ if isinstance(error, LookupError) else error
        return None
    if len(walked.outputs) != 1:
        return None
    nodes: list[int | None] = [None] * len(values)
    for k, leaf in zip(places, walked.leaves, strict=True):
        nodes[k] = leaf.index
    title = "out" if np.ndim(walked.results()[0]) else "loss"
    seen = [Noticed(index, key, Rank.KEY) for key, index in keys.items()]
    seen += [
        Noticed(index, name.removeprefix("self."), Rank.VARIABLE)
        for name, at in named.nodes.items()
        for index in at
        if name.removeprefix("self.").isidentifier() and index not in walked.graph.inputs
    ]
    walked = dataclasses.replace(walked, title=title, noticed=(*walked.noticed, *seen))
    return Traced(walked, nodes, _known(walked, keys, named.nodes))


def _plain_loss(stage: Stage, values: Sequence[Any]) -> Any:
    with stage.set():
        ran = stage.target.forward(copied(values))
        return stage.target.loss(ran.output, ran)


def _recorded(tracer: Any, loss: Any) -> Any:
    """Return the last value recorded that is the loss, to the last bit or nearly."""
    close = [
        k
        for k, number in enumerate(tracer.numbers)
        if tracer.active[k] and not np.ndim(number) and np.isclose(number, loss, 1e-13, 0.0)
    ]
    if not close:
        raise LookupError("the loss was not recorded")
    return tracer.value(close[-1])


def _keys(rest: Any) -> dict[str, int]:
    """Return what the keys of a cache stand for."""
    paths, leaves, _ = optree.tree_flatten_with_path(rest)
    return {
        str(path[-1]): leaf.index
        for path, leaf in zip(paths, leaves, strict=True)
        if type(leaf) is Value and isinstance(path[-1], str)
    }


def _known(
    walked: Walk, keys: Mapping[str, int], named: Mapping[str, Sequence[int]]
) -> dict[str, list[int]]:
    """Return the nodes that each name stood for, keys of the cache first."""
    inputs = set(walked.graph.inputs)
    variables = [(name.removeprefix("self."), i) for name, at in named.items() for i in at]
    own = [(name, i) for i, name in enumerate(walked.names()) if i not in inputs]
    known: dict[str, list[int]] = {}
    for name, index in [*keys.items(), *variables, *own]:
        at = known.setdefault(name, [])
        if index not in at:
            at.append(index)
    return known
