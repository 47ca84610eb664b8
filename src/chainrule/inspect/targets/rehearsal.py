"""A run of a target without a trace: what it returns, what it writes to, whether it repeats."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.graph import Where
from chainrule.inspect.targets.changing import FROM_ABOVE
from chainrule.inspect.targets.pairs import WrongCount
from chainrule.inspect.targets.running import cotangent_for
from chainrule.inspect.targets.stage import copied
from chainrule.inspect.targets.surroundings import share_memory
from chainrule.inspect.targets.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.inspect.targets.handwritten import Forward, Stated
    from chainrule.inspect.targets.stage import Stage

__all__ = ["Rehearsal", "first_change", "source_of"]


class Rehearsal:
    """Runs forward and backward as they are.

    Parameters
    ----------
    stage
        Where.

    Attributes
    ----------
    ran, output
        What forward left; its output, before backward may write to it.
    returned, stated, count
        What backward returned; the gradients in it; or that their number is wrong.
    inputs_of_forward, inputs_of_backward
        The names of inputs that forward, and backward, wrote to.
    cache_overwritten
        The names of what forward left and backward wrote to.
    aliases
        For each gradient that shares its memory, what with.
    in_training
        Modules that drew random numbers.
    changed
        Global variables that forward changed.
    lines_of_forward, watcher
        What the lines of forward left; those of backward, or of forward where they are one.
    """

    ran: Forward
    output: Any
    returned: Any
    stated: list[Stated]

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.target = stage.target
        self.lines_of_forward = self.watcher = Watcher()
        self.count: WrongCount | None = None
        self.aliases: dict[str, list[str]] = {}

    def forward(self, values: Sequence[Any]) -> None:
        """Run forward, and look at its inputs."""
        self.given = list(values)
        self.stage.restore()
        handed = copied(values)
        with self.watcher, np.errstate(all="ignore"):
            self.ran = self.target.forward(handed)
        self.output = np.array(self.ran.output)
        self.in_training = self.target.drawing()
        self.changed = self.stage.changed()
        self.inputs_of_forward = self._written(handed, values)

    def backward(self) -> None:
        """Run backward after that, and look at inputs and cache."""
        handed = list(self.ran.values)
        before = copied(handed)
        cache = self._cache()
        kept = {name: x.copy() for name, x in cache.items()}
        if not self.target.watches_forward:
            self.watcher = Watcher()
        cotangent = np.array(cotangent_for(self.target, self.ran, np.random.default_rng(0)))[()]
        upstream = np.array(cotangent)
        with self.watcher:
            self.returned = self.target.backward(self.ran, cotangent)
        try:
            self.stated = self.target.stated(self.returned, self.ran)
        except WrongCount as count:
            self.count, self.stated = count, []
        self.inputs_of_backward = self._written(handed, before)
        if not np.array_equal(upstream, cotangent):
            self.inputs_of_backward.append(FROM_ABOVE)
        inputs = [x for x in handed if isinstance(x, np.ndarray)]
        self.cache_overwritten = [
            name
            for name, x in cache.items()
            if not np.array_equal(kept[name], x, equal_nan=x.dtype.kind == "f")
            and not any(np.may_share_memory(x, y) for y in inputs)
        ]
        self._find_aliases(cache, cotangent)
        self._kept = {one.key: np.array(one.array) for one in self.stated}

    def _written(self, now: Sequence[Any], before: Sequence[Any]) -> list[str]:
        return [
            slot.name
            for slot, x, y in zip(self.target.slots, now, before, strict=True)
            if isinstance(x, np.ndarray) and not np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
        ]

    def _cache(self) -> dict[str, Any]:
        """Return the arrays that forward left, by the names that backward will know them by."""
        rest: Any = self.ran.rest
        paths, leaves, _ = optree.tree_flatten_with_path(rest)
        found: dict[str, Any] = {}
        for path, x in zip(paths, leaves, strict=True):
            if isinstance(x, np.ndarray) and x.ndim:
                key = path[-1] if isinstance(path[-1], str) else self._called(x)
                found[key or f"cache[{path[-1]}]"] = x
        return found

    def _called(self, x: Any) -> str:
        """Return the variable that forward last had an array in, empty if none is seen."""
        for seen in reversed(self.lines_of_forward.observed):
            if seen.array.shape == x.shape and np.array_equal(seen.array, x):
                return seen.name
        return ""

    def _find_aliases(self, cache: dict[str, Any], cotangent: Any) -> None:
        slots = zip(self.target.slots, self.ran.values, strict=True)
        others = {slot.name: x for slot, x in slots if isinstance(x, np.ndarray) and x.ndim}
        others |= {name: x for name, x in cache.items() if not _is_in(x, others.values())}
        if np.ndim(cotangent):
            others[FROM_ABOVE] = cotangent
        for one in self.stated:
            x = one.array
            if isinstance(x, np.ndarray) and x.ndim:
                shared = [n for n, y in others.items() if _overlap(x, y)]
                if shared:
                    self.aliases[one.key] = shared

    def output_again(self, *, fresh: bool) -> Any:
        """Return the output of another call: from the same state, or right after the first."""
        if fresh:
            with self.stage.set():
                return self._output_once_more()
        with self.stage.set():
            self._output_once_more()
            self.target.rewind()
            self.stage.frozen.restore()
            return self._output_once_more()

    def _output_once_more(self) -> Any:
        return np.asarray(self.target.forward(copied(self.given)).output)

    def gradients_again(self, *, fresh: bool) -> list[str]:
        """Return the keys that differ in another run, or in another backward pass after this."""
        with self.stage.set():
            ran = self.target.forward(copied(self.given))
            rng = np.random.default_rng(0)
            cotangent = np.array(cotangent_for(self.target, ran, rng))[()]
            first = self.target.backward(ran, cotangent)
            if not fresh:
                first = self.target.backward(ran, cotangent)
            again = {one.key: one.array for one in self.target.stated(first, ran)}
        return [
            key
            for key, x in self._kept.items()
            if key not in again or not np.array_equal(x, again[key], equal_nan=x.dtype.kind == "f")
        ]


def _is_in(x: Any, others: Any) -> bool:
    return any(x is y for y in others)


def _overlap(x: Any, y: Any) -> bool:
    return bool(np.may_share_memory(x, y) and share_memory(x, y))


def first_change(watcher: Watcher, name: str, otherwise: str) -> str:
    """Return the first line that left a changed array in a variable of a name."""
    short = name.rsplit("[", 1)[0]
    seen = [
        o for o in watcher.observed if o.name in {name, short} or o.name.endswith(f"[{name!r}]")
    ]
    written = [o for o in seen if _is_write(o.text)]
    return str((written or seen)[0].where) if seen else otherwise


def _is_write(text: str) -> bool:
    head = text.split("=", 1)[0].rstrip()
    return head.endswith(("]", "+", "-", "*", "/")) or "out=" in text or ".at(" in text


def source_of(function: Callable[..., Any]) -> str:
    """Return the line where a function is defined."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return str(Where(code.co_filename, code.co_firstlineno)) if code else ""
