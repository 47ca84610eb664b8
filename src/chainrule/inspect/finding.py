"""What `inspect` says: a finding, and the register of the causes that it can name.

A cause is declared once, by a decorator on the function that recognises it: code, name and
severity stand beside the rule, and its docstring is its page under ``docs/findings/``. Whatever
finds something (the diagnosis of a backward pass, the lint, the history of a training) says it
as a `Finding`, so that one reporter prints them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from chainrule.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CAUSES", "Cause", "Finding", "Fix", "cause"]

Severity = Literal["error", "warning", "note"]
R = TypeVar("R", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Cause:
    """One thing that can be the matter.

    Attributes
    ----------
    code
        ``CD201``; its page is ``docs/findings/CD201.md``.
    name
        In a few words, as a user would say it: ``wrong sign``.
    severity
        ``error``: numbers are wrong. ``warning``: they are right here and hardly what was meant.
        ``note``: right, and worth knowing.
    doc
        What it sees, why it matters, an example, what to do.
    rule
        The function that recognises it.
    """

    code: str
    name: str
    severity: Severity
    doc: str
    rule: Callable[..., Any]

    @property
    def title(self) -> str:
        """The first sentence of the documentation."""
        return self.doc.strip().split("\n", 1)[0]


CAUSES: dict[str, Cause] = {}
"""Every cause by its code."""


def cause(code: str, name: str, severity: Severity = "error") -> Callable[[R], R]:
    """Declare what a function recognises.

    Parameters
    ----------
    code
        One that is free.
    name
        In a few words.
    severity
        Of the findings that name it.

    Examples
    --------
    >>> CAUSES["CD201"].name
    'wrong sign'
    """

    def declare(rule: R) -> R:
        if code in CAUSES:
            raise DeclarationError(
                f"there is a cause {code} already: {CAUSES[code].name!r}.",
                advice="Give yours another code.",
            )
        if not rule.__doc__:
            raise DeclarationError(f"the cause {code} has no docstring, which is its page.")
        CAUSES[code] = Cause(code, name, severity, rule.__doc__, rule)
        return rule

    return declare


@dataclass(frozen=True)
class Fix:
    """A corrected line.

    Attributes
    ----------
    numpy
        As NumPy code in the user's own names: ``dW1 = X.T @ dZ1``.
    latex
        As a formula.
    """

    numpy: str
    latex: str = ""

    def __str__(self) -> str:
        return self.numpy


@dataclass(frozen=True)
class Finding:
    """Something that is the matter, where, how that is known, and what to do.

    Attributes
    ----------
    code
        ``CD201``; `CAUSES` has its documentation.
    cause
        In a few words: ``wrong sign``.
    tensor
        What is wrong first, by name: ``W1`` means its gradient. Empty where there is none.
    where
        The line of the user's program: ``model.py:31``.
    message
        One or two sentences.
    evidence
        The numbers that say so: ratio, error before and after the hypothesis.
    fix
        The corrected line, where there is one.
    severity
        ``error``, ``warning`` or ``note``.
    confidence
        From 0 to 1: 1 if every probe agrees and no other cause explains it.
    also
        Other causes that give the same numbers on every probe, as ``CD213 bias averaged``.
    ambiguous
        What would tell the causes apart that this finding names; empty if there is one.
    advice
        What to do, where a line of code does not say it.

    Examples
    --------
    >>> found = Finding("CD201", "wrong sign", "W1", "model.py:31", "The gradient is negated.")
    >>> print(found)
    model.py:31: CD201 wrong sign: W1. The gradient is negated.
    """

    code: str
    cause: str
    tensor: str = ""
    where: str = ""
    message: str = ""
    evidence: tuple[str, ...] = ()
    fix: Fix | None = None
    severity: Severity = "error"
    confidence: float = 1.0
    also: tuple[str, ...] = ()
    ambiguous: str = ""
    advice: str = ""

    @classmethod
    def of(cls, code: str, **fields: Any) -> Finding:
        """Return a finding of a declared cause, with its name and severity."""
        known = CAUSES[code]
        return cls(code, known.name, **{"severity": known.severity, **fields})

    def __str__(self) -> str:
        """Return the finding as a linter prints it: a line, and what is known under it."""
        at = f"{self.where}: " if self.where else ""
        about = f": {self.tensor}." if self.tensor else "."
        lines = [f"{at}{self.code} {self.cause}{about} {self.message}".rstrip()]
        if self.also:
            lines.append(f"or: {', '.join(self.also)}")
        if self.ambiguous:
            lines.append(f"to tell: {self.ambiguous}")
        lines += self.evidence
        if self.fix is not None:
            lines.append(f"write: {self.fix.numpy}")
        if self.advice:
            lines += self.advice.splitlines()
        return "\n  ".join(lines)
