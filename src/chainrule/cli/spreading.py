"""Options with several values: ``--hidden 64 32`` means ``--hidden 64 --hidden 32``."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Spreading"]


class Spreading(TyperCommand):
    """A command whose options with several values need their name only once.

    What follows such an option belongs to it up to the next option; so files are named first.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the names of options before each of their values."""
        several = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        spread = list(_spread(args, several))
        try:
            return super().parse_args(ctx, [*spread])  # which empties the list
        except typer.BadParameter as error:
            pairs = itertools.pairwise(spread)
            if any(name in several and Path(value).is_file() for name, value in pairs):
                hint = "Files stand before options that take several values."
                said = f"{error.message}. " if error.message else ""
                error.message = said + hint
            raise


def _spread(args: list[str], several: set[str]) -> Iterator[str]:
    """Yield the arguments one by one; a dash alone and a negative number are values."""
    current, values = "", 0
    for arg in args:
        if arg.startswith("-") and arg != "-" and not _is_number(arg):
            if current and not values:  # without a value: said by whoever parses it
                yield current
            current, values = (arg if arg in several else ""), 0
            if not current:
                yield arg
        elif current:
            yield from (current, arg)
            values += 1
        else:
            yield arg
    if current and not values:
        yield current


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
