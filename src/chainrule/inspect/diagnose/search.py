"""The search: which one mistake, at which place, makes all the wrong gradients what they are.

Every rule is asked about every place on the first probe, and what explains a claim there has to
explain it on every other probe: other numbers, other sizes, another batch. What explains
nothing, or would make a gradient wrong that is right, is no explanation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose import causes
from chainrule.inspect.diagnose.account import ROUNDING, Account, close
from chainrule.inspect.diagnose.guessing import DIRECTIONS, FACTORS, GUESSES
from chainrule.inspect.diagnose.sites import Site, sites
from chainrule.inspect.diagnose.turns import inner_turns
from chainrule.inspect.diagnose.watched import per_example
from chainrule.inspect.diagnose.writing import fix_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chainrule.inspect.diagnose.guessing import Guess, Rule
    from chainrule.inspect.finding import Fix

__all__ = ["Hypothesis", "hypotheses", "made_at", "made_by", "twin"]

assert causes.__all__  # noqa: S101 - importing them declares them


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One mistake at one place, and what it explains on every probe.

    Attributes
    ----------
    code
        Of the cause.
    site
        The place, on the first probe.
    words
        What was done in place of what is right.
    explained
        The names of the claims that it makes right.
    arrays
        The wrong gradient of the site's value, a probe each.
    amount
        The factor, or how far along a direction; None for a guess.
    key
        What tells it from other hypotheses of its cause at the place.
    about
        The value whose gradient it is about, where that is not the site's.
    """

    code: str
    site: Site
    words: str
    explained: tuple[str, ...]
    arrays: tuple[Any, ...]
    amount: str = ""
    key: str = ""
    about: int | None = None

    def applied(self, accounts: Sequence[Account]) -> list[Account]:
        """Return the accounts in which the mistake was made."""
        found = []
        for account, array in zip(accounts, self.arrays, strict=True):
            site = twin(self.site, account)
            found.append(made_at(account, site, array))
        return found

    def name(self, account: Account, value: int) -> str:
        """Return what a finding calls a value."""
        return account.name(value)

    def fix(self, account: Account, value: int) -> Fix | None:
        """Return the right line, unless nothing is known of the forward pass."""
        return None if account.is_surrogate else fix_for(account, value)

    def adjoints(self, account: Account) -> Mapping[int, Any]:
        """Return all gradients of the first probe as the mistake makes them."""
        array = self.arrays[0]
        if np.shape(array) != np.shape(self.site.true):
            return {**account.adjoints, self.site.value: array}
        return account.with_change(self.site.value, array - self.site.true)


def made_at(account: Account, site: Site, array: Any) -> Account:
    """Return the account in which what a place hands on is another array."""
    whole = account.gradient(site.value)
    if np.shape(array) == np.shape(site.true) == np.shape(whole):
        if site.value in account.fixed or site.is_argument:
            return account.replaced(site.value, whole + (array - site.true))
        return account.changed(site.value, array - site.true)
    return account.replaced(site.value, array)


def twin(site: Site, account: Account) -> Site:
    """Return the same place in another account of the same program."""
    return Site(account, site.kind, site.value, site.consumer, site.region)


def hypotheses(
    accounts: Sequence[Account], wrong: Sequence[str], *, strict: bool = True
) -> Iterator[Hypothesis]:
    """Yield the mistakes that explain wrong claims, on every probe.

    Strict, one that would make another claim wrong is none; else it may, since two wrong signs
    make a right one further down.
    """
    first = accounts[0]
    parameters = {c.node for c in first.claims.values() if c.node is not None}
    inner = inner_turns(first.graph, first.turns, parameters)
    for site in sites(first):
        if site.value in inner or site.consumer in inner:
            continue
        reached = first.spread({site.value: np.ones(np.shape(site.number))})
        affected = [
            name
            for name, claim in first.claims.items()
            if claim.node in reached and all(name in account.claims for account in accounts)
        ]
        concerned = [name for name in wrong if name in affected]
        if concerned:
            trial = _Trial(accounts, site, affected, concerned, strict=strict)
            yield from trial.factors()
            yield from trial.guesses(GUESSES)
            yield from trial.directions()


def made_by(rule: Rule, site: Site) -> list[Guess]:
    """Return the guesses of a rule; none where a place is not as the rule takes it to be."""
    try:
        with np.errstate(all="ignore"):
            return list(rule.function(site))
    except (ValueError, IndexError, TypeError, ArithmeticError):
        return []


class _Trial:
    """The rules, applied to one place.

    Parameters
    ----------
    accounts
        One for each probe.
    site
        The place on the first.
    affected, concerned
        The claims that its gradient leads to, and those of them that are wrong.
    strict
        Whether it may make no other claim wrong.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        site: Site,
        affected: list[str],
        concerned: list[str],
        *,
        strict: bool,
    ) -> None:
        self.strict = strict
        self.accounts = accounts
        self.site = site
        self.sites = [site, *[twin(site, account) for account in accounts[1:]]]
        self.affected = affected
        self.concerned = concerned
        nodes = {name: accounts[0].claims[name].node or 0 for name in concerned}
        # The claim next to this place: other mistakes lie farther away.
        reference = [n for n in concerned if accounts[0].claims[n].kind == "argument"] or concerned
        self.nearest = max(reference, key=lambda name: nodes[name])
        own = [n for n in concerned if nodes[n] == site.value]
        if own and (accounts[0].claims[own[0]].kind == "argument" or reference == concerned):
            self.nearest = own[0]

    # ------------------------------------------------------------------ what a wrong array explains

    def explained(self, place: int, array: Any) -> list[str]:
        """Return the wrong claims that an array at this place explains; none if it breaks one."""
        account, site = self.accounts[place], self.sites[place]
        claim = account.claims[self.nearest]
        if np.shape(array) != np.shape(site.true):
            fits = claim.node == site.value and account.fits(claim.array, array)
            return [self.nearest] if fits else []
        if not self._may_explain(account, site, array):
            return []
        if claim.node == site.value and claim.kind == "argument":
            whole = account.gradient(site.value) + (array - site.true)
            if not account.agrees(claim, whole):
                return []
        changed = account.with_change(site.value, array - site.true)
        good = account.explained(changed, self.affected)
        broken = [n for n in self.affected if n not in self.concerned and n not in good]
        return [] if broken and self.strict else [n for n in self.concerned if n in good]

    def _may_explain(self, account: Account, site: Site, array: Any) -> bool:
        """Return whether an array explains the claim next to this place along one direction."""
        claim = account.claims[self.nearest]
        node = claim.node if claim.node is not None else -1
        right = account.gradient(node)
        if (
            claim.kind != "argument"
            or np.shape(claim.array) != np.shape(right)
            or node in account.fixed
        ):
            return True
        r, tangents = account.sketch(self.nearest)
        if site.value not in tangents:
            return True
        delta = np.asarray(array) - site.true
        if not np.all(np.isfinite(delta)):
            return False
        made = float(np.sum(tangents[site.value] * delta))
        wanted = float(np.sum(r * (np.asarray(claim.array, dtype=float) - right)))
        size = float(np.linalg.norm(r) * np.linalg.norm(claim.array)) + abs(made) + abs(wanted)
        return not abs(made - wanted) > 1e-3 * size + account.floor

    def everywhere(self, arrays: Sequence[Any]) -> list[str]:
        """Return the claims that are explained on every probe."""
        found: list[str] | None = None
        for place, array in enumerate(arrays):
            if not np.all(np.isfinite(array)):
                return []
            here = self.explained(place, array)
            found = here if found is None else [n for n in found if n in here]
            if not found:
                return []
        return found or []

    # ------------------------------------------------------------------ guesses

    def guesses(self, rules: Sequence[Rule]) -> Iterator[Hypothesis]:
        """Yield the guesses that explain something."""
        for rule in rules:
            if self.site.kind not in rule.at:
                continue
            for guess in made_by(rule, self.site):
                if self._is_right(guess) or not self.explained(0, guess.array):
                    continue
                arrays = self._on_all(rule, guess)
                names = self.everywhere(arrays) if arrays else []
                if names:
                    yield Hypothesis(
                        rule.code,
                        self.site,
                        guess.words,
                        tuple(names),
                        tuple(arrays),
                        key=guess.key,
                        about=guess.about,
                    )

    def _is_right(self, guess: Guess) -> bool:
        """Return whether a guess is no mistake on these numbers."""
        return close(guess.array, self.site.true, self.accounts[0].floor)

    def _on_all(self, rule: Rule, guess: Guess) -> list[Any]:
        """Return the array of a guess on every probe; empty where it cannot be made."""
        arrays = [guess.array]
        for site in self.sites[1:]:
            again = [g for g in made_by(rule, site) if g.key == guess.key]
            if again:
                arrays.append(again[0].array)
            elif set(self.concerned) & set(site.account.wrong()):
                return []
            else:  # a bound that was not reached, a mask that was not needed
                arrays.append(site.true)
        return arrays

    # ------------------------------------------------------------------ amounts

    def _measured(self, place: int, along: Any) -> float | None:
        """Return how far along an array the claim next to this place is off."""
        account, site = self.accounts[place], self.sites[place]
        claim = account.claims[self.nearest]
        if claim.node is None or np.shape(along) != np.shape(site.true):
            return None
        reached = account.spread({site.value: along})
        if claim.node not in reached:
            return None
        s = np.ravel(reached[claim.node])
        if np.shape(claim.array) != np.shape(reached[claim.node]):
            return None
        claimed = np.asarray(claim.array, dtype=float)
        if claim.kind == "intermediate" and per_example(account):
            claimed = claimed / (account.batch or 1)
        r = np.ravel(claimed - account.gradient(claim.node))
        length = float(s @ s)
        if not length or not np.all(np.isfinite(r)):
            return None
        return float(r @ s) / length

    def factors(self) -> Iterator[Hypothesis]:
        """Yield the factors by which this place is off, under every name that they have."""
        amounts = [self._measured(k, site.true) for k, site in enumerate(self.sites)]
        if any(a is None for a in amounts):
            return
        numbers = [1.0 + a for a in amounts if a is not None]
        if all(abs(c - 1) < ROUNDING for c in numbers):
            return
        arrays = [c * site.true for c, site in zip(numbers, self.sites, strict=True)]
        names = self.everywhere(arrays)
        if not names:
            return
        for key, words in self._called(numbers):
            for rule in FACTORS:
                if self.site.kind in rule.at and rule.function(self.site, key):
                    yield Hypothesis(
                        rule.code,
                        self.site,
                        words,
                        tuple(names),
                        tuple(arrays),
                        amount=f"{numbers[0]:.6g}",
                        key=key,
                    )

    def _called(self, numbers: Sequence[float]) -> Iterator[tuple[str, str]]:
        """Yield what factors are, one for each probe: a size of each, or a constant."""
        common: dict[str, str] = {}
        for place, (account, number) in enumerate(zip(self.accounts, numbers, strict=True)):
            fits = {
                s.key: s.words
                for s in account.symbols
                if abs(number - s.number)
                <= account.tolerance * max(1e-6, abs(s.number), abs(number))
                or (s.number == 0 and abs(number) <= account.tolerance)
            }
            common = fits if not place else {k: w for k, w in common.items() if k in fits}
        if common:
            for key, words in common.items():
                what = "nothing of it is there" if key == "0" else f"the ratio is {words}"
                yield key, what
        elif np.ptp(numbers) <= self.accounts[0].tolerance * max(map(abs, numbers)):
            yield "constant", f"the ratio is {numbers[0]:.6g} on every probe"
        else:
            norms = [
                float(np.linalg.norm(np.ravel(c * s.true)))
                for c, s in zip(numbers, self.sites, strict=True)
            ]
            if np.ptp(norms) <= self.accounts[0].tolerance * max(norms):
                yield "norm", f"it was scaled to the length {norms[0]:.6g}"

    def directions(self) -> Iterator[Hypothesis]:
        """Yield the directions along which this place is off."""
        for rule in DIRECTIONS:
            if self.site.kind not in rule.at:
                continue
            for guess in made_by(rule, self.site):
                arrays, amounts = [], []
                for place, site in enumerate(self.sites):
                    along = [g for g in made_by(rule, site) if g.key == guess.key]
                    amount = self._measured(place, along[0].array) if along else None
                    if not amount or amount < 0:
                        break
                    amounts.append(amount)
                    arrays.append(site.true + amount * along[0].array)
                names = self.everywhere(arrays) if len(arrays) == len(self.sites) else []
                if names:
                    yield Hypothesis(
                        rule.code,
                        self.site,
                        guess.words,
                        tuple(names),
                        tuple(arrays),
                        amount=f"{amounts[0]:.6g}",
                        key=guess.key,
                    )
