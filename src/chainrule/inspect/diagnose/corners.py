"""What a backward pass says exactly at a kink, where there is no one derivative.

Numbers that are drawn lie beside kinks, never on them, so ``z > 0`` and ``z >= 0`` give the same.
Here a bias is chosen such that one example's pre-activations are exactly where the activation
bends, and backward runs once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import close
from chainrule.inspect.finding import Finding, cause
from chainrule.ops import Partials
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.inspect.diagnose.account import Account

__all__ = ["at_corners"]


@cause("CD234", "right up to a kink", "note")
def right_up_to_a_kink(name: str, activation: str, where: str) -> Finding:
    """The gradient is right everywhere but exactly at a kink, where another slope was chosen.

    What it sees
        Where a pre-activation is exactly 0, the backward pass hands on another number than the
        convention here: relu 0 at 0, abs 0 at 0, clip 0 at its bounds.

    Why it matters
        Hardly: every slope between those on both sides is a subgradient. It shows where numbers
        are compared with those of a library, and with inputs or weights that are all 0.

    Example
        ``dy1 = dh1 * (y1 >= 0)``, which has slope 1 at 0.

    What to do
        Nothing; or write ``>`` to agree with PyTorch, JAX and this library.
    """
    return Finding.of(
        "CD234",
        tensor=name,
        where=where,
        message=f"Exactly where {activation} bends, it takes another slope than 0.",
    )


def at_corners(account: Account) -> list[Finding]:
    """Return a note for each activation at whose kink a right backward pass takes another slope."""
    again = account.probe.again
    if again is None or account.graph.specialised or account.is_surrogate:
        return []
    found = []
    for value, bias, chosen in _corners(account):
        name = account.name(bias)
        claim = account.claims.get(name)
        if claim is None or claim.kind != "argument":
            continue
        right, claimed = _gradient(account, bias, chosen), _tried(again, name, chosen)
        if np.shape(claimed) == np.shape(right) and not close(claimed, right, account.floor):
            where = str(account.graph.nodes[value].where)
            (z,) = [i for i in account.graph.nodes[value].inputs if account.relevant[i]]
            found.append(right_up_to_a_kink(account.name(z), account.name(value), where))
    return found


def _tried(again: Callable[[str, Any], Any], name: str, array: Any) -> Any:
    """Return the gradient that is claimed at other numbers; None if the user's code refuses."""
    try:
        return again(name, array)
    except Exception:  # noqa: BLE001 - it may refuse them in any way
        return None


def _corners(account: Account) -> Iterator[tuple[int, int, Any]]:
    """Yield activations with kinks, a bias before each, and numbers that lead to the kink."""
    nodes = account.graph.nodes
    for index in sorted(account.true):
        op = nodes[index].op
        if op is None or op.kink is None or not isinstance(op.derivative, Partials):
            continue
        before = [i for i in nodes[index].inputs if account.relevant[i]]
        if len(before) != 1:
            continue
        summed = nodes[before[0]]
        for bias in summed.inputs:
            others = [i for i in summed.inputs if i != bias]
            if nodes[bias].op is not None or len(others) != 1 or not account.relevant[bias]:
                continue
            t, b = account.numbers[others[0]], account.numbers[bias]
            one = t[:1] if np.ndim(t) == 2 and np.size(t[:1]) == np.size(b) else t[:, :1]
            if np.ndim(t) == 2 and np.size(one) == np.size(b):
                chosen = -np.reshape(one, np.shape(b))
                if np.any(t + chosen == 0):
                    yield index, bias, chosen
                    break


def _gradient(account: Account, argument: int, array: Any) -> Any:
    """Return the gradient of an argument where it has other numbers."""
    graph = account.graph
    arrays = [array if i == argument else account.numbers[i] for i in graph.inputs]
    numbers = graph.walk(*arrays)
    with np.errstate(all="ignore"):
        start = {account.probe.output: account.cotangent}
        found = pull_back(graph, numbers, account.relevant, start)
    return found.get(argument)
