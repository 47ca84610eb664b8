"""The table that words enter themselves into, and the refusal of what cannot be said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

WORDS: dict[str, Callable[..., Any]] = {}


class UnsayableError(Exception):
    """A sample asks for something that NumPy's words do not say."""


def word(*names: str) -> Callable[[F], F]:
    """Enter a function into the table under the names of the records it stands for."""

    def enter(function: F) -> F:
        for name in names:
            enter_word(name, function)
        return function

    return enter


def enter_word(name: str, function: Callable[..., Any]) -> None:
    """Enter one function under one record's name, once."""
    if name in WORDS:
        message = f"{name} is said twice"
        raise ValueError(message)
    WORDS[name] = function
