"""How a cause is declared: what a gradient would be at a place, if that were the mistake.

Three kinds of rules recognise a wrong number. A *guess* writes the wrong gradient down, from
what is there (`guesses`). A *factor* is found by the search, which measures by how much a place
is off, and the rule says whether that number is its own (`factor`). A *direction* says along
what a gradient would be off, by an amount that is not known (`direction`): a step of a descent,
the weight of a penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.inspect.finding import cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.inspect.diagnose.account import Account
    from chainrule.inspect.diagnose.sites import Kind, Site

__all__ = [
    "DIRECTIONS",
    "FACTORS",
    "GUESSES",
    "Guess",
    "Rule",
    "also",
    "direction",
    "factor",
    "guesses",
    "same_shape",
]


class Guess(NamedTuple):
    """A wrong gradient.

    Attributes
    ----------
    array
        Of the value of the site; of another shape for an argument alone.
    key
        What tells it from the other guesses of its rule at the site, equal on every probe.
    words
        What was done in place of what is right, as part of a sentence.
    about
        The value whose gradient it is about, where that is not the site's.
    """

    array: Any
    key: str = ""
    words: str = ""
    about: int | None = None


@dataclass(frozen=True)
class Rule:
    """A declared cause and the function that recognises it.

    Attributes
    ----------
    code
        Of the cause.
    at
        The kinds of places that it is asked about.
    function
        Of a `Site`.
    rank
        Of causes that give equal numbers at one place, the one with the lower rank says more.
    """

    code: str
    at: tuple[Kind, ...]
    function: Callable[..., Any]
    rank: int


RANKS: dict[str, int] = {}
"""The rank of each declared cause."""

GUESSES: list[Rule] = []
FACTORS: list[Rule] = []
DIRECTIONS: list[Rule] = []

if TYPE_CHECKING:
    Guessing = Callable[[Site], Iterator[Guess]]
    Factoring = Callable[[Site, str], bool]
    Along = Callable[[Site], Iterator[Guess]]


def guesses(code: str, name: str, *at: Kind, rank: int) -> Callable[[Guessing], Guessing]:
    """Declare a cause by the gradients that it makes at places of these kinds."""

    def declare(rule: Guessing) -> Guessing:
        RANKS[code] = rank
        GUESSES.append(Rule(code, at, cause(code, name)(rule), rank))
        return rule

    return declare


def factor(code: str, name: str, *at: Kind, rank: int) -> Callable[[Factoring], Factoring]:
    """Declare a cause by the factors that it makes: ``rule(site, "1/m")`` says whether."""

    def declare(rule: Factoring) -> Factoring:
        RANKS[code] = rank
        FACTORS.append(Rule(code, at, cause(code, name)(rule), rank))
        return rule

    return declare


def direction(code: str, name: str, *at: Kind, rank: int) -> Callable[[Along], Along]:
    """Declare a cause by the direction in which a gradient is off; how far is measured."""

    def declare(rule: Along) -> Along:
        RANKS[code] = rank
        DIRECTIONS.append(Rule(code, at, cause(code, name)(rule), rank))
        return rule

    return declare


def also(rules: list[Rule], code: str, *at: Kind) -> Callable[[Any], Any]:
    """Add a function that recognises a declared cause in other places, or in another way."""

    def declare(rule: Any) -> Any:
        rules.append(Rule(code, at, rule, RANKS[code]))
        return rule

    return declare


def same_shape(account: Account, value: int) -> list[int]:
    """Return other named values of the shape of this one."""
    shape = account.graph.nodes[value].shape
    return [
        i
        for i, node in enumerate(account.graph.nodes[: account.probe.output + 1])
        if i != value and node.shape == shape and node.dtype.kind == "f" and account.is_named(i)
    ]
