"""A mistake in a loop is made at every turn: the search for one that all turns together explain.

At one turn alone it explains nothing, since what it hands to the turn before is wrong as well. So
a rule is applied to the same place of every turn, those nearest to the loss first, each to the
gradients as the turns after it have made them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import close
from chainrule.inspect.diagnose.guessing import FACTORS, GUESSES, Guess, Rule
from chainrule.inspect.diagnose.search import Hypothesis, made_at, made_by, twin
from chainrule.inspect.diagnose.sites import Site, sites
from chainrule.inspect.diagnose.watched import gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chainrule.inspect.diagnose.account import Account
    from chainrule.inspect.diagnose.turns import Turn
    from chainrule.inspect.finding import Fix

    Make = Callable[[Site], Guess | None]

__all__ = ["Repeated", "repeated"]

_NODE = re.compile(r"#(\d+)")
_MOST = 3_000_000
"""How many nodes to walk back over at most, a quarter of a minute: each turn of a trial takes a
walk."""


@dataclass(frozen=True, eq=False)
class Repeated(Hypothesis):
    """One mistake at every turn of a loop.

    Attributes
    ----------
    made
        The account of each probe in which it was made.
    """

    made: tuple[Account, ...] = ()

    def applied(self, accounts: Sequence[Account]) -> list[Account]:
        """Return the accounts in which the mistake was made."""
        del accounts
        return list(self.made)

    def adjoints(self, account: Account) -> Mapping[int, Any]:
        """Return all gradients of the first probe as the mistake makes them."""
        del account
        return {**self.made[0].adjoints, **self.made[0].fixed}

    def name(self, account: Account, value: int) -> str:
        """Return what the program calls a value at any turn."""
        return account.once(value)

    def fix(self, account: Account, value: int) -> Fix | None:
        """Return no line: one for all turns would need to say which turn each name is of."""


def repeated(accounts: Sequence[Account], wrong: Sequence[str]) -> Iterator[Hypothesis]:
    """Yield the mistakes that explain wrong claims if they are made at every turn of a loop.

    Parameters
    ----------
    accounts
        One for each probe.
    wrong
        The names of the claims to explain.
    """
    turns = accounts[0].turns
    groups: dict[object, list[Site]] = defaultdict(list)
    for site in sites(accounts[0]) if turns else ():
        place = _place(site, turns)
        if place is not None:
            groups[place].append(site)
    search = _Search(accounts, wrong, turns)
    for group in groups.values():
        if len(group) > 1:  # as the backward pass comes to them
            group.sort(key=lambda site: -max(site.value, site.consumer))
            yield from search.mistakes(group)


def _place(site: Site, turns: Mapping[int, Turn]) -> object | None:
    """Return what the same place of every turn has in common; None outside of loops."""
    inside = [turns[i] for i in (site.value, site.consumer) if i in turns]
    if not inside or (site.kind == "whole" and site.value not in turns):
        return None
    origin = inside[0].turn

    def of(index: int) -> object:
        at = turns.get(index)
        return index if at is None else (at.slot, at.turn - origin)

    return (site.kind, of(site.value), of(site.consumer) if site.consumer >= 0 else None)


class _Search:
    """What is tried in every loop.

    Parameters
    ----------
    accounts, wrong
        As for `repeated`.
    turns
        Which nodes are the same line at another turn.
    """

    def __init__(
        self, accounts: Sequence[Account], wrong: Sequence[str], turns: Mapping[int, Turn]
    ) -> None:
        self.accounts, self.wrong, self.turns = accounts, wrong, turns
        self.watched = _Watched(accounts[0])
        self._guesses: dict[object, list[Guess]] = {}
        self.left = _MOST

    def mistakes(self, group: Sequence[Site]) -> Iterator[Hypothesis]:
        """Yield the mistakes at this place of every turn."""
        for rule in GUESSES:
            if group[0].kind not in rule.at:
                continue
            # At the turn next to the loss there may be less to get wrong.
            for guess in {
                g.key: g for site in group[1::-1] for g in self._made(rule, site)
            }.values():
                yield from self._tried(group, [rule], guess.key, self._again(rule, guess.key))
        rules = [rule for rule in FACTORS if group[0].kind in rule.at]
        for symbol in group[0].account.symbols if rules else ():
            named = [rule for rule in rules if rule.function(group[0], symbol.key)]
            if named and symbol.number != 1:
                yield from self._tried(group, named, symbol.key, _scaled(symbol.key))

    def _made(self, rule: Rule, site: Site) -> list[Guess]:
        """Return the guesses of a rule, whose keys say nodes by their distance in turns."""
        place = (id(rule), site.kind, site.value, site.consumer)
        if site.account is self.accounts[0] and place in self._guesses:
            return self._guesses[place]
        made = [g._replace(key=self._relative(g.key, site)) for g in made_by(rule, site)]
        if site.account is self.accounts[0]:
            self._guesses[place] = made
        return made

    def _relative(self, key: str, site: Site) -> str:
        here = self.turns.get(site.value) or self.turns.get(site.consumer)
        origin = here.turn if here is not None else 0

        def name(match: re.Match[str]) -> str:
            at = self.turns.get(int(match[1]))
            return match[0] if at is None else f"<{at.slot}:{at.turn - origin}>"

        return _NODE.sub(name, key)

    def _again(self, rule: Rule, key: str) -> Make:
        def make(site: Site) -> Guess | None:
            return next((g for g in self._made(rule, site) if g.key == key), None)

        return make

    # ------------------------------------------------------------------ one mistake

    def _tried(
        self, group: Sequence[Site], rules: Sequence[Rule], key: str, make: Make
    ) -> Iterator[Hypothesis]:
        """Yield a mistake if it explains something on every probe."""
        if self.left <= 0 or not self._was_seen(group, make):
            return
        self.left -= len(group) * len(group[0].account.graph.nodes)
        made, words, arrays = [], "", []
        explained = set(self.wrong)
        for account in self.accounts:
            after, guess, array = _at_every_turn(account, group, make)
            if guess is None:
                return
            still = set(after.wrong())
            if still - set(account.wrong()):
                return
            explained -= still
            if not explained:
                return
            words = words or guess.words
            made.append(after)
            arrays.append(array)
        for rule in rules:
            yield Repeated(
                rule.code,
                group[0],
                f"{words}, at every turn of the loop",
                tuple(name for name in self.wrong if name in explained),
                tuple(arrays),
                key=key,
                made=tuple(made),
            )

    def _was_seen(self, group: Sequence[Site], make: Make) -> bool:
        """Return whether the first turn that it makes wrong makes something wrong that was seen."""
        for site in group[:2]:
            guess = make(site)
            if guess is None or np.shape(guess.array) != np.shape(site.true):
                continue
            floor = site.account.floor
            if close(guess.array, site.true, floor):
                continue
            changed = site.account.with_change(site.value, guess.array - site.true)
            true = site.account.true
            others = (g for i, g in changed.items() if g is not true.get(i))
            return not self.watched or any(self.watched.has(g) for g in (guess.array, *others))
        return False


class _Watched:
    """What was seen in the backward pass and is no right gradient, to be found again quickly.

    Parameters
    ----------
    account
        Of the first probe.
    """

    def __init__(self, account: Account) -> None:
        known = [g for i, g in account.true.items() if account.is_named(i) or account.is_claimed(i)]
        self._marks: dict[tuple[int, ...], list[float]] = {}
        for _, array in gradients(account):
            for x in (array, array / (account.batch or 1)):
                if np.any(x) and not any(close(x, g, account.floor) for g in known):
                    self._marks.setdefault(np.shape(x), []).append(_mark(x))

    def __bool__(self) -> bool:
        return bool(self._marks)

    def has(self, x: Any) -> bool:
        """Return whether an array was seen, by one number that stands for it."""
        marks = self._marks.get(np.shape(x))
        if marks is None:
            return False
        mark = _mark(x)
        return any(abs(mark - other) <= 1e-6 * (abs(mark) + abs(other)) for other in marks)


def _mark(x: Any) -> float:
    """Return one number that two different arrays do not share."""
    weights = np.sin(1.0 + np.arange(np.size(x)))
    return float(weights @ np.ravel(x))


def _scaled(key: str) -> Make:
    """Return what multiplies the gradient of a place by a number of this key."""

    def make(site: Site) -> Guess | None:
        found = [s for s in site.account.symbols if s.key == key]
        if not found:
            return None
        words = "nothing of it is there" if key == "0" else f"the ratio is {found[0].words}"
        return Guess(found[0].number * site.true, key, words)

    return make


def _at_every_turn(
    account: Account, group: Sequence[Site], make: Make
) -> tuple[Account, Guess | None, Any]:
    """Return the account in which a mistake was made at every turn, and its first wrong array."""
    first: Guess | None = None
    array: Any = None
    for each in group:
        site = twin(each, account)
        guess = make(site)
        if guess is None:
            continue
        if array is None:
            first, array = guess, guess.array
        account = made_at(account, site, guess.array)
    return account, first, array
