"""All that is learned, in few flat arrays.

Parameters, the optimiser's memory of them and their averages have the same shapes, so they lie in
the same order in arrays of their own. An update that treats each number by itself then is one walk
over all of them, however many parameters there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.graph import Each, Spec, Viewed, trace
from chainrule.train.arena import Arena
from chainrule.train.step import Learned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.train.step import Recipe

__all__ = ["Flat"]


class Flat:
    """Where what is learned lies in flat arrays.

    Parameters
    ----------
    recipe
        How to go a step.
    learned
        Arrays, whose names, shapes and dtypes count.
    """

    def __init__(self, recipe: Recipe, learned: Learned) -> None:
        self._recipe = recipe
        self._names = sorted(learned.parameters)  # the order of optree's leaves
        self._is_joined = _acts_on_elements(recipe, learned)
        self._arenas = [Arena(xs) for xs in self._groups(learned)]
        self._like = _without_numbers(learned)

    @property
    def specs(self) -> list[Spec]:
        """The shapes and dtypes of the flat arrays."""
        return [
            Spec((n,), dtype)
            for arena in self._arenas
            for n, dtype in zip(arena.sizes, arena.dtypes, strict=True)
        ]

    def _groups(self, learned: Learned) -> list[list[Any]]:
        """Return the arrays in groups that go through an update together."""
        state = learned.optimiser
        groups = [[learned.parameters[name] for name in self._names]]
        groups += [optree.tree_leaves(tree) for tree in state.memory.values()]
        if learned.average is not None:
            groups.append(optree.tree_leaves(learned.average))
        if not self._is_joined:  # what an update sees as a whole lies by itself
            groups = [[x] for xs in groups for x in xs]
        return [*groups, *[[x] for x in learned.buffers.values()], [np.asarray(state.step)]]

    def flats(self, learned: Learned) -> list[Any]:
        """Return new flat arrays with the numbers of what is learned in them."""
        groups = zip(self._arenas, self._groups(learned), strict=True)
        return [x for arena, xs in groups for x in arena.flats(xs)]

    def seen(self, flats: Sequence[Any]) -> Learned:
        """Return what lies in flat arrays, or in flat traced values, by its names."""
        like = self._like
        leaves: list[Any] = []
        k = 0
        for arena in self._arenas:
            leaves += arena.views(flats[k : k + len(arena.dtypes)])
            k += len(arena.dtypes)
        taken = iter(leaves)
        found = {name: next(taken) for name in self._names}
        parameters = {name: found[name] for name in like.parameters}
        memory = {
            name: optree.tree_map(lambda _: next(taken), tree)
            for name, tree in like.optimiser.memory.items()
        }
        average = like.average
        if average is not None:
            average = optree.tree_map(lambda _: next(taken), average)
        buffers = {name: next(taken) for name in like.buffers}
        state = like.optimiser._replace(step=next(taken), memory=memory)
        return Learned(parameters, buffers, state, average)

    def updated(
        self, flats: Sequence[Any], gradient: dict[str, Any], buffers: dict[str, Any], lr: Any
    ) -> tuple[Any, Any, list[Any]]:
        """Return what a step makes of traced flat values.

        Parameters
        ----------
        flats
            What is learned.
        gradient, buffers
            By name: what came of a batch.
        lr
            The learning rate.

        Returns
        -------
        norm
            Of the gradient, before it is clipped.
        learned
            In containers as the update left them.
        flats
            The same, flat.
        """
        if self._is_joined:
            arena = self._arenas[0]
            packed = arena.packed([gradient[name] for name in self._names])
            norm, new = self._recipe.update(
                self._whole(flats, len(arena.dtypes)), packed, buffers, lr
            )
            moved, average = list(new.parameters), new.average or ()
        else:
            norm, new = self._recipe.update(self.seen(flats), gradient, buffers, lr)
            moved = [new.parameters[name] for name in self._names]
            average = optree.tree_leaves(new.average)
        memory = [x for tree in new.optimiser.memory.values() for x in optree.tree_leaves(tree)]
        kept = [new.buffers[name] for name in self._like.buffers]
        changed = [*moved, *memory, *average, *kept, new.optimiser.step]
        return norm, new, [np.reshape(x, (-1,)) for x in changed]

    def _whole(self, flats: Sequence[Any], k: int) -> Learned:
        """Return what is learned as flat values, each taken for one parameter."""
        taken = iter([list(flats[i : i + k]) for i in range(0, len(flats), k)])
        parameters: Any = next(taken)
        memory = {name: next(taken) for name in self._like.optimiser.memory}
        average: Any = None if self._like.average is None else next(taken)
        state = self._like.optimiser._replace(step=np.reshape(flats[-1], ()), memory=memory)
        return Learned(parameters, {}, state, average)


def _without_numbers(learned: Learned) -> Learned:
    """Return the containers of what is learned, with nothing in them."""
    tree: Any = learned
    empty: Any = optree.tree_map(lambda _: 0, tree)
    return Learned(*empty)


def _acts_on_elements(recipe: Recipe, learned: Learned) -> bool:
    """Return whether an update treats each number of a parameter by itself, which is tried.

    Only for what is declared here: one of a user's own may look at shapes, places or names, and
    then gets every parameter as it is.
    """
    parts = [type(x).__module__ for x in (recipe.optimiser, recipe.averaging) if x is not None]
    if not learned.parameters or not all(x.startswith("chainrule.") for x in parts):
        return False
    dtypes = {x.dtype for x in learned.parameters.values()}
    like = Spec((7,), next(iter(dtypes), np.float64))

    def update(p: Any, g: Any, memory: Any, average: Any, step: Any, lr: Any) -> Any:
        state = learned.optimiser._replace(step=step, memory=memory)
        moved, state = recipe.optimiser.update([p], [g], state, lr)
        kept = [] if average is None else recipe.averaging.update([average], moved)
        return [*moved, *[x for xs in state.memory.values() for x in xs], *kept]

    memory = {name: [like] for name in learned.optimiser.memory}
    average = None if learned.average is None else like
    scalars = Spec((), np.int64), Spec((), np.float64)
    graph = trace(update, like, like, memory, average, *scalars)
    return all(
        node.op is None
        or isinstance(node.op.form, Each)
        or (isinstance(node.op.form, Viewed) and not graph.nodes[node.inputs[0]].shape)
        for node in graph.nodes
    )
