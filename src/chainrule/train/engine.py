"""Steps of training as machine code that works where the parameters lie.

A step is a pure function (`chainrule.train.step`). Here it is recorded with all that is learned
as inputs, planned so that its results take their memory, and run many times in one call: each run
gathers its batch by the places in the order of the epoch and leaves its loss in an array. What is
learned lies in few flat arrays (`Arena`), so that the whole update is one walk over memory.

Loss and gradient are found finite before anything is written. That an update itself overflows is
found afterwards; then what was learned is taken back to a copy, and the steps since are repeated.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.execute import SPOILT, Repeated
from chainrule.graph import Each, Spec, Viewed, trace
from chainrule.train.arena import Arena
from chainrule.train.data import Batch
from chainrule.train.step import Learned, check_of
from chainrule.transform import simplify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.train.step import Recipe

__all__ = ["Engine", "Steps"]

_SECONDS = 0.05
"""How long steps run before Ctrl-C and progress are looked at."""
_COPIES = 50
"""How many times as long as a copy takes steps run at least until the next copy."""
_FIRST = 2.0
"""How many seconds steps run at least until the next copy: that long they may run again."""


class Steps(NamedTuple):
    """What came of some steps.

    Attributes
    ----------
    losses, norms, shares, checks
        Of each step that was run, also of the last, which may not have been kept.
    kept
        How many of them changed what is learned.
    """

    losses: Any
    norms: Any
    shares: Any
    checks: Any
    kept: int

    @classmethod
    def one(cls, loss: Any, norm: Any, share: Any) -> Steps:
        """Return what came of one step that was kept."""
        return cls(*[np.array([x], np.float64) for x in (loss, norm, share, 0)], 1)


class _Run(NamedTuple):
    """What some steps are run on."""

    places: Any
    size: int
    keys: Any
    rates: Any

    def first(self, count: int) -> _Run:
        """Return the first few of the steps."""
        return _Run(self.places[: count * self.size], self.size, self.keys[:count], self.rates[:count])


class Engine:
    """What goes steps on examples.

    Parameters
    ----------
    recipe
        How to go one step.
    learned
        Where to begin; copied, and held until `let_go`.
    data
        The examples, which do not change.
    threads
        How many threads share a step; as many as the work is worth, if it is not said.

    Attributes
    ----------
    learned
        What is learned, as views: the next step changes them.
    """

    def __init__(
        self, recipe: Recipe, learned: Learned, data: Batch, threads: int | None = None
    ) -> None:
        self.recipe = recipe
        self.threads = threads
        tree: Any = tuple(data)
        leaves, self._form = optree.tree_flatten(tree)
        self._given = leaves
        self._data = [np.ascontiguousarray(x) for x in leaves]
        self._names = sorted(learned.parameters)  # the order of optree's leaves
        self._is_flat = _acts_on_elements(recipe, learned)
        groups = self._groups(learned)
        self._arenas = [Arena(xs) for _, xs in groups]
        self._flats = [x for arena, (_, xs) in zip(self._arenas, groups, strict=True) for x in arena.flats(xs)]
        self._like = _without_numbers(learned)
        self.learned = self._seen(self._flats)
        self._programs: dict[int, Repeated] = {}
        self._begin_anew(learned)
        self._counts: dict[int, int] = {}

    def holds(self, data: Batch) -> bool:
        """Return whether these are the examples that steps go over."""
        tree: Any = tuple(data)
        leaves = optree.tree_leaves(tree)
        return len(leaves) == len(self._given) and all(
            a is b for a, b in zip(leaves, self._given, strict=True)
        )

    # ------------------------------------------------------------------ what is learned

    def _groups(self, learned: Learned) -> list[tuple[str, list[Any]]]:
        """Return the arrays in groups that go through an update together."""
        state = learned.optimiser
        groups = [("parameters", [learned.parameters[name] for name in self._names])]
        for name, tree in state.memory.items():
            groups.append((name, optree.tree_leaves(tree)))
        if learned.average is not None:
            groups.append(("average", optree.tree_leaves(learned.average)))
        if not self._is_flat:  # what an update sees as a whole lies by itself
            groups = [(name, [x]) for name, xs in groups for x in xs]
        groups += [(name, [x]) for name, x in learned.buffers.items()]
        return [*groups, ("step", [np.asarray(state.step)])]

    def take(self, learned: Learned) -> None:
        """Go on from somewhere else."""
        for flat, x in zip(self._flats, self._packed(learned), strict=True):
            flat[...] = x
        self._begin_anew(learned)

    def _packed(self, learned: Learned) -> list[Any]:
        """Return arrays that lie elsewhere in flat ones."""
        groups = self._groups(learned)
        return [
            x for arena, (_, xs) in zip(self._arenas, groups, strict=True) for x in arena.flats(xs)
        ]

    def _begin_anew(self, learned: Learned) -> None:
        """Take what is learned now, in arrays of others, as what to come back to."""
        self._start: Learned | None = learned
        self._copy: list[Any] = []
        self._log: list[_Run] = []
        self._is_logged, self._spent, self._patience = True, 0.0, _FIRST

    def _seen(self, flats: Sequence[Any]) -> Learned:
        """Return what lies in flat arrays, or in flat values, by its names."""
        like, leaves, k = self._like, [], 0
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

    def let_go(self) -> None:
        """Hold no arrays of others any more: they are about to be written to."""
        if self._start is not None:
            self._save()

    def _save(self) -> None:
        """Copy what is learned, to be able to come back to it."""
        start = time.perf_counter()
        self._copy = [x.copy() for x in self._flats]
        self._start, self._log, self._is_logged, self._spent = None, [], True, 0.0
        self._patience = max(_FIRST, _COPIES * (time.perf_counter() - start))

    def _go_back(self) -> None:
        """Take what is learned back to the last copy."""
        copy = self._copy if self._start is None else self._packed(self._start)
        for flat, x in zip(self._flats, copy, strict=True):
            flat[...] = x

    # ------------------------------------------------------------------ steps

    def count(self, size: int) -> int:
        """Return how many steps of a size to go until the user is heard again."""
        return self._counts.get(size, 1)

    def go(self, places: Any, size: int, keys: Any, rates: Any) -> Steps:
        """Go some steps, as many as there are rates.

        Parameters
        ----------
        places
            Of the examples of all steps, one step after the other.
        size
            Examples a step.
        keys, rates
            The key of random numbers and the learning rate of each step.

        Returns
        -------
        Steps
            With a step that is not kept as the last, where numbers are not finite or nothing in
            it counts. What is learned is then as it was before that step.
        """
        run = _Run(
            np.ascontiguousarray(places, np.int64),
            size,
            np.ascontiguousarray(keys, np.int64),
            np.asarray(rates, np.float64),
        )
        if self._spent > self._patience or not self._is_logged:
            self._save()
        steps, answer = self._run(run)
        if answer == SPOILT:
            self._go_back()
            for earlier in [*self._log, run.first(steps.kept)]:
                if len(earlier.rates):
                    self._run(earlier)
        if steps.kept:
            self._log.append(run.first(steps.kept))
        return steps

    def single(self, batch: Batch, key: Any, rate: Any) -> Callable[[Sequence[Any]], int]:
        """Return what goes one step on the arrays of a batch like this one.

        Parameters
        ----------
        batch
            Any examples with the form of those that the engine was made for.
        key, rate
            Arrays, which are the same in all steps and hold other numbers.

        Returns
        -------
        function
            Takes arrays, returns the answer of the program. Its attribute ``loss`` is an array
            with the loss of the last step.
        """
        tree: Any = tuple(batch)
        leaves = [np.asarray(x) for x in optree.tree_leaves(tree)]
        program = self._recorded_once(batch, leaves)
        outputs = [np.zeros((1,), dtype) for dtype in program.dtypes]
        run = program.single([*self._flats, key, rate], outputs)

        def go(arrays: Sequence[Any]) -> int:
            if self._log or self._spent > self._patience:
                self._save()
            start = time.perf_counter()
            answer = run(arrays)
            self._spent += time.perf_counter() - start
            self._is_logged = False
            if answer == SPOILT:
                self._go_back()
            return answer

        go.loss = outputs[0]  # type: ignore[attr-defined]
        return go

    def _run(self, run: _Run) -> tuple[Steps, int]:
        count = len(run.rates)
        self.prepare(run.size)
        program = self._programs[run.size]
        outputs = [np.zeros(count, dtype) for dtype in program.dtypes]
        start = time.perf_counter()
        done, answer = program(
            [*self._flats, run.keys, run.rates, *self._data, run.places], outputs, count
        )
        seconds = time.perf_counter() - start
        self._spent += seconds
        each = max(seconds / (done or 1), 1e-7)
        self._counts[run.size] = max(1, min(int(_SECONDS / each), 1 << 16))
        seen = done + bool(answer)
        found = [x[:seen].astype(np.float64) for x in outputs[:4]]
        return Steps(*found, done), answer

    # ------------------------------------------------------------------ the program

    def prepare(self, size: int) -> None:
        """Make the program of steps on so many examples, if it is not there.

        Raises
        ------
        TraceError
            If a step cannot be recorded, because it branches on numbers.
        """
        if size not in self._programs:
            self._programs[size] = self._recorded(size)

    def _recorded(self, size: int) -> Repeated:
        """Return the program of a step on so many examples."""
        count, data = len(self._flats), len(self._data)

        def step(*values: Any) -> list[Any]:
            examples = optree.tree_unflatten(self._form, values[count + 2 : count + 2 + data])
            batch = Batch(*examples).at(values[-1])
            return self._step(values[:count], values[count], values[count + 1], batch)

        given = [*[Spec(x.shape, x.dtype) for x in self._data], Spec((size,), np.int64)]
        return self._repeated(step, given, (count, count + 1, count + 2 + data))

    def _recorded_once(self, batch: Batch, leaves: Sequence[Any]) -> Repeated:
        """Return the program of a step on a batch of its own."""
        count = len(self._flats)
        tree: Any = tuple(batch)
        form = optree.tree_structure(tree)

        def step(*values: Any) -> list[Any]:
            examples = Batch(*optree.tree_unflatten(form, values[count + 2 :]))
            return self._step(values[:count], values[count], values[count + 1], examples)

        given = [Spec(x.shape, x.dtype) for x in leaves]
        return self._repeated(step, given, (count, count + 1))

    def _repeated(self, step: Any, given: list[Spec], advancing: tuple[int, ...]) -> Repeated:
        """Return the program of a function of what is learned, key, rate and examples."""
        own = [Spec(x.shape, x.dtype) for x in self._flats]
        specs = [*own, Spec((2,), np.int64), Spec((), np.float64), *given]
        return Repeated(
            simplify(trace(step, *specs)),
            donated={5 + k: k for k in range(len(own))},
            guards=(0, 1, 2, 4),  # the share too: it has to be there when a step is not kept
            watched=(3,),
            advancing=advancing,
            threads=self.threads,
        )

    def _step(self, flats: Sequence[Any], key: Any, lr: Any, batch: Batch) -> list[Any]:
        """Return loss, norm, share, check, whether it counts, and what is learned, in its memory."""
        learned = self._seen(flats)
        share = self.recipe.share(batch)
        value, gradient, buffers = self.recipe.gradient(learned, key, batch)
        if self._is_flat:
            arena, k = self._arenas[0], len(self._arenas[0].dtypes)
            whole = self._whole(flats, k)
            packed = arena.packed([gradient[name] for name in self._names])
            norm, new = self.recipe.update(whole, packed, buffers, lr)
            changed = [
                *new.parameters,
                *[x for xs in new.optimiser.memory.values() for x in xs],
                *(new.average or ()),
            ]
        else:
            norm, new = self.recipe.update(learned, gradient, buffers, lr)
            changed = [
                np.reshape(x, (-1,))
                for x in (
                    *[new.parameters[name] for name in self._names],
                    *[x for tree in new.optimiser.memory.values() for x in optree.tree_leaves(tree)],
                    *optree.tree_leaves(new.average),
                )
            ]
        changed += [np.reshape(new.buffers[name], (-1,)) for name in self._like.buffers]
        changed.append(np.reshape(new.optimiser.step, (1,)))
        share = np.astype(share, np.float64) if hasattr(share, "dtype") else np.float64(share)
        counts = np.where(np.equal(share, 0), np.nan, 0.0)
        return [value, norm, share, check_of(new), counts, *changed]

    def _whole(self, flats: Sequence[Any], k: int) -> Learned:
        """Return what is learned as flat values, each taken for one parameter."""
        taken = iter([flats[i : i + k] for i in range(0, len(flats), k)])
        parameters = list(next(taken))
        memory = {name: list(next(taken)) for name in self._like.optimiser.memory}
        average = None if self._like.average is None else list(next(taken))
        state = self._like.optimiser._replace(step=np.reshape(flats[-1], ()), memory=memory)
        return Learned(parameters, {}, state, average)  # type: ignore[arg-type]


def _without_numbers(learned: Learned) -> Learned:
    """Return the containers of what is learned, with nothing in them."""
    tree: Any = learned
    empty: Learned = optree.tree_map(lambda _: 0, tree)
    return empty


def _acts_on_elements(recipe: Recipe, learned: Learned) -> bool:
    """Return whether an update treats each number of a parameter by itself, which is tried."""
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
