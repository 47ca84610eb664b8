"""What was watched in the backward pass, beside what a hypothesis says that it should hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import close

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chainrule.inspect.diagnose.account import Account
    from chainrule.inspect.probe import Observed

__all__ = ["gradient_of", "line_of", "per_example", "seen_as", "stand_in", "support"]


_GRADIENT = re.compile(r"^(?:d|grad|delta)_?([A-Za-z]\w*)$")


def stem(name: str) -> str:
    """Return ``w1`` for ``dW1``, ``grad_W1``, ``W1_grad`` and ``grads['dW1']``."""
    if name.endswith("]") and "[" in name:
        name = name[name.rindex("[") + 1 : -1].strip("'\"")
    name = name.rsplit(".", 1)[-1].lower().replace("_", "")
    for word in ("gradient", "grad", "delta"):
        name = name.replace(word, "")
    return name.removeprefix("d") if len(name) > 1 else name


def gradient_of(account: Account, seen: Observed) -> int | None:
    """Return the value that a watched variable is the gradient of, by its name and shape."""
    called = stem(seen.name)
    if not called or called == seen.name.lower():
        return None  # a name without a d is no gradient's
    for index in range(len(account.graph.nodes) - 1, -1, -1):
        if (
            index in account.true
            and account.name(index).lower().replace("_", "") == called
            and account.graph.nodes[index].shape == np.shape(seen.array)
        ):
            return index
    return None


def gradients(account: Account) -> Iterator[tuple[Observed, Any]]:
    """Yield what was watched that may be a gradient: arrays of floating-point numbers."""
    for seen in account.probe.observed:
        array = np.asarray(seen.array)
        if array.dtype.kind == "f" and array.size > 1:
            yield seen, array


def support(account: Account, adjoints: Mapping[int, Any]) -> tuple[int, bool]:
    """Return how many watched arrays are gradients, if these are what they are.

    What stands between may all be gradients of single examples, m times as large, but not some
    of it. The second answer is whether they are what they are without that.
    """
    arrays = [array for _, array in gradients(account)]
    nodes = account.graph.nodes
    known = [
        (g, nodes[i].op is not None)
        for found in (adjoints, account.adjoints)  # a line may make a right gradient wrong in place
        for i, g in found.items()
        if account.is_named(i)  # what a program has a variable for
    ]

    def counted(scale: int) -> int:
        return sum(
            any(
                np.shape(g) == array.shape
                and close(array, g * scale if inside else g, account.floor * scale)
                for g, inside in known
            )
            for array in arrays
        )

    plain, scaled = counted(1), counted(account.batch or 1)
    return max(plain, scaled) + _zeros(account, adjoints), plain >= scaled


def per_example(account: Account) -> bool:
    """Return whether what stands between is the gradient of single examples, m times as large."""
    m = account.batch or 1
    if m == 1:
        return False
    nodes = account.graph.nodes
    inside = [g for i, g in account.true.items() if account.is_named(i) and nodes[i].op is not None]
    seen = [array for _, array in gradients(account)]
    seen += [np.asarray(c.array) for c in account.claims.values() if c.kind == "intermediate"]

    def counted(scale: int) -> int:
        return sum(
            any(
                np.shape(g) == a.shape and close(a, g * scale, account.floor * scale)
                for g in inside
            )
            for a in seen
        )

    return counted(m) > counted(1)


def _zeros(account: Account, adjoints: Mapping[int, Any]) -> int:
    """Return how many variables that are the number 0 are gradients that are 0."""
    found = {s.name for s in account.probe.observed if np.ndim(s.array) == 0 and not s.array}
    stems = {stem(name) for name in found if stem(name) != name.lower()}
    return sum(
        account.name(i).lower().replace("_", "") in stems and not np.any(g)
        for i, g in adjoints.items()
    )


def _same(array: Any, gradient: Any, m: int, floor: float) -> bool:
    return close(array, gradient, floor) or (m > 1 and close(array, gradient * m, floor * m))


def line_of(account: Account, arrays: list[Any]) -> tuple[str, str]:
    """Return the line that first made one of these arrays, and its text; both may be empty."""
    m = account.batch or 1
    for array in arrays:
        if np.size(array) < 2 and not np.ndim(array):
            continue
        for seen, watched in gradients(account):
            if watched.shape == np.shape(array) and _same(watched, array, m, account.floor):
                return str(seen.where), seen.text
    return "", ""


def seen_as(account: Account, array: Any) -> str:
    """Return ``a`` if the variable ``da`` has an array; empty if none with a d does.

    A pre-activation that is no variable in the forward pass may have its gradient in one.
    """
    for seen, watched in gradients(account):
        if _same(watched, array, account.batch or 1, account.floor):
            found = _GRADIENT.match(seen.name)
            if found:
                return found[1]
    return ""


def stand_in(account: Account) -> Iterator[tuple[int, Any, Observed]]:
    """Yield watched gradients that are wrong by their names, those nearest to the loss first.

    A variable may hold several things in turn, such as the gradient of an activation and then,
    in place, of its pre-activation: it is wrong if none of them is right.
    """
    m = account.batch or 1
    versions: dict[int, list[tuple[Any, Observed]]] = {}
    for seen, array in gradients(account):
        index = gradient_of(account, seen)
        if index is not None:
            versions.setdefault(index, []).append((array, seen))
    for index in sorted(versions, reverse=True):
        found = versions[index]
        if any(_same(array, account.gradient(index), m, account.floor) for array, _ in found):
            continue
        array, seen = found[-1]
        yield index, array, seen
        if m > 1:
            yield index, array / m, seen
