"""Options with several values: ``--hidden 64 32`` means ``--hidden 64 --hidden 32``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        return super().parse_args(ctx, list(_spread(args, several)))


def _spread(args: list[str], several: set[str]) -> Iterator[str]:
    current, values = "", 0
    for arg in args:
        if arg.startswith("-") and not _is_number(arg):
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
