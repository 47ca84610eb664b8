"""A pair of functions: ``forward(*inputs)`` and ``backward([upstream,] cache)``.

What forward returns beside its output is handed to backward as it is. What backward takes is
read off its parameters: the cache, the gradient from above, and any of forward's own arguments
by their names.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.graph import parameter_names
from chainrule.inspect.targets.claims import fitting_slots
from chainrule.inspect.targets.handing import LABELS, Handed, handed, positional
from chainrule.inspect.targets.handwritten import Forward, Handwritten, Slot, Stated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["CannotCall", "Pair", "WrongCount", "argument_names", "slots_of"]


class CannotCall(Exception):  # noqa: N818 - it becomes a finding
    """A backward pass whose parameters cannot all be filled.

    Attributes
    ----------
    missing
        The parameters that nothing is known for.
    """

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__()
        self.missing = missing


class WrongCount(Exception):  # noqa: N818 - it becomes a finding
    """A tuple of gradients that cannot be told apart.

    Attributes
    ----------
    got, wanted
        How many there are, and of which arguments there could be.
    """

    def __init__(self, got: int, wanted: Sequence[str]) -> None:
        super().__init__()
        self.got, self.wanted = got, wanted


def slots_of(arguments: Sequence[Any], names: Sequence[str]) -> list[Slot]:
    """Return a slot for each thing in the arguments; the parts of a container apart."""
    slots: list[Slot] = []
    for k, (x, name) in enumerate(zip(arguments, names, strict=True)):
        title = name or f"argument {k}"
        if not isinstance(x, dict | list | tuple) or not _has_arrays(x):
            slots.append(Slot(title, x, k))
            continue
        tree: Any = x
        paths, leaves, _ = optree.tree_flatten_with_path(tree, none_is_leaf=True)
        for path, leaf in zip(paths, leaves, strict=True):
            slots.append(Slot(title + "".join(f"[{p!r}]" for p in path), leaf, k, tuple(path)))
    return [_short(slot, slots) for slot in slots]


def _has_arrays(x: Any) -> bool:
    return any(isinstance(leaf, np.ndarray) for leaf in optree.tree_leaves(x))


def _short(slot: Slot, slots: Sequence[Slot]) -> Slot:
    """Return a slot under its key alone, where nothing else is called so."""
    key = slot.path[-1] if slot.path else None
    if not isinstance(key, str):
        return slot
    alike = [s for s in slots if (s.path[-1] if s.path else s.name) == key]
    return slot if len(alike) > 1 else Slot(key, slot.given, slot.argument, slot.path)


@dataclass
class Pair(Handwritten):
    """Two functions.

    Attributes
    ----------
    run_forward, run_backward
        The user's.
    arguments
        As the user gave them, for their structure.
    names
        What the arguments are called.
    taken
        How many of them forward takes; backward alone is handed the others.
    """

    run_forward: Callable[..., Any] = field(default=lambda: None)
    run_backward: Callable[..., Any] = field(default=lambda: None)
    arguments: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    taken: int | None = None

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run forward; the first of several results is the output."""
        y = self.run_forward(*self.together(values)[: self.taken])
        if isinstance(y, tuple) and y:
            return Forward(y[0], y[1:], values)
        return Forward(y, (), values)

    def together(self, values: Sequence[Any]) -> list[Any]:
        """Return the arguments with these values in them."""
        arguments: list[Any] = []
        for k, given in enumerate(self.arguments):
            own = [v for v, slot in zip(values, self.slots, strict=True) if slot.argument == k]
            if len(own) == 1 and not any(s.argument == k and s.path for s in self.slots):
                arguments.append(own[0])
            else:
                structure = optree.tree_structure(given, none_is_leaf=True)
                arguments.append(optree.tree_unflatten(structure, own))
        return arguments

    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Run backward on what its parameters ask for."""
        call, backward = self._handed(ran, cotangent), self.called(ran)
        _require_call(backward, call)
        return backward(*call.arguments, **call.options)

    def called(self, ran: Forward) -> Callable[..., Any]:  # noqa: ARG002 - outputs may be several
        """Return what is called as backward after a forward pass."""
        return self.run_backward

    def _handed(self, ran: Forward, cotangent: Any) -> Handed:
        arguments = self.together(ran.values)
        names = self.names or parameter_names(self.run_forward, len(arguments))
        return handed(
            self.called(ran),
            ran,
            cotangent,
            {name: x for name, x in zip(names, arguments, strict=True) if name},
            self.labels(ran),
        )

    def takes_cotangent(self, ran: Forward) -> bool:
        """Return whether backward is handed a gradient from above."""
        return self._handed(ran, None).takes_cotangent

    def labels(self, ran: Forward) -> Any:
        """Return the labels that a forward pass was given, as far as they are known by name."""
        for name, x in self._named(ran):
            if name in LABELS and x is not None:
                return x
        return None

    def _named(self, ran: Forward) -> Iterator[tuple[str, Any]]:
        """Iterate over what labels may be found in: arguments, then the cache."""
        for slot, x in zip(self.slots, ran.values, strict=True):
            yield slot.name, x
        for part in ran.rest:
            if isinstance(part, dict):
                yield from ((str(key), x) for key, x in part.items())

    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return the gradients of a dictionary by key, of a tuple by the order of arguments."""
        if isinstance(returned, dict):
            return [Stated(str(k), g) for k, g in _flat(returned) if g is not None]
        several = returned if isinstance(returned, tuple | list) else (returned,)
        if len(several) == len(self.arguments) and any(
            isinstance(g, dict | list | tuple) for g in several
        ):
            return self._nested(several)
        places = fitting_slots(several, self.slots, ran.values)
        if places is None:
            raise WrongCount(len(several), [self.slots[k].name for k in self.differentiable])
        return [
            Stated(f"gradient {n}" if len(several) > 1 else "gradient", g, k)
            for n, (g, k) in enumerate(zip(several, places, strict=True))
            if g is not None
        ]

    def _nested(self, several: Sequence[Any]) -> list[Stated]:
        """Return the gradients of arguments that are containers, by their paths."""
        stated = []
        for k, g in enumerate(several):
            own = [p for p, slot in enumerate(self.slots) if slot.argument == k]
            if isinstance(g, dict):
                stated += [Stated(str(key), x) for key, x in _flat(g) if x is not None]
            elif isinstance(g, list | tuple):
                pairs = zip(own, g, strict=False)
                stated += [Stated(f"gradient {k}[{n}]", x, p) for n, (p, x) in enumerate(pairs)]
            elif g is not None:
                stated.append(Stated(f"gradient {k}", g, own[0]))
        return stated


def _require_call(backward: Callable[..., Any], call: Handed) -> None:
    """Raise CannotCall if what backward would be handed does not fit its parameters."""
    try:
        signature = inspect.signature(backward)
    except (ValueError, TypeError):
        return  # of compiled code
    try:
        signature.bind(*call.arguments, **call.options)
    except TypeError as error:
        bound = signature.bind_partial(**call.options).arguments
        open_ = [
            p.name
            for p in signature.parameters.values()
            if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}
        ]
        rest = [name for name in open_ if name not in bound]
        raise CannotCall(rest[len(call.arguments) :]) from error


def _flat(gradients: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the entries of a dictionary; those of dictionaries in it, too."""
    found: list[tuple[Any, Any]] = []
    for key, x in gradients.items():
        found += _flat(x) if isinstance(x, dict) else [(key, x)]
    return found


def argument_names(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str] | None,
) -> tuple[int, list[str]]:
    """Return how many arguments forward takes, and what all of them are called."""
    parameters = positional(forward)
    taken = len(arguments)
    if parameters is not None:
        taken = min(taken, len(parameters[0]) + len(parameters[1]))
    if names is not None:
        return taken, list(names)
    said = parameter_names(forward, taken)
    own = positional(backward) or ([], [])
    left = [name for name in own[0] + own[1] if name in LABELS and name not in said]
    extra = len(arguments) - taken
    return taken, said + (left + [f"argument {taken + k}" for k in range(extra)])[:extra]
