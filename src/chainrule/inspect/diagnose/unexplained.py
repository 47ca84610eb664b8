"""What no cause explains: which gradient is wrong first is still known, and is said.

A wrong gradient that can be seen stands in for the right one; if all that is computed from it
then agrees, it is the first wrong one and the only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.watched import stand_in
from chainrule.inspect.diagnose.writing import fix_for
from chainrule.inspect.finding import CAUSES, Finding, cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.diagnose.account import Account

__all__ = ["rounding", "unexplained"]

_UNSYMMETRIC = 1e-3
"""Of the size of the Jacobian: differences leave 1e-6 of it, and kinks between them more."""


@cause("CD240", "wrong, and no known cause")
def no_known_cause(name: str, words: str) -> Finding:
    """The gradient differs from the derivative, and no cause that is known makes it what it is.

    What it sees
        The claimed numbers are not the derivative, by finite differences and by the chain rule,
        and none of the usual mistakes gives them.

    Why it matters
        It is wrong all the same.

    Example
        Two mistakes in one line.

    What to do
        Compare the line with the formula below, factor by factor; return what stands between
        (``dZ2``, ``dA1``) in the dictionary of gradients, too: then the first wrong one can be
        named.
    """
    return Finding.of("CD240", tensor=name, message=words)


@cause("CD236", "not a gradient at all")
def no_gradient(found: Finding, share: float) -> Finding:
    """What is claimed to be a gradient is not the gradient of any function.

    What it sees
        The derivative of the claimed gradient by the argument is not symmetric, as a Hessian is:
        along two directions u and v, how the part along u changes with a step along v differs
        from how the part along v changes with a step along u. And no known cause explains it.

    Why it matters
        There is no loss that such steps descend; they may go round in circles.

    Example
        ``dW = W @ R`` for a matrix R that is not symmetric.

    What to do
        Start again from the loss, by the formula below.
    """
    words = f" It is the gradient of no function: its Jacobian is unsymmetric by {share:.0%}."
    cause_of = CAUSES["CD236"]
    changed = {"code": "CD236", "cause": cause_of.name, "message": found.message + words}
    return Finding(**{**found.__dict__, **changed})


def curl(account: Account, name: str) -> float | None:
    """Return how far the Jacobian of a claimed gradient is from symmetric, over its size."""
    again, claim = account.probe.again, account.claims[name]
    if again is None or claim.kind != "argument" or claim.node is None:
        return None
    x = np.asarray(account.numbers[claim.node], dtype=float)
    if np.shape(claim.array) != x.shape or x.size < 2:
        return None
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(3):
        u, v = rng.normal(size=(2, *x.shape))
        step = 1e-5 * max(1.0, float(np.max(np.abs(x))))
        try:
            along_v = (again(name, x + step * v) - again(name, x - step * v)) / (2 * step)
            along_u = (again(name, x + step * u) - again(name, x - step * u)) / (2 * step)
        except Exception:  # noqa: BLE001 - the user's code may refuse other numbers in any way
            return None
        a, b = float(np.sum(u * along_v)), float(np.sum(v * along_u))
        norms = float(np.linalg.norm(along_u) * np.linalg.norm(v))
        worst = max(worst, abs(a - b) / max(norms, abs(a), abs(b), 1e-12))
    return worst


@cause("CD235", "right up to rounding", "note")
def rounding(name: str, error: float) -> Finding:
    """The gradient is right up to the rounding of single precision, or a number as small.

    What it sees
        Differences of 1e-6 to some 1e-5 of the largest entry: what float32 leaves after long
        sums, or a closed form that leaves out a constant such as the 1e-8 in a logarithm.

    Why it matters
        It does not, while training; a check needs float64 to see smaller mistakes.

    Example
        ``x.astype(np.float32)`` somewhere in the backward pass; ``dZ = A - Y`` for a loss with
        ``np.log(A + 1e-8)``.

    What to do
        Nothing; or keep the type of the inputs, and differentiate what forward computes.
    """
    return Finding.of(
        "CD235", tensor=name, message=f"It agrees with the derivative to {error:.0e}."
    )


def unexplained(
    accounts: Sequence[Account], wrong: Sequence[str]
) -> tuple[int, Finding, list[Account]]:
    """Return what can be said of wrong claims that no cause explains.

    Parameters
    ----------
    accounts
        One for each probe.
    wrong
        The names of the claims, in the order of the backward pass.

    Returns
    -------
    value
        Whose gradient is wrong.
    finding
        What is said of it.
    accounts
        In which it is what was claimed.
    """
    first = accounts[0]
    for index, array, seen in stand_in(first):
        if index in first.fixed:
            continue
        delta = array - first.gradient(index)
        after = set(first.changed(index, delta).wrong())
        if after < set(wrong):  # it explains something, and accuses nothing that is right
            name = first.name(index)
            found = no_known_cause(name, _words(first, index, array))
            found = _with(found, where=str(seen.where), fix=fix_for(first, index))
            return index, _judged(first, name, found), [first.changed(index, delta)]
    name = wrong[0]
    claim = first.claims[name]
    node = claim.node if claim.node is not None else -1
    found = _with(
        no_known_cause(name, _words(first, node, np.asarray(claim.array))),
        fix=None if first.is_surrogate else fix_for(first, node),
        confidence=0.3,
    )
    return node, _judged(first, name, found), _standing(accounts, name)


def _judged(account: Account, name: str, found: Finding) -> Finding:
    """Return a finding that says so, if what is claimed is the gradient of no function."""
    share = curl(account, name) if name in account.claims else None
    return no_gradient(found, share) if share is not None and share > _UNSYMMETRIC else found


def _with(found: Finding, **fields: Any) -> Finding:
    """Return a finding with more fields."""
    return Finding(**{**found.__dict__, **fields})


def _standing(accounts: Sequence[Account], name: str) -> list[Account]:
    """Return the accounts in which a claim stands for the gradient that it is not."""
    found = []
    for account in accounts:
        claim = account.claims[name]
        node = claim.node if claim.node is not None else 0
        array = np.asarray(claim.array)
        right = account.gradient(node)
        is_leaf = account.graph.nodes[node].op is None
        if array.shape == np.shape(right) and not is_leaf:
            changed = account.changed(node, array - right)
            keeps = len(changed.wrong()) <= len(account.wrong())
            found.append(changed if keeps else account.replaced(node, array))
        else:
            found.append(account.replaced(node, array))
    return found


def _words(account: Account, node: int, array: Any) -> str:
    """Return how far a gradient is off, and where most."""
    right = np.asarray(account.true.get(node, account.gradient(node)))
    if np.shape(array) != right.shape:
        return f"It has the shape {list(np.shape(array))}, and the derivative {list(right.shape)}."
    off = np.abs(array - right)
    off = np.where(np.isnan(off), np.inf, off)
    place = np.unravel_index(int(np.argmax(off)), off.shape) if off.shape else ()
    at = f"[{', '.join(str(int(i)) for i in place)}]" if place else ""
    share = float(np.mean(off > 1e-6 * max(float(np.max(np.abs(right), initial=0.0)), 1e-300)))
    return (
        f"{share:.0%} of its entries differ; most at {at or 'its one entry'}: "
        f"{float(np.asarray(array)[place]):.6g} where the derivative is {float(right[place]):.6g}."
    )
