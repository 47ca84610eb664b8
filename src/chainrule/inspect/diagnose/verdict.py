"""From hypotheses to findings: the first mistake, then the next one given the first.

The mistake that explains most is taken; where several places explain as much, what was watched
in the backward pass decides, and then the place nearest to the parameters, since a closed form
leaps over what lies before. Then the gradients are taken as that mistake makes them, and what
still differs is looked into again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import NOISE, ROUNDING, Account, distance
from chainrule.inspect.diagnose.corners import at_corners
from chainrule.inspect.diagnose.custom import averaging_layer, left_out
from chainrule.inspect.diagnose.guessing import RANKS
from chainrule.inspect.diagnose.repeated import repeated
from chainrule.inspect.diagnose.search import Hypothesis, hypotheses
from chainrule.inspect.diagnose.sites import Site
from chainrule.inspect.diagnose.surrogate import Surrogate
from chainrule.inspect.diagnose.unexplained import rounding, unexplained
from chainrule.inspect.diagnose.watched import line_of, seen_as, support
from chainrule.inspect.finding import CAUSES, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.probe import Claim, Probe

__all__ = ["diagnose"]

MOST = 64
"""Mistakes to look for one after the other: a loop over layers makes the same one in each."""


def diagnose(probes: Sequence[Probe]) -> list[Finding]:
    """Return what is wrong with the gradients of a backward pass, and why.

    Parameters
    ----------
    probes
        Runs of it, on different numbers and, where shapes were said, sizes.

    Returns
    -------
    list of Finding
        The first wrong gradient first; empty if all are right.
    """
    accounts: list[Account] = alike([Account(probe) for probe in probes if probe.walk is not None])
    if not accounts:
        accounts = alike([Surrogate(probe) for probe in probes if probe.differences])
    if not accounts:
        return []
    with np.errstate(all="ignore"):
        accounts, notes = averaging_layer(accounts)
        return [*notes, *(left_out(accounts) or _found(accounts))]


def _found(accounts: list[Account]) -> list[Finding]:
    """Return the mistakes, one after the other."""
    accounts.sort(key=lambda account: -len(account.wrong()))
    placed: list[tuple[int, Finding]] = []
    if rounded := loosened(accounts, _wrong(accounts), NOISE):
        placed.append((-1, rounded))
    loops = True
    for _ in range(MOST):
        wrong = _wrong(accounts)
        if not wrong:
            break
        best, equals = _best(accounts, wrong, loops=loops)
        if best is not None:
            placed.append((_when(best.site), _finding(accounts, best, equals, wrong)))
            accounts = best.applied(accounts)
        elif rounded := loosened(accounts, wrong, ROUNDING):
            placed.append((-1, rounded))
        else:
            loops = False
            value, found, accounts = unexplained(accounts, wrong)
            placed.append((_when(Site(accounts[0], "whole", value)), found))
    if not placed:
        return at_corners(accounts[0])
    placed.sort(key=lambda pair: -pair[0])
    return [found for _, found in placed]


def loosened(accounts: Sequence[Account], wrong: Sequence[str], limit: float) -> Finding | None:
    """Let gradients agree as well as the nearly right ones do, and say so.

    Where numbers are large, or a forward pass cancels, that is less than rounding leaves elsewhere.
    """
    errors = {
        name: max(
            distance(a.claims[name].array, a.gradient(a.claims[name].node or 0), a.floor)
            for a in accounts
        )
        for name in wrong
    }
    tolerance = accounts[0].tolerance
    nearly = {name: error for name, error in errors.items() if tolerance < error < limit}
    if not nearly:
        return None
    for account in accounts:
        account.tolerance = 4 * max(nearly.values())
    name = max(nearly, key=lambda name: nearly[name])
    return rounding(name, nearly[name])


def _when(site: Site) -> int:
    """Return when the backward pass comes to a place: a larger number is earlier."""
    if site.consumer >= 0:
        return site.consumer
    return min(site.account.consumers.get(site.value, [site.value]))


def alike(accounts: Sequence[Account]) -> list[Account]:
    """Return the accounts whose programs have the nodes of the first."""
    if not accounts:
        return []
    ops = [node.op for node in accounts[0].graph.nodes]
    return [a for a in accounts if [node.op for node in a.graph.nodes] == ops]


def _wrong(accounts: Sequence[Account]) -> list[str]:
    """Return the claims that are wrong on some probe, in the order of the backward pass."""
    names = {
        name
        for account in accounts
        for name in account.wrong()
        if all(name in other.claims for other in accounts)
    }
    nodes = accounts[0].claims
    return sorted(names, key=lambda name: -(nodes[name].node or 0) if name in nodes else 0)


def _best(
    accounts: Sequence[Account], wrong: Sequence[str], *, loops: bool
) -> tuple[Hypothesis | None, list[Hypothesis]]:
    """Return the mistake that explains most, and those that explain the same at the same value."""
    found = list(hypotheses(accounts, wrong))
    if not found and loops:
        found = list(repeated(accounts, wrong))
    if not found:
        first = accounts[0].claims[wrong[0]].node or 0
        loose = list(hypotheses(accounts, wrong, strict=False))
        found = [h for h in loose if h.site.value == first]
    if not found:
        return None, []
    most = max(len(h.explained) for h in found)
    full = [h for h in found if len(h.explained) == most]
    first_account = accounts[0]
    supports = {id(h): support(first_account, h.adjoints(first_account)) for h in full}
    top = max(supports.values())
    full = [h for h in full if supports[id(h)] == top]
    lowest = min(full, key=lambda h: (not first_account.is_named(h.site.value), h.site.value))
    here = [h for h in full if h.site.value == lowest.site.value]
    here.sort(key=lambda h: (RANKS[h.code] + _strangeness(h.key), h.code))
    return here[0], here[1:]


def _strangeness(key: str) -> int:
    """Return how far-fetched a factor is: a quotient of two sizes is, beside a 2 or a ½."""
    return 10 * ("*" in key or ("/" in key and not key.startswith("1/")))


def _finding(
    accounts: Sequence[Account],
    best: Hypothesis,
    equals: Sequence[Hypothesis],
    wrong: Sequence[str],
) -> Finding:
    """Return the finding of a mistake."""
    account = accounts[0]
    value = best.site.value
    if best.site.is_penalty and best.site.kind == "whole":  # of several parameters at once
        value = account.claims[best.explained[0]].node or 0
    if best.about is not None:
        value = best.about
    adjoints, fix = best.adjoints(account), best.fix(account, value)
    name = best.name(account, value)
    # What a function of the user's calls its argument is no name where it was called.
    is_another = name in account.claims and account.claims[name].node != value
    if is_another or not (account.is_named(value) or account.is_claimed(value)):
        place = f" at {account.graph.nodes[value].where}" if is_another else ""
        name = seen_as(account, adjoints.get(value)) or f"{name}{place}"
        fix = None if is_another else fix
    where, text = line_of(account, [adjoints.get(value), best.arrays[0], *_claimed(account, best)])
    codes = [h.code for h in equals if h.code != best.code]
    also = tuple(f"{code} {CAUSES[code].name}" for code in dict.fromkeys(codes))
    rest = [n for n in wrong if n in best.explained and n != name]
    message = f"{best.words[:1].upper()}{best.words[1:]}." if best.words else ""
    if rest:
        message += f" What follows from it is wrong with it: {', '.join(rest)}."
    return Finding.of(
        best.code,
        tensor=name,
        where=where,
        message=message.strip(),
        evidence=tuple(_evidence(account, best, adjoints, text)),
        fix=fix,
        confidence=_confidence(accounts, also),
        also=also,
        ambiguous=_undecided(account, best, equals),
    )


def _undecided(account: Account, best: Hypothesis, equals: Sequence[Hypothesis]) -> str:
    """Return what would tell factors apart that are equal because two sizes are."""
    keys = {h.key for h in (best, *equals) if h.amount}
    if account.probe.sizes or len(keys) < 2:
        return ""
    sizes = "shapes={'X': 'n d', 'W1': 'd h', …}"
    return f"several sizes give this ratio here; {sizes} lets others be drawn"


def _claimed(account: Account, best: Hypothesis) -> list[Any]:
    """Return what was claimed for the value, in case it was watched."""
    return [c.array for c in account.claims.values() if c.node == best.site.value]


def _evidence(account: Account, best: Hypothesis, adjoints: Any, text: str) -> list[str]:
    """Return the numbers that speak for a mistake."""
    lines = []
    if text:
        lines.append(f"line: {text.strip()}")
    for name in best.explained[:4]:
        claim = account.claims[name]
        node = claim.node if claim.node is not None else -1
        right = account.gradient(node)
        before = _off(account, claim, right)
        after = _off(account, claim, adjoints.get(node, right))
        off = (
            "has another shape than the derivative"
            if np.isinf(before)
            else f"is off by {before:.1e}"
        )
        lines.append(f"{claim.key} {off}; with this mistake, by {min(after, 1.0):.0e}")
    if best.amount:
        lines.append(f"measured: {best.amount}")
    return lines


def _off(account: Account, claim: Claim, gradient: Any) -> float:
    """Return how far a claim is from a gradient, or that of single examples if it may be that."""
    scales = (1, account.batch or 1) if claim.kind == "intermediate" else (1,)
    return min(distance(claim.array / scale, gradient, account.floor) for scale in scales)


def _confidence(accounts: Sequence[Account], also: tuple[str, ...]) -> float:
    """Return 1 where several probes agree on one cause, less for one probe or several causes."""
    base = 1.0 if len(accounts) > 1 else 0.9
    return base if not also else round(base / (1 + 0.25 * len(also)), 2)
