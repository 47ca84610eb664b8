"""An object with a forward and a backward method, which keeps parameters and caches on itself.

Its arrays that are there before forward are parameters: they are handed over like arguments.
Gradients are what backward returns, and what it leaves on the object. Only a copy of the object
is run, a fresh one each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Value
from chainrule.inspect.targets.claims import named_by
from chainrule.inspect.targets.frozen import Generators, put_back, state_of
from chainrule.inspect.targets.handing import LABELS, positional
from chainrule.inspect.targets.handwritten import Forward, Slot, Stated, is_floating
from chainrule.inspect.targets.pairs import Pair, argument_names, slots_of
from chainrule.inspect.targets.stage import private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Held", "held_of", "parts_of"]

LOSSES = ("loss", "compute_loss", "cost", "compute_cost", "calculate_loss", "loss_function")
DEPTH = 4
"""How many attributes and containers deep the arrays of an object are looked for."""
GRADIENTS = frozenset(["grads", "grad", "gradients", "gradient", "gradient_", "grads_"])
PARAMETERS = ("params", "parameters", "param", "weights")


def parts_of(
    x: Any, depth: int = DEPTH, kinds: Any = np.ndarray | np.floating | Value
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Iterate over the arrays in an object, with the way to each: attributes and keys."""
    if isinstance(x, kinds):
        yield (), x
        return
    if depth == 0:
        return
    steps: list[tuple[Any, Any]]
    if isinstance(x, dict):
        steps = [(("item", key), part) for key, part in x.items()]
    elif isinstance(x, list | tuple):
        steps = [(("item", k), part) for k, part in enumerate(x)]
    elif _is_object(x):
        steps = [(("attribute", name), part) for name, part in vars(x).items()]
    else:
        return
    for step, part in steps:
        for path, array in parts_of(part, depth - 1, kinds):
            yield (step, *path), array


def _is_object(x: Any) -> bool:
    """Return whether something is an object of a user's class, and no function or class."""
    if not hasattr(x, "__dict__") or isinstance(x, type):
        return False
    return not callable(x) or hasattr(type(x), "forward")


def put(x: Any, path: Sequence[Any], array: Any) -> None:
    """Put an array where a way leads to."""
    for kind, key in path[:-1]:
        x = getattr(x, key) if kind == "attribute" else x[key]
    kind, key = path[-1]
    if kind == "attribute":
        setattr(x, key, array)
    else:
        x[key] = array


def text_of(path: Sequence[Any]) -> str:
    """Return ``layers[0].W`` for a way; the key alone for an entry of a dictionary."""
    if len(path) == 2 and path[1][0] == "item" and isinstance(path[1][1], str):
        return str(path[1][1])
    text = ""
    for kind, key in path:
        text += f".{key}" if kind == "attribute" else f"[{key!r}]"
    return text.removeprefix(".")


@dataclass
class Held(Pair):
    """An object with two methods.

    Attributes
    ----------
    pristine
        A copy of the object as it was.
    owner
        The copy that is run.
    methods
        The names of its forward and its backward method.
    ways
        For the way to each parameter all that lead to it: a network lists those of its layers.
    """

    pristine: Any = None
    owner: Any = None
    methods: tuple[str, str] = ("forward", "backward")
    ways: dict[tuple[Any, ...], list[tuple[Any, ...]]] = field(default_factory=dict)
    _before: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def renew(self) -> None:
        """Take a fresh copy."""
        self.owner = private(self.pristine)
        self.run_forward = getattr(self.owner, self.methods[0])
        self.run_backward = getattr(self.owner, self.methods[1])
        self.functions[:] = [self.run_forward, self.run_backward]

    def say_loss(self, loss: Callable[..., Any] | None, target: Any) -> None:
        """Take a loss; a method of the object is that of the copy that runs."""
        name = getattr(loss, "__name__", "")
        if loss is not None and getattr(loss, "__self__", None) is target and hasattr(target, name):
            self.implicit = self.method(name)
        else:
            self.implicit = loss

    def method(self, name: str) -> Callable[..., Any]:
        """Return a method of whatever copy of the object is run."""

        def call(*arguments: Any) -> Any:
            return getattr(self.owner, name)(*arguments)

        return call

    def own_loss(self) -> Callable[..., Any] | None:
        """Return the method that computes the loss of an output and labels, if there is one."""
        for name in LOSSES:
            parameters = positional(getattr(self.owner, name, None) or len)
            required, optional = parameters or ([], [])
            if callable(getattr(self.owner, name, None)) and len(required) <= 2 <= len(
                required + optional
            ):
                return self.method(name)
        return None

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run forward with these parameters on the object."""
        for slot, x in zip(self.slots, values, strict=True):
            if slot.argument is None:
                for path in self.ways.get(slot.path, [slot.path]):
                    put(self.owner, path, x)
        ran = super().forward(values)
        if ran.output is None:  # a layer that leaves its output on itself
            ran.output = getattr(self.owner, "output", None)
        return ran

    def rewind(self) -> None:
        """Let the object's own generators draw again what they drew first."""
        before = dict(parts_of(self.pristine, kinds=Generators))
        for path, generator in parts_of(self.owner, kinds=Generators):
            if path in before:
                put_back(generator, state_of(before[path]))

    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Run backward, and remember what was on the object before."""
        self._before = {p: np.array(x) for p, x in parts_of(self.owner)}
        return super().backward(ran, cotangent)

    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return the gradients that are returned, and those that are left on the object."""
        stated = [] if returned is None or returned is self.owner else super().stated(returned, ran)
        known = {one.key for one in stated}
        names = {slot.name for slot in self.slots}
        for path, x in parts_of(self.owner):
            key, within = text_of(path), {key for _, key in path if isinstance(key, str)}
            is_new = path not in self._before or not np.array_equal(self._before[path], x)
            is_gradient = bool(within & GRADIENTS) or any(
                name in names for name in list(named_by(key))[:-1]
            )
            place = self._parameter_at(path)
            if not is_new or key in known:
                continue
            if place is not None or (is_gradient and key not in names):
                stated.append(Stated(f"grads[{key!r}]" if key in names else key, x, place))
        return stated

    def _parameter_at(self, path: tuple[Any, ...]) -> int | None:
        """Return the slot of params[0] for the way to grads[0]."""
        own = {slot.path: k for k, slot in enumerate(self.slots) if slot.argument is None}
        ways = own | {p: own[way] for way, all_ in self.ways.items() if way in own for p in all_}
        for k, (kind, key) in enumerate(path):
            if key in GRADIENTS:
                for name in PARAMETERS:
                    other = (*path[:k], (kind, name), *path[k + 1 :])
                    if other in ways:
                        return ways[other]
        return None

    def _named(self, ran: Forward) -> Iterator[tuple[str, Any]]:
        """Iterate over what labels may be found in: arguments, the cache, the object."""
        yield from super()._named(ran)
        for name in LABELS:
            if name in getattr(self.owner, "__dict__", {}):
                yield name, vars(self.owner)[name]


def held_of(
    owner: Any,
    methods: tuple[str, str],
    arguments: Sequence[Any],
    names: Sequence[str] | None = None,
) -> Held:
    """Return an object in the form that is run."""
    pristine = private(owner)
    forward, backward = (getattr(pristine, name) for name in methods)
    taken, said = argument_names(forward, backward, arguments, names)
    slots = slots_of(arguments, said)
    ways = _ways(pristine)
    parts = [(path, x) for path, x in parts_of(pristine) if path in ways and is_floating(x)]
    own = [Slot(text_of(path), x, None, path) for path, x in parts]
    texts = [slot.name for slot in own]
    slots += [slot for slot in own if not _is_gradient(slot, texts) and np.ndim(slot.given)]
    target = Held(
        "object", type(owner).__name__, slots, [forward, backward],
        run_forward=forward, run_backward=backward, arguments=tuple(arguments),
        names=tuple(said), taken=taken, pristine=pristine, methods=methods, ways=ways,
    )  # fmt: skip
    target.renew()
    return target


def _ways(owner: Any) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    """Return the first way to each array of an object, and all ways to it."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for path, x in parts_of(owner):
        found.setdefault(id(x), []).append(path)
    return {paths[0]: paths for paths in found.values()}


def _is_gradient(slot: Slot, names: Sequence[str]) -> bool:
    """Return whether an array holds an earlier gradient of another one."""
    within = {key for _, key in slot.path if isinstance(key, str)}
    return bool(within & GRADIENTS) or any(n in names for n in list(named_by(slot.name))[:-1])
