"""Steps of training as machine code that works where the parameters lie.

A step is recorded with all that is learned as inputs (`chainrule.train.recorded`), planned so that
its results take their memory, and run many times in one call: each run gathers its batch by the
places in the order of the epoch and leaves its loss in an array. What is learned lies in few flat
arrays (`chainrule.train.flat`), so that the whole update is one walk over memory.

Loss and gradient are found finite before anything is written. That an update itself overflows is
found afterwards; then what was learned is taken back to a copy, and the steps since are repeated.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.execute import REFUSED, SPOILT
from chainrule.train.flat import Flat
from chainrule.train.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.execute import Repeated
    from chainrule.train.data import Batch
    from chainrule.train.step import Learned, Recipe

__all__ = ["Engine", "Single", "Steps"]

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
        losses, norms, shares, checks = (np.array([x], np.float64) for x in (loss, norm, share, 0))
        return cls(losses, norms, shares, checks, 1)


class Single(NamedTuple):
    """What goes one step at a time.

    Attributes
    ----------
    go
        Takes the arrays of a batch, and returns 0 or why the step was not kept.
    loss
        An array with the loss of the last step.
    """

    go: Callable[[Sequence[Any]], int]
    loss: Any


class _Run(NamedTuple):
    """What some steps are run on."""

    places: Any
    size: int
    keys: Any
    rates: Any

    def first(self, count: int) -> _Run:
        """Return the first few of the steps."""
        return _Run(
            self.places[: count * self.size], self.size, self.keys[:count], self.rates[:count]
        )


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
    recordings
        Programs of steps to look in before one is recorded; see `recorded`.

    Attributes
    ----------
    learned
        What is learned, as views: the next step changes them.
    """

    def __init__(
        self,
        recipe: Recipe,
        learned: Learned,
        data: Batch,
        threads: int | None = None,
        recordings: dict[Any, Repeated] | None = None,
    ) -> None:
        self.recipe = recipe
        self.threads = threads
        self._recordings = recordings
        self._given = data
        leaves: list[Any] = optree.tree_leaves(_containers(data))
        self._data = [np.ascontiguousarray(x) for x in leaves]
        self._flat = Flat(recipe, learned)
        self._flats = self._flat.flats(learned)
        self.learned = self._flat.seen(self._flats)
        self._programs: dict[int, Repeated] = {}
        self._counts: dict[int, int] = {}
        self._start: Learned | None = learned  # what to come back to, in arrays of others
        self._copy: list[Any] = []
        self._log: list[_Run] = []
        self._is_logged, self._spent, self._patience = True, 0.0, _FIRST

    def holds(self, data: Batch) -> bool:
        """Return whether these are the examples that steps go over."""
        found, given = (optree.tree_leaves(_containers(x)) for x in (data, self._given))
        return len(found) == len(given) and all(a is b for a, b in zip(found, given, strict=True))

    # ------------------------------------------------------------------ what is learned

    def let_go(self) -> None:
        """Hold no arrays of others any more: they are about to be written to."""
        if self._start is not None:
            self.save()

    def save(self) -> None:
        """Copy what is learned, to be able to come back to it."""
        start = time.perf_counter()
        self._copy = [x.copy() for x in self._flats]
        self._start, self._log, self._is_logged, self._spent = None, [], True, 0.0
        self._patience = max(_FIRST, _COPIES * (time.perf_counter() - start))

    def _go_back(self) -> None:
        """Take what is learned back to the last copy."""
        copy = self._copy if self._start is None else self._flat.flats(self._start)
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
            np.array(places, np.int64),  # copied: the order may be shuffled where it is
            size,
            np.ascontiguousarray(keys, np.int64),
            np.asarray(rates, np.float64),
        )
        if self._spent > self._patience or not self._is_logged:
            self.save()
        steps, answer = self._run(run)
        if answer == SPOILT:
            self._go_back()
            for earlier in [*self._log, run.first(steps.kept)]:
                if len(earlier.rates):
                    self._run(earlier)
        if steps.kept:
            self._log.append(run.first(steps.kept))
        return steps

    def single(self, batch: Batch, key: Any, rate: Any) -> Single:
        """Return what goes one step on the arrays of a batch like this one.

        Parameters
        ----------
        batch
            Any examples with the form of those that the engine was made for.
        key, rate
            Arrays, which are the same in all steps and hold other numbers.
        """
        program = recorded(self.recipe, self._flat, batch, None, self.threads, self._recordings)
        outputs = [np.zeros((1,), dtype) for dtype in program.dtypes]
        own = [*self._flats, key, rate]
        run = program.single(own, outputs)
        seconds = 0.0  # of the first step, for all others: to ask takes a tenth of a small step

        def go(arrays: Sequence[Any]) -> int:
            nonlocal seconds
            if self._log or self._spent > self._patience:
                self.save()
            start = 0.0 if seconds else time.perf_counter()
            answer = run(arrays)
            seconds = seconds or time.perf_counter() - start
            self._spent += seconds
            self._is_logged = False
            if answer == SPOILT:
                self._go_back()
            elif answer == REFUSED:
                program.complain([*own, *arrays])
            return answer

        return Single(go, outputs[0])

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
        losses, norms, shares, checks = (x[:seen].astype(np.float64) for x in outputs[:4])
        return Steps(losses, norms, shares, checks, done), answer

    # ------------------------------------------------------------------ the program

    def prepare(self, size: int) -> None:
        """Make the program of steps on so many examples, if it is not there.

        Raises
        ------
        TraceError
            If a step cannot be recorded, because it branches on numbers.
        """
        if size not in self._programs:
            self._programs[size] = recorded(
                self.recipe, self._flat, self._given, size, self.threads, self._recordings
            )


def _containers(data: Batch) -> Any:
    """Return examples in containers that have no names of their own."""
    return tuple(data)
